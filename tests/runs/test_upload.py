"""Finished models in Google Cloud Storage: whole, checked, apart from each other, and finished by the same command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.errors import ConfigError, MissingError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End
from tests.conftest import Finished
from tests.data.gcs.servers import BadLine, Emulator, answers, drops, hangs
from tests.runs.small import SMALL, lines, run_of

pytestmark = pytest.mark.process

Train = Callable[..., RunDir]


def uploaded(emulator: Emulator, bucket: str, run: RunDir) -> dict[str, bytes]:
    """What is in the bucket for `run`, by the names that it has in `export/`."""
    folder = f"models/classification/{run.path.name}/"
    names = [name for name in emulator.names(bucket) if name.startswith(folder)]
    return {name.removeprefix(folder): emulator.get(f"gs://{bucket}/{name}") for name in names}


def exported(run: RunDir) -> dict[str, bytes]:
    return {str(p.relative_to(run.export)): p.read_bytes() for p in run.export.rglob("*") if p.is_file()}


def test_the_model_is_uploaded_before_the_run_is_done(
    train_here: Train, small: tuple[str, ...], emulator: Emulator, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.put(f"gs://{bucket}/other", "x")
    run = train_here(*small, "adapter=lora", f"export.to=gs://{bucket}/models/")
    assert run.read_result() is not None
    assert uploaded(emulator, bucket, run) == exported(run)
    assert {"config.json", "adapter/adapter_model.safetensors"} <= exported(run).keys()
    to = f"gs://{bucket}/models/classification/{run.path.name}"
    assert f"Uploading the model to {to}\n" in capsys.readouterr().err


def test_what_has_failed_is_finished_by_the_same_command(
    train_here: Train, small: tuple[str, ...], bad_line: BadLine, bucket: str, tmp_path: Path
) -> None:
    emulator = bad_line.emulator
    emulator.put(f"gs://{bucket}/other", "x")
    command = (*small, f"export.to=gs://{bucket}/models")
    bad_line.fails("uploadType=multipart", answers(503, "We are sorry"))
    with pytest.raises(MissingError) as caught:
        train_here(*command)
    [run] = [RunDir(path.parent) for path in tmp_path.glob("runs/*/*/run.json")]
    [end] = ledger.read(run).events_of(End)
    to = f"gs://{bucket}/models/classification/{run.path.name}"
    assert str(caught.value).startswith(
        f"The model is trained, and whole in {run.export}; only uploading it has failed. Cannot write to {to}/"
    )
    assert "answers 503, however often it is asked (We are sorry)" in str(caught.value)
    assert str(caught.value).endswith("The same command uploads what is missing.")
    assert (end.cause, end.end_step) == ("crash", 12)
    assert run.read_result() is None
    bad_line.fails("uploadType=multipart", drops, times=1)
    emulator.requests.clear()
    assert train_here(*command).path == run.path
    assert run.read_result() is not None
    assert uploaded(emulator, bucket, run) == exported(run)
    assert len({line["step"] for line in lines(run.metrics, split="train")}) == 12


def test_what_cannot_be_written_to_is_known_before_training(
    train_here: Train, small: tuple[str, ...], bad_line: BadLine, bucket: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"goes to gs://{bucket}/models/.*, but there is no such bucket\.$"):
        train_here(*small, f"export.to=gs://{bucket}/models")
    bad_line.emulator.put(f"gs://{bucket}/other", "x")
    bad_line.fails("POST /upload", answers(403, "not yours"))
    with pytest.raises(MissingError, match=rf"^Cannot write to gs://{bucket}/models/.* refuses those who send no"):
        train_here(*small, f"export.to=gs://{bucket}/models")
    bad_line.fails("GET /storage", answers(403, "not to be seen"))
    with pytest.raises(MissingError, match=r"^Cannot write to .* \(not to be seen\)\.$"):
        train_here(*small, f"export.to=gs://{bucket}/models")
    bad_line.fails("POST /upload", hangs)
    with pytest.raises(MissingError, match=r"^Cannot write to .* does not answer within 2 seconds\. Check the network"):
        train_here(*small, f"export.to=gs://{bucket}/models")
    with pytest.raises(ConfigError, match=r"^You set export\.credentials=.*/none\.json, but that file cannot be read"):
        train_here(*small, f"export.to=gs://{bucket}/models", "export.credentials=none.json")
    assert bad_line.emulator.names(bucket) == ["other"]
    assert list(tmp_path.rglob("metrics.jsonl")) == []


def test_from_a_bucket_to_a_bucket_and_no_secret_is_left_behind(
    train: Callable[..., Finished],
    tiny: Callable[[str], Path],
    bad_line: BadLine,
    bucket: str,
    key_file: Callable[[str], str],
    private_key: str,
) -> None:
    for part in range(2):
        rows = [f"train {i} waits on track {i % 7},{'odd' if i % 2 else 'even'}" for i in range(part, 120, 2)]
        bad_line.emulator.put(f"gs://{bucket}/data/train-{part}.csv", "text,label\n" + "\n".join(rows))
    key = key_file(f"{bad_line.url}/token")
    done = train(
        *SMALL,
        "data=gcs",
        f"data.train=gs://{bucket}/data/train-*.csv",
        f"data.credentials={key}",
        f"model.path={tiny('bert')}",
        f"export.to=gs://{bucket}/models",
        f"export.credentials={key}",
    )
    assert done.code == 0, done.stderr
    run = run_of(done)
    assert uploaded(bad_line.emulator, bucket, run) == exported(run)
    assert set(bad_line.tokens) == {"Bearer planted-token"}
    written = [path.read_bytes() for path in run.path.rglob("*") if path.is_file()]
    secrets = (b"planted-token", private_key.splitlines()[1].encode())
    assert all(secret not in text for secret in secrets for text in [*written, done.stderr.encode()])
