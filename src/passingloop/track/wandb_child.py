"""The process that logs to Weights & Biases: one for each attempt (`track.wandb_run`), and one for each run that was
tracked offline when it is uploaded (`track.wandb_upload`).

Input: a line of JSON with the `Order`, then `{"log": {…}}` and `{"summary": {…}}`, at last `{"finish": STATE}`.
Output: `{"notice": TEXT}` for the user, `{"address": TEXT}` when the run is open, `{"refused": TEXT}` if it cannot be
uploaded, `{"uploaded": true}` once W&B has everything, `{"closed": true}` at the end.

It is a separate process because wandb replaces `sys.exit` and the exception hook, records the command line, can
interrupt the main thread, and blocks while its server does. This file imports the standard library only, and inside
functions wandb and what reads samples, because the owner imports it as well.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shlex
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO, TypedDict

PROBE_SECONDS = 3.0
"""Time limit for any answer of W&B's host; after it the run is tracked offline."""

INIT_SECONDS = 20.0
"""Time limit for opening the run online. wandb may take up to 10 s more."""

HISTORY_SECONDS = 20.0
"""For so long an upload waits until W&B shows the rows that it has taken."""

HISTORY_REFUSED = "it has not kept all rows of the history"

STEP = "trainer/global_step"

BEST = {"validation/loss": "min"}
"""Metrics of which W&B's summary has the best value as well as the last, by itself."""

PREEMPTIONS = ("preempted", "requeued", "timeout", "node_fail")
"""Causes after which W&B shows a run as preempted."""

SAMPLES_PERIOD = 30.0
"""Seconds between two looks at the samples of the attempt's nodes."""

Mode = Literal["online", "offline", "upload"]
"""`upload` is online, replaces what W&B has of the run, and is refused rather than offline."""
Send = Callable[[dict[str, Any]], None]


class Order(TypedDict):
    """The run to be tracked, and how."""

    mode: Mode
    project: str
    entity: str | None
    tags: list[str]
    run_id: str
    name: str
    group: str
    job_type: str
    folder: str
    """The run directory."""
    files: str
    """Where W&B's files are written, to the subfolder ``wandb``."""
    attempt: int
    """The attempt that is tracked; for an upload the newest."""
    config: dict[str, Any]
    pid: int
    """The training process, whose system metrics W&B records if its nodes are not sampled."""
    finish_seconds: float
    """Time limit for the last upload. The rest remains on disk."""
    rows: int | None
    """Rows of the history that an upload consists of; None for an attempt."""


def main() -> None:
    send = _message_sender()
    # Signals to all processes of a job are handled by the owner, which then closes our input. wandb's own process
    # inherits the mask, but ends on SIGTERM nevertheless; the values of its last two seconds are lost.
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    messages = _messages()
    order: Order = next(message for message in messages if message)  # type: ignore[assignment]
    try:
        run = _open_run(order, send)
        if run is not None:
            _finish_run(run, _relay_messages(run, order, messages), order, send)
    except Exception as error:  # wandb raises anything
        if order["mode"] == "upload":
            send({"refused": one_line(error)})
        else:
            send({"notice": f"W&B has stopped: {one_line(error)}. metrics.jsonl has everything."})
    finally:
        send({"closed": True})


def redirected_stdout() -> TextIO:
    """The original stdout; from now on the output of wandb goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _message_sender() -> Send:
    """A function that sends messages on the original stdout."""
    answers = redirected_stdout()

    def send(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the owner is gone
            answers.write(json.dumps(message) + "\n")

    return send


def _open_run(order: Order, send: Send) -> Any:
    """The run, open for logging; None if it is to be uploaded and cannot be."""
    run, reason = _open_online(order) if order["mode"] != "offline" else (None, None)
    if run is None and order["mode"] == "upload":
        send({"refused": reason})
        return None
    if run is None:
        run = _init_wandb(order, "offline")
    if reason is not None:
        send({"notice": f"W&B is offline: {reason}. To upload the run once it has ended: {_sync_command(order)}"})
    send({"address": run.url or run.settings.sync_dir})
    if missing := [tag for tag in order["tags"] if tag not in run.tags]:
        run.tags = (*run.tags, *missing)  # those that users have added there stay
    run.define_metric("*", step_metric=STEP)
    for name, best in BEST.items():
        run.define_metric(name, step_metric=STEP, summary=f"{best},last")
    return run


def _open_online(order: Order) -> tuple[Any, str | None]:
    """The run opened online, or the reason why it could not be."""
    import wandb

    try:
        settings = wandb.setup(wandb.Settings(silent=True)).settings
        if settings.mode != "online":
            return None, f"its settings file says mode = {settings.mode}"
        if not wandb.login(prompt=False, verify=False):
            return None, "no API key was found"
        host = str(settings.base_url)
        if not is_reachable(host):
            return None, f"{host} does not answer"
        return _init_wandb(order, order["mode"]), None
    except Exception as error:  # a malformed or wrong key, an unknown entity, a failing server
        wandb.teardown()  # otherwise the run id counts as in use
        return None, one_line(error)


def is_reachable(url: str) -> bool:
    """Whether `url` gives any answer, through a proxy if one is set."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 wandb admits http and https only
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:  # wandb has its own certificates
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False


