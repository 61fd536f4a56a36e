#!/usr/bin/env bash
# Train a short run twice: once without interruption, once killed and asked to stop at random steps. Then check that the
# results are the same, bit by bit:
#
#   examples/10-drill.sh
#
# With launcher=slurm the runs train in the queue, and one of them is also requeued.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

"$root/scripts/setup"
"$root/.venv/bin/passingloop" drill --interruptions 2 data.limit=100 data.max_length=16 trainer.steps=30 "$@"
