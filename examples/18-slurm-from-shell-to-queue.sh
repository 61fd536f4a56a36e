#!/usr/bin/env bash
# Interactive work: a GPU shell, a try on little data, then the real run, begun in the shell, stopped as Ctrl-C does, and
# handed over to the queue, where it goes on from that step. Needs a Slurm:
#
#   scripts/dev-slurm up && eval "$(scripts/dev-slurm env)"
#   examples/18-slurm-from-shell-to-queue.sh
#
# Without the commands after --, `passingloop shell` is a shell in which you type them.
set -euo pipefail
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
runs=${PASSINGLOOP_RUN_ROOT:-runs}
"$root/scripts/setup"
PATH=$root/.venv/bin:$PATH
shown() {
    printf '\n$ %s\n' "$*"
    "$@"
}
small=(data.max_length=16 tracking=none cluster=dev resources=gpu1)

shown passingloop shell --keep --time=10 -- \
    passingloop train name=try data.limit=100 trainer.steps=5 "${small[@]}" "$@"

# In the same job, the real run. The last lines of bash stand for a person who presses Ctrl-C after step 8.
real=(passingloop train name=real data.limit=400 trainer.steps=40 trainer.log_every=1 "${small[@]}" "$@")
# shellcheck disable=SC2016  # the job's bash reads this
press_ctrl_c='runs=$1; shift
"$@" & until grep -qs "\"step\": 8," "$runs"/real/*/metrics.jsonl; do sleep 0.2; done
kill -INT $!; wait $!'
printf '\n$ passingloop shell -- %s\n' "${real[*]}"
passingloop shell -- bash -c "$press_ctrl_c" bash "$runs" "${real[@]}" || echo "stopped, exit code $?" >&2
shown passingloop status real
shown passingloop shell --end

shown "${real[@]}" launcher=slurm
shown passingloop wait real
shown passingloop status
shown grep -o '"start_step": [0-9]*' "$runs"/real/*/attempts.jsonl