def _init_wandb(order: Order, mode: Mode) -> Any:
    import wandb

    keeps_tags = mode == "online" and order["attempt"] > 1
    return wandb.init(
        mode="offline" if mode == "offline" else "online",
        project=order["project"],
        entity=order["entity"],
        tags=None if keeps_tags else order["tags"],  # they would replace those that users have added
        group=order["group"],
        job_type=order["job_type"],
        id=order["run_id"],
        name=order["name"],
        dir=order["files"],
        config=order["config"],
        # Also offline: `wandb sync` then appends this attempt to the earlier ones. Otherwise the upload starts at line
        # 0 of the run's history and replaces them, as it is to when the whole run is uploaded.
        resume=None if mode == "upload" else "allow",
        settings=wandb.Settings(**_wandb_settings(order)),
    )


def _wandb_settings(order: Order) -> dict[str, Any]:
    return {
        "silent": True,
        "console": "off",
        # Nothing about the command line, host, user, paths and packages is recorded. System metrics are.
        "x_disable_meta": True,
        "x_save_requirements": False,
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "label_disable": True,
        "host": "",
        "program": "passingloop",
        "use_dot_wandb": False,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": order["finish_seconds"],
        "finish_timeout_raises": True,
        # The nodes are sampled once, not twice.
        "x_disable_stats": order["mode"] == "upload" or _is_sampled(order),
        "x_stats_pid": order["pid"],
        "x_transaction_log_flush_interval": 2.0,
    }


def _is_sampled(order: Order) -> bool:
    """Whether the nodes of the attempt are sampled into the run directory."""
    from passingloop.rundir.directory import RunDir
    from passingloop.rundir.samples import sample_files

    return bool(sample_files(RunDir(Path(order["folder"])), order["attempt"]))


def _relay_messages(run: Any, order: Order, messages: Iterator[Mapping[str, Any] | None]) -> str:
    """Log the messages until one has the cause of the run's end. Without one the owner was killed: crash."""
    samples = _SamplesLogger(run, order)
    for message in messages:
        samples.log()
        match message:
            case {"log": values}:
                run.log({"attempt": order["attempt"], **values})
            case {"summary": values}:
                run.summary.update({name: value for name, value in values.items() if name not in BEST})
            case {"finish": str(state)}:
                return state
    return "crash"


class _SamplesLogger:
    """Logs what the nodes of the attempt do, as the sampler writes it into the run directory."""

    def __init__(self, run: Any, order: Order) -> None:
        from passingloop.rundir.directory import RunDir
        from passingloop.track.node_metrics import AXIS, NAMES, NewRows

        for name in NAMES:
            run.define_metric(name, step_metric=AXIS)
        self._run, self._attempt = run, order["attempt"]
        self._rows = NewRows(RunDir(Path(order["folder"])), order["attempt"])
        self._next = 0.0 if order["mode"] != "upload" else math.inf  # for an upload the owner sends all

    def log(self) -> None:
        """Log what is new, if the last time is long enough ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SAMPLES_PERIOD
            for row in self._rows.take(time.time()):
                self._run.log({"attempt": self._attempt, **row})


def _messages() -> Iterator[Mapping[str, Any] | None]:
    """What the owner sends; None after `SAMPLES_PERIOD` without a message."""
    partial = b""
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], SAMPLES_PERIOD)
        if not ready:
            yield None
            continue
        chunk = os.read(sys.stdin.fileno(), 65536)
        if not chunk:
            return
        *lines, partial = (partial + chunk).split(b"\n")
        yield from map(json.loads, lines)


def _finish_run(run: Any, state: str, order: Order, send: Send) -> None:
    import wandb

    if state in PREEMPTIONS:
        run.mark_preempting()
    # W&B shows 0 as finished, 255 as killed, anything else as failed, or as preempted after the mark.
    code = {"completed": 0, "paused": 0, "interrupted": 255, "cancelled": 255}.get(state, 1)
    try:
        run.finish(exit_code=code)
    except TimeoutError:
        if order["mode"] != "upload":
            send({"notice": f"W&B has not taken everything in time. To upload the rest: {_sync_command(order)}"})
        return
    if order["rows"] is not None:
        send(
            {"uploaded": True}
            if _has_history(run, order["rows"], order["finish_seconds"])
            else {"refused": HISTORY_REFUSED}
        )
    wandb.teardown()
    if order["mode"] == "online" and not run.settings._offline:
        _mark_uploaded(run, order)


def _has_history(run: Any, rows: int, seconds: float) -> bool:
    """Whether W&B has so many rows of the run, after some time at most. wandb does not say if its host refuses them."""
    import wandb

    deadline = time.monotonic() + min(HISTORY_SECONDS, seconds)
    while True:
        found = wandb.Api().run(f"{run.entity}/{run.project}/{run.id}")
        if int(found.historyLineCount or 0) >= rows:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(1.0)


def _mark_uploaded(run: Any, order: Order) -> None:
    """Keep that W&B has this attempt."""
    from passingloop.rundir.directory import RunDir
    from passingloop.track.upload_marks import mark_uploaded

    with contextlib.suppress(OSError):  # `passingloop sync` uploads it again
        mark_uploaded(RunDir(Path(order["folder"])), [Path(run.settings.sync_dir).name], address=str(run.url))


def _sync_command(order: Order) -> str:
    return f"passingloop sync {shlex.quote(order['folder'])}"


def one_line(error: Exception) -> str:
    """The message of `error`; its type, if it has none."""
    return " ".join(str(error).split()).rstrip(" .:") or type(error).__name__


if __name__ == "__main__":
    main()
