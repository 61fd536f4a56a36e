"""Datasets that come over the network, from a stand-in for the hub: downloads, the cache, moved branches, refusals.

The hub's libraries are real, and used in a process of their own with an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.data.hub.made import NEWS, TWO_CONFIGURATIONS, Files, card, defaults, parquet
from tests.data.hub.stand_in import TOKEN, HubStandIn, Repository

pytestmark = pytest.mark.process

ALL = ("look", "identity", "read")

CANNOT = "but it is not in the cache, and the hub cannot be reached"

Answers = list[dict[str, Any]]


class Client:
    """A process in which nothing of the hub's libraries has been imported yet, with this environment."""

    def __init__(self, hub: HubStandIn, home: Path, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        places = {"HOME": str(home), "HF_ENDPOINT": hub.url, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.data.hub.client"],
            env=kept | places | environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *requests: dict[str, Any]) -> Answers:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        answers: Answers = json.loads(self._process.stdout.readline())
        return answers

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    with HubStandIn().serving() as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nothing may be written."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(hub: HubStandIn, home: Path) -> Iterator[Client]:
    client = Client(hub, home)
    yield client
    client.end()


@pytest.fixture(scope="module")
def offline(hub: HubStandIn, home: Path) -> Iterator[Client]:
    client = Client(hub, home, HF_HUB_OFFLINE="1")
    yield client
    client.end()


@pytest.fixture
def news(hub: HubStandIn) -> Repository:
    """A dataset of ten training examples and one to test with; every test has its own cache."""
    repository = Repository()
    repository.push(NEWS)
    hub.repositories = {"acme/news": repository}
    hub.asked.clear()
    return repository


@pytest.fixture
def request_(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``request_(train="train[:5]")``: what a client is asked."""

    def request(*do: str, **chosen: Any) -> dict[str, Any]:
        data = defaults() | {"path": "acme/news"} | chosen
        cache = str(tmp_path / "cache")
        times = {"patience": 30, "listing": 60}
        return {"data": data, "task": "classification", "cache": cache, "kept": None, "do": do or ALL} | times

    return request


def texts(answer: dict[str, Any]) -> list[str]:
    return [row["text"] for row in answer["rows"]]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_is_read(streaming: bool, client: Client, news, request_, home: Path, tmp_path: Path) -> None:
    [answer] = client.ask(request_("look", "size", "read", train="train[2:4]+test", streaming=streaming))
    assert texts(answer) == ["text 2", "text 3", "unseen"]
    assert answer["size"] == sum(map(len, NEWS.values()))
    tables = list((tmp_path / "cache").rglob("*.arrow"))
    assert bool(tables) is not streaming
    assert list(home.rglob("*")) == [], "only the cache is written to"


def test_what_was_downloaded_is_there_without_the_hub(client: Client, offline: Client, hub, news, request_) -> None:
    [there] = client.ask(request_())
    assert offline.ask(request_())[0]["rows"] == there["rows"]
    assert offline.ask(request_(train="test"))[0]["rows"] != there["rows"], "all splits are there"
    for fault in ("hang", 503, 429):
        with hub.failing(fault):
            [answer] = client.ask(request_() | {"patience": 0.5})
        assert (answer["rows"], answer["identity"]) == (there["rows"], there["identity"])
    hub.asked.clear()
    with hub.failing(503):
        assert f"{CANNOT} (it answers 503)" in client.ask(request_(streaming=True))[0]["error"]
    assert len(hub.asked) == 1, "one answer is enough"
    assert client.ask(request_())[0]["rows"] == there["rows"]
    assert hub.asked[-1] == "GET /api/datasets/acme/news", "nothing but the commit is asked for again"


def test_a_moved_branch_is_other_data(client: Client, offline: Client, news, request_) -> None:
    first = news.branches["main"]
    [before] = client.ask(request_())
    second = news.push({"train.parquet": parquet(text=["new"], label=[1])})
    assert offline.ask(request_())[0] == before, "what it was last seen at"
    [after] = client.ask(request_())
    assert texts(after) == ["new"]
    assert list(after["identity"]) == list(before["identity"])
    assert [value.split()[0] for found in (before, after) for value in found["identity"].values()] == [first, second]
    [pinned] = client.ask(request_(revision=first))
    assert pinned["identity"] == before["identity"]
    assert offline.ask(request_(revision=first))[0]["rows"] == before["rows"]
    assert offline.ask(request_())[0]["rows"] == after["rows"]


def test_a_run_that_has_begun_stays_with_its_commit(client: Client, news, request_, tmp_path: Path) -> None:
    [before] = client.ask(request_())
    kept = {"kept": {"train": before["identity"]}}
    news.push({"train.parquet": parquet(text=["new"], label=[1])})
    assert client.ask(request_() | kept)[0] == before
    elsewhere = {"cache": str(tmp_path / "other")}
    assert client.ask(request_() | kept | elsewhere)[0] == before, "the hub has that commit still"
    [name] = before["identity"]
    gone = {"kept": {"train": {name: f"{'0' * 40}  train"}}}
    assert client.ask(request_() | gone)[0]["error"] == (
        f"DataError: The run began with commit {'0' * 40} of data.path=acme/news, which is no longer on the hub. "
        "Add rerun=true to begin afresh with the dataset as it is now."
    )


def test_the_default_configuration_is_known_offline(client: Client, offline: Client, news, request_) -> None:
    files: Files = {
        "README.md": card(
            "configs:\n- config_name: formal\n  data_files: formal.csv\n"
            "- config_name: plain\n  data_files: plain.csv\n  default: true\n"
        ),
        "formal.csv": b"text,label\nSir,a\n",
        "plain.csv": b"text,label\nHey,a\n",
    }
    news.push(files)
    assert texts(client.ask(request_("read", config="formal"))[0]) == ["Sir"]
    assert "not in the cache" in offline.ask(request_("read"))[0]["error"], "it is not taken for the default"
    assert texts(client.ask(request_("read"))[0]) == ["Hey"]
    assert texts(offline.ask(request_("read"))[0]) == ["Hey"]


def test_four_processes_at_once_download_once(hub, news, request_, home: Path) -> None:
    client = Client(hub, home)
    answers = client.ask(*[request_("identity", "read")] * 4)
    client.end()
    assert [texts(answer) for answer in answers] == [[f"text {n}" for n in range(10)]] * 4
    assert len({json.dumps(answer["identity"]) for answer in answers}) == 1
    assert len([asked for asked in hub.asked if asked.startswith("GET") and asked.endswith("train.parquet")]) == 1


def test_the_hugging_face_folders_are_used_where_they_are_set(hub, news, request_, home: Path, tmp_path: Path) -> None:
    client = Client(hub, home, HF_HOME=str(tmp_path / "huggingface"))
    [answer] = client.ask(request_())
    client.end()
    assert len(answer["rows"]) == 10
    assert list((tmp_path / "huggingface" / "datasets").rglob("*.arrow"))
    assert not (tmp_path / "cache").exists()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"path": "acme/nwes"}, "DataError: You set data.path=acme/nwes, but there is no such folder here, and on the hub "
     "no dataset of that name that you may see. Check the spelling; if it is private, log in with `hf auth login`, or "
     "put a token into the environment variable HF_TOKEN."),
    ({"path": "acme/private"}, "on the hub no dataset of that name that you may see. Check the spelling; if it is"),
    ({"path": "acme/gated"}, "DataError: You set data.path=acme/gated, which only those may read who were let in: "
     "accept its conditions on {}/datasets/acme/gated, then log in with `hf auth login`, or put"),
    ({"revision": "v9"}, "DataError: You set data.revision=v9, but acme/news has no such branch, tag or commit."),
    ({"revision": "0" * 40}, "acme/news has no such branch, tag or commit."),
    ({"config": "plian"}, "ConfigError: You set data.config=plian, but data.path=acme/news has no such configuration."),
    ({"train": "trian"}, "DataError: You set data.train=trian, but acme/news has no split trian. It has: train, test."),
    ({"text": "txt"}, "DataError: You set data.text=txt, but acme/news, train has no column txt. It has: text, label."),
    ({"path": "acme/script"}, "data.path=acme/script, which is made by a script, script.py. datasets runs none any"),
    ({"path": "acme/empty"}, "You set data.path=acme/empty, but there are no data files that datasets reads"),
    ({"path": "acme/choice"}, "has several configurations: formal, plain. Choose one, as in data.config=formal."),
    ({"path": "acme/damaged"}, "datasets cannot read train.parquet in data.path=acme/damaged: Parquet magic bytes not"),
]  # fmt: skip


@pytest.fixture
def shelf(hub: HubStandIn, news: Repository) -> None:
    """Datasets with which something is the matter."""
    contents: dict[str, Files] = {
        "private": NEWS,
        "gated": NEWS,
        "script": NEWS | {"script.py": b"import datasets"},
        "empty": {"README.md": b"Nothing yet."},
        "choice": {
            "README.md": TWO_CONFIGURATIONS,
            "formal.csv": b"text,label\na,b\n",
            "plain.csv": b"text,label\na,b\n",
        },
        "damaged": NEWS | {"train.parquet": NEWS["train.parquet"][:-9]},
    }
    for name, files in contents.items():
        hub.repositories[f"acme/{name}"] = Repository(access=name if name in ("private", "gated") else "open")
        hub.repositories[f"acme/{name}"].push(files)


def test_what_cannot_be_had_is_said(client: Client, hub: HubStandIn, shelf, request_) -> None:
    for chosen, message in REFUSED:
        [answer] = client.ask(request_("look", **chosen))
        assert message.replace("{}", hub.url) in answer.get("error", "nothing was said"), chosen


def test_a_hub_that_fails_is_said(client: Client, offline: Client, hub: HubStandIn, news, request_) -> None:
    said = {}
    for fault in (401, 403, 404, 429, 500, 503, "hang"):
        with hub.failing(fault):
            [answer] = client.ask(request_("look") | {"patience": 0.5})
        said[fault] = answer["error"]
    assert "but the hub does not let you read it (403)" in said[403]
    assert "The hub has had too many requests for acme/news (429)" in said[429]
    assert f"{CANNOT} (it answers 500)" in said[500]
    assert f"{CANNOT} (it answers 503)" in said[503]
    assert f"{CANNOT} (timed out)" in said["hang"] or f"{CANNOT} (no answer within" in said["hang"]
    assert "but the hub does not let you read it (401). If your token is wrong, expired or not made" in said[401]
    assert "datasets cannot read data.path=acme/news: " in said[404]
    [answer] = offline.ask(request_("look", config="plain", train=["train[:5]", "test"], revision="v1"))
    assert (
        f"MissingError: You set data.path=acme/news, {CANNOT} (HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set). "
        in (answer["error"])
    )
    assert answer["error"].endswith(
        "passingloop prepare data=hub data.path=acme/news data.config=plain data.revision=v1 "
        """'data.train=["train[:5]", "test"]'"""
    )


def test_a_hub_that_stops_answering_is_not_waited_for(client: Client, hub: HubStandIn, news, request_) -> None:
    """It says which commit is meant, and then nothing more; an older commit is in the cache, and not what is meant."""
    client.ask(request_())
    news.push({"train.parquet": parquet(text=["new"], label=[1])})
    with hub.failing("hang", spared="/api/datasets/acme/news"):
        [answer] = client.ask(request_("look") | {"listing": 1})
    assert answer["error"].startswith(f"MissingError: You set data.path=acme/news, {CANNOT} (")


def test_a_token_opens_what_is_private_and_is_shown_nowhere(hub, shelf, request_, home: Path, tmp_path: Path) -> None:
    client = Client(hub, home, HF_TOKEN=TOKEN)
    private, gated, typo = (
        client.ask(request_("look", "read", path=f"acme/{name}"))[0] for name in ("private", "gated", "nwes")
    )
    client.end()
    assert len(private["rows"]) == 10
    assert f"only those may read who were let in: ask for access on {hub.url}/datasets/acme/gated." in gated["error"]
    assert "Check the spelling; if it is private, your token must be allowed to read it." in typo["error"]
    assert TOKEN not in json.dumps([private, gated, typo])
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
