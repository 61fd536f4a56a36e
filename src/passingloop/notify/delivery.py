"""Delivering a notice, in a process of its own: whatever a receiver does, the run neither waits for it nor ends of it.

python -m passingloop.notify.delivery < a notice and who gets it, as JSON
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from passingloop.config.build import build, to_plain
from passingloop.config.watching import NotifyConfig
from passingloop.notify.notice import Notice
from passingloop.notify.receivers import NotDelivered, post, run_command, send_mail
from passingloop.rundir.code import PACKAGE, code_environment
from passingloop.text import say

LONGEST = 25.0
"""Seconds after which the process ends, delivered or not."""

ASIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that ask the run to stop, and not the delivery of what is told of that."""

UNDER_WAY: list[subprocess.Popen[bytes]] = []
"""The deliveries that this process has begun."""


def begin_delivery(notice: Notice, notify: NotifyConfig) -> None:
    """Start a process that delivers `notice`. At its own end this process waits for it, for `LONGEST` at most."""
    order = {"notice": notice.to_fields(), "notify": to_plain(notify)}
    if not UNDER_WAY:
        atexit.register(finish_deliveries)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ASIDE)  # in the new process until it can put them aside
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "passingloop.notify.delivery"],
            env=code_environment(os.environ, PACKAGE.parent),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        say(f"Notice: nobody is told that {notice.subject}: {error.strerror}.")
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    UNDER_WAY.append(process)
    assert process.stdin
    with suppress(OSError), process.stdin as pipe:  # it has ended at once
        pipe.write(json.dumps(order).encode())


def finish_deliveries() -> None:
    """Wait for the deliveries that are under way; they end by themselves."""
    deadline = time.monotonic() + LONGEST
    for process in UNDER_WAY:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


def deliver(fields: Mapping[str, Any], notify: NotifyConfig) -> None:
    """Deliver a notice to all who get it, at the same time. What fails is said."""
    ways: list[Callable[[], None]] = []
    if notify.command:
        ways.append(lambda: run_command(notify.command, fields))
    if notify.email:
        ways.append(lambda: send_mail(notify.email, fields))
    if variable := notify.webhook_env:
        ways.append(lambda: post(variable, notify.webhook_form, fields))
    threads = [threading.Thread(target=_try, args=[way], daemon=True) for way in ways]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LONGEST
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        say(f"Notice: a receiver has not taken the notice within {LONGEST:.0f} s: {fields['subject']}.")


def _try(way: Callable[[], None]) -> None:
    try:
        way()
    except NotDelivered as problem:
        say(f"Notice: {problem}")


def main() -> None:
    """Deliver what stands on stdin."""
    for number in ASIDE:
        signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited by the command
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASIDE)
    order = json.load(sys.stdin)
    deliver(order["notice"], build(NotifyConfig, order["notify"], "notify."))
    os._exit(0)  # a thread may still wait for a server


if __name__ == "__main__":
    main()
