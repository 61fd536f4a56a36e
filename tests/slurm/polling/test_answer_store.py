"""Answers that processes share: how often one asks, and what is read from a folder in which others can write."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop import site
from passingloop.errors import SlurmMissing, SlurmSilent
from passingloop.slurm.polling import answer_store
from passingloop.slurm.polling.answer_store import Answer, Store, cluster_key, folder_problem, own_store, polled

LONG = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, shared=False)


@pytest.fixture
def shared() -> Iterator[Store]:
    """A folder that users share, as the site makes it. pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shared"
        folder.mkdir()
        folder.parent.chmod(0o755)
        folder.chmod(0o1777)
        yield Store(folder, shared=True)


class Asker:
    """Says how often it was asked, by whichever process."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "asked.txt"
        self._log.touch()
        self._log.chmod(0o666)

    def __call__(self) -> str:
        with self._log.open("a") as file:
            file.write(f"{time.time()}\n")
        return f"answer {len(self.times)}"

    @property
    def times(self) -> list[float]:
        return [float(line) for line in self._log.read_text().split()]


def in_processes(*functions: Callable[[], object]) -> None:
    """Each in a process of its own, all at the same time; none may fail."""
    children = []
    for function in functions:
        if (child := os.fork()) == 0:
            try:
                function()
            except BaseException:  # pytest must not go on in the child
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(children)


def as_user(uid: int, function: Callable[[], object]) -> Callable[[], object]:
    def call() -> None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        function()

    return call


def text(store: Store, question: str = "jobs", seconds: float = LONG) -> str | None:
    answer = store.fresh(question, seconds)
    return answer.text if answer else None


def put(store: Store, content: str, owner: int | None = None, mode: int = 0o644) -> Path:
    """A file as one with an answer is named, with other content."""
    path = store.folder / f"{cluster_key()}-jobs-{os.getuid() if owner is None else owner}.jsonl"
    path.unlink(missing_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def lines(body: str = '"made up"', **header: object) -> str:
    usual = {"version": 1, "asked": time.time() - 1, "answered": time.time() - 1}
    return f"{json.dumps(usual | header)}\n{body}\n"


def test_processes_ask_once_and_then_not_before_the_answer_is_old(store: Store, tmp_path: Path) -> None:
    ask, seconds, end = Asker(tmp_path), 0.3, time.monotonic() + 1.2

    def look() -> None:
        while time.monotonic() < end:
            answer = polled(store, "jobs", seconds, ask)
            assert answer
            assert answer.text

    in_processes(*[look] * 8)
    times = ask.times
    assert len(times) > 1, "it is asked again"
    assert all(later - earlier >= seconds for earlier, later in itertools.pairwise(times))


def test_that_slurm_is_silent_is_an_answer_and_that_it_is_missing_is_none(store: Store) -> None:
    def silent() -> str:
        raise SlurmSilent("no answer")

    def missing() -> str:
        raise SlurmMissing("no squeue")

    with pytest.raises(SlurmMissing):
        polled(store, "jobs", LONG, missing)
    assert polled(store, "jobs", LONG, silent) == store.fresh("jobs", LONG)
    known = store.fresh("jobs", LONG)
    assert known
    assert known.text is None
    assert polled(store, "jobs", LONG, missing) == known, "nobody asks again"


def test_an_answer_from_the_future_does_not_count(store: Store, tmp_path: Path) -> None:
    """The clock has been set back since."""
    later = time.time() + 1000
    store.write("jobs", Answer(asked=later, answered=later, text="old"))
    ask = Asker(tmp_path)
    answer = polled(store, "jobs", LONG, ask)
    assert answer
    assert (answer.text, text(store)) == ("answer 1", "answer 1")


def test_questions_and_clusters_have_answers_of_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    store.write("jobs", Answer(asked=now, answered=now, text="here"))
    assert text(store, "ends") is None
    monkeypatch.setenv("SLURM_CONF", "/another/slurm.conf")
    assert text(store) is None


def test_users_share_an_answer_and_replace_nothing_of_one_another(shared: Store) -> None:
    """Users by their ids: none of them has to be known to the machine."""
    if os.getuid() != 0:
        pytest.skip("to become other users takes root")
    ask = Asker(shared.folder.parent)

    def first() -> None:
        os.umask(0o077)
        answer = polled(shared, "jobs", LONG, ask)
        assert answer
        assert answer.text == "answer 1"

    in_processes(*[as_user(uid, first) for uid in (12001, 12002, 12003)])
    assert len(ask.times) == 1
    assert text(shared) == "answer 1"

    def second() -> None:
        answer = polled(shared, "jobs", 0.001, ask)
        assert answer
        assert answer.text == "answer 2"

    in_processes(as_user(12004, second))
    owners = {path.stat().st_uid for path in shared.folder.glob("*.jsonl")}
    assert len(owners) == 2
    assert text(shared) == "answer 2", "the newest of them"


def test_a_file_of_the_wrong_owner_or_open_to_others_is_not_read(shared: Store) -> None:
    put(shared, lines())
    assert text(shared) == "made up", "as it is, it would be read"
    put(shared, lines(), mode=0o666)
    assert text(shared) is None
    put(shared, lines()).unlink()
    put(shared, lines(), owner=os.getuid() + 1)
    assert text(shared) is None
    put(shared, "", owner=os.getuid() + 1).unlink()
    path = put(shared, lines())
    path.rename(shared.folder / "elsewhere")
    path.symlink_to(shared.folder / "elsewhere")
    assert text(shared) is None
    path.unlink()
    os.mkfifo(path, 0o644)
    assert text(shared) is None
    path.unlink()
    path.mkdir(mode=0o755)
    assert text(shared) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n\n",
        "nonsense",
        "\x00\x01",
        lines(version=2),
        lines(asked="yesterday"),
        lines(asked=None),
        lines(asked=float("nan"), answered=float("nan")),
        lines(asked=9e15),
        lines(answered=10**400),
        "[1, 2]\n" + '"text"',
        "7\n7\n",
        lines("{"),
        lines("7"),
        lines('["a"]'),
        lines("[" * 100_000),
        "[" * 100_000,
    ],
    ids=lambda content: content[:8],  # the rest has the time in it, and workers of a test run must agree on names
)
def test_a_damaged_or_forged_file_is_as_none(shared: Store, tmp_path: Path, content: str) -> None:
    put(shared, content)
    assert text(shared) is None
    answer = polled(shared, "jobs", LONG, Asker(tmp_path))
    assert answer
    assert (answer.text, text(shared)) == ("answer 1", "answer 1")


def test_nobody_waits_for_a_lock_for_ever(shared: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_store, "PATIENCE", 0.05)
    lock = shared.folder / f"{cluster_key()}-jobs.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert polled(shared, "jobs", LONG, Asker(tmp_path)) is None
    lock.unlink()
    lock.symlink_to("/dev/null")
    assert polled(shared, "jobs", LONG, Asker(tmp_path)) is None
    lock.unlink()
    assert polled(shared, "jobs", LONG, Asker(tmp_path))


def test_only_a_sticky_folder_of_roots_is_shared(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "ROOT", os.getuid())
    assert folder_problem(shared.folder) is None
    for mode in (0o777, 0o755, 0o700, 0o1770, 0o3777):
        shared.folder.chmod(mode)
        assert f"with mode {mode:o}" in (folder_problem(shared.folder) or "")
    shared.folder.chmod(0o1777)
    link = shared.folder.with_name("link")
    link.symlink_to(shared.folder)
    assert folder_problem(link)
    assert "No such file" in (folder_problem(shared.folder / "absent") or "")
    monkeypatch.setattr(site, "ROOT", os.getuid() + 1)
    assert f"it is user {os.getuid()}'s" in (folder_problem(shared.folder) or "")


def test_the_own_folder_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, cache = tmp_path / "runtime", tmp_path / "cache"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    store = own_store()
    assert store == Store(runtime / "passingloop", shared=False)
    now = time.time()
    store.write("jobs", Answer(asked=now, answered=now, text="a"))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in store.folder.glob("*.jsonl")] == [0o600]
    runtime.chmod(0o755)
    assert own_store() == Store(cache / "passingloop" / "slurm", shared=False)
    (cache / "passingloop" / "slurm").chmod(0o750)
    assert own_store() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    assert own_store() is None


def test_old_files_of_ones_own_are_removed(store: Store) -> None:
    now = time.time()
    answer = Answer(asked=now, answered=now, text="a")
    store.write("ends-1", answer)
    [old] = store.folder.glob("*.jsonl")
    os.utime(old, (now - 2 * answer_store.OLD,) * 2)
    store.write("ends-2", answer)
    assert not old.exists()
    assert text(store, "ends-2") == "a"
