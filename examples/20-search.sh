#!/usr/bin/env bash
# Train six learning rates to a ninth of their steps, the best two to a third, and the best one to the end; then show
# how the sweep went:
#
#   examples/20-search.sh
#
# The rates are drawn from 1e-5 to 1e-2, evenly in the logarithm. With `launcher=slurm` the same sweep trains as jobs.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

"$root/scripts/train" -m "optim.lr=log(1e-5,1e-2)" sweep.search=halving sweep.points=6 name=search data.limit=200 \
    data.max_length=32 trainer.steps=18 tracking=none "$@"
"$root/.venv/bin/passingloop" sweep search
