"""data=sql on real databases: exact values, streaming, and snapshots that many processes share."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyodbc
import pytest

from passingloop.data.prepare.pipeline import Prepared
from passingloop.data.sql import queries
from passingloop.data.sql.connection import open_connection
from passingloop.data.sql.source import Sql
from passingloop.errors import DataError, MissingError
from tests.conftest import Finished
from tests.data.conftest import end, refuse, shown_labels, sql_config, start
from tests.data.made import messages
from tests.data.sql import servers
from tests.data.sql.servers import Database
from tests.runs.conftest import small, tiny  # noqa: F401  # fixtures

pytestmark = pytest.mark.process

Sources = Callable[..., Sql]
LONG = "línea 😀 " * 2_000
TEXTS = ["é😀 ñ 中文", "", None, LONG, "a'b\"c\\d;--e", " x ", "\n\t"]


def rows_of(source: Sql, part: str = "train") -> list[Any]:
    """(text, label) pairs, or texts."""
    table = pa.Table.from_batches(source.read(part, refuse))
    assert table["row"].to_pylist() == list(range(table.num_rows))
    return list(zip(*(column.to_pylist() for column in table.columns[1:]), strict=True))


def snapshot_of(source: Sql) -> tuple[pa.Table, dict[str, Any]]:
    source.identity("train")
    (rows,) = source._snapshots_folder.glob("*/*/rows.parquet")
    return pq.read_table(rows), json.loads((rows.parent / "snapshot.json").read_text())


@pytest.fixture
def table(database: Database) -> str:
    """Texts of all kinds with whole numbers as labels."""
    database.do("DROP TABLE IF EXISTS odd")
    database.do(f"CREATE TABLE odd (id INT, text {'LONGTEXT' if database.kind == 'mariadb' else 'TEXT'}, label BIGINT)")
    database.fill("odd", [(n, text, 2**63 - 1 - n) for n, text in enumerate(TEXTS)])
    return "odd"


STATEMENTS = ["odd", "SELECT * FROM odd ORDER BY id", "-- all\nWITH x AS (SELECT * FROM odd) SELECT * FROM x;"]


@pytest.mark.parametrize("train", STATEMENTS)
def test_texts_and_integers_come_as_they_are(database: Database, table: str, sql: Sources, train: str) -> None:
    source = sql(database, train=train)
    source.check()
    assert rows_of(source) == [(text, str(2**63 - 1 - n)) for n, text in enumerate(TEXTS)]


def test_the_same_rows_have_the_same_identity(database: Database, table: str, sql: Sources) -> None:
    first, again = sql(database, train="odd"), sql(database, train="odd", refresh=True)
    assert first.identity("train") == again.identity("train")
    database.do("UPDATE odd SET text = '' WHERE id = 2")  # null and empty are not the same
    assert sql(database, train="odd", refresh=True).identity("train") != first.identity("train")


def test_numbers_and_separated_labels_are_prepared(
    database: Database, prepare_for: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(servers.VARIABLE, servers.PASSWORD)
    database.do("DROP TABLE IF EXISTS rated")
    database.do("CREATE TABLE rated (text VARCHAR(9), stars DECIMAL(5, 2), price DOUBLE PRECISION, tags VARCHAR(9))")
    database.fill("rated", [("t", 4.25, 1e9, "b; a"), ("u", -1, 0.1, ""), ("v", 0, -2.5, "a")])
    words = ["data=sql", "data.train=rated", f"data.connection={database.connection}"]
    words += [f"data.password_env={database.password_env}"] * bool(database.password_env)
    numbers = prepare_for("task=regression", "data.label=[stars,price]", *words).parts["train"].labels
    assert numbers is not None and numbers.tolist() == [[4.25, 1e9], [-1, 0.1], [0, -2.5]]
    labels = prepare_for("task=multilabel", "data.label=tags", "data.label_separator=;", *words)
    assert shown_labels(labels, "multilabel") == ["b, a", "no label", "a"]
    with pytest.raises(DataError, match=r"that column has the type .* It must be text, with data.label_separator"):
        prepare_for("task=multilabel", "data.label=tags", *words)


POSTGRESQL_TYPES = """
    SELECT 1 AS label, -9223372036854775808 AS low, 12345678901234567890123456789012345678 AS d38,
        0.12345678901234567890123456789012345678 AS fraction, 1.5::numeric AS free,
        true AS yes, 0.1::float8 AS double, 'x' AS text, '\\xdead00'::bytea AS bytes, date '0001-02-03' AS day,
        time '12:13:14.5' AS hour, timestamp '2024-05-06 07:08:09.123456' AS at,
        timestamptz '2024-05-06 07:08:09.123456+02' AS zoned, '{"a": [1]}'::jsonb AS json, NULL::int AS nothing
    UNION ALL SELECT 2, 9223372036854775807, -1, NULL, 100.25, false, 1e300, 'y', NULL, NULL, NULL, NULL, NULL,
        NULL, NULL ORDER BY label
