"""What follows the last step: test, last checkpoint, export, result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from passingloop.config.data import Part
from passingloop.config.settings import RunConfig
from passingloop.errors import Interrupted, NotSaved
from passingloop.files import write_json
from passingloop.handoff import Handoff
from passingloop.preempt.signals import StopRequest
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.track import console
from passingloop.track.speed import speed_texts
from passingloop.train.checkpoints.format import Progress
from passingloop.train.ending.export import export, upload, weights_sha256
from passingloop.train.learner import Learner
from passingloop.train.loop import Fit
from passingloop.train.material import Material
from passingloop.train.meters.clock import Clock
from passingloop.vitals.marks import MARKS


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """Completes a run in which the last step is done."""

    run: RunDir
    config: RunConfig
    handoff: Handoff
    fence: Fence
    stop: StopRequest
    clock: Clock
    terminal: Console
    material: Material
    learner: Learner
    fit: Fit
    evaluate: Callable[[Part], dict[str, float] | None]
    """Gives the metrics of a part of the data; None if the run is to stop."""

    def complete(self, validated: dict[str, float] | None) -> dict[str, float]:
        """Test, export, and write the result: from here on the run is done. Returns the metrics.

        Args:
            validated: those of the validation after the last step, if there was one.

        Raises:
            Interrupted: it was asked to stop; everything is saved.
        """
        metrics = dict(validated or {})
        for part in self.learner.layouts:
            if part == "test" or (part == "validation" and not metrics):
                measured = self.evaluate(part)
                if measured is None:
                    self.fit.finish_saving()
                    raise Interrupted("Stopped after the last step, and saved. The same command finishes the run.")
                metrics |= measured
        MARKS.enter("saving the last checkpoint", "bytes")
        self.fit.finish_saving()
        self.stop.end_steps()
        MARKS.enter("exporting the model", "bytes")
        with self.clock.saving():
            self._export()
        if self.handoff.world.leads:
            self.stop.ignore()  # until the end stands in the ledger as well
            self._write_result(self.fit.progress, metrics)
        MARKS.enter("leaving", "bytes")
        return metrics

    def _export(self) -> None:
        model = self.learner.module.model
        if self.learner.hollow is not None:
            from passingloop.model.sharding import gather_model  # takes a while to load, for those who use it

            model = gather_model(model, self.learner.hollow, keep=self.handoff.world.leads)
        self.fence.check()
        if self.handoff.world.leads:
            try:
                export(
                    self.learner.finish(model),
                    self.material.tokenizer,
                    self.run.export,
                    self.material.ends,
                    self.material.origin.revision,
                    merge=self.config.export.merge,
                    attempt=self.handoff.attempt,
                    check=self.fence.check,
                )
            except NotSaved as error:
                raise NotSaved(f"{error} {self._what_is_left()}") from error
            upload(self.config, self.run)

    def _what_is_left(self) -> str:
        """What the same command does after an export has failed."""
        if self.run.saved_step == self.fit.progress.step:
            return "The same command exports it, without training again."
        return f"No checkpoint could be written either: the same command trains again from step {self.run.saved_step}."

    def _write_result(self, progress: Progress, metrics: dict[str, float]) -> None:
        result: dict[str, Any] = {
            "state": "completed",
            "steps": progress.step,
            "samples": progress.samples,
            "tokens": progress.tokens,
            "train_seconds": round(progress.train_seconds, 3),
            "throughput": progress.tally.speed.all(),
            "metrics": metrics,
            "weights_sha256": weights_sha256(self.run.export),
        }
        self.fence.check()
        write_json(self.run.result, result)
        shown = {name: result[name] for name in ("steps", "samples", "tokens", "train_seconds")}
        speed = {"speed": ", ".join(speed_texts(progress.tally.speed.known()))}
        console.print_result_table(self.terminal, "Done", metrics | shown | speed)
