#!/usr/bin/env bash
# Compare when jobs of different sizes would start, then let the run take the size with which it finishes soonest. Needs
# a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/16-slurm-gpu-sizes.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
passingloop() { "$root/.venv/bin/passingloop" "$@"; }
small=(launcher=slurm cluster=dev name=sized data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@")

"$root/scripts/train" resources.gpus=1-2 estimate=true "${small[@]}"
"$root/scripts/train" resources.gpus=1-2 "${small[@]}"
passingloop wait sized
passingloop status sized
