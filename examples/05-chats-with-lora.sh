#!/usr/bin/env bash
# Train a causal language model on chats with LoRA. The loss counts on the assistant's answers only:
#
#   examples/05-chats-with-lora.sh
#
# The script makes a tiny untrained model, so that no hub is needed. For real use set model.path to an instruction-tuned
# model of the hub, such as model.path=Qwen/Qwen3-0.6B.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

"$root/scripts/setup"
"$root/.venv/bin/python" "$root/examples/make_tiny_chat_model.py" "$folder/model"
for i in $(seq 200); do
    echo "{\"messages\": [{\"role\": \"user\", \"content\": \"$i and one?\"}," \
        "{\"role\": \"assistant\", \"content\": \"$((i + 1))\"}]}"
done > "$folder/chats.jsonl"

"$root/scripts/train" name=chats task=causal_lm model.path="$folder/model" adapter=lora data=files \
    data.train="$folder/chats.jsonl" data.messages=messages optim.lr=1e-2 trainer.steps=40 tracking=none "$@"
