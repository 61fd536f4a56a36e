#!/usr/bin/env bash
# Submit a sweep of small runs that share a GPU: all three train side by side in one job. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/15-slurm-packed-sweep.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
passingloop() { "$root/.venv/bin/passingloop" "$@"; }
small=(launcher=slurm cluster=dev name=packed data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@")

"$root/scripts/train" -m optim.lr=1e-4,3e-4,1e-3 sweep.pack=3 "${small[@]}"
passingloop wait packed
passingloop status packed
