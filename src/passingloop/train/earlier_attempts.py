"""What the attempts before have settled, and how far they have come: found by one process, told to all."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.data.cache.measurements import Measurements
from passingloop.data.examples.order import BatchOrder
from passingloop.data.examples.packed_order import PackedOrder
from passingloop.handoff import World
from passingloop.model import pretrained
from passingloop.model.device.memory import gpu_memory
from passingloop.model.device.precision import Format, choose_format
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End
from passingloop.rundir.record import PinnedValues
from passingloop.train.adapter_choice import settle_quantize
from passingloop.train.checkpoints import format
from passingloop.train.checkpoints.format import Progress
from passingloop.train.layout import Layout
from passingloop.train.learner import Learner
from passingloop.train.material import Material

log = logging.getLogger("passingloop")


@dataclass(frozen=True, slots=True)
class EarlierAttempts:
    """Those at `run`; if there are none, this attempt settles what there is to settle."""

    run: RunDir
    config: RunConfig
    material: Material
    fabric: Fabric
    world: World

    def settle(
        self, pinned: PinnedValues | None, measurements: Measurements, gpu_share: float
    ) -> tuple[PinnedValues, Format | None]:
        """Precision, data and model, as the run's first attempt settled them.

        Args:
            pinned: what it has settled; None if this is the first.
            gpu_share: the part of a GPU's memory that is this run's.

        Returns also, in the first process, what is known of the number format.
        """
        settled: PinnedValues | None = None
        model = number_format = None
        if self.world.local_rank == 0:  # once on every node, as each may have a folder of its own under that path
            model = pretrained.model_fingerprint(self.material.origin, self.config.model, self.config.cache_root)
        if self.world.leads:
            number_format = choose_format(
                self.config.trainer.precision,
                pinned.precision if pinned else None,
                self.fabric.device,
                self.material.settings,
                measurements,
            )
            room = gpu_memory(self.fabric.device, gpu_share)
            bf16 = number_format.name == "bf16"
            quantize = settle_quantize(self.config, self.material, self.fabric, room, bf16=bf16)
            current = PinnedValues(number_format.name, self.material.fingerprint, model, quantize)
            settled = record.pin_values(self.run, current)
        settled = self.fabric.broadcast(settled)
        assert settled is not None
        record.check_data(settled, self.material.fingerprint)  # a branch may have moved between two processes' looks
        record.check_model(settled, model)
        return settled, number_format

    def resume(self, learner: Learner) -> tuple[Progress, float]:
        """Put back the newest whole checkpoint.

        Returns how far it had come, and the best validation loss until then.
        """
        newest_and_best: tuple[Path | None, float] | None = None
        if self.world.leads:
            newest = format.newest_whole(self.run, log.warning)
            newest_and_best = newest, format.best_loss(self.run, newest) if newest else math.inf
        newest_and_best = self.fabric.broadcast(newest_and_best)
        assert newest_and_best is not None
        path, best = newest_and_best
        if path is None:
            return Progress(), best
        return format.restore(path, learner.module, learner.optimizer, sharded=learner.is_sharded), best

    def order(self, layout: Layout, progress: Progress) -> BatchOrder:
        """The order of examples, of the kind with which the run began."""
        kind = record.PACKED if layout.row_tokens else record.SORTED
        if self.world.leads:
            kind = record.pin_order(self.run, kind, begun=progress.step > 0)
        trainer = self.config.trainer
        settings = (
            layout.tokens.lengths,
            trainer.seed,
            trainer.batch_size,
            trainer.batch_tokens,
            self.material.data.shares,
        )
        if self.fabric.broadcast(kind) == record.SORTED:
            return BatchOrder(*settings)
        return PackedOrder(*settings, row_tokens=self.material.max_length)


def fewest_too_many(run: RunDir) -> int | None:
    """The fewest tokens in a forward pass that have been too much for the device's memory, if any have."""
    ends = ledger.read(run).events_of(End)
    return min((end.tokens for end in ends if end.tokens is not None), default=None)
