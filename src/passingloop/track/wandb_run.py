"""Tracking with Weights & Biases that a run can rely on not to stop or delay it.

wandb runs in a process beside the training (`track.wandb_child`): opening, logging and network trouble cost the
run nothing. Only `WandbRun.finish` waits, and not for long. Everything is also in ``metrics.jsonl``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from passingloop.config.running import TrackingConfig
from passingloop.errors import MissingError
from passingloop.track import wandb_child
from passingloop.track.line_process import LineProcess, Message

FINISH_SECONDS = 10.0
"""How long `WandbRun.finish` waits at most, unless told otherwise."""

INSTALL = "pip install 'passingloop[wandb]'"


class WandbRun:
    """An attempt of a run, as W&B sees it.

    Nothing raises on account of W&B: the user is told of trouble once, and then the methods do nothing.
    """

    def __init__(self, process: LineProcess, folder: Path, notice: Callable[[str], None]) -> None:
        self._process: LineProcess | None = process
        self._notice = notice
        self._address = str(folder / "wandb")

    @property
    def address(self) -> str:
        """Where the run can be looked at: its URL, or the folder of the offline run.

        Until the run is open, about a second after the start, this is the folder of all offline runs.
        """
        self._hear()
        return self._address

    def log(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Record `values`, as measured after optimizer step `step`, as ``<split>/<name>``."""
        named = {f"{split}/{key}": value for key, value in _plain(values).items()}
        self._tell({"log": {wandb_child.STEP: step, **named}})

    def summary(self, values: Mapping[str, float]) -> None:
        """Set the values that stand for the run in tables."""
        self._tell({"summary": _plain(values)})

    def finish(self, state: str, *, seconds: float = FINISH_SECONDS) -> None:
        """Close the run, giving the last upload `seconds` at most.

        `state` is `completed`, or the cause of the end as in ``attempts.jsonl``, such as `preempted`.
        """
        self._tell({"finish": state})
        if self._process is None:
            return
        process = self._process
        self._take(process.last_words(seconds))
        if self._process is not None:
            self._off(f"W&B has not finished within {seconds:g} s; metrics.jsonl has everything.")

    def _tell(self, message: Message) -> None:
        if self._process is not None:
            self._process.send(message)
        self._hear()

    def _hear(self) -> None:
        if self._process is None:
            return
        process = self._process
        self._take(process.receive())
        if self._process is not None and process.stuck:
            self._off("W&B takes no more values; metrics.jsonl has everything.")

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case {"notice": str(text)}:
                    self._notice(text)
                case {"address": str(address)}:
                    self._address = address
                case {"closed": _}:
                    self._off(None)
        if self._process is not None and self._process.ended:
            self._off("W&B has ended unexpectedly; metrics.jsonl has everything.")

    def _off(self, notice: str | None) -> None:
        assert self._process is not None
        self._process.kill()
        self._process = None
        if notice is not None:
            self._notice(notice)


def open_wandb(
    config: TrackingConfig,
    *,
    run_id: str,
    name: str,
    folder: Path,
    attempt: int,
    settings: Mapping[str, Any],
    notice: Callable[[str], None],
) -> WandbRun | None:
    """Start tracking, or return None if it is off. Returns at once; the run opens beside the training.

    W&B's files go to ``<folder>/wandb``. `settings` is shown as the run's configuration, so secrets must be
    references. `notice` takes one line for the user, here and during later calls, on the caller's thread.

    Raises:
        MissingError: `tracking=wandb` or `tracking=offline`, but wandb is not installed.
    """
    mode = _mode(config.mode)
    if mode is None:
        return None
    if not installed():
        if config.mode != "auto":
            raise MissingError(f"You set tracking={config.mode}, but wandb is not installed. Run: {INSTALL}")
        notice(f"W&B is off: wandb is not installed. To track runs there: {INSTALL}")
        return None
    order: wandb_child.Order = {
        "mode": mode,
        "project": config.project,
        "entity": config.entity,
        "tags": list(config.tags),
        "run_id": run_id,
        "name": name,
        "folder": str(folder.resolve()),
        "attempt": attempt,
        "config": dict(settings),
        "pid": os.getpid(),
        "finish_seconds": FINISH_SECONDS - 2,  # so that wandb can say what is missing, before it is ended
    }
    try:
        process = LineProcess([sys.executable, "-P", wandb_child.__file__], _environment(folder))
    except OSError as error:  # no memory, or too many processes
        notice(f"W&B is off: its process cannot be started ({error}).")
        return None
    process.send(order)
    return WandbRun(process, folder, notice)


def installed() -> bool:
    """Whether wandb can be imported, found out without importing it."""
    spec = importlib.util.find_spec("wandb")
    # A folder `wandb/` in the working directory, as wandb itself makes them, has a spec without an origin.
    return spec is not None and spec.origin is not None


def _plain(values: Mapping[str, float]) -> dict[str, float]:
    """NumPy's numbers are no JSON."""
    return {key: value if isinstance(value, int) else float(value) for key, value in values.items()}


def _mode(asked: str) -> wandb_child.Mode | None:
    if asked == "auto":
        asked = {"offline": "offline", "disabled": "none"}.get(os.environ.get("WANDB_MODE", ""), "wandb")
    modes: dict[str, wandb_child.Mode | None] = {"wandb": "online", "offline": "offline", "none": None}
    return modes[asked]


def _environment(folder: Path) -> dict[str, str]:
    """The environment of the child: wandb looks there before it looks at its settings."""
    # WANDB_SERVICE would connect it to the wandb process of another run; WANDB_MODE is in the order.
    unwanted = ("WANDB_SERVICE", "WANDB_MODE")
    inherited = {key: value for key, value in os.environ.items() if key not in unwanted}
    private = {
        "WANDB_SILENT": "true",
        "WANDB_DISABLE_GIT": "true",
        # Off unless asked for: crash reports to W&B, for which it resolves a host even when offline.
        "WANDB_ERROR_REPORTING": os.environ.get("WANDB_ERROR_REPORTING", "false"),
        # Logs of wandb itself, which it would put into the home folder.
        "WANDB_CACHE_DIR": os.environ.get("WANDB_CACHE_DIR", str(folder.resolve() / "wandb" / "cache")),
    }
    return inherited | private
