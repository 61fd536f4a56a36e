#!/usr/bin/env bash
# Apply the recommended policy (slurm/policy.yaml) to a cluster of its own on this machine, place the lines that it wants
# in slurm.conf, and train a run in what is idle. The cluster is ended at the end:
#
#   examples/13-slurm-policy.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
folder=$(mktemp -d)
policy=$folder/policy.yaml
trap '"$root/scripts/dev-slurm" down --dir "$folder/cluster"; rm -r "$folder"' EXIT

"$root/scripts/setup"
"$root/scripts/dev-slurm" up --dir "$folder/cluster" --nodes 2
eval "$("$root/scripts/dev-slurm" env --dir "$folder/cluster")"

# The recommended policy names no users: those here are root and you, in one of its accounts.
cp "$root/slurm/policy.yaml" "$policy"
echo "users:" >> "$policy"
printf '  %s: {accounts: [vision], admin_level: administrator}\n' root "$(id -un)" | sort -u >> "$policy"

"$root/scripts/slurm-policy" plan "$policy" --delete-history
"$root/scripts/slurm-policy" apply "$policy" --delete-history | tee "$folder/applied"

# What only an editor can change is printed as lines to place.
sed -n 's/^  \([A-Za-z]*=\)/\1/p' "$folder/applied" | while read -r line; do
    sed -i "/^${line%%=*}=/d" "$SLURM_CONF"
    echo "$line" >> "$SLURM_CONF"
done
scontrol reconfigure

"$root/scripts/slurm-policy" plan "$policy" # prints nothing: it is all in force
"$root/scripts/slurm-policy" check "$policy" && echo "check finds no drift"

"$root/scripts/train" launcher=slurm cluster=dev cluster.qos=scavenger resources=gpu1 name=idle data.limit=100 \
    data.max_length=16 trainer.steps=5 tracking=none "$@"
"$root/.venv/bin/passingloop" wait idle
sshare --all --format=Account,User,RawShares,NormShares,RawUsage,EffectvUsage,FairShare
