#!/usr/bin/env bash
# Train four runs with one command, one after another, and print their results:
#
#   examples/03-sweep.sh
#
# A second call trains nothing, because all four runs are done. If you add a value, only the new runs are trained.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

runs=$("$root/scripts/train" -m optim.lr=1e-4,1e-3 trainer.seed=1,2 name=sweep data.limit=200 data.max_length=32 \
    trainer.steps=10 tracking=none "$@")
for run in $runs; do
    grep -o '"test/accuracy": [0-9.]*' "$run/result.json" | sed "s|^|$(basename "$run")  |"
done
