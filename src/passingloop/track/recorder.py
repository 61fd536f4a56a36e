"""Records metrics in ``metrics.jsonl``, and in W&B if it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.track.metrics_file import MetricsFile
from passingloop.track.wandb_run import WandbRun


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records the metrics of one attempt."""

    file: MetricsFile
    wandb: WandbRun | None

    def log(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Record `values` of `split` (train, validation, test) after `step` optimizer steps."""
        self.file.write(step, split, values)
        if self.wandb:
            self.wandb.log(step, split, values)

    def abandon(self) -> None:
        """Record nothing more, not even the end: a newer attempt records the run now."""
        self.file.abandon()
        if self.wandb:
            self.wandb.abandon()

    def close(self, cause: str, summary: Mapping[str, float | str]) -> None:
        """Record why the attempt ended. W&B has a limited time to upload the rest."""
        self.file.close()
        if self.wandb:
            self.wandb.summary(summary)
            self.wandb.finish(cause)
