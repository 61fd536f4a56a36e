"""The cache is made smaller: the oldest first, nothing that is in use, and nobody is disturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passingloop.data.cache.last_use import HOUR, UsageRecorder, last_use, record_use
from passingloop.data.cache.prune import DAY, parse_size, prune_cache
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare import pipeline as preparing
from passingloop.data.prepare.fill import Recipe
from passingloop.errors import ConfigError

NOBODY = 65534

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """``made("tokens/a", days=3)``: a folder of 1,000 bytes that was used last three days ago."""

    def make(name: str, *, days: float, size: int = 1000) -> Path:
        path = tmp_path / name
        (path / "train").mkdir(parents=True)
        (path / "train" / "tokens.bin").write_bytes(bytes(size))
        (path / "meta.json").touch()
        aged(path, days)
        return path

    return make


def aged(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    for each in [*path.rglob("*"), path]:
        os.utime(each, (then, then))


def names(folder: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for kind in folder.iterdir() for path in kind.iterdir()}


def test_a_download_of_the_hub_goes_as_a_whole(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "files" / "datasets--shop--questions"
    (repository / "blobs").mkdir(parents=True)
    (repository / "snapshots").mkdir()
    (repository / "blobs" / "0123").write_bytes(bytes(1000))
    (repository / "snapshots" / "a.csv").symlink_to("../blobs/0123")
    assert not prune_cache(tmp_path, 0).removed
    [entry] = prune_cache(tmp_path, 900, now=time.time() + 2 * DAY).removed
    assert entry.path == repository and 1000 < entry.bytes < 1100  # once, and a link


def test_what_was_not_used_for_longest_goes_first(made: Made, tmp_path: Path) -> None:
    for name, days in (("tokens/b", 3), ("objects/a", 5), ("tokens/c", 2), ("tokens/d", 9)):
        made(name, days=days)
    pruned = prune_cache(tmp_path, 2500)
    assert [entry.path.name for entry in pruned.removed] == ["d", "a"]
    assert names(tmp_path) == {"tokens/b", "tokens/c"}
    assert sum(entry.bytes for entry in pruned.left) == 2000
    assert not prune_cache(tmp_path, 2000).removed


def test_what_is_gone_leaves_the_index(made: Made, tmp_path: Path) -> None:
    for name, days in (("a", 3), ("b", 0.1)):
        made(f"tokens/{name}", days=days)
        (tmp_path / "index").mkdir(exist_ok=True)
        (tmp_path / "index" / f"of {name}").write_text(json.dumps([name]))
    prune_cache(tmp_path, 0)
    assert names(tmp_path) == {"tokens/b", "index/of b"}


def test_what_was_used_within_a_day_stays(made: Made, tmp_path: Path) -> None:
    fresh, read, marked = (made(f"tokens/{name}", days=2) for name in ("fresh", "read", "marked"))
    aged(fresh, 0.9)
    os.utime(read / "meta.json", (time.time(), (read / "meta.json").stat().st_mtime))  # another user's: no mark
    record_use(marked)
    pruned = prune_cache(tmp_path, 0)
    assert not pruned.removed and len(pruned.in_use) == 3
    assert names(tmp_path) == {"tokens/fresh", "tokens/read", "tokens/marked"}


def test_snapshots_stay_for_a_month(made: Made, tmp_path: Path) -> None:
    made("snapshots/old", days=31)
    made("snapshots/new", days=29)
    assert [entry.path.name for entry in prune_cache(tmp_path, 0).removed] == ["old"]
    assert [entry.path.name for entry in prune_cache(tmp_path, 0, snapshots_too=True).removed] == ["new"]


def test_what_somebody_has_left_half_done_goes_after_a_day(made: Made, tmp_path: Path) -> None:
    made("tokens/a.building-01234567", days=2, size=5000)
    made("tokens/b.pruned-01234567", days=2, size=3000)
    made("objects/.c.part", days=2, size=2000)
    assert prune_cache(tmp_path, 10**9).debris == 0  # whatever its times say, it has only just changed
    assert prune_cache(tmp_path, 10**9, now=time.time() + DAY + 60).debris == 10_000
    assert names(tmp_path) == set()


@pytest.mark.parametrize("killed", [True, False])
def test_a_builder_that_was_killed_on_this_machine_is_cleared_at_once(tmp_path: Path, killed: bool) -> None:
    script = (
        "import sys; from pathlib import Path; from passingloop.data.cache.lease import exclusive_build\n"
        "with exclusive_build(Path(sys.argv[1])) as beside:\n"
        "    beside.write_bytes(bytes(5000)); print('there', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "tokens" / "a")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        if killed:
            builder.kill()
            builder.wait()
        pruned = prune_cache(tmp_path, 0)
        assert (pruned.debris >= 5000) == killed
        assert len(names(tmp_path)) == (0 if killed else 2)
        builder.kill()


def test_what_is_used_at_that_very_moment_is_put_back(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made("tokens/a", days=3)
    rename = Path.rename

    def marked_before(source: Path, target: Path) -> Path:
        """Stands in for a process that begins to use it between the look and the rename."""
        if source == path:
            record_use(path)
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", marked_before)
    pruned = prune_cache(tmp_path, 0)
    assert path.exists() and not pruned.removed and [entry.path for entry in pruned.in_use] == [path]


@pytest.fixture
def prepared(
    tmp_path: Path, data_config: Callable[..., FilesData], bert_tokenizer: Any
) -> Callable[[], preparing.Prepared]:
    """Prepares a file, into ``tmp_path / "cache"``."""
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(40)))
    config = data_config(train=str(tmp_path / "a.csv"))

    def prepared() -> preparing.Prepared:
        source, cache = Files(config, "classification"), tmp_path / "cache"
        recipe = Recipe(task="classification", config=config, tokenizer=bert_tokenizer, max_length=16)
        return preparing.prepare_source(recipe, source, cache, lambda _: None)[0]

    return prepared


def test_who_opens_what_has_just_been_pruned_prepares_it_anew(
    prepared: Callable[[], preparing.Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pruned = preparing._open_prepared, []

    def open_late(folder: Path, reused: bool) -> preparing.Prepared:
        """Stands in for a process that is stopped for two days between its look and its opening."""
        if not pruned:
            pruned.append(prune_cache(tmp_path / "cache", 0, now=time.time() + 2 * DAY))
        return real(folder, reused)

    first = prepared()
    monkeypatch.setattr(preparing, "_open_prepared", open_late)
    second = prepared()
    assert pruned[0].removed[0].path == first.folder == second.folder
    assert not second.reused and second.parts["train"].ids(0).size


def test_a_damaged_entry_is_named(prepared: Callable[[], preparing.Prepared]) -> None:
    folder = prepared().folder
    (folder / "train" / "rows.bin").unlink()
    with pytest.raises(ConfigError, match=r"rows.bin is missing, so these prepared data cannot be used. Remove .*"):
        prepared()


def test_other_users_entries_are_counted_and_stay() -> None:
    if os.getuid():
        pytest.skip("to become another user takes root")
    with tempfile.TemporaryDirectory() as folder:  # others do not get into pytest's own
        Path(folder).chmod(0o755)
        for name in ("mine", "theirs"):
            (Path(folder) / "tokens" / name / "train").mkdir(parents=True)
            (Path(folder) / "tokens" / name / "train" / "tokens.bin").write_bytes(bytes(1000))
        (Path(folder) / "tokens").chmod(0o777)
        for path in [mine := Path(folder) / "tokens" / "mine", *mine.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            pruned = prune_cache(Path(folder), 0, now=time.time() + 2 * DAY)
        finally:
            os.seteuid(0)
        assert [entry.path.name for entry in pruned.removed] == ["mine"]
        assert [entry.path.name for entry in pruned.others] == ["theirs"]
        assert names(Path(folder)) == {"tokens/theirs"}


def test_a_long_run_marks_what_it_uses(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made("tokens/a", days=3)
    used = UsageRecorder([path])
    used.beat()
    assert time.time() - last_use(path) > DAY
    later = time.monotonic() + HOUR
    monkeypatch.setattr(time, "monotonic", lambda: later)
    used.beat()
    assert time.time() - last_use(path) < DAY


@pytest.mark.parametrize(
    ("text", "size"), [("50GB", 50 * 10**9), ("1.5T", 1.5e12), ("800 mb", 8e8), ("0", 0), ("7k", 7000)]
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "5 GiB", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no size\. Give one such as 50GB"):
        parse_size(text)


def test_the_command_says_what_is_gone_and_what_is_left(made: Made, tmp_path: Path) -> None:
    old, new = made("tokens/old", days=3), made("tokens/new", days=0.1)

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PASSINGLOOP_CACHE": str(tmp_path)}
        call = [sys.executable, "-m", "passingloop.cli.main", "prepare", *words]
        return subprocess.run(call, env=env, capture_output=True, text=True, check=False)

    done = command("--prune", "--keep", "500B")
    assert (done.returncode, done.stdout) == (0, f"{old}\n")
    assert done.stderr == (
        f"Removed 1 entry (1 kB). Left in {tmp_path}: 1 entry (1 kB). 1 entry (1 kB) would have gone as well, but are "
        "in use, or were lately.\n"
    )
    told = json.loads(command("--prune", "--json").stdout)
    assert (told["left_bytes"], told["removed"], told["debris_bytes"]) == (1000, [], 0)
    wrong = command("--prune", "--keep", "much")
    assert wrong.returncode == 2 and "much is no size" in wrong.stderr
    assert new.exists()
