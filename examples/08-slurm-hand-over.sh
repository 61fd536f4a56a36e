#!/usr/bin/env bash
# Start a run in the shell, stop it as Ctrl-C does, and continue it in the queue from that step. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/08-slurm-hand-over.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
runs=${PASSINGLOOP_RUN_ROOT:-runs}
passingloop() { "$root/.venv/bin/passingloop" "$@"; }
train=("$root/scripts/train" name=handed-over cluster=dev data.limit=200 data.max_length=16 trainer.steps=40
    trainer.log_every=1 tracking=none "$@")

"${train[@]}" &
until grep -qs '"step": 5,' "$runs"/handed-over/*/metrics.jsonl; do sleep 0.2; done
kill -INT $! # the signal of Ctrl-C
wait $! || echo "stopped here with exit code $?" >&2

"${train[@]}" launcher=slurm
passingloop wait handed-over
grep -o '"start_step": [0-9]*' "$runs"/handed-over/*/attempts.jsonl
