#!/usr/bin/env bash
# Train the quickstart on fewer examples, then classify three texts with the exported model:
#
#   examples/01-first-run.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

run=$("$root/scripts/train" name=first-run data.limit=1000 trainer.epochs=3 tracking=none "$@")
echo "The run is in $run"
"$root/.venv/bin/python" "$root/examples/classify.py" "$run/export" \
    "Wait until a coroutine has finished, or cancel it after a timeout." \
    "Send a mail message through an SMTP server." \
    "Return the arc tangent of a complex number."
