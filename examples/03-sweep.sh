#!/usr/bin/env bash
# Four runs from one command, one after another; then their results side by side:
#
#   examples/03-sweep.sh
#
# Given twice, the second call trains nothing: all four are done. Add a value, and only the new points are trained.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

runs=$("$root/scripts/train" -m optim.lr=1e-4,1e-3 trainer.seed=1,2 name=sweep data.limit=200 data.max_length=32 \
    trainer.steps=10 tracking=none "$@")
for run in $runs; do
    grep -o '"test/accuracy": [0-9.]*' "$run/result.json" | sed "s|^|$(basename "$run")  |"
done
