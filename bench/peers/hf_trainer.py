"""HF Trainer on texts with labels: what bench/throughput.py and bench/step_profile.py compare with.

`python bench/peers/hf_trainer.py SETTINGS.json`: see `Settings`. As one would write it by hand: `datasets` reads the
CSV files and tokenises them with `map`, batches are padded to their longest text, `compute_metrics` gives accuracy.

- as it comes: fp32, random batches; evaluation with the default of 8 texts a batch.
- at its best: bf16 where it helps, `train_sampling_strategy="group_by_length"` with the lengths in a column of their
  own, evaluation in batches as large as in training, no logging, and beside a GPU 4 processes that make batches.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from datasets import ClassLabel, load_dataset
from meter import Meter, Wanted
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is trained, and how."""

    folder: str
    """Where it may write; its cache of `datasets` too."""
    out: str
    """The file for the figures."""
    train: str
    test: str
    text: str
    label: str
    model: str
    max_length: int
    batch_size: int
    lr: float
    steps: int | None
    """None: one epoch."""
    seed: int
    bf16: bool
    best: bool
    """At its best, instead of as it comes."""
    compute_on_cpu: bool = True
    wanted: dict[str, Any] | None = None
    """A `Wanted` of bench/meter.py: then its figures are written instead, of the steps alone."""


class Measured(Trainer):
    """Shows its batches to a meter, if it has one."""

    meter: Meter | None = None

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        if self.meter:
            self.meter.see(inputs["input_ids"])
        return super().training_step(model, inputs, *rest)


class Padded(DataCollatorWithPadding):
    """Counts what it makes."""

    tokens = positions = 0

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().__call__(features)
        self.tokens += int(batch["attention_mask"].sum())
        self.positions += batch["attention_mask"].numel()
        return dict(batch)


def main(settings: Settings) -> None:
    for cache in ("first", "second"):  # the first brings modules: as passingloop's is measured
        began = time.perf_counter()
        train, test, names, tokenizer = prepare(settings, Path(settings.folder) / cache)
        prepared = time.perf_counter() - began
    collator, trainer = make_trainer(settings, train, test, len(names), tokenizer)
    if settings.wanted:
        trainer.meter = Meter(Wanted(**settings.wanted))
        trainer.meter.start()
    before = time.process_time()
    done = trainer.train()
    cpu = time.process_time() - before
    trained = collator.tokens, collator.positions
    began = time.perf_counter()
    metrics = trainer.evaluate()
    evaluated = time.perf_counter() - began
    steps = done.global_step
    figures = {
        "steps": steps,
        "samples": min(steps * settings.batch_size, len(train)),
        "tokens": trained[0],
        "padding": 1 - trained[0] / trained[1],
        "train_seconds": done.metrics["train_runtime"],
        "train_cpu_seconds": cpu,
        "evaluation_seconds": evaluated,
        "prepare_seconds": prepared,
        "accuracy": metrics["eval_accuracy"],
    }
    Path(settings.out).write_text(json.dumps(figures), encoding="utf-8")


def prepare(settings: Settings, cache: Path) -> tuple[Any, Any, Sequence[str], Any]:
    """Both parts with tokens, the names of the classes, and the tokenizer."""
    files = {"train": settings.train, "test": settings.test}
    texts = load_dataset("csv", data_files=files, cache_dir=str(cache))
    names = sorted(set(texts["train"][settings.label]))
    tokenizer = AutoTokenizer.from_pretrained(settings.model, local_files_only=True)

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        encoded = tokenizer(batch[settings.text], truncation=True, max_length=settings.max_length)
        return {**encoded, "length": [len(ids) for ids in encoded["input_ids"]]}

    texts = texts.cast_column(settings.label, ClassLabel(names=names)).rename_column(settings.label, "labels")
    encoded = texts.map(encode, batched=True, remove_columns=[settings.text])
    return encoded["train"], encoded["test"], names, tokenizer


def make_trainer(
    settings: Settings,
    train: Any,
    test: Any,
    classes: int,
    tokenizer: Any,
) -> tuple[Padded, Measured]:
    model = AutoModelForSequenceClassification.from_pretrained(
        settings.model, num_labels=classes, local_files_only=True, dtype=torch.float32
    )
    best: dict[str, Any] = {
        "bf16": settings.bf16,
        "train_sampling_strategy": "group_by_length",
        "per_device_eval_batch_size": settings.batch_size,
        "logging_strategy": "no",
        # Beside a GPU there are cores that have nothing else to do.
        "dataloader_num_workers": 0 if settings.compute_on_cpu else 4,
        "dataloader_persistent_workers": not settings.compute_on_cpu,
    }
    arguments = TrainingArguments(
        output_dir=str(Path(settings.folder) / "trainer"),
        num_train_epochs=1,
        max_steps=settings.steps or -1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.lr,
        weight_decay=0.01,
        warmup_steps=0.1,
        lr_scheduler_type="linear",
        seed=settings.seed,
        use_cpu=settings.compute_on_cpu,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **(best if settings.best else {}),
    )
    collator = Padded(tokenizer)
    return collator, Measured(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=train,
        eval_dataset=test,
        compute_metrics=accuracy,
    )


def accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((np.argmax(predicted.predictions, axis=-1) == predicted.label_ids).mean())}


if __name__ == "__main__":
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    main(Settings(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
