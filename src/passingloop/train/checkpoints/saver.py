"""Saving while training goes on: a copy of the state is taken at once, and written by a thread.

At most one save is being written; the next waits for it. A save that fails is reported, and training goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from passingloop.config.running import CheckpointConfig
from passingloop.errors import NotSaved
from passingloop.handoff import World
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints.copies import Copies
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.interval import UNTIL_KNOWN, History, interval
from passingloop.train.checkpoints.stores import Copied, ShardStore, Store, WholeStore
from passingloop.train.learner import Learner
from passingloop.train.meters.clock import Clock

log = logging.getLogger("passingloop")

AGAIN = 60.0
"""Seconds after which a save that failed is tried again."""


class Saver:
    """Writes the checkpoints of a run.

    Args:
        store: what is saved, and how.
        fence: keeps a superseded attempt from writing.
        history: how often earlier attempts were interrupted.
        warn: called with a sentence when a save fails.
    """

    def __init__(
        self,
        run: RunDir,
        config: CheckpointConfig,
        store: Store,
        clock: Clock,
        fence: Fence,
        history: History,
        warn: Callable[[str], None],
    ) -> None:
        self._run, self._config, self._store, self._clock = run, config, store, clock
        self._fence, self._history, self._warn = fence, history, warn
        self._copies = Copies()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._under_way: Future[float] | None = None
        self._progress = Progress()
        self._began = 0.0
        self._failed_since: float | None = None
        self.saved_step = run.saved_step
        self.stall: float | None = None
        """Seconds for which the last save held up training; None before the first."""
        self.writing: float | None = None
        """Seconds that writing the last one took."""

    def begin(self, progress: Progress) -> None:
        """Copy the state, which is that after `progress`, and have a thread write the copy.

        Raises:
            NotSaved: nothing could be saved for `checkpoint.fail_after`.
            Superseded: a newer attempt at the run has started.
        """
        with self._clock.saving():
            self._collect_result()
            begun = time.perf_counter()
            copies = self._copies.take(self._store.tensors())
            self.stall = time.perf_counter() - begun
        self._progress, self._began = progress, self._clock.training
        self._under_way = self._thread.submit(self._write, progress, copies)

    def before_update(self) -> None:
        """Called before the optimizer changes tensors that may still be being copied from the device."""
        if self._under_way is not None:
            self._copies.before_update()

    def check_result(self) -> None:
        """Collect the result of a save that has ended. Raises as `begin` does."""
        if self._under_way is not None and self._under_way.done():
            self._collect_result()

    def finish(self) -> None:
        """Wait until the save that is being written is on the disk. Raises as `begin` does."""
        with self._clock.saving():
            self._collect_result()

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return self._clock.training - self._began > min(self._limits(), default=float("inf"))

    @property
    def seconds(self) -> float:
        """Seconds that the last save took, copying and writing; 0 before the first."""
        return (self.stall or 0.0) + (self.writing or 0.0)

    def _limits(self) -> list[float]:
        """Seconds of training between saves, by each rule."""
        limits = []
        if self._failed_since is not None:
            limits.append(AGAIN)
        if self._config.every_minutes is not None:
            limits.append(60 * self._config.every_minutes)
        if self._config.every == "auto":
            limits.append(self._interval())
        return limits

    def _interval(self) -> float:
        if self.stall is None or self.writing is None:
            return UNTIL_KNOWN
        return interval(self.stall, self.writing, self._history, self._clock.training)

    def _write(self, progress: Progress, copies: Copied) -> float:
        """In the thread. Returns the seconds it took."""
        begun = time.perf_counter()
        self._copies.wait()
        self._store.write(self._run, progress, copies, self._config, self._fence)
        return time.perf_counter() - begun

    def _collect_result(self) -> None:
        """Wait for the save that is being written, if there is one; note its success, or report its failure."""
        if self._under_way is None:
            return
        try:
            self.writing = self._under_way.result()
        except NotSaved as error:
            self._handle_failure(error)
        else:
            self._failed_since = None
            self.saved_step = self._progress.step
            self._clock.mark_saved(self._began)
        finally:
            self._under_way = None

    def _handle_failure(self, error: NotSaved) -> None:
        now = time.monotonic()
        self._failed_since = self._failed_since or now
        minutes = (now - self._failed_since) / 60
        if minutes > self._config.fail_after:
            raise NotSaved(
                f"{error} Nothing could be saved for {minutes:.0f} minutes (checkpoint.fail_after), so the run ends. "
                "Make room, and the same command continues from the last checkpoint."
            ) from error
        self._warn(f"{error} Training goes on; the last checkpoint is that of step {self.saved_step}.")


def open_saver(
    run: RunDir, fence: Fence, config: CheckpointConfig, learner: Learner, clock: Clock, world: World
) -> Saver | None:
    """This process's saver; None if it writes nothing."""
    store: Store
    if learner.is_sharded:
        store = ShardStore(learner.module, learner.optimizer, leads=world.leads)
    elif world.leads:
        store = WholeStore(learner.module, learner.optimizer)
    else:
        return None
    history = History.from_ledger(ledger.read(run), fence.attempt)
    return Saver(run, config, store, clock, fence, history, log.warning if world.leads else log.debug)
