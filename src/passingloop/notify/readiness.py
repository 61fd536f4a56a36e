"""Whether a notice can be delivered, known before there is one: what its receivers need, and whether it is here.

Imports nothing large, as it is asked before each training.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from passingloop.config.watching import NotifyConfig

MAILER_FOLDERS = ("/usr/sbin", "/usr/lib", "/usr/local/sbin")
"""Where the mailer is if it is not on the PATH, as it seldom is for users."""

SCHEMES = ("https://", "http://")


def mailer() -> str | None:
    """The path of this machine's sendmail; None if there is none."""
    return shutil.which("sendmail", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *MAILER_FOLDERS]))


def problems_here(notify: NotifyConfig) -> Iterator[str]:
    """A sentence for each receiver that a run which trains on this machine could not reach."""
    if notify.command and shutil.which(notify.command[0]) is None:
        yield (
            f"You set notify.command, but {notify.command[0]} is no program that can be started here. Correct its "
            "path, or make it executable."
        )
    if notify.email and mailer() is None:
        yield "You set notify.email, but this machine has no sendmail. Use notify.command or notify.webhook_env."
    yield from _webhook_problems(notify)


def problems_in_a_job(notify: NotifyConfig) -> Iterator[str]:
    """A sentence for each receiver that a job submitted here will probably not reach: its node may have other files."""
    if notify.command and Path(notify.command[0]).is_absolute() and shutil.which(notify.command[0]) is None:
        yield (
            f"You set notify.command, but {notify.command[0]} is no program that can be started on this machine. "
            "Nobody is told unless the node on which the job runs has it."
        )
    yield from _webhook_problems(notify)


def _webhook_problems(notify: NotifyConfig) -> Iterator[str]:
    """What is wrong with the variable of the webhook, whose value is never said."""
    if notify.webhook_env is None:
        return
    address = os.environ.get(notify.webhook_env, "")
    if not address.startswith(SCHEMES):
        what = "holds no address that begins with https://" if address else "is not set"
        yield (
            f"You set notify.webhook_env={notify.webhook_env}, but the environment variable {notify.webhook_env} "
            f"{what}. Export it before you start the run."
        )
