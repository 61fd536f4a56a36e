"""A complete run tells what has become of data that are not on this machine, and downloads nothing for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from passingloop import files
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from tests.conftest import Compose
from tests.data.conftest import database, database_packages, mariadb, postgresql, sqlite
from tests.data.gcs.servers import Emulator
from tests.data.hub.made import NEWS, parquet
from tests.data.hub.stand_in import HubStandIn, Repository
from tests.data.sql import servers
from tests.data.sql.servers import Database
from tests.test_inputs import ask_again, completed

__all__ = ["database", "database_packages", "mariadb", "postgresql", "sqlite"]

pytestmark = pytest.mark.process

CSV = "text,label\nI liked it.,good\nI did not.,bad\n"


def test_a_changed_object_is_other_data_and_a_missing_server_is_said(
    emulator: Emulator,
    bucket: str,
    compose: Compose,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = f"gs://{bucket}/a.csv"
    emulator.put(url, CSV)
    config = compose("data=gcs", f"data.train={url}", "cache_root=cache")
    completed(config)
    emulator.requests.clear()
    code, said = ask_again(config, capfd)
    assert (code, said.count("Notice")) == (0, 0)
    emulator.put(url, CSV.replace("good", "fine"))
    code, said = ask_again(config, capfd)
    assert code == 1
    assert f"This run is complete, and its data have changed since it began: {url} (train) has other content." in said
    assert emulator.downloads() == []
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the data of this run could not be compared" in said
    assert "Done already" in said


def test_new_rows_are_said_and_a_server_that_is_gone_as_well(
    database: Database,
    compose: Compose,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(servers.VARIABLE, servers.PASSWORD)
    database.do("DROP TABLE IF EXISTS learned", "CREATE TABLE learned (text VARCHAR(9), label VARCHAR(9))")
    database.fill("learned", [("one", "a"), ("two", "b")])
    words = ["data=sql", "data.train=learned", f"data.connection={database.connection}", "cache_root=cache"]
    words += [f"data.password_env={database.password_env}"] * bool(database.password_env)
    config = compose(*words)
    completed(config)
    code, said = ask_again(config, capfd)
    assert (code, said.count("Notice")) == (0, 0)
    database.fill("learned", [("three", "b")])
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the data have changed since this run began: learned (train) has other content." in said
    assert "rerun=true data.refresh=true starts afresh with the new" in said
    assert "Done already" in said
    database.do("DROP TABLE learned")
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the data of this run could not be compared" in said
    assert "Done already" in said


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """The hub's libraries read their environment as they are imported: here in the process that looks."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with HubStandIn().serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_moved_branch_is_said_and_so_is_a_hub_that_does_not_answer(
    hub: HubStandIn, compose: Compose, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    news = Repository()
    commit = news.push(NEWS)
    hub.repositories = {"acme/news": news}
    config = compose("data=hub", "data.path=acme/news", "data.train=train", "cache_root=cache")
    run = choose_run(config)
    record.create(run, config, {})
    identity = {"acme/news, default configuration, train": f"{commit}  train"}
    record.pin_values(run, record.PinnedValues("fp32", {"train": identity}, None))
    files.write_json(run.result, {"metrics": {}})
    code, said = ask_again(config, capfd)
    assert (code, said.count("Notice")) == (0, 0)
    news.push({"train.parquet": parquet(text=["new"], label=[1])})
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the data have changed since this run began: acme/news, default configuration, train (train)" in said
    assert "Done already" in said
    asked = {line for line in hub.asked if "acme/news" in line}
    assert asked == {"GET /api/datasets/acme/news"}, "nothing is downloaded"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the data of this run could not be compared" in said
    assert "whether main of acme/news has moved is unknown" in said
    assert "Done already" in said
