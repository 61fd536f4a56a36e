"""Where the time of a training step goes: `python bench/step_profile.py FOLDER [--save]`, FOLDER with train.csv.

MiniLM on BANKING77 with 32 texts a step, as in bench/throughput.py; of passingloop, or with `--peer` of HF Trainer at
its best. `--steps 30` steps are timed after `--warmup 40`, then as many are recorded by torch's profiler, which itself
takes time: shares are of the recorded steps, milliseconds of a step are given with and without it.

- operators by kind, and the 25 that take most: the time in each itself, without the operators that it calls;
- data wait: how long the loop waits for its batches;
- outside operators: on a CPU the rest of a step, which is Python and what the profiler adds to it; on a GPU the time in
  which nothing runs there (host gaps), and the time that its kernels take.

`--tiny` needs no FOLDER. (This file is not called profile.py, as that name would hide Python's own module from torch.)
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from children import figures_of
from meter import Meter, Wanted
from record import option, record
from texts import minilm
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.utils.data.dataloader import _BaseDataLoaderIter
from untrained import text_lengths, write_model, write_questions

from passingloop.model.device.precision import has_bf16

SHOWN = 25

KINDS = {
    "loss": ("log_softmax", "nll_loss", "cross_entropy"),
    "random numbers": ("bernoulli", "dropout", "random", "normal_", "uniform_", "philox"),
    "optimizer": ("optimizer", "adam", "foreach", "multi_tensor", "lerp"),
    "attention": ("attention", "flash", "softmax"),
    "embedding": ("embedding",),
    "norm and activation": ("norm", "gelu", "relu", "tanh", "silu"),
    "matrix products": ("mm", "linear", "matmul", "gemm", "nvjet", "cutlass"),
    "copies, casts, fills": ("copy", "fill", "zero", "::to", "clone", "contiguous", "empty", "memcpy", "memset"),
}
"""Parts of the names of operators and kernels, in lower case; the first kind that has one counts."""


@dataclass
class Profile(Meter):
    """Times some steps, and records as many more."""

    waited: Callable[[], float] = lambda: 0.0
    """For how many seconds the loop has waited for batches until now."""
    recorder: Any = None
    recorded: int = 0
    first_wait: float = 0.0
    began_recording: float = 0.0

    def after_step(self) -> None:
        if self.recorder is None:
            super().after_step()
            if len(self.marks) == self.wanted.warmup:
                self.first_wait = self.waited()
            return
        self.recorded += 1
        if self.recorded == self.wanted.steps:
            self._write()

    def finish(self) -> None:
        """All steps are timed: the next ones are recorded."""
        self.facts |= self.figures()
        self.facts["data_wait_ms"] = round(1000 * (self.waited() - self.first_wait) / self.facts["steps"], 3)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self.recorder = torch.profiler.profile(activities=activities)
        self.recorder.start()
        self.began_recording = time.perf_counter()

    def _write(self) -> NoReturn:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self.began_recording
        self.recorder.stop()
        self.end_process(report(self.recorder, seconds, self.recorded))


def report(recorder: Any, seconds: float, steps: int) -> dict[str, Any]:
    """Where the time of the recorded steps went. On a GPU operators are its kernels, else those of the CPU."""
    on_gpu = torch.cuda.is_available()
    rows = [(row.key, row.count, _microseconds(row, on_gpu)) for row in recorder.key_averages() if _counts(row, on_gpu)]
    rows = sorted((row for row in rows if row[2] > 0), key=lambda row: -row[2])
    in_operators = sum(taken for _, _, taken in rows) / 1e6
    kinds: dict[str, float] = {}
    for name, _, taken in rows:
        kinds[kind_of(name)] = kinds.get(kind_of(name), 0.0) + taken / 1e6
    busy = busy_seconds(recorder.events()) if on_gpu else None
    return {
        "recorded_steps": steps,
        "recorded_step_ms": round(1000 * seconds / steps, 3),
        "kinds": {
            kind: {"ms": round(1000 * taken / steps, 3), "share": round(taken / seconds, 4)}
            for kind, taken in sorted(kinds.items(), key=lambda pair: -pair[1])
        },
        "outside_operators_share": round(1 - (busy if busy is not None else in_operators) / seconds, 4),
        "operators": [
            {
                "name": name,
                "calls_per_step": round(count / steps, 2),
                "ms": round(taken / 1000 / steps, 3),
                "share": round(taken / 1e6 / seconds, 4),
            }
            for name, count, taken in rows[:SHOWN]
        ],
    }


def kind_of(name: str) -> str:
    """Of an operator or kernel by its name."""
    lower = name.lower()
    return next((kind for kind, words in KINDS.items() if any(word in lower for word in words)), "other")


def busy_seconds(events: Iterable[Any]) -> float:
    """For how long the GPU ran anything: kernels may overlap."""
    spans = sorted(
        (event.time_range.start, event.time_range.end) for event in events if event.device_type == DeviceType.CUDA
    )
    busy, until = 0.0, 0.0
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy / 1e6


def _counts(row: Any, on_gpu: bool) -> bool:
    return (row.device_type == DeviceType.CUDA) == on_gpu


def _microseconds(row: Any, on_gpu: bool) -> float:
    return float(row.self_device_time_total if on_gpu else row.self_cpu_time_total)


def profile_ours(words: list[str], wanted: Wanted) -> None:
    from in_process import make_attempt, measure

    from passingloop.config.command_line import configs_of

    (config,) = configs_of(words)
    attempt = make_attempt(config)
    meter = Profile(wanted, waited=lambda: attempt.clock.seconds().data_wait or 0.0)
    measure(attempt, meter)


def profile_peer(settings: dict[str, Any], wanted: Wanted) -> None:
    from peers.hf_trainer import Settings, make_trainer, prepare

    waits = [0.0]
    fetch = _BaseDataLoaderIter.__next__

    def timed_fetch(self: Any) -> Any:
        began = time.perf_counter()
        try:
            return fetch(self)
        finally:
            waits[0] += time.perf_counter() - began

    _BaseDataLoaderIter.__next__ = timed_fetch
    asked = Settings(**settings)
    train, test, names, tokenizer = prepare(asked, Path(asked.folder) / "cache")
    _, trainer = make_trainer(asked, train, test, len(names), tokenizer)
    trainer.meter = Profile(wanted, waited=lambda: waits[0])
    trainer.meter.start()
    trainer.train()
    sys.exit("Training has ended before all steps were recorded.")


def main(settings: dict[str, Any]) -> None:
    """In the process that trains."""
    wanted = Wanted(**settings["wanted"])
    if "words" in settings:
        profile_ours(settings["words"], wanted)
    else:
        profile_peer({name: value for name, value in settings.items() if name != "wanted"}, wanted)


def recorded(folder: Path, data: Path | None, *, of_peer: bool) -> dict[str, Any]:
    """The figures of a process that trains; on texts of random words if there are no `data`."""
    questions = folder / "questions.csv" if data is None else data / "train.csv"
    if data is None:
        write_questions(questions, text_lengths(400, 13, 40))
    model = write_model("tiny encoder", folder / "model") if data is None else minilm()
    label = "label" if data is None else "category"
    warmup, steps = (2, 3) if data is None else (int(option("warmup", 40)), int(option("steps", 30)))
    in_bf16 = has_bf16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    out = str(folder / "figures.json")
    settings: dict[str, Any] = {
        "wanted": {"out": out, "pad": 0, "warmup": warmup, "steps": steps, "seconds": 600.0},
    }
    if of_peer:
        settings |= {
            "folder": str(folder),
            "out": out,
            "train": str(questions),
            "test": str(questions),
            "text": "text",
            "label": label,
            "model": str(model),
            "max_length": 128,
            "batch_size": 32,
            "lr": 3e-4,
            "steps": warmup + 2 * steps + 5,
            "seed": 1,
            "bf16": in_bf16,
            "best": True,
            "compute_on_cpu": not torch.cuda.is_available(),
        }
    else:
        settings["words"] = [
            f"model.path={model}",
            "data=files",
            f"data.train={questions}",
            f"data.label={label}",
            "data.validation_fraction=0",
            "data.test_fraction=0",
            f"run_root={folder}/runs",
            f"cache_root={folder}/cache",
            "trainer.batch_size=32",
            f"trainer.steps={warmup + 2 * steps + 5}",
            "checkpoint.every=null",
            "tracking=none",
        ]
    return figures_of("step_profile.py", settings, 3600.0)


if __name__ == "__main__":
    if sys.argv[1].endswith(".json"):
        main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as place:
        source = None if "--tiny" in sys.argv else Path(sys.argv[1]).resolve()
        peer = "--peer" in sys.argv
        figures = recorded(Path(place), source, of_peer=peer)
        whose = "HF Trainer at its best" if peer else "passingloop"
        record("step_profile", {"trainer": whose, **figures, "load": round(os.getloadavg()[0], 1)})
