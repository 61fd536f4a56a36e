"""What can be wrong with a database, a login, a query or its rows: what is said about it, and that it is soon said."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from passingloop.data.sql.source import Sql
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError
from tests.data.conftest import end, refuse, start
from tests.data.sql.servers import PASSWORD, Database

pytestmark = pytest.mark.process

Sources = Callable[..., Sql]


def told(source: Callable[[], Sql], kind: type[PassingloopError], message: str) -> None:
    """Looking ends with exactly this kind of error, whose text has `message`, and no password anywhere about it."""
    with pytest.raises(PassingloopError) as caught:
        source().check()
    assert message in str(caught.value)
    assert type(caught.value) is kind
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None or "password" not in repr(caught.value.__cause__)


@pytest.fixture(scope="module")
def questions(postgresql: Database) -> Database:
    postgresql.do(
        "CREATE TABLE questions (id INT, text TEXT, label TEXT, score FLOAT8, at TIMESTAMPTZ)",
        "INSERT INTO questions VALUES (1, 'a', 'x', 0.5, now())",
    )
    return postgresql


QUERIES: list[tuple[dict[str, Any], type[PassingloopError], str]] = [
    # names
    ({"train": "qestions"}, DataError, 'You set data.train=qestions, but there is no such table: relation "qestions" '
                                       "does not exist. Did you mean questions?"),
    ({"train": "nope.questions"}, DataError, "there is no such table"),
    ({"train": "questions", "text": "txt"}, DataError, "You set data.text=txt, but data.train=questions has no column "
                                            "txt. It has: id, text, label, score, at. Did you mean text?"),
    ({"train": "SELECT txt FROM questions"}, DataError, 'there is no such column: column "txt" does not exist'),
    ({"train": "SELECT id, text FROM questions"}, DataError, "data.label=label, but data.train=SELECT id, text FROM "
                                                             "questions has no column label. It has: id, text."),
    ({"train": "SELECT text, text, label FROM questions"}, DataError, "has 2 columns named text"),
    # types
    ({"train": "questions", "text": "id"}, DataError, "data.text=id, but in data.train=questions that column has the "
                                                      "type int64. It must be text"),
    ({"train": "questions", "label": "score"}, DataError, "column has the type double. It must be text, whole numbers"),
    ({"train": "questions", "label": "at"}, DataError, "has the type timestamp[us, tz=UTC]"),
    # the language
    ({"train": "SELECT text label FORM questions"}, ConfigError, "the database does not understand it: syntax error"),
    ({"train": "SELECT 1; SELECT 2"}, ConfigError, "data.train=SELECT 1; SELECT 2, which holds several statements"),
    ({"train": "DELETE FROM questions"}, ConfigError, "neither a table's name nor a query, which begins with SELECT"),
    ({"train": "  "}, ConfigError, "You set data.train to an empty text"),
    ({"train": "questions", "test": "DROP TABLE questions"}, ConfigError, "You set data.test=DROP TABLE questions"),
    ({"train": "WITH x AS (DELETE FROM questions RETURNING *) SELECT * FROM x"}, ConfigError, "Only reading is allow"),
    ({"train": "SELECT text, setval('s', 1)::text AS label FROM questions"}, DataError, 'relation "s" does not exist'),
    ({"train": "SELECT text, label FROM questions WHERE id = ?"}, ConfigError, "but a ? stands for a value in ODBC"),
    # values
    ({"train": "SELECT text, label FROM questions WHERE id > :low", "parameters": {"high": 3, "lo": 1}}, ConfigError,
     "You set data.parameters.high, but no query has :high"),
    ({"train": "SELECT text, label FROM questions WHERE id > :low"}, ConfigError, "but :low has no value. Give it one: "
                                                                              "+data.parameters.low=…"),
    ({"train": "questions", "parameters": {"low": 3}}, ConfigError, "data.parameters.low, but no query has :low."),
    # where
    ({"connection": "Driver=PostgreSQL Unicod;Server=x"}, MissingError, "the ODBC driver PostgreSQL Unicod is not "
                                                           "installed. Did you mean PostgreSQL Unicode?"),
    ({"connection": "Server=127.0.0.1"}, ConfigError, "which names no driver. Begin it with Driver=NAME;"),
    ({"connection": None, "dsn": "shpo"}, ConfigError, "You set data.dsn=shpo, but no odbc.ini has it."),
    ({"connection": "{};Database=shpo"}, ConfigError, 'that database is not there for you: connection to server'),
    ({"connection": "{};UID=nobody"}, ConfigError, 'but the server refuses the login: connection to'),
    ({"password_env": None}, ConfigError, "the server asks for a password. Put it into an environment variable and set "
                                          "data.password_env"),
    ({"password_env": "NOT_SET"}, ConfigError, "You set data.password_env=NOT_SET, but that environment variable"),
    ({"password_env": "HOME"}, ConfigError, "Check the user, and the password in HOME."),
    ({"connection": "{};Port=1"}, MissingError, "but the database does not answer: connection to server at"),
    ({"connection": "{};Server=nowhere.invalid"}, MissingError, 'could not translate host name "nowhere.invalid"'),
]  # fmt: skip


@pytest.mark.parametrize(("chosen", "kind", "message"), QUERIES, ids=[message[:60] for *_, message in QUERIES])
def test_what_is_wrong_is_said(
    questions: Database, sql: Sources, chosen: dict[str, Any], kind: type[PassingloopError], message: str
) -> None:
    told(lambda: sql(questions, **({"train": "questions"} | given(questions, chosen))), kind, message)


def given(database: Database, chosen: dict[str, Any]) -> dict[str, Any]:
    """`chosen` with the database's own connection for {}; what comes first in it counts."""
    connection = chosen.get("connection")
    if not connection or "{}" not in connection:
        return chosen
    changed = connection.removeprefix("{};")
    rest = [one for one in database.connection.split(";") if one.partition("=")[0] != changed.partition("=")[0]]
    return chosen | {"connection": ";".join([*rest, changed])}


