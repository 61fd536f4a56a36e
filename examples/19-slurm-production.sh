#!/usr/bin/env bash
# Production: a sweep in the QOS that makes way for others, on a cluster of its own with two GPUs. Someone wants a GPU at
# once: one run of the sweep saves, makes way, is requeued, and goes on where it stood. The cluster is ended at the end:
#
#   examples/19-slurm-production.sh
set -euo pipefail
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
runs=${PASSINGLOOP_RUN_ROOT:-runs}
"$root/scripts/setup"
PATH=$root/.venv/bin:$PATH
folder=$(mktemp -d)
trap '"$root/scripts/dev-slurm" down --dir "$folder/cluster"; rm -r "$folder"' EXIT
"$root/scripts/dev-slurm" up --dir "$folder/cluster" --nodes 1 --gpus 2
eval "$("$root/scripts/dev-slurm" env --dir "$folder/cluster")"
shown() {
    printf '\n$ %s\n' "$*"
    "$@"
}
until_step() { until grep -qs "\"step\": $1," "$runs"/sweep/*/metrics.jsonl; do sleep 0.2; done; }

sweep=(passingloop train -m launcher=slurm cluster=dev cluster.qos=scavenger resources=gpu1 name=sweep
    optim.lr=1e-4,3e-4,1e-3 data.limit=400 data.max_length=16 trainer.steps=40 trainer.log_every=1 tracking=none "$@")
shown "${sweep[@]}"
until_step 5
shown passingloop status sweep
shown passingloop why sweep | tail -n 10

# Both GPUs are taken. An interactive job preempts one of the sweep's runs.
shown passingloop shell --qos interactive --time 5 -- bash -c 'echo "here at once, with GPU $CUDA_VISIBLE_DEVICES"'
shown passingloop wait sweep
shown passingloop status sweep
shown grep -ho '"reason": "It made way[^"]*"' "$runs"/sweep/*/attempts.jsonl
shown passingloop report --since 1hours --prices "$root/examples/prices.toml"
shown "${sweep[@]}" # the same command: nothing is missing, nothing is submitted
