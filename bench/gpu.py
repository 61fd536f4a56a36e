"""Training on one GPU, in 8 minutes at most: `python bench/gpu.py [--save]`; everywhere in small: `--tiny`.

- Full fine-tuning of causal models of 0.5, 1.5 and 8 billion parameters in rows of 4,096 tokens, each of one document:
  tokens/s, memory, and the model FLOPs utilisation (MFU) by three definitions.
- Documents of different lengths, packed into such rows: passingloop and TRL's SFTTrainer on the same documents, if TRL
  is installed.
- An encoder of the size of MiniLM on short texts: passingloop and HF Trainer at its best.

Models are untrained: speed does not depend on weights. Each case is a process of its own, in this order; what does not
fit into the memory, is not installed, or comes after `--seconds 460` is printed as absent, with the reason. A case
takes 20 to 80 s, most of them to start. `--only WORD` measures the cases whose name has that word. Without a GPU the
figures of `--tiny` say that the script works, and nothing else.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from children import figures_of
from record import option, record
from untrained import CONFIGURATIONS, PAD, text_lengths, write_documents, write_model, write_questions

from passingloop.train.meters.flops import model_size, peak_flops

TARGETS = {
    "8B tokens_per_second": 11_000,
    "0.5B mfu causal": 0.45,
    "1.5B mfu causal": 0.50,
    "over TRL": 1.3,
    "encoder over HF Trainer": 3.0,
}
KEMPNER_FORGE = {"model": "8.03B", "gpu": "H200", "tokens_per_second": 10_471, "mfu": [0.578, 0.511]}
"""As published for one GPU. By our formulas the two figures come out as the first definition and the last."""


@dataclass(frozen=True)
class Size:
    """How a causal model is trained."""

    rows_per_step: int
    rows: int
    """In a forward pass of TRL. passingloop finds its own."""
    optimizer: str
    """AdamW's moments of 8 billion parameters do not fit beside fp32 weights and gradients."""
    warmup: int
    steps: int
    seconds: float
    limit: float
    """Seconds after which the case is given up."""


SIZES = {
    "0.5B": Size(16, 8, "adamw", warmup=6, steps=30, seconds=10, limit=90),
    "1.5B": Size(16, 4, "adamw", warmup=6, steps=20, seconds=12, limit=100),
    "8B": Size(8, 1, "adafactor", warmup=3, steps=8, seconds=20, limit=150),
}
TINY = {"tiny": Size(4, 2, "adamw", warmup=2, steps=3, seconds=30, limit=200)}
NO_TIME = {"absent": "no time was left"}
LENGTH, TINY_LENGTH = 4096, 64
SHORT = {"median": 13, "longest": 80}
"""Tokens of short texts, about as in BANKING77."""


