#!/usr/bin/env bash
# A causal language model on chats: the loss counts on the answers only, and LoRA factors are what is trained.
#
#   examples/05-chats-with-lora.sh
#
# The model is made on the spot, tiny and untrained, so that no hub is needed. For a real one set model.path to any
# instruction-tuned model of the hub, such as model.path=Qwen/Qwen3-0.6B.
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
