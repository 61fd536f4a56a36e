"""Passwords and tokens reach the database and nothing else: no file, no log, no .wandb, nothing that Slurm keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import finished
from tests.cluster.login import Login, wait_for
from tests.data.conftest import database_packages, postgresql  # noqa: F401  # fixtures
from tests.data.sql.servers import PASSWORD, VARIABLE, Database

PLANTED = {
    VARIABLE: PASSWORD,
    "WANDB_API_KEY": "planted-wandb-" + "0123456789abcdef" * 2,
    "HF_TOKEN": "hf_plantedplantedplantedplanted",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
}
SEARCHED = ("s3cr3t", *(value for name, value in PLANTED.items() if name != VARIABLE))
"""The password has characters that JSON and YAML write in other ways; its beginning has not."""


def with_secrets(files: list[Path]) -> list[str]:
    found = []
    for path in files:
        content = path.read_bytes()
        found += [f"{path}: {secret}" for secret in SEARCHED if secret.encode() in content]
    return found


@pytest.fixture
def shop(postgresql: Database) -> Database:  # noqa: F811
    postgresql.do("DROP TABLE IF EXISTS secrets", "CREATE TABLE secrets (text TEXT, label TEXT)")
    postgresql.fill("secrets", [(f"train {i} waits {i % 7}", f"class {i % 3}") for i in range(120)])
    return postgresql


def test_planted_secrets_are_found_nowhere(login: Login, shop: Database) -> None:
    small = [word for word in login.small if not word.startswith(("data=", "data.train="))]
    source = ("data=sql", f"data.connection={shop.connection}", f"data.password_env={VARIABLE}", "data.train=secrets")
    cache = login.folder / "cache"
    mine = dataclasses.replace(
        login.but(**PLANTED, PASSINGLOOP_CACHE=str(cache)),
        small=(*small, *source, "cluster.prepare_ahead=always"),
    )
    words = mine.command("launcher=slurm", "name=secrets")
    words[words.index("tracking=none")] = "tracking=offline"
    done = finished(words, mine.env, mine.folder)
    assert done.returncode == 0, done.stderr
    run = RunDir(Path(done.stdout.strip()))
    assert wait_for(run)["cause"] == "completed"
    shown = [done.stdout + done.stderr]
    shown += [mine.verb(*words).stdout for words in (("status",), ("status", "--json"), ("logs", "secrets"))]
    jobs = [*mine.jobs("secrets"), *mine.jobs("secrets-data")]
    assert len(jobs) == 2
    for job in jobs:
        shown.append(mine.cluster.says("scontrol", "show", "job", "--details", job))
        shown.append(mine.cluster.says("scontrol", "write", "batch_script", job, "-"))
        shown.append(mine.cluster.says("sacct", "--parsable2", "--format=ALL", "--jobs", job))
    for text in shown:
        assert text.strip()
        assert not [secret for secret in SEARCHED if secret in text]
    files = [path for path in mine.folder.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".wandb"] and list(cache.rglob("*.parquet"))
    assert with_secrets(files) == []
    assert VARIABLE in run.record.read_text()  # the reference is kept


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"\0\1" + SEARCHED[1].encode() + b"\2")
    assert len(with_secrets([tmp_path / "leak"])) == 1