@dataclass(frozen=True)
class Bench:
    """Runs the cases one after another while there is time."""

    folder: Path
    tiny: bool
    deadline: float
    only: str

    @property
    def length(self) -> int:
        return TINY_LENGTH if self.tiny else LENGTH

    def cases(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The name and the figures of each case."""
        sizes = TINY if self.tiny else SIZES
        for name, size in sizes.items():
            yield self._case(f"{name} full rows, passingloop", lambda n=name, s=size: self._ours(n, s, full=True))
        for name, size in sizes.items():
            if size.optimizer == "adamw":
                yield self._case(f"{name} packed, passingloop", lambda n=name, s=size: self._ours(n, s, full=False))
                yield self._case(f"{name} packed, TRL", lambda n=name, s=size: self._trl(n, s))
        for batch in (32,) if self.tiny else (32, 256):
            yield self._case(f"encoder {batch}, passingloop", lambda b=batch: self._our_encoder(b))
            yield self._case(f"encoder {batch}, HF Trainer", lambda b=batch: self._hf_encoder(b))

    def _case(self, name: str, measure: Any) -> tuple[str, dict[str, Any]]:
        if self.only not in name:
            return name, {"absent": "not asked for"}
        if time.monotonic() > self.deadline:
            return name, dict(NO_TIME)
        began = time.monotonic()
        figures = measure()
        print(f"{name}: {time.monotonic() - began:.0f} s, {figures}", file=sys.stderr, flush=True)
        return name, figures

    def _figures(self, script: str, settings: dict[str, Any], limit: float) -> dict[str, Any]:
        """Of a script that may take `limit` seconds, or what is left of the time."""
        left = self.deadline - time.monotonic()
        return figures_of(script, settings, min(limit, left)) if left > 0 else dict(NO_TIME)

    def _wanted(self, size: Size) -> dict[str, Any]:
        return {
            "out": str(self.folder / "figures.json"),
            "pad": PAD,
            "warmup": size.warmup,
            "steps": size.steps,
            "seconds": size.seconds,
        }

    def _documents(self, size: Size, *, full: bool) -> Path:
        """Enough for all steps, and no more."""
        name = f"{'full' if full else 'packed'}-{size.rows_per_step}.jsonl"
        rows = size.rows_per_step * (size.warmup + size.steps + 4)
        lengths = [self.length] * rows
        if not full:
            drawn = text_lengths(16 * rows, self.length / 8, self.length)
            total, lengths = 0, []
            for length in drawn:
                total += length
                lengths.append(length)
                if total > rows * self.length:
                    break
        path = self.folder / name
        return path if path.exists() else write_documents(path, lengths)

    def _model(self, name: str) -> Path:
        folder = self.folder / name.replace(" ", "-")
        return folder if folder.exists() else write_model(name, folder)

    def _words(self, name: str) -> list[str]:
        """Overrides of every run of ours. Nothing is saved, and no step is validated."""
        return [
            f"run_root={self.folder}/runs",
            f"cache_root={self.folder}/cache",
            f"name={name}",
            "rerun=true",
            "tracking=none",
            "data=files",
            "data.validation_fraction=0",
            "data.test_fraction=0",
            "checkpoint.every=null",
            "trainer.steps=100000",
            "trainer.eval_every=100000",
            "trainer.log_every=1000",
            "trainer.precision=bf16",
        ]

    def _ours(self, name: str, size: Size, *, full: bool) -> dict[str, Any]:
        words = [
            *self._words("causal"),
            "task=causal_lm",
            f"model.path={self._model(name)}",
            f"data.train={self._documents(size, full=full)}",
            f"data.max_length={self.length}",
            f"trainer.batch_tokens={size.rows_per_step * self.length}",
            f"optim={size.optimizer}",
        ]
        settings = {"words": words, "wanted": self._wanted(size), "random_weights": True}
        return self._figures("in_process.py", settings, size.limit)

    def _trl(self, name: str, size: Size) -> dict[str, Any]:
        """With the rows of a pass that fit: as many as are set, else one, else with checkpointing."""
        figures: dict[str, Any] = {}
        for rows, checkpointing in ((size.rows, False), (1, False), (1, True)):
            settings = {
                "folder": str(self.folder),
                "model": str(self._model(name)),
                "documents": str(self._documents(size, full=False)),
                "length": self.length,
                "rows": rows,
                "rows_per_step": size.rows_per_step,
                "optimizer": "adamw_torch_fused" if size.optimizer == "adamw" else size.optimizer,
                "lr": 3e-4,
                "bf16": True,
                "checkpointing": checkpointing,
                "wanted": self._wanted(size),
            }
            figures = self._figures("peers/trl_sft.py", settings, size.limit)
            if figures.get("absent") != "out of memory":
                break
        return figures

    def _our_encoder(self, batch: int) -> dict[str, Any]:
        words = [
            *self._words("encoder"),
            f"model.path={self._model(self._encoder)}",
            f"data.train={self._questions()}",
            f"trainer.batch_size={batch}",
        ]
        settings = {"words": words, "wanted": self._wanted(self._short_size(batch))}
        return self._figures("in_process.py", settings, 90)

    def _hf_encoder(self, batch: int) -> dict[str, Any]:
        size = self._short_size(batch)
        settings = {
            "folder": str(self.folder / "hf"),
            "out": str(self.folder / "figures.json"),
            "train": str(self._questions()),
            "test": str(self._questions()),
            "text": "text",
            "label": "label",
            "model": str(self._model(self._encoder)),
            "max_length": 128,
            "batch_size": batch,
            "lr": 3e-4,
            "steps": size.warmup + size.steps + 10,
            "seed": 1,
            "bf16": True,
            "best": True,
            "compute_on_cpu": not torch.cuda.is_available(),
            "wanted": self._wanted(size),
        }
        return self._figures("peers/hf_trainer.py", settings, 90)

    @property
    def _encoder(self) -> str:
        return "tiny encoder" if self.tiny else "MiniLM"

    def _short_size(self, batch: int) -> Size:
        if self.tiny:
            return TINY["tiny"]
        return Size(batch, batch, "adamw", warmup=30, steps=10_000 // batch, seconds=10, limit=90)

    def _questions(self) -> Path:
        path = self.folder / "questions.csv"
        count = 1000 if self.tiny else 30_000  # no epoch ends, so nothing is saved
        return path if path.exists() else write_questions(path, text_lengths(count, **SHORT))


def main(bench: Bench) -> None:
    cases = dict(bench.cases())  # the GPU is not used in this process while they run
    for name in TINY if bench.tiny else SIZES:
        figures = cases[f"{name} full rows, passingloop"]
        figures |= utilisation(name, figures, bench.length)
    record(
        "gpu",
        {
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "cases": cases,
            "ratios": ratios(cases),
            "memory_over_peer": memory_ratios(cases),
            "targets": TARGETS,
            "published": {"KempnerForge": KEMPNER_FORGE},
            "versions": versions(),
            "tiny": bench.tiny,
        },
    )


def utilisation(name: str, figures: dict[str, Any], length: int) -> dict[str, Any]:
    """The MFU by each definition. Absent without a GPU whose peak is known."""
    if "absent" in figures:
        return {}
    peak = peak_flops(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    if peak is None:
        return {"mfu": {"absent": "no GPU whose peak is known"}}
    return {"mfu": shares(name, length, figures["tokens_per_second"], peak)}


def shares(name: str, length: int, tokens_per_second: float, peak: float) -> dict[str, float]:
    """The MFU by each definition of passingloop.train.meters.flops."""
    settings = CONFIGURATIONS[name]()
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(settings)
    text = model_size(model, settings, is_causal=True).operations(np.array([length]))
    seconds = length / tokens_per_second
    return {kind: round(share, 4) for kind, share in text.shares_of(peak * seconds).items()}


def ratios(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours as a multiple of the peer's: tokens/s of real tokens, without padding."""
    return {name: _over(ours, peer, "tokens_per_second") for name, ours, peer in pairs(cases)}


def memory_ratios(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Our largest memory as a multiple of the peer's."""
    kind = "allocated_gib" if torch.cuda.is_available() else "resident_gib"
    return {name: _over(ours, peer, kind) for name, ours, peer in pairs(cases)}


def pairs(cases: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What was measured with passingloop and with a peer: its name with that of the peer, and the figures of both."""
    for name, figures in cases.items():
        what, _, who = name.partition(", ")
        if who != "passingloop":
            yield f"{what}, over {who}", cases[f"{what}, passingloop"], figures


def _over(ours: dict[str, Any], peer: dict[str, Any], figure: str) -> float | dict[str, str]:
    missing = [one["absent"] for one in (ours, peer) if "absent" in one]
    return {"absent": missing[0]} if missing else round(ours[figure] / peer[figure], 3)


def versions() -> dict[str, str | None]:
    """Of what is compared; None if it is not installed."""
    names = ("torch", "transformers", "trl", "flash-attn", "liger-kernel", "lightning")
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    is_tiny = "--tiny" in sys.argv
    if not (is_tiny or torch.cuda.is_available()):
        sys.exit("There is no GPU here. `--tiny` tries the script on the CPU.")
    with tempfile.TemporaryDirectory() as place:
        end = time.monotonic() + option("seconds", 460)
        word = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
        main(Bench(Path(place), is_tiny, end, word))
