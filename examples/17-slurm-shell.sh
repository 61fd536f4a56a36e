#!/usr/bin/env bash
# Train in a job that stays, look into it with a second command, then end it. Without a command after it,
# `passingloop shell` is a shell there. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/17-slurm-shell.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
"$root/scripts/setup"
passingloop=$root/.venv/bin/passingloop

"$passingloop" shell --keep --time=10 -- \
    "$root/scripts/train" name=shell data.limit=100 data.max_length=16 trainer.steps=5 tracking=none "$@"
# shellcheck disable=SC2016  # the variables are the job's
"$passingloop" shell -- bash -c 'echo "job $SLURM_JOB_ID is still there, with GPU $CUDA_VISIBLE_DEVICES"'
"$passingloop" shell --end
