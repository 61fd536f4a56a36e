"""TRL's SFTTrainer with packing: what bench/gpu.py compares with. `python bench/peers/trl_sft.py SETTINGS.json`.

As its documentation recommends for speed: rows packed by best fit, bf16 over fp32 weights, its own chunked loss,
FlashAttention and Liger kernels where they are installed, and no checkpointing of activations while memory suffices.
Without FlashAttention transformers keeps the documents of a row apart by a mask for PyTorch's attention.
"""

import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from meter import Meter, Wanted
from trl import SFTConfig, SFTTrainer
from untrained import random_model


@dataclass(frozen=True, kw_only=True)
class Settings:
    folder: str
    model: str
    documents: str
    length: int
    """Tokens in a row."""
    rows: int
    """In a forward pass."""
    rows_per_step: int
    optimizer: str
    """As TrainingArguments call it."""
    lr: float
    bf16: bool
    checkpointing: bool
    """Whether activations are computed again in the backward pass."""
    wanted: dict[str, Any]


class Measured(SFTTrainer):
    """Shows its batches to a meter."""

    meter: Meter

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        self.meter.see(inputs["input_ids"])
        return super().training_step(model, inputs, *rest)


def main(settings: Settings) -> None:
    attention = "flash_attention_2" if find_spec("flash_attn") else "sdpa"
    liger = find_spec("liger_kernel") is not None
    arguments = SFTConfig(
        output_dir=str(Path(settings.folder) / "trl"),
        max_steps=100_000,  # the meter ends it
        per_device_train_batch_size=settings.rows,
        gradient_accumulation_steps=settings.rows_per_step // settings.rows,
        learning_rate=settings.lr,
        optim=settings.optimizer,
        bf16=settings.bf16,
        packing=True,
        packing_strategy="bfd",
        max_length=settings.length,
        gradient_checkpointing=settings.checkpointing,
        use_liger_kernel=liger,
        use_cpu=not torch.cuda.is_available(),
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model)
    trainer = Measured(
        model=random_model(settings.model, attn_implementation=attention),
        args=arguments,
        train_dataset=read_documents(Path(settings.documents), tokenizer),
        processing_class=tokenizer,
    )
    facts = {"attention": attention, "liger": liger, "rows_per_pass": settings.rows}
    trainer.meter = Meter(Wanted(**settings.wanted), facts | {"checkpointing": settings.checkpointing})
    trainer.meter.start()
    trainer.train()


def read_documents(path: Path, tokenizer: Any) -> Dataset:
    with path.open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    return Dataset.from_dict({"input_ids": [[*ids, tokenizer.eos_token_id] for ids in tokenizer(texts)["input_ids"]]})


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    main(Settings(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
