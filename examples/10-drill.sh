#!/usr/bin/env bash
# A short run that is killed and told to stop on purpose, at random steps, and ends exactly where its twin ends that was
# left alone:
#
#   examples/10-drill.sh
#
# With launcher=slurm it is done in the queue, and requeued as well.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

"$root/scripts/setup"
"$root/.venv/bin/passingloop" drill --interruptions 2 data.limit=100 data.max_length=16 trainer.steps=30 "$@"
