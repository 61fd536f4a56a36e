"""Whether the GPUs of an attempt compute anything; if not for too long, its user is told, and it may be ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from passingloop.attempts.announcement import announce_idleness
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.figures import span
from passingloop.launch.place import Place
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import StopRequest
from passingloop.rundir.record import current_time
from passingloop.rundir.samples import recent_samples
from passingloop.site import site
from passingloop.text import say
from passingloop.vitals.idleness import NEVER, GpuIdleLimits, IdleRule, IdleWatch, busiest_share, gpu_rule

LOOK_EVERY = 30.0
"""Seconds between two looks at the samples; less where the limits are short."""

PATIENCE = 120.0
"""Seconds for which new samples of all GPUs are waited for, until it counts as unknown what they do: with many GPUs the
samples of a node are half a minute apart."""

SAVING = 300.0
"""Seconds that the processes get to save once they are asked to stop. Then they are killed."""


class GpuGuard:
    """Watches the samples of an attempt's GPUs while its processes run.

    Args:
        stop: asks the processes to save and stop.
        kill: ends them at once.
    """

    def __init__(
        self,
        run: RunDir,
        attempt: int,
        config: RunConfig,
        place: Place,
        stop: Callable[[], None],
        kill: Callable[[], None],
    ) -> None:
        self._run, self._attempt, self._config, self._stop, self._kill = run, attempt, config, stop, kill
        self._gpus = place.gpus_per_node * len(place.nodes)
        rule = idle_rule(config) if self._gpus else NEVER
        self._period = min(LOOK_EVERY, (rule.shortest or 4 * LOOK_EVERY) / 4)
        self._next = time.monotonic() + self._period
        self._is_off = rule.shortest is None
        self._watch = IdleWatch(rule, PATIENCE)
        self._known_at = time.monotonic()
        self._seen: dict[str, float] = {}
        self._stopped_at: float | None = None

    def sample(self) -> None:
        """Look, if it is time to; to be called several times a second."""
        now = time.monotonic()
        if self._is_off or now < self._next:
            return
        self._next = now + self._period
        if self._stopped_at is not None:
            if now - self._stopped_at > SAVING:
                self._is_off = True
                self._kill()
            return
        nodes = recent_samples(self._run, self._attempt, PATIENCE)
        share = busiest_share(nodes, self._gpus, self._seen)
        if share is None and now - self._known_at < PATIENCE:
            return
        self._known_at = now
        self._seen |= {node.node: node.samples[-1].time for node in nodes}
        judgement = self._watch.judge(now, share)
        if judgement == "warn":
            self._warn(self._watch.idle)
        elif judgement == "end":
            self._stopped_at = now
            self._end(self._watch.idle)

    def _warn(self, idle: float) -> None:
        left = self._watch.rule.left(idle)
        ends = "" if left is None else f" It is ended in {span(left)} if that stays so."
        self._tell(f"{self._sentence(idle)}{ends} Look what it waits for, or give the GPUs back.")

    def _end(self, idle: float) -> None:
        message = self._sentence(idle)
        with suppress(OSError):  # the disk is full, and the GPUs are given back all the same
            ledger.append(self._run, StopRequest(attempt=self._attempt, cause="idle", message=message))
        say(f"error: {message} The run is asked to save and stop.")
        self._stop()

    def _sentence(self, idle: float) -> str:
        what = "Its GPU has" if self._gpus == 1 else f"None of its {self._gpus} GPUs has"
        nothing = "nothing" if self._gpus == 1 else "anything"
        return f"{what} computed {nothing} for {span(idle)}."

    def _tell(self, sentence: str) -> None:
        """Say it here, in the log, and to whom the run's notices go."""
        say(f"Notice: {sentence}")
        with suppress(OSError), self._run.log(self._attempt, 0).open("a", encoding="utf-8") as log:
            log.write(f"{current_time()} WARNING passingloop: {sentence}\n")
        announce_idleness(self._run, self._config, sentence)


def idle_rule(config: RunConfig) -> IdleRule:
    """The rule for the GPUs of a run, from its settings and the site's."""
    watch = config.watch
    user = GpuIdleLimits(watch.idle_warning_minutes, watch.idle_end, watch.idle_end_minutes)
    try:
        theirs = site().gpu_idle
    except ConfigError as error:
        say(f"Notice: {error} Its limits on idle GPUs are left out.")
        return gpu_rule(user, user)
    return gpu_rule(user, theirs.limits)
