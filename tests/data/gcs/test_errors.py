"""Names that lead nowhere, servers that refuse, fail or keep silent: what is said about them, and how soon."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.data.gcs.client import READ_TIMEOUT, RETRY_PAUSES
from passingloop.data.gcs.objects import REQUEST_SECONDS
from passingloop.data.gcs.source import Gcs
from passingloop.errors import ConfigError, DataError, MissingError
from tests.conftest import Compose, Finished
from tests.data.conftest import refuse
from tests.data.gcs.conftest import Sources
from tests.data.gcs.servers import (
    BadLine,
    Emulator,
    Fault,
    answers,
    damaged,
    drops,
    hangs,
    says,
    shortened,
    stalls,
    truncated,
)

pytestmark = pytest.mark.process

CSV = "text,label\nI liked it.,good\nI did not.,bad\n"

OBJECTS: dict[str, bytes | str] = {
    **dict.fromkeys(["train.csv", "a.xlsx", "a.json", "notes.txt", "bad.parquet"], CSV),
    "data/a.jsonl": '{"txt":"a"}\n',
    "empty.csv": "",
    "header.csv": "text,lable\na,b\n",
    "excel.csv": b"PK\x03\x04" + bytes(99),
    "utf16.csv": CSV.encode("utf-16"),
}

NAMES: dict[str, str] = {
    "gs://{b}/tain.csv": "gs://{b}/tain.csv is not there. Did you mean train.csv?",
    "gs://{b}/train.csv/x": "gs://{b}/train.csv/x is not there.",
    "gs://{b}-none/train.csv": "gs://{b}-none/train.csv is not there: there is no bucket {b}-none. Is its name right?",
    "gs://{b}-none/*.csv": "gs://{b}-none/*.csv is not there: there is no bucket {b}-none.",
    "gs://{b}/data": "gs://{b}/data is no object, but there are some whose names begin so. Name them, for instance "
                     "gs://{b}/data/*.csv.",
    "gs://{b}/*.tsv": "Nothing matches gs://{b}/*.tsv. gs://{b} has: a.json, a.xlsx, bad.parquet, data, empty.csv, "
                      "excel.csv, header.csv, notes.txt, train.csv, utf16.csv.",
    "gs://{b}/data/**/*.tsv": "Nothing matches gs://{b}/data/**/*.tsv. gs://{b}/data has: a.jsonl.",
    "gs://{b}/**.csv": "gs://{b}/**.csv is no pattern: ** must stand between slashes",
    "gs://{b}/a.xlsx": "The name of gs://{b}/a.xlsx does not tell its format.",
    "gs://{b}/a.json": "Did you mean .jsonl?",
    "gs://{b}/notes.txt": "gs://{b}/notes.txt is plain text, which has no labels, but task=classification needs them.",
    "gs://{b}/empty.csv": "gs://{b}/empty.csv is empty. Leave it out, or see why it is.",
    "gs://{b}/header.csv": "You set data.label=label, but gs://{b}/header.csv has no column label. It has: text, "
                           "lable. Did you mean lable?",
    "gs://{b}/data/a.jsonl": "You set data.text=text, but gs://{b}/data/a.jsonl has no column text. It has: txt.",
    "gs://{b}/utf16.csv": "gs://{b}/utf16.csv is UTF-16, not UTF-8. Convert it",
    "gs://{b}/excel.csv": "gs://{b}/excel.csv is a zip archive, as Excel's files are, too.",
    "gs://{b}/bad.parquet": "Cannot read gs://{b}/bad.parquet: it is damaged, or of another format",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_is_said_at_once(name: str, emulator: Emulator, gcs: Sources, bucket: str) -> None:
    for other, content in OBJECTS.items():
        emulator.put(f"gs://{bucket}/{other}", content)
    source = gcs(train=f"gs://{bucket}/train.csv", test=name.replace("{b}", bucket))
    with pytest.raises(DataError) as caught:
        source.check()
    assert NAMES[name].replace("{b}", bucket) in str(caught.value)


SETTINGS: dict[str, str] = {
    "data=files data.train=gs://b/a.csv": "You set data.train=gs://b/a.csv, but data=files reads local files. Set "
                                          "data=gcs for Google Cloud Storage.",
    "data=gcs data.train=train.csv": "You set data.train=train.csv, but data=gcs reads objects such as "
                                     "gs://bucket/train.csv. Set data=files for local files.",
    "data=gcs data.train=gs://b": "You set data.train=gs://b, but that names no object.",
    "data=gcs data.train=gs://b/d/": "You set data.train=gs://b/d/, but that names no object. Name the objects, for "
                                     "instance data.train=gs://bucket/data/*.csv.",
    "data=gcs data.train=gs://*/a.csv": "but that names no object",
    "data=gcs": "data=gcs needs data.train: a URL or a glob, such as data.train=gs://bucket/train-*.parquet.",
    "export.to=models": "You set export.to=models, but export.to must be a folder such as gs://bucket/models.",
    "export.to=s3://b/m": "You set export.to=s3://b/m, but export.to must be a folder such as gs://bucket/models.",
    "export.to=gs://": "but export.to must be a folder such as gs://bucket/models.",
    "run_root=gs://b/runs": "You set run_root=gs://b/runs, but it must be a local folder. Set export.to=gs://… to "
                            "have the finished model uploaded.",
    "cache_root=gs://b/c": "You set cache_root=gs://b/c, but it must be a local folder.",
}  # fmt: skip


@pytest.mark.parametrize("words", SETTINGS)
def test_a_wrong_setting_is_refused_by_name(words: str, compose: Compose) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(*words.split())
    assert SETTINGS[words] in str(caught.value)


REFUSED = (
    "Cannot read {u}: Google Cloud Storage refuses those who send no credentials. Choose an account with "
    "data.credentials (no access for you)."
)
LATER = "Try again later; the same command continues."

FAULTS: dict[str, tuple[str, Fault, str]] = {
    "403": ("GET", answers(403, "no access for you"), REFUSED),
    "403 for the content only": ("GET /download", answers(403, "no access for you"), REFUSED),
    "401": ("GET", answers(401, "Anonymous caller does not have access"), "Cannot read {u}: Google Cloud Storage wants "
            "to know who asks. Set data.credentials to default or to a key file (Anonymous caller does not have "
            "access)."),
    "503": ("GET", answers(503, "We are sorry"), "Cannot read {u}: Google Cloud Storage answers 503, however often it "
            f"is asked (We are sorry). {LATER}"),
    "503 without a word": ("GET /download", answers(503), "answers 503, however often it is asked (it says no more)."),
    "502": ("GET", answers(502), f"{{u}}: Google Cloud Storage answers 502, however often it is asked. {LATER}"),
    "429": ("GET", answers(429, "Slow down."), "answers 429, however often it is asked (Slow down)."),
    "400": ("GET", answers(400, "Bucket is a requester pays bucket"), "Cannot read {u}: Google Cloud Storage answers "
            "400 (Bucket is a requester pays bucket)."),
    "400 invalid": ("GET", answers(400, "invalid bucket name"), "Cannot read {u}: Google Cloud Storage answers 400 "
                    "(invalid bucket name)."),
    "an HTML page": ("GET /storage", says(b"<html>Sign in</html>"), "Cannot read {u}: {s} answers what Google Cloud "
                     "Storage would not (Expecting value: line 1 column 1 (char 0)). Check the network, its proxy, "
                     "and STORAGE_EMULATOR_HOST if it is set."),
    "other JSON": ("GET /storage", says(b"{}"), "{s} answers what Google Cloud Storage would not ('size')."),
    "hangs": ("GET", hangs, "Cannot read {u}: {s} does not answer within 2 seconds. Check the network"),
    "hangs later": ("GET /download", hangs, "Cannot read {u}: {s} does not answer within"),
    "stalls": ("GET /download", stalls, "Cannot read {u}: {s} does not answer within"),
    "drops": ("GET", drops, "Cannot read {u}: the connection to {s} breaks off (ServerDisconnectedError: Server "
              f"disconnected). {LATER}"),
    "truncated": ("GET /download", truncated, "Cannot read {u}: it does not arrive whole (21 of 43 bytes)"),
    "shortened": ("GET /download", shortened, "Cannot read {u}: it does not arrive whole (21 of 43 bytes), however "
                  f"often it is tried. {LATER}"),
    "damaged": ("GET /download", damaged, "Cannot read {u}: it does not arrive whole (the bytes that arrived have "
                "another md5 checksum)"),
}  # fmt: skip


def everything(source: Gcs) -> None:
    source.check()
    list(source.read("train", refuse))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_with_the_object_and_what_to_do(
    name: str, bad_line: BadLine, gcs: Sources, bucket: str, tmp_path: Path
) -> None:
    url = f"gs://{bucket}/train.csv"
    bad_line.emulator.put(url, CSV)
    when, fault, message = FAULTS[name]
    bad_line.fails(when, fault)
    source = gcs(train=url)
    with pytest.raises(MissingError) as caught:
        source.identity("train")
        list(source.read("train", refuse))
    assert message.replace("{u}", url).replace("{s}", bad_line.url) in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and ".lease-" not in path.name] == []


@pytest.mark.parametrize("name", ["503", "502", "429", "drops", "truncated", "shortened", "damaged", "stalls"])
def test_a_fault_that_passes_is_not_noticed(name: str, bad_line: BadLine, gcs: Sources, bucket: str) -> None:
    when, fault, _ = FAULTS[name]
    bad_line.emulator.put(f"gs://{bucket}/train.csv", CSV)
    bad_line.fails(when, fault, times=2)
    source = gcs(train=f"gs://{bucket}/train.csv")
    source.identity("train")
    assert sum(batch.num_rows for batch in source.read("train", refuse)) == 2


def test_listing_may_be_refused_where_reading_is_not(bad_line: BadLine, gcs: Sources, bucket: str) -> None:
    bad_line.emulator.put(f"gs://{bucket}/train.csv", CSV)
    bad_line.fails("/o?", answers(403, "no listing for you"))
    gcs(train=f"gs://{bucket}/train.csv").check()
    with pytest.raises(MissingError, match=rf"Cannot read gs://{bucket}/\*: .*refuses .* \(no listing for you\)"):
        gcs(train=f"gs://{bucket}/*.csv").check()
    with pytest.raises(DataError, match=rf"gs://{bucket}/tain\.csv is not there, and its bucket's names may not be"):
        gcs(train=f"gs://{bucket}/tain.csv").check()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("host", ["http://127.0.0.1:{port}", "http://nowhere.invalid:80"])
def test_a_server_that_is_not_there(
    host: str, closed_port: int, bad_line: BadLine, gcs: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host.format(port=closed_port)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
    with pytest.raises(MissingError) as caught:
        gcs(train="gs://b/a.csv").check()
    assert str(caught.value).startswith(f"Cannot read gs://b/a.csv: {host} cannot be reached (Cannot connect to host")


def test_the_waits_add_up_to_what_is_promised() -> None:
    tries = 1 + len(RETRY_PAUSES)
    assert REQUEST_SECONDS <= 20
    assert tries * READ_TIMEOUT + sum(RETRY_PAUSES) <= 30


# Credentials

SECRET = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC-planted"

KEYS: dict[str, tuple[str, str]] = {
    "none.json": ("", "You set data.credentials={k}, but that file cannot be read: No such file or directory. Set it "
                  "to default, anonymous, or the JSON key file of a service account."),
    "anonymos": ("", "that file cannot be read: No such file or directory. Set it to default, anonymous, or"),
    "text.json": (SECRET, "You set data.credentials={k}, but that file is no JSON."),
    "list.json": (f'["{SECRET}"]', "You set data.credentials={k}, but that file says nothing of its type."),
    "user.json": (json.dumps({"type": "authorized_user", "refresh_token": SECRET}), "but that file has the type "
                  '"authorized_user". Set it to default'),
    "bare.json": (json.dumps({"type": "service_account", "private_key": SECRET}), "You set data.credentials={k}, but "
                  "that key file is damaged or incomplete."),
    "bad.json": (json.dumps({"type": "service_account", "private_key": SECRET, "client_email": "a@b.c",
                             "token_uri": "http://127.0.0.1:1/token"}), "that key file is damaged or incomplete."),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_a_bad_key_file_is_named_and_not_shown(name: str, emulator: Emulator, gcs: Sources, tmp_path: Path) -> None:
    content, message = KEYS[name]
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError) as caught:
        gcs(train="gs://b/a.csv", credentials=str(tmp_path / name)).check()
    assert message.replace("{k}", str(tmp_path / name)) in str(caught.value)
    shown = [
        caught.value,
        caught.value.__cause__,
        *([] if caught.value.__suppress_context__ else [caught.value.__context__]),
    ]
    assert all(SECRET not in str(error) for error in shown)


def test_a_service_account_asks_with_its_token(
    bad_line: BadLine, gcs: Sources, bucket: str, key_file: Callable[[str], str]
) -> None:
    bad_line.emulator.put(f"gs://{bucket}/a.csv", CSV)
    source = gcs(train=f"gs://{bucket}/a.csv", credentials=key_file(f"{bad_line.url}/token"))
    everything(source)
    assert len(bad_line.tokens) >= 3
    assert set(bad_line.tokens) == {"Bearer planted-token"}
    bad_line.fails("GET", answers(403, "no"))
    with pytest.raises(MissingError, match=r"refuses the account reader@project\.iam\. Give it the role roles/storage"):
        source.check()
    bad_line.fails("GET", answers(401, "Invalid Credentials"))
    with pytest.raises(MissingError, match=r"does not accept the credentials of reader@project\.iam\. Renew them"):
        source.check()


def test_a_token_that_cannot_be_had(
    bad_line: BadLine, gcs: Sources, closed_port: int, key_file: Callable[[str], str]
) -> None:
    source = gcs(train="gs://b/a.csv", credentials=key_file(f"http://127.0.0.1:{closed_port}/token"))
    with pytest.raises(MissingError) as caught:
        source.check()
    message = str(caught.value)
    assert message.startswith("Cannot read gs://b/a.csv: no access token can be had for the account reader@project.iam")
    assert "PRIVATE" not in message


@pytest.mark.parametrize("credentials", ["default", "anonymous"])
def test_nothing_secret_is_sent_unless_it_is_asked_for(
    credentials: str, bad_line: BadLine, gcs: Sources, bucket: str
) -> None:
    bad_line.emulator.put(f"gs://{bucket}/a.csv", CSV)
    everything(gcs(train=f"gs://{bucket}/a.csv", credentials=credentials))
    assert set(bad_line.tokens) == {""}


def test_no_default_credentials(gcs: Sources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(MissingError) as caught:
        gcs(train="gs://b/a.csv").check()
    message = str(caught.value)
    assert message.startswith("You set data.credentials=default, but this machine has no credentials for Google Cloud")
    assert "gcloud auth application-default login" in message


def test_buckets_are_not_asked_for_their_kind() -> None:
    """Which takes gcsfs a minute where the server does not know; who wants it sets the variable himself."""
    program = "import passingloop.data.gcs.client, gcsfs; print(gcsfs.GCSFileSystem.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "GCSFileSystem\n"


def test_without_gcsfs(gcs: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for name in ("client", "objects"):  # which have imported it
        monkeypatch.delitem(sys.modules, f"passingloop.data.gcs.{name}", raising=False)
    with pytest.raises(MissingError, match=r"not there \(.*gcsfs.*\)\. Install it: pip install 'passingloop\[gcs\]'\."):
        gcs(train="gs://b/a.csv").check()


def test_a_wrong_name_is_known_before_anything_is_trained(
    main_here: Callable[..., Finished], emulator: Emulator, bucket: str
) -> None:
    emulator.put(f"gs://{bucket}/data/train.csv", "text,label\na,b\n")
    done = main_here("data=gcs", f"data.train=gs://{bucket}/data/trian.csv")
    assert (done.code, done.stdout) == (2, "")
    assert f"gs://{bucket}/data/trian.csv is not there. Did you mean train.csv?" in done.stderr
