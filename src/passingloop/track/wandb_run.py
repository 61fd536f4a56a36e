"""Tracking with Weights & Biases that cannot stop or delay a run.

wandb runs in a separate process (`track.wandb_child`), so that opening, logging and network problems do not affect the
training. Only `WandbRun.finish` waits, with a time limit. All metrics are also in ``metrics.jsonl``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from passingloop.config.running import TrackingConfig
from passingloop.errors import MissingError
from passingloop.track import wandb_child
from passingloop.track.line_process import LineProcess, Message
from passingloop.track.wandb_identity import AGENT_VARIABLES, Identity, agent_run, keep_agent_run

FINISH_SECONDS = 10.0
"""The default time limit of `WandbRun.finish`."""

INSTALL = "pip install 'passingloop[wandb]'"


class WandbRun:
    """Logs one attempt to W&B.

    Problems with W&B raise no errors: the user gets one notice, and the methods do nothing from then on.
    """

    def __init__(self, process: LineProcess, folder: Path, notice: Callable[[str], None]) -> None:
        self._process: LineProcess | None = process
        self._notice = notice
        self._address = str(folder / "wandb")

    @property
    def address(self) -> str:
        """The URL of the run, or the folder of the offline run.

        Until the run is open, about a second after the start, it is the folder of all offline runs.
        """
        self._receive_messages()
        return self._address

    def log(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Log `values` after optimizer step `step`, named ``<split>/<name>``."""
        named = {f"{split}/{key}": value for key, value in _plain_numbers(values).items()}
        self._send_message({"log": {wandb_child.STEP: step, **named}})

    def summary(self, values: Mapping[str, float | str]) -> None:
        """Set the summary values of the run, which W&B shows in tables."""
        self._send_message({"summary": _plain_numbers(values)})

    def finish(self, state: str, *, seconds: float = FINISH_SECONDS) -> None:
        """Close the run; waits for the last upload for `seconds` at most.

        Args:
            state: `completed`, or the cause of the end as in ``attempts.jsonl``, such as `preempted`.
        """
        self._send_message({"finish": state})
        if self._process is None:
            return
        process = self._process
        self._handle_messages(process.remaining_messages(seconds))
        if self._process is not None:
            self._switch_off(f"W&B has not finished within {seconds:g} s; metrics.jsonl has everything.")

    def abandon(self) -> None:
        """End W&B's process at once: nothing more is logged, and the run is not marked as finished."""
        if self._process is not None:
            self._switch_off(None)

    def _send_message(self, message: Message) -> None:
        if self._process is not None:
            self._process.send(message)
        self._receive_messages()

    def _receive_messages(self) -> None:
        if self._process is None:
            return
        process = self._process
        self._handle_messages(process.receive())
        if self._process is not None and process.is_stuck:
            self._switch_off("W&B takes no more values; metrics.jsonl has everything.")

    def _handle_messages(self, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case {"notice": str(text)}:
                    self._notice(text)
                case {"address": str(address)}:
                    self._address = address
                case {"closed": _}:
                    self._switch_off(None)
        if self._process is not None and self._process.has_ended:
            self._switch_off("W&B has ended unexpectedly; metrics.jsonl has everything.")

    def _switch_off(self, notice: str | None) -> None:
        assert self._process is not None
        self._process.kill()
        self._process = None
        if notice is not None:
            self._notice(notice)


def open_wandb(
    config: TrackingConfig, identity: Identity, *, folder: Path, attempt: int, notice: Callable[[str], None]
) -> WandbRun | None:
    """Start tracking, without waiting until the run is open; None if tracking is off.

    Args:
        identity: how the run is filed; secrets in its settings must be references.
        folder: the run directory. W&B's files are written to its subfolder ``wandb``.
        notice: called with a line for the user, here and in later calls, in the caller's thread.

    Raises:
        MissingError: `tracking=wandb` or `tracking=offline`, but wandb is not installed.
    """
    mode = _tracking_mode(config.mode)
    if mode is None:
        return None
    if not is_installed():
        if config.mode != "auto":
            raise MissingError(f"You set tracking={config.mode}, but wandb is not installed. Run: {INSTALL}")
        notice(f"W&B is off: wandb is not installed. To track runs there: {INSTALL}")
        return None
    # wandb itself has a little less time, so that it can report what is missing before it is killed.
    order = order_for(mode, config, identity, folder, attempt, finish_seconds=FINISH_SECONDS - 2)
    try:
        keep_agent_run(folder, os.environ)
        process = start_child(wandb_child.__file__, folder, run=folder)
    except OSError as error:  # no memory, too many processes, a full disk
        notice(f"W&B is off: its process cannot be started ({error}).")
        return None
    process.send(order)
    return WandbRun(process, folder, notice)


def order_for(
    mode: wandb_child.Mode,
    config: TrackingConfig,
    identity: Identity,
    folder: Path,
    attempt: int,
    *,
    finish_seconds: float,
) -> wandb_child.Order:
    """What W&B's process is told first."""
    return {
        "mode": mode,
        "project": config.project,
        "entity": config.entity,
        "tags": list(identity.tags),
        "run_id": identity.run_id,
        "name": identity.name,
        "group": identity.group,
        "job_type": identity.job_type,
        "folder": str(folder.resolve()),
        "files": str(folder.resolve()),
        "attempt": attempt,
        "config": identity.config,
        "pid": os.getpid(),
        "finish_seconds": finish_seconds,
        "rows": None,
    }


def start_child(program: str, folder: Path, *, run: Path | None = None) -> LineProcess:
    """Start a program that imports wandb, in a process of its own. The key stays in the environment or in netrc.

    Args:
        folder: W&B's logs are written below it.
        run: the run directory, if it is about a run.

    Raises:
        OSError: it cannot be started.
    """
    return LineProcess([sys.executable, "-P", program], _child_environment(folder, run))


def is_installed() -> bool:
    """Whether wandb is installed; does not import it."""
    spec = importlib.util.find_spec("wandb")
    # A folder `wandb/` in the working directory, as wandb itself makes them, has a spec without an origin.
    return spec is not None and spec.origin is not None


def _plain_numbers(values: Mapping[str, float | str]) -> dict[str, float | str]:
    """The values with Python's numbers, as JSON does not accept those of NumPy."""
    return {key: value if isinstance(value, int | str) else float(value) for key, value in values.items()}


def _tracking_mode(setting: str) -> wandb_child.Mode | None:
    if setting == "auto":
        setting = {"offline": "offline", "disabled": "none"}.get(os.environ.get("WANDB_MODE", ""), "wandb")
    modes: dict[str, wandb_child.Mode | None] = {"wandb": "online", "offline": "offline", "none": None}
    return modes[setting]


def _child_environment(folder: Path, run: Path | None) -> dict[str, str]:
    """The environment of the child process. wandb prefers environment variables to its settings."""
    # WANDB_SERVICE would connect it to another run's wandb process; the mode is a part of the order.
    unwanted: tuple[str, ...] = ("WANDB_SERVICE", "WANDB_MODE")
    kept = agent_run(run) if run else None
    if kept:  # its agent also sets a folder for W&B's files, the working folder
        unwanted += (*AGENT_VARIABLES.values(), "WANDB_DIR")
    inherited = {key: value for key, value in os.environ.items() if key not in unwanted}
    private = {
        "WANDB_SILENT": "true",
        "WANDB_DISABLE_GIT": "true",
        # Crash reports to W&B are off by default: for them it resolves a host name even offline.
        "WANDB_ERROR_REPORTING": os.environ.get("WANDB_ERROR_REPORTING", "false"),
        # The logs of wandb itself, which it would write to the home folder.
        "WANDB_CACHE_DIR": os.environ.get("WANDB_CACHE_DIR", str(folder.resolve() / "wandb" / "cache")),
    }
    return inherited | private | (kept.to_environment() if kept else {})
