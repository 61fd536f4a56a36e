"""Models and tokenizers small enough for a test, and real: built from a configuration, saved, and loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from lightning.fabric import Fabric
from tokenizers import decoders, models, pre_tokenizers, trainers

from passingloop.config.build import build
from passingloop.config.settings import AdapterConfig, ModelConfig, OptimConfig, RunConfig, Task
from passingloop.data.cache.measurements import Measurements
from passingloop.data.examples.tokens import Tokens, TokenWriter
from passingloop.handoff import World
from passingloop.model import pretrained
from passingloop.model.weights import Head, LoadedModel, load_model
from passingloop.tasks.task import learning_task
from passingloop.train.layout import Layout
from passingloop.train.module import FineTuner
from passingloop.train.optim.adafactor import Adafactor
from passingloop.train.optim.adamw import AdamW
from passingloop.train.passes import DeviceMemory, Devices

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<eos>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 320
ALONE = World(0, 1, 0, 1)


def make_tokenizer(chat_template: str | None = CHATML) -> Any:
    """A byte-level BPE tokenizer, trained on a few words."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    words = ["the quick brown fox jumps over the lazy dog and the train waits on the passing loop for another train"]
    inner.train_from_iterator(words * 3, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", chat_template=chat_template
    )


WIDTHS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
BY_HIDDEN_SIZE = WIDTHS | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CONFIGURATIONS = {
    "llama": lambda: transformers.LlamaConfig(**BY_HIDDEN_SIZE, max_position_embeddings=64),
    "gpt2": lambda: transformers.GPT2Config(**WIDTHS, n_embd=32, n_layer=2, n_head=2, n_positions=64),
    "bloom": lambda: transformers.BloomConfig(**WIDTHS, hidden_size=32, n_layer=2, n_head=2),
    "mamba": lambda: transformers.MambaConfig(**WIDTHS, hidden_size=32, num_hidden_layers=2, state_size=4),
    "lfm2": lambda: transformers.Lfm2Config(
        **BY_HIDDEN_SIZE, num_key_value_heads=2, layer_types=["conv", "full_attention"]
    ),
    "bert": lambda: transformers.BertConfig(**BY_HIDDEN_SIZE, max_position_embeddings=64),
    "roberta": lambda: transformers.RobertaConfig(**BY_HIDDEN_SIZE, max_position_embeddings=64),
    "distilbert": lambda: transformers.DistilBertConfig(
        **WIDTHS, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
    ),
    "deberta-v2": lambda: transformers.DebertaV2Config(
        **BY_HIDDEN_SIZE, relative_attention=True, pos_att_type=["p2c", "c2p"], max_position_embeddings=64
    ),
    "albert": lambda: transformers.AlbertConfig(**BY_HIDDEN_SIZE, embedding_size=16, max_position_embeddings=64),
    "fnet": lambda: transformers.FNetConfig(
        **WIDTHS, hidden_size=32, num_hidden_layers=2, intermediate_size=64, max_position_embeddings=64
    ),
    "bart": lambda: transformers.BartConfig(
        **WIDTHS,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        decoder_start_token_id=1,
        max_position_embeddings=64,
    ),
    "xlnet": lambda: transformers.XLNetConfig(**WIDTHS, d_model=32, n_layer=2, n_head=2, d_inner=64),
}


def make_model(kind: str, task: Task = "causal_lm", auto: str | None = None, **settings: Any) -> Any:
    """An untrained model of `kind` with the head of `task`, or of the class `auto`; the same every time, in evaluation
    mode."""
    torch.manual_seed(0)
    configuration = CONFIGURATIONS[kind]()
    configuration.update(settings)
    return getattr(transformers, auto or learning_task(task).auto).from_config(configuration).eval()


def load(config: ModelConfig, names: Sequence[str] = (), seed: int = 1) -> LoadedModel:
    """The model as a run loads it: for classes with `names`, or without for causal language modelling."""
    origin = pretrained.find_origin(config)
    task = learning_task("classification" if names else "causal_lm")
    head = Head(task.auto, task.head(list(names)), is_pretrained=task.causal)
    tokenizer = pretrained.load_tokenizer(origin, config)
    return load_model(origin, config, pretrained.load_settings(origin, config), head, tokenizer, seed)


def write_tokens(
    folder: Path,
    ids: Sequence[Sequence[int]],
    labels: Sequence[int] | None = None,
    answers: Sequence[Sequence[int]] | None = None,
) -> Tokens:
    """A part with these examples: classes if there are `labels`, else texts, or chats with `answers`."""
    counted = [sum(example[1:]) for example in answers] if answers else [len(example) - 1 for example in ids]
    with TokenWriter(folder, VOCABULARY - 1) as writer:
        writer.add(
            [np.array(example) for example in ids],
            np.ones(len(ids)) if labels is not None else np.array(counted),
            np.arange(len(ids)),
            None if labels is None else np.array(labels),
            None if answers is None else [np.array(example) for example in answers],
        )
    return Tokens(folder)


def random_ids(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(len(SPECIAL), VOCABULARY, length).tolist() for length in lengths]


def layout(tokens: Tokens, task: Task, **chosen: Any) -> Layout:
    return Layout(tokens, learning_task(task), 0, **{"row_tokens": None, "batch_tokens": 10**6} | chosen)


def fine_tuner(model: Any, task: Task, optim: OptimConfig, **chosen: Any) -> FineTuner:
    return FineTuner(model, learning_task(task), optim, **chosen)


def optim(**chosen: Any) -> AdamW:
    defaults = {
        "lr": 1e-3,
        "weight_decay": 0.01,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "warmup": 0.1,
        "schedule": "linear",
        "grad_clip": None,
    }
    return build(AdamW, defaults | chosen, prefix="optim.")


def adafactor(**chosen: Any) -> Adafactor:
    defaults = {
        "kind": "adafactor",
        "lr": 1e-3,
        "weight_decay": 0.01,
        "beta2_decay": -0.8,
        "min_scale": 1e-3,
        "clip": 1.0,
        "warmup": 0.1,
        "schedule": "linear",
        "grad_clip": None,
    }
    return build(Adafactor, defaults | chosen, prefix="optim.")


def model_config(path: Path | str, **chosen: Any) -> ModelConfig:
    defaults = {"path": str(path), "revision": None, "trust_remote_code": False, "dropout": None}
    return build(ModelConfig, defaults | chosen, prefix="model.")


def measured(config: RunConfig) -> Measurements:
    """What is known of devices: as a run whose directory is in its cache has it."""
    return Measurements(config.cache_root / "measured.json", config.cache_root)


def devices_of(fabric: Fabric, config: RunConfig, memory: DeviceMemory | None = None) -> Devices:
    return Devices(fabric=fabric, memory=memory or DeviceMemory(), measurements=measured(config))


def lora(**chosen: Any) -> AdapterConfig:
    return build(AdapterConfig, {"kind": "lora", "rank": 2, "alpha": 4.0, "dropout": 0.0} | chosen, prefix="adapter.")
