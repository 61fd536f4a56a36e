"""Errors of Google Cloud Storage as errors of passingloop: which object, why, and what to do."""

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
class RequestContext:
    """The account and the purpose of requests, for messages."""

    account: str | None
    """The account's name; None if no credentials are sent."""
    setting: str
    """The setting that has the credentials, such as `data.credentials`."""
    verb: str
    """`read` or `write to`."""
    role: str
    """The role that the account needs, such as `roles/storage.objectViewer`."""


@contextmanager
def translate_errors(context: RequestContext, url: str, limit: float) -> Iterator[None]:
    """A context in which the errors of gcsfs about `url` become MissingError.

    Args:
        limit: the timeout of the request in seconds, for the message.

    Raises:
        MissingError: the server refuses, fails, does not answer or cannot be reached.
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
        raise MissingError(_explanation(cause, context, url, limit)) from cause
    except OSError as error:
        local = error.errno is not None and not isinstance(error, aiohttp.ClientError | TimeoutError)
        if local:  # an error of the local file that is read or written
            raise
        raise MissingError(_explanation(error, context, url, limit)) from error
    except (
        aiohttp.ClientError,
        google.auth.exceptions.GoogleAuthError,
        ChecksumError,
        HttpError,
        LookupError,  # an answer that lacks required fields
        ValueError,  # an answer that is not JSON; a request that gcsfs or the server rejects as malformed
    ) as error:
        raise MissingError(_explanation(error, context, url, limit)) from error


def _explanation(error: Exception, context: RequestContext, url: str, limit: float) -> str:
    cannot = f"Cannot {context.verb} {url}:"
    match error:
        case HttpError(code=401):
            return f"{cannot} {_unknown_account(context)} ({_server_message(error)})."
        case HttpError(code=code) if not is_retriable(error):
            return f"{cannot} Google Cloud Storage answers {code} ({_server_message(error)})."
        case HttpError(code=code):
            reason = f"Google Cloud Storage answers {code}, however often it is asked ({_server_message(error)})"
            return f"{cannot} {reason}. {RETRY_ADVICE}"
        case requests.exceptions.ProxyError():
            return f"{cannot} Google Cloud Storage answers 502, however often it is asked. {RETRY_ADVICE}"
        case TimeoutError():
            return f"{cannot} {_server()} does not answer within {limit:.0f} seconds. {NETWORK_ADVICE}"
        case aiohttp.ClientConnectorError():
            return f"{cannot} {_server()} cannot be reached ({error}). {NETWORK_ADVICE}"
        case aiohttp.ClientPayloadError() | ChecksumError():
            return f"{cannot} it does not arrive whole ({error}), however often it is tried. {RETRY_ADVICE}"
        case aiohttp.ClientError():
            return (
                f"{cannot} the connection to {_server()} breaks off ({type(error).__name__}: {error}). {RETRY_ADVICE}"
            )
        case google.auth.exceptions.GoogleAuthError():
            reason = f"no access token can be had for the account {context.account} ({_first_line(error)})"
            return f"{cannot} {reason}. {NETWORK_ADVICE}"
        case OSError() if str(error).startswith("Forbidden"):
            return f"{cannot} {_forbidden_account(context)} ({_server_message(error)})."
        case ValueError() if str(error).startswith("Bad Request"):
            return f"{cannot} Google Cloud Storage answers 400 ({_server_message(error)})."
        case _:
            reason = f"{_server()} answers what Google Cloud Storage would not ({_first_line(error)})"
            return f"{cannot} {reason}. {NETWORK_ADVICE}"


RETRY_ADVICE = "Try again later; the same command continues."
NETWORK_ADVICE = "Check the network, its proxy, and STORAGE_EMULATOR_HOST if it is set."


def _unknown_account(context: RequestContext) -> str:
    if context.account is None:
        return f"Google Cloud Storage wants to know who asks. Set {context.setting} to default or to a key file"
    return (
        f"Google Cloud Storage does not accept the credentials of {context.account}. Renew them (gcloud auth "
        f"application-default login), or set {context.setting} to a service account's key file"
    )


def _forbidden_account(context: RequestContext) -> str:
    if context.account is None:
        return f"Google Cloud Storage refuses those who send no credentials. Choose an account with {context.setting}"
    return (
        f"Google Cloud Storage refuses the account {context.account}. Give it the role {context.role} on the bucket, "
        f"or choose another account with {context.setting}"
    )


def _server() -> str:
    return os.environ.get("STORAGE_EMULATOR_HOST") or "Google Cloud Storage"


def _server_message(error: Exception) -> str:
    """The server's message, without the text that gcsfs adds around it."""
    message = str(error).rpartition(", ")[0] if isinstance(error, HttpError) else str(error).partition("\n")[2]
    return " ".join(message.split())[:500].rstrip(".") or "it says no more"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")
