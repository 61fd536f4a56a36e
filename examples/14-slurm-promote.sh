#!/usr/bin/env bash
# Try something on little data in the shell, then train it on more in the queue, with the same settings and code. Needs a
# Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/14-slurm-promote.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
passingloop() { "$root/.venv/bin/passingloop" "$@"; }

"$root/scripts/train" name=trial data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@"
passingloop promote trial --dry-run data.limit=200 >/dev/null # the differences are on stderr
run=$(passingloop promote trial data.limit=200 cluster=dev)
passingloop wait "$run"
passingloop status trial
