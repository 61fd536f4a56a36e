#!/usr/bin/env bash
# Submit a run, then look at it with the verbs of passingloop. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/06-slurm-submit.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
passingloop() { "$root/.venv/bin/passingloop" "$@"; }

run=$("$root/scripts/train" launcher=slurm cluster=dev resources=gpu1 name=submitted data.limit=200 \
    data.max_length=32 trainer.steps=10 tracking=none "$@")
passingloop status "$run"
passingloop wait "$run"
passingloop logs "$run" | tail -n 8
passingloop status --json "$run"
