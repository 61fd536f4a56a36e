#!/usr/bin/env bash
# Interrupt a run after some steps with the signal of Ctrl-C, and continue it with the same command:
#
#   examples/04-interrupt-and-continue.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
train=("$root/scripts/train" name=interrupted data.limit=400 data.max_length=32 trainer.steps=60 trainer.log_every=1
    tracking=none "$@")

"${train[@]}" > /dev/null &
until grep -qs '"step": 5,' "${PASSINGLOOP_RUN_ROOT:-runs}"/interrupted/*/metrics.jsonl; do
    kill -0 $! 2> /dev/null || break # the run is done already
    sleep 0.2
done
kill -INT $! 2> /dev/null || true
wait $! || echo "Interrupted: exit code $?" >&2

run=$("${train[@]}")
cat "$run/attempts.jsonl"
