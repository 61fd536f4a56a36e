"""Credentials for Google Cloud Storage from the settings, and connections with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.errors import ConfigError, MissingError

if TYPE_CHECKING:
    from passingloop.data.gcs.client import Access  # imports gcsfs
    from passingloop.data.gcs.objects import Objects


def check_credentials(credentials: str, setting: str) -> None:
    """Check that `credentials` is default, anonymous, or the key file of a service account. Sends no request.

    Raises:
        ConfigError: it is not. The message has `setting`, and nothing of the file's content.
    """
    if credentials in ("default", "anonymous"):
        return
    path = Path(credentials)
    set_to = f"You set {setting}={path}, but"
    wanted = "Set it to default, anonymous, or the JSON key file of a service account."
    try:
        key = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{set_to} that file cannot be read: {error.strerror}. {wanted}") from None
    except ValueError:
        raise ConfigError(f"{set_to} that file is no JSON. {wanted}") from None
    kind = key.get("type") if isinstance(key, dict) else None
    if kind != "service_account":
        fault = f'has the type "{kind}"' if isinstance(kind, str) else "says nothing of its type"
        raise ConfigError(f"{set_to} that file {fault}. {wanted}")


@contextmanager
def open_connection(credentials: str, setting: str, access: Access = "read_only") -> Iterator[Objects]:
    """A connection with `credentials`, which is closed when the context ends.

    Args:
        setting: the setting that has the credentials, for messages.

    Raises:
        ConfigError: the key file cannot be used.
        MissingError: gcsfs is not installed, or there are no default credentials.
    """
    check_credentials(credentials, setting)
    try:
        from passingloop.data.gcs.objects import open_objects  # imports gcsfs
    except ImportError as error:
        raise MissingError(
            f"Google Cloud Storage needs a package that is not there ({error}). Install it: "
            "pip install 'passingloop[gcs]'."
        ) from error
    objects = open_objects(credentials, setting, access)
    try:
        yield objects
    finally:
        objects.close()
