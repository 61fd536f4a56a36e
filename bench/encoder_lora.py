"""A step of an encoder with LoRA here and as PEFT computes it: `python bench/encoder_lora.py [--save] [--rounds 4]`.

An untrained BERT of MiniLM's size, 32 short texts a batch (median 13 tokens), rank 16, bf16 autocast, forward and
backward pass. "PEFT" is PEFT's layers in transformers' model; "padded" is our layers in transformers' model; "here" is
what a run computes on a CPU: our layers without padding. Batches of texts of like length, as runs have, and at random.
Time is that of the CPU with one thread, so that other processes disturb little: of each batch the least of some rounds.
"""

import copy
import sys
import time
import warnings
from typing import Any

import numpy as np
import peft
import torch
import transformers
from record import option, record
from untrained import text_lengths

from passingloop.config.settings import AdapterConfig
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.encoders.dropout import replace_dropout
from passingloop.model.encoders.flat import run_flat

RANK, DROPOUT, ROWS, CLASSES, BATCHES = 16, 0.05, 32, 77, 6


def make_models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=CLASSES
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    products = [f"{kind}.dense" for kind in ("output", "intermediate")]
    settings = peft.LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        lora_dropout=DROPOUT,
        task_type="SEQ_CLS",
        target_modules=["query", "key", "value", *products],
        modules_to_save=["classifier"],
    )
    adapter = AdapterConfig(kind="lora", rank=RANK, alpha=2.0 * RANK, dropout=DROPOUT)
    padded = add_adapter(copy.deepcopy(model), adapter, 1, new=["classifier", "bert.pooler"], classifies=True)
    here = copy.deepcopy(padded)
    replace_dropout(padded)
    replace_dropout(here)
    assert run_flat(here)
    return {"PEFT": peft.get_peft_model(model, settings), "padded": padded, "here": here}


def make_batches(*, alike: bool) -> list[dict[str, torch.Tensor]]:
    lengths = np.array(text_lengths(ROWS * 60, 13, 80))
    groups = (np.sort(lengths) if alike else lengths).reshape(-1, ROWS)
    chosen = groups[np.linspace(3, len(groups) - 4, BATCHES).astype(int)]
    batches = []
    for row in chosen:
        mask = torch.arange(int(row.max()))[None] < torch.from_numpy(row)[:, None]
        ids = torch.randint(2, 30_000, mask.shape)
        batches.append({"input_ids": torch.where(mask, ids, 0), "attention_mask": mask.long()})
    return batches


def seconds(model: Any, batch: dict[str, torch.Tensor]) -> float:
    """CPU time of a step."""
    model.zero_grad()
    begun = time.process_time()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(**batch).logits
    torch.nn.functional.cross_entropy(logits.float(), torch.arange(ROWS)).backward()
    return time.process_time() - begun


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rounds = int(option("rounds", 4))
    models = {name: model.train() for name, model in make_models().items()}
    figures: dict[str, Any] = {}
    for kind, alike in (("of like length", True), ("at random", False)):
        batches = make_batches(alike=alike)
        least = {name: np.full(BATCHES, np.inf) for name in models}
        for _ in range(rounds + 1):  # the first compiles kernels
            for name, model in models.items():
                least[name] = np.minimum(least[name], [seconds(model, batch) for batch in batches])
        ms = {name: round(1000 * float(taken.mean()), 1) for name, taken in least.items()}
        ratios = {f"here over {name}": round(ms[name] / ms["here"], 3) for name in ("PEFT", "padded")}
        figures[kind] = {"ms": ms, **ratios}
        print(kind, figures[kind], file=sys.stderr, flush=True)
    record("encoder_lora", {"rows": ROWS, "rank": RANK, "rounds": rounds, "batches": figures})


if __name__ == "__main__":
    main()
