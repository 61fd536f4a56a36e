#!/usr/bin/env bash
# Submit a sweep as one array, two runs at once; then add a value: only the new run is submitted. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/07-slurm-sweep.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
passingloop() { "$root/.venv/bin/passingloop" "$@"; }
small=(launcher=slurm cluster=dev name=rates data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@")

"$root/scripts/train" -m optim.lr=1e-4,3e-4 sweep.parallel=2 "${small[@]}"
"$root/scripts/train" -m optim.lr=1e-4,3e-4,1e-3 sweep.parallel=2 "${small[@]}"
passingloop wait rates
passingloop status rates
