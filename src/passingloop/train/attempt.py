"""One attempt at a run, from its settings to its result, as one process of it lives through it."""

from __future__ import annotations

import dataclasses
import logging
import os
from contextlib import ExitStack
from typing import Any

import torch
import transformers

from passingloop.config.build import to_plain
from passingloop.data.order import BatchOrder
from passingloop.data.source import Part
from passingloop.errors import Interrupted, PassingloopError
from passingloop.plan import gpus_used
from passingloop.preempt.cause import why_stopped
from passingloop.preempt.stop import StopRequest
from passingloop.rundir import ledger, record
from passingloop.rundir.atomic import write_json
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause
from passingloop.rundir.record import Settled
from passingloop.track import console
from passingloop.track.metrics_file import MetricsFile
from passingloop.track.recorder import Recorder
from passingloop.track.wandb_run import open_wandb
from passingloop.train import checkpoint, precision
from passingloop.train.checkpoint import Progress
from passingloop.train.clock import Clock
from passingloop.train.describe import describe
from passingloop.train.evaluate import evaluate
from passingloop.train.export import export, weights_sha256
from passingloop.train.fit import Fit
from passingloop.train.learner import Learner, make_learner
from passingloop.train.material import Material, gather
from passingloop.train.world import World, connected

log = logging.getLogger("passingloop")


