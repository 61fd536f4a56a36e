"""Make a tiny untrained Llama with a byte-level tokenizer and a chat template: `make_tiny_chat_model.py FOLDER`."""

import sys

import tokenizers
import torch
import transformers

TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

transformers.utils.logging.disable_progress_bar()
special = ["<|end|>", "<|start|>", "<|pad|>"]
alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
vocabulary = {token: number for number, token in enumerate([*special, *sorted(alphabet)])}
inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges=[]))
inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
inner.decoder = tokenizers.decoders.ByteLevel()
inner.add_special_tokens(special)
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>", chat_template=TEMPLATE, model_max_length=128
)
tokenizer.save_pretrained(sys.argv[1])

torch.manual_seed(0)
settings = transformers.LlamaConfig(
    vocab_size=len(vocabulary),
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=128,
    bos_token_id=None,
    eos_token_id=vocabulary["<|end|>"],
    pad_token_id=vocabulary["<|pad|>"],
)
transformers.LlamaForCausalLM(settings).save_pretrained(sys.argv[1])
