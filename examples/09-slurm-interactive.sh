#!/usr/bin/env bash
# Train inside an allocation of two nodes: one process starts on each of them. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/09-slurm-interactive.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

salloc --nodes=2 --gpus-per-node=1 --cpus-per-task=2 \
    "$root/scripts/train" name=interactive data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@"