OTHERS: list[tuple[str, dict[str, Any], type[PassingloopError], str]] = [
    ("sqlite", {"train": "nope"}, DataError, "You set data.train=nope, but there is no such table"),
    ("sqlite", {"train": "SELECT nope FROM sqlite_master"}, DataError, "there is no such column: no such column: nope"),
    ("sqlite", {"train": "SELECT FROM"}, ConfigError, "the database does not understand it"),
    ("sqlite", {"connection": "Driver=SQLite3;Database=/nowhere/a.db"}, DataError, "SQLite cannot open that file"),
    ("mariadb", {"train": "nope"}, DataError, "there is no such table: Table 'shop.nope' doesn't exist"),
    ("mariadb", {"train": "SELECT nope FROM dual"}, DataError, "there is no such column: Unknown column 'nope'"),
    ("mariadb", {"train": "SELECT a FORM b"}, ConfigError, "the database does not understand it: You have an error"),
    ("mariadb", {"train": "SELECT * FROM mysql.user"}, DataError, "the user may not read that: SELECT command denied"),
    ("mariadb", {"connection": "{};Database=shpo"}, ConfigError, "that database is not there for you: Access denied"),
    ("mariadb", {"password_env": "HOME"}, ConfigError, "but the server refuses the login: Access denied for user"),
    ("mariadb", {"password_env": None}, ConfigError, "but the server asks for a password."),
    ("mariadb", {"connection": "{};Port=1"}, MissingError, "but the database does not answer: Can't connect to server"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "chosen", "kind", "message"), OTHERS, ids=[f"{n}-{m[:50]}" for n, *_, m in OTHERS])
def test_other_databases_are_understood_too(
    name: str,
    chosen: dict[str, Any],
    kind: type[PassingloopError],
    message: str,
    sql: Sources,
    request: pytest.FixtureRequest,
) -> None:
    database: Database = request.getfixturevalue(name)
    told(lambda: sql(database, **({"train": "t"} | given(database, chosen))), kind, message)