"""


def test_postgresql_types_are_exact(postgresql: Database, sql: Sources) -> None:
    found, facts = snapshot_of(sql(postgresql, train=POSTGRESQL_TYPES))
    one, two = found.to_pylist()
    assert (one["low"], two["low"]) == (-(2**63), 2**63 - 1)
    assert one["d38"] == Decimal("12345678901234567890123456789012345678")
    assert one["fraction"] == Decimal("0.12345678901234567890123456789012345678")
    assert two["free"] == Decimal("100.25")
    assert (one["yes"], two["yes"], one["double"], two["double"]) == (True, False, 0.1, 1e300)
    assert (one["bytes"], one["day"]) == (b"\xde\xad\0", datetime.date(1, 2, 3))
    assert one["hour"] == datetime.time(12, 13, 14, 500_000)
    assert one["at"] == datetime.datetime(2024, 5, 6, 7, 8, 9, 123_456)
    assert one["zoned"] == datetime.datetime(2024, 5, 6, 5, 8, 9, 123_456, datetime.UTC)
    assert json.loads(one["json"]) == {"a": [1]}
    assert one["nothing"] is None
    assert dict(facts["columns"])["zoned"] == "timestamp[us, tz=UTC]"
    assert facts["rows"] == 2
    assert "PostgreSQL 15" in facts["version"]
    assert "psqlodbc" in facts["driver"]


@pytest.mark.parametrize("value", ["'-infinity'::timestamptz", "'infinity'::date", "'NaN'::numeric", "1e50::numeric"])
def test_what_no_type_holds_is_an_error_and_no_other_value(postgresql: Database, sql: Sources, value: str) -> None:
    train = f"SELECT 'a' AS text, 'b' AS label, NULL AS x UNION ALL SELECT 'c', 'd', {value}"
    with pytest.raises(DataError, match=r"row 1 \(from 0\): x is .*, which does not fit .* Cast it to text"):
        sql(postgresql, train=train).identity("train")


def test_blocks_and_single_rows_read_the_same(
    postgresql: Database, sql: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = (
        "SELECT n AS label, CASE n % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat('é😀', n % 900) END AS text, "
        "n / 8.0 AS d, n % 2 = 0 AS b, sqrt(n) AS f, timestamptz '2024-01-01' + n * interval '1 s' AS t "
        "FROM generate_series(1, 5000) n"
    )
    ways: list[str] = []
    for way in ("read_blocks", "read_rows"):
        read = getattr(queries, way)
        monkeypatch.setattr(queries, way, lambda *given, way=way, read=read: ways.append(way) or read(*given))
    by_blocks = sql(postgresql, train=train).identity("train")
    monkeypatch.setattr(queries, "can_read_blocks", lambda schema: False)
    assert sql(postgresql, train=train, refresh=True).identity("train") == by_blocks
    assert list(dict.fromkeys(ways)) == ["read_blocks", "read_rows"]


def test_mariadb_types_are_exact(mariadb: Database, sql: Sources) -> None:
    mariadb.do(
        "DROP TABLE IF EXISTS types",
        "CREATE TABLE types (text VARCHAR(9) CHARACTER SET latin1, label INT, d38 DECIMAL(38, 10), two DECIMAL(4, 2),"
        "bits BIT(1), bytes BLOB, at DATETIME(6), zoned TIMESTAMP(6) NULL, day DATE, big BIGINT UNSIGNED)",
        "SET time_zone = '+02:00'",
    )
    connection = mariadb.open()
    connection.execute("SET time_zone = '+02:00'")
    connection.execute(
        "INSERT INTO types VALUES ('né', 1, 1234567890123456789012345678.0123456789, 1.50, 1, x'dead00',"
        "'2024-05-06 07:08:09.123456', '2024-05-06 07:08:09.123456', '2024-05-06', 9223372036854775807)"
    )
    connection.close()
    (one,) = snapshot_of(sql(mariadb, train="SELECT * FROM types"))[0].to_pylist()
    assert one["text"] == "né"
    assert one["d38"] == Decimal("1234567890123456789012345678.0123456789")
    assert (str(one["two"]), one["bits"], one["bytes"]) == ("1.50", True, b"\xde\xad\0")
    assert one["at"] == datetime.datetime(2024, 5, 6, 7, 8, 9, 123_456)
    assert one["zoned"] == datetime.datetime(2024, 5, 6, 5, 8, 9, 123_456)  # in UTC, whatever the writer's zone
    assert one["big"] == 2**63 - 1
    mariadb.do("UPDATE types SET big = 18446744073709551615")
    with pytest.raises(DataError, match=r"row 0 \(from 0\): big is 18446744073709551615, which does not fit int64"):
        sql(mariadb, train="SELECT text, label, big FROM types").identity("train")


@pytest.mark.parametrize(
    ("expression", "label"),
    [("7", "7"), ("true", "true"), ("1.50::numeric(4,2)", "1.50"), ("1.5::numeric", "1.5"), ("10::numeric", "10"),
     ("0.0000001::numeric", "0.0000001"), ("'x'", "x"), ("NULL", None)],
)  # fmt: skip
def test_labels_are_the_values_as_text(postgresql: Database, sql: Sources, expression: str, label: str) -> None:
    assert rows_of(sql(postgresql, train=f"SELECT 'a' AS text, {expression} AS label")) == [("a", label)]


def test_chats_are_json_and_bad_ones_are_left_out(postgresql: Database, sql: Sources) -> None:
    chat = [{"role": "user", "content": "hi"}]
    train = f"SELECT * FROM (VALUES ('{json.dumps(chat)}'), ('[1'), (NULL), ('[]')) t (messages)"
    source, rejected = sql(postgresql, train=train, task="causal_lm", messages="messages"), []
    found = pa.Table.from_batches(source.read("train", rejected.append))
    assert (found["row"].to_pylist(), messages(found["messages"].to_pylist())) == ([0, 2], [chat, None])
    assert [
        message in str(one)
        for one, message in zip(
            rejected,
            (
                "row 1 (from 0): messages is not valid JSON",
                "row 3 (from 0): messages (data.messages=messages) is an empty",
            ),
            strict=True,
        )
    ] == [True, True]


def test_what_stands_beside_chats_is_read_by_a_query_and_not_forgotten(postgresql: Database, sql: Sources) -> None:
    chat, tools = json.dumps([{"role": "user", "content": "hi"}]), '[{"name": "f"}]'
    postgresql.do(
        "DROP TABLE IF EXISTS told",
        "CREATE TABLE told (messages TEXT, tools TEXT)",
        f"INSERT INTO told VALUES ('{chat}', '{tools}')",
    )
    settings = {"task": "causal_lm", "messages": "messages"}
    source = sql(postgresql, train="SELECT * FROM told", **settings)
    [text] = pa.Table.from_batches(source.read("train", refuse))["messages"].to_pylist()
    assert json.loads(text) == {"messages": json.loads(chat), "tools": json.loads(tools)}
    with pytest.raises(DataError, match=r"data\.train=told has a column tools, which is passed to the chat template"):
        sql(postgresql, train="told", **settings).check()


def test_values_are_bound_and_not_pasted(database: Database, table: str, sql: Sources) -> None:
    train = "SELECT text, label FROM odd WHERE id >= :low AND ':x' <> :name /* :y */ AND id <= :low + 1 -- ?"
    found = rows_of(sql(database, train=train, parameters={"low": 3, "name": "'; DROP TABLE odd; --"}))
    assert [text for text, _ in found] == TEXTS[3:5]


def test_several_queries_are_one_part(postgresql: Database, sql: Sources) -> None:
    queries = ["SELECT 'a' AS text, 'x' AS label", "SELECT 'b' AS text, 1 AS label"]
    source = sql(postgresql, train=queries, test=queries[1])
    assert (rows_of(source), rows_of(source, "test")) == ([("a", "x"), ("b", "1")], [("b", "1")])
    assert (source.parts(), list(source.identity("train"))) == (("train", "test"), queries)


def test_a_table_in_a_schema_with_odd_names(postgresql: Database, sql: Sources) -> None:
    postgresql.do(
        'CREATE SCHEMA IF NOT EXISTS "Sales"', 'CREATE TABLE "Sales"."my-table" ("the ""text" TEXT, "Label" INT)'
    )
    postgresql.do("""INSERT INTO "Sales"."my-table" VALUES ('a', 1)""")
    assert rows_of(sql(postgresql, train="Sales.my-table", text='the "text', label="Label")) == [("a", "1")]


# Snapshots


@pytest.fixture
def growing(postgresql: Database) -> Database:
    postgresql.do("DROP TABLE IF EXISTS growing", "CREATE TABLE growing (text TEXT, label TEXT)")
    postgresql.fill("growing", [("a", "x")])
    return postgresql


def test_a_query_is_read_once_until_refresh(growing: Database, sql: Sources) -> None:
    before = sql(growing, train="growing").identity("train")
    growing.fill("growing", [("b", "y")])
    same = sql(growing, train="growing")
    assert (same.identity("train"), rows_of(same)) == (before, [("a", "x")])
    anew = sql(growing, train="growing", refresh=True)
    assert anew.identity("train") != before
    assert rows_of(sql(growing, train="growing")) == rows_of(anew) == [("a", "x"), ("b", "y")]


def test_a_snapshot_needs_no_server_and_no_password(
    growing: Database, sql: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(growing, train="growing").identity("train")
    monkeypatch.delenv(servers.VARIABLE)
    source = sql(growing, train="growing")
    source.check()
    assert rows_of(source) == [("a", "x")]
    assert source.size()


def test_a_run_keeps_what_it_began_with(growing: Database, sql: Sources, tmp_path: Path) -> None:
    kept = {"train": sql(growing, train="growing").identity("train")}
    growing.fill("growing", [("b", "y")])
    sql(growing, train="growing", refresh=True).identity("train")
    source = sql(growing, train="growing", refresh=True, kept=kept)
    assert (source.identity("train"), rows_of(source)) == (kept["train"], [("a", "x")])
    for path in tmp_path.glob(f"cache/snapshots/*/{kept['train']['growing']}/snapshot.json"):
        path.unlink()
    with pytest.raises(DataError, match=r"began with rows of data\.train=growing that are no longer .* rerun=true"):
        sql(growing, train="growing", kept=kept).identity("train")


KILLED = """import os, sys
from pathlib import Path
from passingloop.data.cache.lease_file import OwnLease
assert OwnLease.take(Path(sys.argv[1]), 1, renewal=1.0)
os.kill(os.getpid(), 9)"""


def test_a_killed_reader_leaves_nothing_that_counts(growing: Database, sql: Sources, tmp_path: Path) -> None:
    source = sql(growing, train="growing")
    shelf = source._query_snapshots(source._all_queries()[0])
    shelf.folder.mkdir(parents=True)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(shelf.folder / "rows")], check=False)
    assert killed.returncode == -9
    assert (shelf.folder / "rows.lease-1").exists()
    (shelf.folder / "rows.building-0123").mkdir()
    (shelf.folder / "rows.building-0123" / "rows.parquet").write_bytes(b"PAR1")
    assert rows_of(source) == [("a", "x")]


@pytest.mark.parametrize("refresh", [False, True])
def test_of_many_processes_one_reads(growing: Database, tmp_path: Path, refresh: bool) -> None:
    query = f"SELECT text FROM growing WHERE text <> 'many {refresh}'"
    source = Sql(sql_config(growing, train=query), "causal_lm", tmp_path, None)
    with source._query_snapshots(source._all_queries()[0]).exclusive_read(lambda: False):  # until all are there
        processes = [start(growing, tmp_path, train=query, refresh=refresh) for _ in range(4)]
        for process in processes:
            assert process.stderr and "Waiting for" in process.stderr.readline()
    found = [end(process)["identity"] for process in processes]
    assert found == [found[0]] * 4
    log = (growing.folder / "log").read_text()
    assert log.count(f"for {query}") == 1  # DECLARE … CURSOR … FOR


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite"])
def test_memory_does_not_grow_with_the_result(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    database: Database = request.getfixturevalue(kind)
    if kind == "mariadb" and driver_version(database) < (3, 1, 17):
        pytest.skip("this libmaodbc does not stream: it takes 3.1.17 or later")
    text = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT {text} AS text FROM n"
    )
    wide = {"sqlite": "printf('%0300d', i)"}.get(kind, "LPAD(CONCAT(i, ''), 300, '0')")
    if kind == "mariadb":
        text = "SELECT {text} AS text FROM (SELECT seq AS i FROM seq_1_to_{rows}) n"
    few, many = (end(start(database, tmp_path, train=text.format(rows=rows, text=wide))) for rows in (20_000, 300_000))
    assert (few["rows"], many["rows"]) == (20_000, 300_000)
    assert many["grown"] - few["grown"] < 40_000_000  # of 84 MB more


def driver_version(database: Database) -> tuple[int, ...]:
    connection = database.open()
    version = connection.getinfo(pyodbc.SQL_DRIVER_VER)
    connection.close()
    return tuple(map(int, version.split(".")))


def test_a_connection_that_is_lost_keeps_nothing(postgresql: Database, sql: Sources, tmp_path: Path) -> None:
    late = "CASE WHEN n > 10000 THEN pg_sleep(60)::text ELSE 'x' END"
    slow = f"SELECT 'a' AS text, {late} AS label FROM generate_series(1, 20000) n"
    source, problems = sql(postgresql, train=slow), []

    def read() -> None:
        with pytest.raises(MissingError) as caught:
            source.identity("train")
        problems.append(str(caught.value))

    reader = threading.Thread(target=read)
    reader.start()
    killer = postgresql.open()
    asleep = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    while not killer.execute(asleep).fetchval():
        time.sleep(0.02)
    killer.close()
    reader.join()
    assert "the connection was lost after 8,000 rows" in problems[0]
    assert not list(tmp_path.glob("cache/snapshots/*/*/"))


def test_nothing_can_be_changed(database: Database, table: str, sql: Sources) -> None:
    with open_connection(sql_config(database, train="odd")) as connection, pytest.raises(pyodbc.Error):
        connection.raw.execute("DELETE FROM odd")
    assert len(rows_of(sql(database, train="odd"))) == len(TEXTS)


def test_a_run_on_a_database(
    postgresql: Database,
    train: Callable[..., Finished],
    small: tuple[str, ...],  # noqa: F811
) -> None:
    words = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track")
    postgresql.do("DROP TABLE IF EXISTS small", "CREATE TABLE small (text TEXT, label TEXT)")
    rows = [(f"{' '.join(words[(i * k) % 8] for k in range(2, 3 + i % 9))} {i}", words[i % 3]) for i in range(120)]
    postgresql.fill("small", rows)
    done = train(
        *(word for word in small if not word.startswith(("data=", "data.train="))),
        "data=sql",
        f"data.connection={postgresql.connection}",
        f"data.password_env={postgresql.password_env}",
        "data.train=SELECT text, label FROM small WHERE text <> :none AND label IN ('train', 'queue', 'node')",
        "+data.parameters.none=x",
        env={servers.VARIABLE: servers.PASSWORD},
    )
    assert done.code == 0, done.stderr
    run = Path(done.stdout.strip())
    assert json.loads((run / "result.json").read_text())["state"] == "completed"
    for path in [path for path in run.rglob("*") if path.is_file()]:
        assert servers.PASSWORD.encode() not in path.read_bytes(), path
    assert servers.PASSWORD not in done.stdout + done.stderr
