"""The ways a notice goes: a command, the machine's mailer, a webhook. What fails is said, and ends nothing."""

from __future__ import annotations

import email.message
import email.policy
import http.client
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import IO, Any

from passingloop.notify.readiness import SCHEMES, mailer

PATIENCE = 15.0
"""Seconds that a command or the mailer gets."""

TIMEOUT = 4.0
"""Seconds for which the server of a webhook may keep silent."""

PAUSES = (1.0, 3.0)
"""Seconds between the tries to reach a webhook."""

VARIABLES = ("occasion", "subject", "text", "name", "path", "cause", "step", "attempt", "job_id")
"""What a command finds in its environment."""


class NotDelivered(Exception):
    """A notice could not be delivered; the message never has the address of a webhook in it."""


def run_command(argv: Sequence[str], fields: Mapping[str, Any]) -> None:
    """Start a program with the notice on its standard input as JSON, and in its environment.

    Raises:
        NotDelivered: it cannot be started, fails, or takes too long.
    """
    own = {f"PASSINGLOOP_NOTICE_{name.upper()}": str(fields[name]) for name in VARIABLES if fields[name] is not None}
    _feed(argv, json.dumps(fields).encode(), os.environ | own, f"notify.command ({argv[0]})")


def send_mail(addresses: Sequence[str], fields: Mapping[str, Any]) -> None:
    """Hand the notice to the machine's mailer.

    Raises:
        NotDelivered: there is none, or it refuses.
    """
    program = mailer()
    if program is None:
        raise NotDelivered("No mail was sent, as this machine has no sendmail. Use notify.command or a webhook.")
    mail = email.message.EmailMessage(policy=email.policy.default.clone(linesep="\n"))
    mail["To"] = ", ".join(addresses)
    mail["Subject"] = f"[passingloop] {fields['subject']}"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers it
    mail.set_content(fields["text"])
    _feed([program, "-i", "--", *addresses], mail.as_bytes(), os.environ, "sendmail")


def post(variable: str, form: str, fields: Mapping[str, Any]) -> None:
    """Post the notice to the address in an environment variable; a server that fails is asked again.

    Args:
        form: ``slack`` or ``json``.

    Raises:
        NotDelivered: the variable is not set, or the server cannot be reached or refuses.
    """
    address = os.environ.get(variable, "")
    if not address.startswith(SCHEMES):
        what = "is no address that begins with https://" if address else "is not set where the run trains"
        raise NotDelivered(f"The webhook was not called: the environment variable {variable} {what}.")
    content = {"text": slack_text(fields)} if form == "slack" else fields
    data = json.dumps(content).encode()
    for pause in (*PAUSES, None):
        try:
            _post_once(address, data)
        except _Refused as problem:
            raise NotDelivered(f"The webhook in {variable} was called and {problem}.") from None
        except _Failed as problem:
            if pause is None:
                raise NotDelivered(f"The webhook in {variable} cannot be reached: {problem}.") from None
            time.sleep(pause)
        else:
            return


def slack_text(fields: Mapping[str, Any]) -> str:
    """The notice for Slack, in which nothing is read as a mention or a link: api.slack.com, formatting text."""
    text = f"{fields['subject']}\n{fields['text']}"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Refused(Exception):
    """The server will not take it, whatever is tried."""


class _Failed(Exception):
    """It may take it another time."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection is an error: the address is a secret that is told to nobody else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _post_once(address: str, data: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "passingloop"}
    try:
        request = urllib.request.Request(address, data, headers, method="POST")  # noqa: S310  # it is http or https
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        error.close()
        kind = _Failed if error.code >= 500 or error.code == 429 else _Refused
        raise kind(f"answered {error.code}") from None
    except urllib.error.URLError as error:
        raise _Failed(_reason(error.reason)) from None
    except TimeoutError:
        raise _Failed("it keeps silent") from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # whose words may have the address in them
        raise _Failed(type(error).__name__) from None


def _reason(reason: object) -> str:
    """Of an error of the system its words, which have no address in them; of others the kind."""
    words = reason.strerror if isinstance(reason, OSError) else None
    return words or type(reason).__name__


def _feed(argv: Sequence[str], data: bytes, environment: Mapping[str, str], named: str) -> None:
    """Run a program with `data` on its standard input; what it prints is on our stderr.

    Raises:
        NotDelivered: it cannot be started, fails, or takes too long.
    """
    try:
        done = subprocess.run(argv, input=data, env=environment, stdout=2, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise NotDelivered(f"{named} has not ended within {PATIENCE:.0f} s and was killed.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "an argument has a null character in it"
        raise NotDelivered(f"{named} cannot be started: {why}.") from None
    if done.returncode:
        raise NotDelivered(f"{named} ended with exit code {done.returncode}.")
