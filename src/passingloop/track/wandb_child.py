"""The process that talks to Weights & Biases for a run. Started by `track.wandb_run`, one per attempt.

In: a line of JSON with the `Order`, then `{"log": {…}}` and `{"summary": {…}}`, at last `{"finish": STATE}`.
Out: `{"notice": TEXT}` for the user, `{"address": TEXT}` when the run is open, `{"closed": true}` at the end.

It is a process of its own because wandb, inside the training process, replaces `sys.exit` and the exception
hook, records the command line, can interrupt the main thread, and blocks in places for as long as its server
does. Nothing but wandb and the standard library is imported, and wandb late: the owner imports this file too.
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
"""How long W&B's host may take to answer at all before the run is tracked offline."""

INIT_SECONDS = 20.0
"""How long W&B may take to open the run online; it adds up to 10 s of its own when it does not notice."""

STEP = "trainer/global_step"

Mode = Literal["online", "offline"]
Say = Callable[[dict[str, Any]], None]


class Order(TypedDict):
    """What is to be tracked."""

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
    """The training process, whose use of the machine W&B shows."""
    finish_seconds: float
    """How long the last upload may take. What it leaves is on disk."""


def main() -> None:
    say = _private_output()
    # Whoever signals all processes of a job means the owner, which then closes our input. wandb's own process
    # inherits the mask but ends on SIGTERM all the same; that costs the values of its last two seconds.
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    order: Order = json.loads(sys.stdin.readline())
    try:
        run = _open(order, say)
        _finish(run, _follow(run, order["attempt"]), say)
    except Exception as error:  # wandb raises anything
        say({"notice": f"W&B has stopped: {_one_line(error)}. metrics.jsonl has everything."})
    finally:
        say({"closed": True})


def _private_output() -> Say:
    """A way to answer; whatever wandb prints goes elsewhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the owner is gone
            answers.write(json.dumps(message) + "\n")

    return say


def _open(order: Order, say: Say) -> Any:
    run, reason = _online(order) if order["mode"] == "online" else (None, None)
    if run is None:
        run = _init(order, "offline")
    if reason is not None:
        say({"notice": f"W&B is offline: {reason}. To upload the run once it has ended: {_sync(run)}"})
    say({"address": run.url or run.settings.sync_dir})
    run.define_metric("*", step_metric=STEP)
    return run


def _online(order: Order) -> tuple[Any, str | None]:
    """The run, or why there is none."""
    import wandb

    try:
        settings = wandb.setup(wandb.Settings(silent=True)).settings
        if settings.mode != "online":
            return None, f"its settings file says mode = {settings.mode}"
        if not wandb.login(prompt=False, verify=False):
            return None, "no API key was found"
        host = str(settings.base_url)
        if not _answers(host):
            return None, f"{host} does not answer"
        return _init(order, "online"), None
    except Exception as error:  # a malformed key, a wrong key, no such entity, a server in trouble
        wandb.teardown()  # else the id counts as in use
        return None, _one_line(error)


def _answers(url: str) -> bool:
    """Whether there is an answer from `url`, through a proxy if one is set; any answer will do."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 wandb admits http and https only
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:  # wandb brings its own certificates
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False


def _init(order: Order, mode: Mode) -> Any:
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
        # Offline too: it is recorded, and `wandb sync` then adds this attempt to those before it. Without it
        # the upload begins at line 0 of the run's history and replaces them.
        resume="allow",
        settings=wandb.Settings(**_settings(order)),
    )


def _settings(order: Order) -> dict[str, Any]:
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


def _follow(run: Any, attempt: int) -> str:
    """Pass on what comes, until told how the run ended. A silent end means the owner was killed."""
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


def _finish(run: Any, state: str, say: Say) -> None:
    import wandb

    if state in ("preempted", "timeout", "node_fail"):
        run.mark_preempting()
    # W&B shows 0 as finished, 255 as killed, anything else as failed, or as preempted after the mark.
    code = {"completed": 0, "interrupted": 255, "cancelled": 255}.get(state, 1)
    try:
        run.finish(exit_code=code)
    except TimeoutError:
        say({"notice": f"W&B has not taken everything in time. To upload the rest: {_sync(run)}"})
    else:
        wandb.teardown()


def _sync(run: Any) -> str:
    return f"wandb sync {shlex.quote(run.settings.sync_dir)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(" .:") or type(error).__name__


if __name__ == "__main__":
    main()
