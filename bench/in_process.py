"""One attempt at a run of passingloop in this process, measured: `python bench/in_process.py SETTINGS.json`.

It is what `python -m passingloop.job` does in the process that trains; the command and its supervisor are left out.
`Settings.prepare` prepares the data instead, and takes the time. With `Settings.random_weights` the model is made from
its config.json alone, on the device: how fast it is does not depend on its weights.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from meter import Meter, Wanted
from untrained import random_model

from passingloop.config.build import to_plain
from passingloop.config.command_line import configs_of
from passingloop.config.settings import RunConfig
from passingloop.files import write_json
from passingloop.handoff import Handoff, World
from passingloop.plan import run_folder
from passingloop.preempt.signals import StopRequest
from passingloop.rundir import events, ledger, record
from passingloop.rundir.code import code_identity
from passingloop.rundir.directory import RunDir
from passingloop.startup.phases import Phases
from passingloop.train.attempt import Attempt
from passingloop.train.material import gather
from passingloop.train.module import Batch, FineTuner


@dataclass(frozen=True, kw_only=True)
class Settings:
    words: list[str]
    """Overrides, as on the command line."""
    wanted: dict[str, Any] | None = None
    """A `Wanted`, for training."""
    prepare: str | None = None
    """The file for the seconds that preparing takes, in an empty folder, once all modules are imported; nothing is
    trained then."""
    random_weights: bool = False


def main(settings: Settings) -> None:
    (config,) = configs_of(settings.words)
    if settings.prepare:
        for number in (1, 2):  # the first brings modules, which a training process needs anyway
            began = time.perf_counter()
            gather(dataclasses.replace(config, cache_root=config.cache_root / str(number)), print)
            seconds = time.perf_counter() - began
        Path(settings.prepare).write_text(json.dumps({"prepare_seconds": seconds}), encoding="utf-8")
        return
    if settings.random_weights:
        transformers.AutoModelForCausalLM.from_pretrained = random_model
    assert settings.wanted
    attempt = make_attempt(config)
    measure(attempt, Meter(Wanted(**settings.wanted)))


def measure(attempt: Attempt, meter: Meter) -> None:
    """Train until the meter has seen enough, which ends this process."""
    see_batches(meter)
    meter.start()
    attempt.train()
    sys.exit("The run has ended before all steps were measured: give it more of them.")


def see_batches(meter: Meter) -> None:
    """Show the meter every batch of training, on its device."""
    step: Callable[..., torch.Tensor] = FineTuner.training_step

    def training_step(self: FineTuner, batch: Batch, batch_idx: int = 0) -> torch.Tensor:
        meter.see(batch["inputs"]["input_ids"])
        return step(self, batch, batch_idx)

    FineTuner.training_step = training_step


def make_attempt(config: RunConfig) -> Attempt:
    """The first attempt at the run, whose directory is made, as the launcher makes it."""
    began, code = time.time(), code_identity()
    run = RunDir(run_folder(config))
    run.path.mkdir(parents=True)
    record.create(run, config, code)
    for folder in (run.launch(1).parent, run.logs):
        folder.mkdir(exist_ok=True)
    write_json(run.launch(1), to_plain(config))
    start = events.Start(attempt=1, launcher="shell", job_id=None, nodes=["here"], processes=1, start_step=0, code=code)
    ledger.append(run, start)
    handoff = Handoff(attempt=1, world=World(0, 1, 0, 1))
    return Attempt(run, handoff, StopRequest(), Phases(began, handoff))


if __name__ == "__main__":
    main(Settings(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
