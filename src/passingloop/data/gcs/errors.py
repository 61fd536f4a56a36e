"""What is said when Google Cloud Storage refuses, fails or keeps silent: which object, why, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import google.auth.exceptions
import requests
from gcsfs.retry import ChecksumError, HttpError, NonRetryableError, is_retriable

from passingloop.errors import MissingError


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """Who asks, and for what."""

    account: str | None
    """The account's name; None sends no credentials."""
    setting: str
    """The setting that chose it, such as `data.credentials`."""
    verb: str
    """`read` or `write to`."""
    role: str
    """The role that allows it, such as `roles/storage.objectViewer`."""


@contextmanager
def asking(who: Asking, url: str, limit: float) -> Iterator[None]:
    """Turn what gcsfs raises about `url` into words; `limit` is after how many seconds it gives up.

    Raises:
        MissingError: the server refuses, fails, keeps silent or cannot be reached.
        FileNotFoundError: there is no such object or bucket.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except NonRetryableError as error:  # the last try's error is its cause
        cause = error.__cause__
        if not isinstance(cause, Exception):
            raise
        raise MissingError(_explained(cause, who, url, limit)) from cause
    except OSError as error:
        local = error.errno is not None and not isinstance(error, aiohttp.ClientError | TimeoutError)
        if local:  # the file that is written or read here
            raise
        raise MissingError(_explained(error, who, url, limit)) from error
    except (
        aiohttp.ClientError,
        google.auth.exceptions.GoogleAuthError,
        ChecksumError,
        HttpError,
        LookupError,  # an answer without the fields that it must have
        ValueError,  # an answer that is no JSON; a request that gcsfs or the server finds malformed
    ) as error:
        raise MissingError(_explained(error, who, url, limit)) from error


def _explained(error: Exception, who: Asking, url: str, limit: float) -> str:
    cannot = f"Cannot {who.verb} {url}:"
    match error:
        case HttpError(code=401):
            return f"{cannot} {_unknown(who)} ({_said(error)})."
        case HttpError(code=code) if not is_retriable(error):
            return f"{cannot} Google Cloud Storage answers {code} ({_said(error)})."
        case HttpError(code=code):
            return f"{cannot} Google Cloud Storage answers {code}, however often it is asked ({_said(error)}). {LATER}"
        case requests.exceptions.ProxyError():
            return f"{cannot} Google Cloud Storage answers 502, however often it is asked. {LATER}"
        case TimeoutError():
            return f"{cannot} {_server()} does not answer within {limit:.0f} seconds. {REACH}"
        case aiohttp.ClientConnectorError():
            return f"{cannot} {_server()} cannot be reached ({error}). {REACH}"
        case aiohttp.ClientPayloadError() | ChecksumError():
            return f"{cannot} it does not arrive whole ({error}), however often it is tried. {LATER}"
        case aiohttp.ClientError():
            return f"{cannot} the connection to {_server()} breaks off ({type(error).__name__}: {error}). {LATER}"
        case google.auth.exceptions.GoogleAuthError():
            return f"{cannot} no access token can be had for the account {who.account} ({_first_line(error)}). {REACH}"
        case OSError() if str(error).startswith("Forbidden"):
            return f"{cannot} {_forbidden(who)} ({_said(error)})."
        case ValueError() if str(error).startswith("Bad Request"):
            return f"{cannot} Google Cloud Storage answers 400 ({_said(error)})."
        case _:
            return f"{cannot} {_server()} answers what Google Cloud Storage would not ({_first_line(error)}). {REACH}"


LATER = "Try again later; the same command continues."
REACH = "Check the network, its proxy, and STORAGE_EMULATOR_HOST if it is set."


def _unknown(who: Asking) -> str:
    if who.account is None:
        return f"Google Cloud Storage wants to know who asks. Set {who.setting} to default or to a key file"
    return (
        f"Google Cloud Storage does not accept the credentials of {who.account}. Renew them (gcloud auth "
        f"application-default login), or set {who.setting} to a service account's key file"
    )


def _forbidden(who: Asking) -> str:
    if who.account is None:
        return f"Google Cloud Storage refuses those who send no credentials. Choose an account with {who.setting}"
    return (
        f"Google Cloud Storage refuses the account {who.account}. Give it the role {who.role} on the bucket, or choose "
        f"another account with {who.setting}"
    )


def _server() -> str:
    return os.environ.get("STORAGE_EMULATOR_HOST") or "Google Cloud Storage"


def _said(error: Exception) -> str:
    """The server's own words, without what gcsfs puts before and behind them."""
    words = str(error).rpartition(", ")[0] if isinstance(error, HttpError) else str(error).partition("\n")[2]
    return " ".join(words.split())[:500].rstrip(".") or "it says no more"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")