class Attempt:
    """What one process does for attempt `number` at `run`.

    Args:
        process_start: when this process began, in seconds since the epoch.
        into_log: whether what it prints goes into its log file.
    """

    def __init__(self, run: RunDir, number: int, stop: StopRequest, process_start: float, *, into_log: bool) -> None:
        self.run, self.number, self.stop, self.into_log = run, number, stop, into_log
        self.config = record.launched_config(run, number)
        self.world = World.from_environment()
        self.clock = Clock(process_start)
        self.terminal = console.make_console(quiet=not self.world.leads)
        self.recorder: Recorder | None = None
        self.reached = run.saved_step
        """The last step that was done."""
        self.validated: dict[int, dict[str, float]] = {}
        """The last validation's step and metrics."""

    def train(self) -> None:
        """Bring the run to its end, or to where it is asked to stop.

        Raises:
            Interrupted: it was asked to stop, and has saved.
            PassingloopError: it cannot go on; the message says why.
        """
        with ExitStack() as stack:
            stack.enter_context(
                console.log_to(None if self.into_log else self.terminal, self.run.log(self.number, self.world.rank))
            )
            transformers.utils.logging.disable_progress_bar()  # one bar is enough
            self._link_log()
            try:
                metrics = self._train(stack)
            except Interrupted as error:
                logging.error("%s", error)  # the root logger writes to the file only
                self._end(why_stopped(self.run), str(error), kept=True)
                raise
            except PassingloopError as error:
                logging.error("%s", error)
                self._end("crash", str(error), kept=False)
                raise
            except BaseException as error:
                logging.exception("The attempt failed")
                self._end("crash", f"{type(error).__name__}: {error}", kept=False)
                raise
            self._end("completed", None, kept=True, metrics=metrics)

    def _train(self, stack: ExitStack) -> dict[str, float]:
        """Train, evaluate, export. Returns the metrics of the finished model."""
        choose_kernels(deterministic=self.config.trainer.deterministic)
        material = gather(self.config, log.info)
        for note in material.data.notes:
            log.info("%s", note)
        gpus = 0 if self.config.cluster.simulated_gpus else gpus_used(self.config, torch.cuda.device_count())
        self.fabric = stack.enter_context(connected(self.world, gpus))
        settled = self._settle(material)
        learner = make_learner(self.config, material, self.fabric, bf16=settled.precision == "bf16")
        fit = self._fit(learner, self._resume(learner))
        if self.world.leads:
            console.header(self.terminal, describe(self.run, self.number, material, learner, fit, settled.precision))
            self.recorder = self._open_recorder()
        with console.Progress(fit.total_steps, fit.progress.step, self.terminal) as fit.bar:
            fit.run()
        return self._finish(material, learner, fit)

    def _settle(self, material: Material) -> Settled:
        """Precision and data, as the run's first attempt settled them: found by one process, told to all."""
        settled: Settled | None = None
        if self.world.leads:
            chosen = precision.settle(self.config.trainer.precision, cuda=self.fabric.device.type == "cuda")
            settled = record.settle(self.run, Settled(chosen, material.fingerprint))
        settled = self.fabric.broadcast(settled)
        assert settled is not None
        return settled

    def _resume(self, learner: Learner) -> Progress:
        """Put back the newest whole checkpoint: found by one process, restored by all."""
        found = checkpoint.newest_whole(self.run, log.warning) if self.world.leads else None
        path = self.fabric.broadcast(found)
        progress = checkpoint.restore(path, learner.module, learner.optimizer) if path else Progress()
        self.reached = progress.step
        return progress

    def _fit(self, learner: Learner, progress: Progress) -> Fit:
        trainer = self.config.trainer
        layout = learner.layouts["train"]
        order = BatchOrder(layout.tokens.lengths, trainer.seed, trainer.batch_size, trainer.batch_tokens)

        def validate(step: int) -> None:
            self.validated = {step: self._evaluate("validation", learner, step)}

        def save(progress: Progress) -> None:
            with self.clock.saving():
                if self.world.leads:
                    checkpoint.save(self.run, progress, learner.module, learner.optimizer, self.config.checkpoint.keep)

        return Fit(
            config=self.config,
            world=self.world,
            fabric=self.fabric,
            module=learner.wrapped,
            optimizer=learner.optimizer,
            order=order,
            layout=layout,
            clock=self.clock,
            stop=self.stop,
            record=self._record,
            validate=validate,
            save=save,
            progress=progress,
        )

    def _evaluate(self, part: Part, learner: Learner, step: int) -> dict[str, float]:
        """The metrics of `part`, recorded and returned; none if there is no such part."""
        if part not in learner.layouts:
            return {}
        values = evaluate(learner.module, learner.layouts[part], self.fabric, self.world, learner.classes)
        self._record(step, part, values)
        return {f"{part}/{name}": value for name, value in values.items()}

    def _record(self, step: int, split: str, values: dict[str, float]) -> None:
        self.reached = step
        if self.recorder:
            self.recorder.log(step, split, values)
            if split != "train":
                shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
                log.info("step %d  %s  %s", step, split, shown)

    def _finish(self, material: Material, learner: Learner, fit: Fit) -> dict[str, float]:
        """Test, export, and write the result: from here on the run is done."""
        self.stop.end_steps()
        step = fit.progress.step
        metrics = self.validated.get(step) or self._evaluate("validation", learner, step)
        metrics = metrics | self._evaluate("test", learner, step)
        if self.world.leads:
            with self.clock.saving():
                export(learner.module.model, material.tokenizer, self.run.export)
            self._write_result(fit.progress, metrics)
        return metrics

    def _write_result(self, progress: Progress, metrics: dict[str, float]) -> None:
        result: dict[str, Any] = {
            "state": "completed",
            "steps": progress.step,
            "samples": progress.samples,
            "tokens": progress.tokens,
            "train_seconds": round(progress.train_seconds, 3),
            "metrics": metrics,
            "weights_sha256": weights_sha256(self.run.export),
        }
        write_json(self.run.result, result)
        shown = {name: result[name] for name in ("steps", "samples", "tokens", "train_seconds")}
        console.result_table(self.terminal, "Done", metrics | shown)

    def _open_recorder(self) -> Recorder:
        name = self.run.path.name
        wandb = open_wandb(
            self.config.tracking,
            run_id=name.replace(".", "-"),
            name=f"{self.config.name}-{name}",
            folder=self.run.path,
            attempt=self.number,
            settings=to_plain(self.config),
            notice=log.info,
        )
        return Recorder(MetricsFile(self.run.metrics, self.number), wandb)

    def _link_log(self) -> None:
        if self.world.leads:
            self.run.latest_log.unlink(missing_ok=True)
            self.run.latest_log.symlink_to(self.run.log(self.number, 0).relative_to(self.run.path))

    def _end(self, cause: Cause, message: str | None, *, kept: bool, metrics: dict[str, float] | None = None) -> None:
        """Write how the attempt ended; `kept`: nothing is lost, as the last thing it did was to save."""
        if not self.world.leads:
            return
        queued = float(os.environ.get("PASSINGLOOP_QUEUED_SECONDS", "0"))
        seconds = dataclasses.replace(self.clock.seconds(kept=kept), queued=queued)
        reached = max(self.reached, self.run.saved_step)  # steps between two log lines count as well
        line = ledger.End(attempt=self.number, end_step=reached, cause=cause, message=message, seconds=seconds)
        ledger.append(self.run, line)
        if self.recorder:
            self.recorder.close(cause, metrics or {})


def choose_kernels(*, deterministic: bool) -> None:
    """With `deterministic`, only kernels that give the same bits every time, or an error where there is none."""
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA starts; cuBLAS documentation, 2.1.4
        torch.use_deterministic_algorithms(True)
