"""The index file: what is kept is read again, and what is wrong in it does no harm."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from passingloop.index import index_file
from passingloop.index.index_file import MAX_CHANGES, Index, Row, Settings, index_places
from passingloop.index.stamps import Stamp


def row(number: int, **settings: Any) -> Row:
    stamp = Stamp(1000 + number, (0, 1, 2, 5), 10**18 + number)
    facts = {"jobs": [str(number)], "note": 'a "quoted" \ud800 note'}
    return Row(stamp, facts, Settings({"optim.lr": number, "data.source": "files", **settings}, {}))


def as_read(rows: dict[str, Row]) -> dict[str, tuple[Stamp, dict[str, Any], dict[str, Any]]]:
    """The rows with their settings put together, however they are kept."""
    return {
        path: (
            row.stamp._replace(present=tuple(row.stamp.present)),
            row.facts,
            {**row.settings.base, **row.settings.changes},
        )
        for path, row in rows.items()
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "home" / "index.sqlite"


def written(place: Path, rows: dict[str, Row]) -> None:
    index = Index()
    index.update(rows, ())
    index.write([place])


def test_rows_are_read_as_they_were_written(place: Path) -> None:
    rows = {f"name/{number}": row(number) for number in range(40)}
    rows["other"] = row(1, **{f"more.{number}": None for number in range(MAX_CHANGES + 1)})
    written(place, rows)
    assert as_read(Index.read([place]).rows) == as_read(rows)
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in place.parent.iterdir()] == ["index.sqlite"]


def test_the_settings_of_a_sweep_are_kept_once(place: Path) -> None:
    many = {f"setting.{number}": "the same long value" for number in range(100)}
    written(place, {f"name/{number}": row(number, **many) for number in range(30)})
    with closing(sqlite3.connect(place)) as database:
        assert database.execute("SELECT count(*) FROM bases").fetchone() == (1,)
    index = Index.read([place])
    assert index.rows["name/29"].settings.get("optim.lr") == 29
    assert index.rows["name/29"].settings.get("setting.5") == "the same long value"
    assert index.rows["name/29"].settings.get("no.such") is None


def test_an_update_changes_what_it_names(place: Path) -> None:
    written(place, {f"name/{number}": row(number) for number in range(4)})
    index = Index.read([place])
    index.update({"name/1": row(100), "name/9": row(9)}, ["name/0"])
    index.write([place])
    expected = {"name/1": row(100), "name/2": row(2), "name/3": row(3), "name/9": row(9)}
    assert as_read(Index.read([place]).rows) == as_read(expected)


def test_any_damage_leaves_rows_that_are_right_or_none(place: Path) -> None:
    rows = {f"name/{number}": row(number) for number in range(30)}
    written(place, rows)
    whole, right = place.read_bytes(), as_read(rows)
    chance, survived = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 8])):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        place.write_bytes(damaged if chance.random() < 0.9 else damaged[: chance.randrange(len(damaged))])
        read = as_read(Index.read([place]).rows)
        assert read.items() <= right.items()
        survived += len(read)
    assert survived > 1000, "most flipped bits hit a few rows only"


def make_foreign(place: Path) -> None:
    place.unlink()
    with closing(sqlite3.connect(place)) as database:
        database.execute("CREATE TABLE runs (path TEXT)")


def make_link(place: Path) -> None:
    elsewhere = place.rename(place.with_name("elsewhere"))
    place.symlink_to(elsewhere)


def make_folder(place: Path) -> None:
    place.unlink()
    place.mkdir()


def change_schema(place: Path) -> None:
    with closing(sqlite3.connect(place)) as database:
        database.execute(f"PRAGMA user_version={index_file.SCHEMA + 1}")


def change_version(place: Path) -> None:
    with closing(sqlite3.connect(place)) as database:
        database.execute("UPDATE maker SET version = '0.0.1'")
        database.commit()


@pytest.mark.parametrize(
    "spoil",
    [
        make_foreign,
        make_link,
        make_folder,
        change_schema,
        change_version,
        lambda place: place.write_bytes(b""),
        lambda place: place.write_bytes(b"no database at all" * 100),
        lambda place: place.unlink(),
    ],
)
def test_what_is_no_index_of_this_version_is_replaced(
    place: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    written(place, {"name/1": row(1)})
    spoil(place)
    second = tmp_path / "cache" / "index.sqlite"
    index = Index.read([place, second])
    assert index.rows == {}
    index.update({"name/2": row(2)}, ())
    index.write([place, second])
    assert as_read(Index.read([place, second]).rows) == as_read({"name/2": row(2)})
    assert second.exists() == place.is_dir(), "the second place is for where the first cannot be written"


def test_where_nothing_can_be_written_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    index = Index()
    index.update({"name/1": row(1)}, ())
    index.write([tmp_path / "file" / "index.sqlite"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_someone_elses_file_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(place, {"name/1": row(1)})
    monkeypatch.setattr("os.getuid", lambda: place.stat().st_uid + 1)
    assert Index.read([place]).rows == {}


def test_the_places_are_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    beside, cached = index_places(tmp_path / "runs")
    assert beside.parent.parent == tmp_path / "runs"
    assert cached.is_relative_to(tmp_path / "cache")
    assert cached != index_places(tmp_path / "others")[1]
