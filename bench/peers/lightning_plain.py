"""A plain Lightning script that continues after it was killed: what bench/restart.py and bench/saving.py compare with.

`python bench/peers/lightning_plain.py FOLDER TEXTS.csv MODEL STEPS SAVE_EVERY`. As one would write it by hand: tokens
are kept in FOLDER, ModelCheckpoint saves there, and `ckpt_path="last"` goes on from there. FOLDER/first_step has the
time at which the first new step was done, and its number.
"""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

MAX_LENGTH, BATCH_SIZE = 64, 32


class Classifier(LightningModule):
    def __init__(self, model: str, classes: int) -> None:
        super().__init__()
        self.model = AutoModelForSequenceClassification.from_pretrained(
            model, num_labels=classes, local_files_only=True
        )

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        ids, mask, labels = batch
        loss: torch.Tensor = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-4, fused=True)


class FirstStep(Callback):
    """Writes down when the first new step was done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self.path.exists():
            return
        beside = self.path.with_suffix(".new")
        beside.write_text(f"{time.time()} {trainer.global_step}")
        beside.rename(self.path)


def tokens(folder: Path, texts: Path, model: str) -> TensorDataset:
    kept = folder / "tokens.pt"
    if not kept.exists():
        with texts.open() as file:
            rows = list(csv.DictReader(file))
        names = sorted({row["label"] for row in rows})
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        made = tokenizer(
            [row["text"] for row in rows],
            truncation=True,
            max_length=MAX_LENGTH,
            padding="max_length",
            return_tensors="pt",
        )
        labels = torch.tensor([names.index(row["label"]) for row in rows])
        torch.save((made["input_ids"], made["attention_mask"], labels), kept)
    return TensorDataset(*torch.load(kept))


def main(folder: Path, texts: Path, model: str, steps: int, save_every: int) -> None:
    data = tokens(folder, texts, model)
    (folder / "first_step").unlink(missing_ok=True)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_steps=steps,
        default_root_dir=folder,
        logger=CSVLogger(folder),
        enable_progress_bar=False,
        log_every_n_steps=1,
        callbacks=[
            ModelCheckpoint(folder / "checkpoints", every_n_train_steps=save_every, save_top_k=1, save_last=True),
            FirstStep(folder / "first_step"),
        ],
    )
    loader = DataLoader(data, BATCH_SIZE, shuffle=True)
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(
        Classifier(model, int(data.tensors[2].max()) + 1), loader, ckpt_path=str(last) if last.exists() else None
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
