"""The process that logs to Weights & Biases. `track.wandb_run` starts one for each attempt.

Input: a line of JSON with the `Order`, then `{"log": {…}}` and `{"summary": {…}}`, at last `{"finish": STATE}`.
Output: `{"notice": TEXT}` for the user, `{"address": TEXT}` when the run is open, `{"closed": true}` at the end.

It is a separate process because wandb replaces `sys.exit` and the exception hook, records the command line, can
interrupt the main thread, and blocks while its server does. This file imports the standard library and, inside
functions, wandb only, because the owner imports it as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypedDict

PROBE_SECONDS = 3.0
"""Time limit for any answer of W&B's host; after it the run is tracked offline."""

INIT_SECONDS = 20.0
"""Time limit for opening the run online. wandb may take up to 10 s more."""

STEP = "trainer/global_step"

Mode = Literal["online", "offline"]
Send = Callable[[dict[str, Any]], None]


class Order(TypedDict):
    """The run to be tracked, and how."""

    mode: Mode
    project: str
    entity: str | None
    tags: list[str]
    run_id: str
    name: str
    folder: str
    attempt: int
    config: dict[str, Any]
    pid: int
    """The training process, whose system metrics W&B records."""
    finish_seconds: float
    """Time limit for the last upload. The rest remains on disk."""


def main() -> None:
    send = _message_sender()
    # Signals to all processes of a job are handled by the owner, which then closes our input. wandb's own process
    # inherits the mask, but ends on SIGTERM nevertheless; the values of its last two seconds are lost.
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    order: Order = json.loads(sys.stdin.readline())
    try:
        run = _open_run(order, send)
        _finish_run(run, _relay_messages(run, order["attempt"]), send)
    except Exception as error:  # wandb raises anything
        send({"notice": f"W&B has stopped: {_one_line(error)}. metrics.jsonl has everything."})
    finally:
        send({"closed": True})


def _message_sender() -> Send:
    """A function that sends messages on the original stdout; the output of wandb is redirected to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the owner is gone
            answers.write(json.dumps(message) + "\n")

    return send


def _open_run(order: Order, send: Send) -> Any:
    run, reason = _open_online(order) if order["mode"] == "online" else (None, None)
    if run is None:
        run = _init_wandb(order, "offline")
    if reason is not None:
        send({"notice": f"W&B is offline: {reason}. To upload the run once it has ended: {_sync_command(run)}"})
    send({"address": run.url or run.settings.sync_dir})
    run.define_metric("*", step_metric=STEP)
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
        return _init_wandb(order, "online"), None
    except Exception as error:  # a malformed or wrong key, an unknown entity, a failing server
        wandb.teardown()  # otherwise the run id counts as in use
        return None, _one_line(error)


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

    return wandb.init(
        mode=mode,
        project=order["project"],
        entity=order["entity"],
        tags=order["tags"],
        id=order["run_id"],
        name=order["name"],
        dir=order["folder"],
        config=order["config"],
        # Also offline: `wandb sync` then appends this attempt to the earlier ones. Otherwise the upload would start at
        # line 0 of the run's history and replace them.
        resume="allow",
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
        "x_stats_pid": order["pid"],
        "x_transaction_log_flush_interval": 2.0,
    }


def _relay_messages(run: Any, attempt: int) -> str:
    """Log the messages until one has the cause of the run's end. Without one the owner was killed: crash."""
    for message in _messages():
        match message:
            case {"log": values}:
                run.log({**values, "attempt": attempt})
            case {"summary": values}:
                run.summary.update(values)
            case {"finish": str(state)}:
                return state
    return "crash"


def _messages() -> Iterator[Mapping[str, Any]]:
    for line in sys.stdin:
        if line.endswith("\n"):
            yield json.loads(line)


def _finish_run(run: Any, state: str, send: Send) -> None:
    import wandb

    if state in ("preempted", "timeout", "node_fail"):
        run.mark_preempting()
    # W&B shows 0 as finished, 255 as killed, anything else as failed, or as preempted after the mark.
    code = {"completed": 0, "interrupted": 255, "cancelled": 255}.get(state, 1)
    try:
        run.finish(exit_code=code)
    except TimeoutError:
        send({"notice": f"W&B has not taken everything in time. To upload the rest: {_sync_command(run)}"})
    else:
        wandb.teardown()


def _sync_command(run: Any) -> str:
    return f"wandb sync {shlex.quote(run.settings.sync_dir)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(" .:") or type(error).__name__


if __name__ == "__main__":
    main()
