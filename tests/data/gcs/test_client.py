"""What is used of gcsfs, fsspec and aiohttp beyond their documented interfaces is there, and tries are few."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import fsspec.asyn
import gcsfs.core
import gcsfs.retry
import pytest

from passingloop.data.gcs import client
from passingloop.data.gcs.client import RETRY_PAUSES, Client
from passingloop.data.gcs.source import Gcs
from passingloop.errors import MissingError
from tests.data.gcs.conftest import Sources
from tests.data.gcs.servers import BadLine, answers, drops

RECORD = Path(__file__).parents[3] / "docs" / "decisions" / "0020-gcsfs-internals.md"

CHANGED = (
    f"gcsfs {gcsfs.__version__}, fsspec {fsspec.__version__} or aiohttp {aiohttp.__version__} has changed {{}}, which "
    f"data/gcs builds on. Read docs/decisions/{RECORD.name} and see what takes its place."
)


@pytest.fixture(scope="module")
def files() -> Any:
    return Client("anon", "read_only").files


PARAMETERS: dict[str, tuple[Callable[[Any], Callable[..., Any]], str]] = {
    "GCSFileSystem": (lambda files: type(files).__init__, "token access requests_timeout session_kwargs"),
    "GCSFileSystem.call": (lambda files: files.call, "method path args json_out"),
    "GCSFileSystem.url": (lambda files: files.url, "path generation"),
    "GCSFileSystem.put_file": (lambda files: files.put_file, "lpath rpath consistency chunksize"),
    "GoogleCredentials.apply": (lambda files: files.credentials.apply, "out"),
    "GoogleCredentials.maybe_refresh": (lambda files: files.credentials.maybe_refresh, ""),
    "gcsfs.core.initiate_upload": (lambda _: gcsfs.core.initiate_upload, "fs bucket key"),
    "gcsfs.retry.is_retriable": (lambda _: gcsfs.retry.is_retriable, "exception"),
    "gcsfs.retry.validate_response": (lambda _: gcsfs.retry.validate_response, "status content path"),
    "fsspec.asyn.sync": (lambda _: fsspec.asyn.sync, "loop func timeout"),
    "aiohttp.ClientSession": (lambda _: aiohttp.ClientSession, "trust_env timeout auto_decompress middlewares"),
    "aiohttp.ClientTimeout": (lambda _: aiohttp.ClientTimeout, "total sock_connect sock_read"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_function_takes_the_parameters_it_is_given(name: str, files: Any) -> None:
    function, parameters = PARAMETERS[name]
    try:
        taken = inspect.signature(function(files)).parameters
    except AttributeError:
        pytest.fail(CHANGED.format(name))
    assert set(parameters.split()) <= set(taken), CHANGED.format(f"the parameters of {name}")


@pytest.mark.parametrize("path", ["loop", "session", "credentials.credentials"])
def test_an_attribute_is_there(path: str, files: Any) -> None:
    value = files
    for name in path.split("."):
        assert hasattr(value, name), CHANGED.format(f"GCSFileSystem.{path}")
        value = getattr(value, name)


ERRORS: dict[int, tuple[type[Exception], str]] = {
    400: (ValueError, "Bad Request: b/a\ninvalid"),
    401: (gcsfs.retry.HttpError, "invalid, 401"),
    403: (OSError, "Forbidden: b/a\ninvalid"),
    404: (FileNotFoundError, "b/a"),
    412: (FileExistsError, "b/a"),
    409: (gcsfs.retry.HttpError, "busy, 409"),
    503: (gcsfs.retry.HttpError, "busy, 503"),
}


@pytest.mark.parametrize("status", ERRORS)
def test_a_status_becomes_the_error_whose_words_are_read(status: int) -> None:
    """See `_explained` and `_said` in errors.py."""
    kind, words = ERRORS[status]
    message = "busy" if "busy" in words else "invalid"
    with pytest.raises(Exception) as caught:
        gcsfs.retry.validate_response(status, json.dumps({"error": {"message": message}}).encode(), "b/a")
    assert (type(caught.value), str(caught.value)) == (kind, words), CHANGED.format(f"the error of status {status}")


def test_gcsfs_does_not_retry_what_it_is_told_not_to() -> None:
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise gcsfs.retry.NonRetryableError("no")

    with pytest.raises(gcsfs.retry.NonRetryableError):
        asyncio.run(gcsfs.retry.retry_request(fail, retries=2)())
    assert tries == 1, CHANGED.format("what NonRetryableError does")


def test_no_bucket_is_asked_for_its_kind() -> None:
    assert os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] == "false"
    assert gcsfs.GCSFileSystem is gcsfs.core.GCSFileSystem, CHANGED.format("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT")


@pytest.mark.parametrize("path", sorted(Path(client.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_no_private_attribute_of_another_object_is_used(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    used = [node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self"]
    private = [node.attr for node in used if re.match(r"_[^_]|__wrapped__", node.attr)]
    bases = [ast.unparse(base) for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    assert private == [], f"docs/decisions/{RECORD.name} says why not"
    assert not any(re.match("gcsfs|fsspec|aiohttp", base) for base in bases), "a subclass shares the private names"


@pytest.mark.parametrize("fault", [answers(503, "We are sorry"), answers(401, "Invalid Credentials"), drops])
def test_a_question_is_asked_three_times(fault: Any, bad_line: BadLine, gcs: Sources, bucket: str) -> None:
    bad_line.emulator.put(f"gs://{bucket}/a.csv", "text,label\na,b\n")
    bad_line.fails("GET", fault)
    source: Gcs = gcs(train=f"gs://{bucket}/a.csv")
    with pytest.raises(MissingError):
        source.identity("train")
    assert len(bad_line.tokens) == 1 + len(RETRY_PAUSES)


def test_a_try_ends_though_something_arrives(
    bad_line: BadLine, gcs: Sources, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TRY_TIMEOUT", 0.0)
    with pytest.raises(MissingError, match="does not answer within"):
        gcs(train=f"gs://{bucket}/a.csv").identity("train")