def test_a_table_one_may_not_read(questions: Database, sql: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    questions.do("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'guest-pw'")
    monkeypatch.setenv("GUEST", "guest-pw")
    connection = questions.connection.replace("UID=tester", "UID=guest")
    told(
        lambda: sql(None, train="questions", connection=connection, password_env="GUEST"),
        DataError,
        "the user may not read that: permission denied for table questions",
    )


@pytest.fixture
def hung() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("driver", ["PostgreSQL Unicode", "MariaDB Unicode"])
def test_a_hung_server_is_given_up(
    database_packages: None, hung: int, driver: str, sql: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passingloop.data.sql.connection.LOGIN_SECONDS", 2)
    connection = f"Driver={driver};Server=127.0.0.1;Port={hung};UID=a;Database=b"
    told(lambda: sql(None, train="t", connection=connection), MissingError, "the database does not answer")


def test_a_query_that_takes_too_long_to_look_at(
    questions: Database, sql: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passingloop.data.sql.source.CHECK_SECONDS", 1)
    locker = questions.open()
    locker.autocommit = False
    locker.execute("LOCK TABLE questions")
    told(lambda: sql(questions, train="questions"), MissingError, "the database took too long and was stopped")
    locker.rollback()
    locker.close()


def test_no_rows_are_an_error(questions: Database, sql: Sources) -> None:
    source = sql(questions, train="SELECT text, label FROM questions WHERE id < :low", parameters={"low": 0})
    source.check()
    with pytest.raises(DataError, match=r"data\.train=SELECT .* has no rows\. Leave it out"):
        list(source.read("train", refuse))


def test_an_error_in_the_middle_names_the_row_it_came_to(questions: Database, sql: Sources, tmp_path: Path) -> None:
    train = "SELECT 'a' AS text, (1 / (15000 - n))::text AS label FROM generate_series(1, 20000) n"
    with pytest.raises(DataError, match="the database stopped after 8,000 rows: division by zero"):
        sql(questions, train=train).identity("train")
    assert not list(tmp_path.glob("cache/snapshots/*/*/"))


def test_a_cache_that_cannot_be_written_to(questions: Database, sql: Sources, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(ConfigError, match=r"Nothing can be written to cache_root: .*Not a directory"):
        sql(questions, train="questions").identity("train")


def test_passwords_of_all_kinds_reach_the_server(
    postgresql: Database, sql: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password in ("a;b", "a}b", "{a}", "a'b\"c", "é😀", " a b ", "a=b;PWD=c", "a\\b", "%41"):
        literal = postgresql.literal(password)
        postgresql.do("DROP ROLE IF EXISTS odd", f"CREATE ROLE odd LOGIN PASSWORD {literal}")
        monkeypatch.setenv("ODD", password)
        connection = postgresql.connection.replace("UID=tester", "UID=odd")
        train = "SELECT 'a' AS text, 'b' AS label"
        sql(None, train=train, connection=connection, password_env="ODD", refresh=True).check()


def test_data_sources_and_password_files_are_honoured(
    postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = dict(one.split("=") for one in postgresql.connection.split(";"))
    port, secret = fields["Port"], PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{port}:postgres:tester:{secret}\n")
    (tmp_path / "pgpass").chmod(0o600)
    (tmp_path / "odbc.ini").write_text(
        f"[shop]\nDriver = PostgreSQL Unicode\nServername = 127.0.0.1\nPort = {port}\nDatabase = postgres\n"
        "Username = tester\n"
    )
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
    # In processes of their own: unixODBC remembers what it has once read.
    assert end(start(None, tmp_path, dsn="shop", train="SELECT 'a' AS text"))["rows"] == 1
    process = start(None, tmp_path, dsn="shpo", train="t")
    _, said = process.communicate()
    assert "You set data.dsn=shpo, but no odbc.ini has it. Did you mean shop? There are: shop." in said
