"""One of many processes builds, on one node and on several, whatever becomes of it meanwhile.

Two nodes are simulated on one machine: a process that says it is of another one asks no lock about the others. That is
what remains on file systems that know flock(2) on each machine by itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.data.cache import lease_file
from passingloop.data.cache.lease import Pace, exclusive_build
from passingloop.errors import ConfigError, DataError
from tests.conftest import Disk

pytestmark = pytest.mark.process

UNTIL_TOLD = -1.0
QUICK = Pace(renewal=0.1, patience=1.0, poll=0.05)

BUILDER = """
    import sys, time
    from pathlib import Path
    from passingloop.data.cache import lease_file
    from passingloop.data.cache.lease import Pace, exclusive_build
    from passingloop.errors import DataError

    path, node, fails, seconds, pace = Path(sys.argv[1]), *sys.argv[2:4], float(sys.argv[4]), eval(sys.argv[5])
    if node:
        lease_file.machine_id = lambda: node

    def say(text):
        print(text, flush=True)

    say("ready")
    sys.stdin.readline()
    try:
        with exclusive_build(path, done=path.exists, notice=say, pace=pace) as beside:
            if path.exists():
                say("found")
            else:
                beside.mkdir()
                say(f"building {beside.name}")
                sys.stdin.readline() if seconds == UNTIL_TOLD else time.sleep(seconds)
                if fails:
                    raise DataError(fails)
                (beside / "who").write_text(node)
                try:
                    beside.rename(path)
                    say("built")
                except OSError:
                    say("came second")
    except DataError as error:
        say(f"error: {error}")
"""

Start = Callable[..., "Builder"]


class Builder:
    """A process that wants `path` built once `go` is called."""

    def __init__(self, path: Path, node: str, pace: Pace, seconds: float, fails: str) -> None:
        words = [str(path), node, fails, str(seconds), repr(pace)]
        script = [sys.executable, "-c", textwrap.dedent(BUILDER).replace("UNTIL_TOLD", str(UNTIL_TOLD)), *words]
        self.process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def says(self, word: str) -> str:
        """Its next line, which begins with `word`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(word), line
        return line

    def go(self) -> Builder:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self

    def rest(self) -> list[str]:
        """All that it says until its end."""
        said = self.process.communicate(timeout=60)[0].splitlines()
        assert self.process.returncode == 0
        return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens" / "key"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Starts a process of `node` (this one if there is no name) that builds for some seconds, then perhaps fails."""
    started = []

    def start(node: str = "", *, seconds: float = 0.0, fails: str = "", pace: Pace = QUICK) -> Builder:
        started.append(Builder(path, node, pace, seconds, fails))
        started[-1].says("ready")
        return started[-1]

    yield start
    for builder in started:
        builder.process.kill()
        builder.process.communicate()


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()}


def test_of_many_processes_on_two_nodes_one_builds(start: Start, path: Path) -> None:
    builders = [start(node, seconds=0.3) for node in ("n1", "n2") * 5]
    for builder in builders:
        builder.go()
    said = [line for builder in builders for line in builder.rest()]
    assert said.count("built") == 1
    assert sum(line.startswith("building") for line in said) == 1
    assert said.count("found") == len(builders) - 1
    assert names(path) == {"key"}


def test_those_that_wait_say_for_whom_and_rarely(start: Start, path: Path) -> None:
    builder = start("n1", seconds=UNTIL_TOLD).go()
    builder.says("building")
    waiting = start("n2").go()
    said = waiting.says(f"Waiting for the data that process {builder.process.pid} on ")
    assert re.search(r"has been preparing since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", said)
    time.sleep(3 * QUICK.renewal)
    builder.go()
    assert waiting.rest() == ["found"]


@pytest.mark.parametrize("node", ["", "n2"])
def test_after_a_killed_builder_the_next_takes_over(start: Start, path: Path, node: str) -> None:
    """On the same machine without waiting: with the usual pace, 20 seconds would be waited for."""
    killed = start("" if not node else "n1", seconds=UNTIL_TOLD).go()
    killed.says("building")
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()
    left = names(path)
    assert len(left) == 2  # its lease and what it has begun
    next_one = start(node, pace=QUICK if node else Pace(patience=3600)).go()
    assert next_one.rest()[-1] == "built"
    assert names(path) == ({"key"} if not node else {"key", *left})
    assert (path / "who").read_text() == node


def test_of_two_that_could_take_over_one_does(start: Start, path: Path) -> None:
    killed = start("n1", seconds=UNTIL_TOLD).go()
    killed.says("building")
    waiting = [start(node, seconds=0.3).go() for node in ("n2", "n3", "n2", "n3")]
    for builder in waiting:
        builder.says("Waiting")
    killed.process.send_signal(signal.SIGKILL)
    said = [line for builder in waiting for line in builder.rest()]
    assert (said.count("built"), said.count("found")) == (1, 3)
    assert sum(line.startswith("building") for line in said) == 1


@pytest.mark.parametrize(("node", "goes_first"), [("", True), ("n2", True), ("n2", False)])
def test_a_builder_that_was_stopped_does_no_harm_when_it_goes_on(
    start: Start, path: Path, node: str, goes_first: bool
) -> None:
    stopped = start(node and "n1", seconds=UNTIL_TOLD).go()
    mine = stopped.says("building").split()[1]
    stopped.process.send_signal(signal.SIGSTOP)
    other = start(node, seconds=UNTIL_TOLD).go()
    other.says("Waiting")
    assert other.says("building").split()[1] != mine
    stopped.process.send_signal(signal.SIGCONT)
    first, second = (stopped, other) if goes_first else (other, stopped)
    assert first.go().rest() == ["built"]
    assert second.go().rest() == ["came second"]
    assert names(path) == {"key"}


def test_one_that_is_slow_but_alive_is_waited_for(start: Start, path: Path) -> None:
    slow = start("n1", seconds=2 * QUICK.patience).go()
    slow.says("building")
    assert start("n2").go().rest()[-1] == "found"
    assert slow.rest() == ["built"]


def test_a_waiting_process_that_was_stopped_itself_takes_nobody_for_dead(start: Start, path: Path) -> None:
    slow = start("n1", seconds=UNTIL_TOLD).go()
    slow.says("building")
    waiting = start("n2").go()
    waiting.says("Waiting")
    waiting.process.send_signal(signal.SIGSTOP)
    slow.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5 * QUICK.patience)
    waiting.process.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    slow.process.send_signal(signal.SIGCONT)
    assert slow.go().rest() == ["built"]
    assert waiting.rest() == ["found"]


def test_those_that_waited_for_a_builder_fail_with_it(start: Start, path: Path) -> None:
    first = start("n1", seconds=UNTIL_TOLD, fails="a.csv is empty.").go()
    first.says("building")
    waiting = [start(node, fails="tried by itself").go() for node in ("n1", "n2") * 3]
    for builder in waiting:
        builder.says("Waiting")
    assert first.go().rest() == ["error: a.csv is empty."]
    for builder in waiting:
        *_, last = builder.rest()
        assert last.startswith("error: a.csv is empty. (found by process ")
    assert not path.exists()
    assert start("n2").go().rest()[-1] == "built"  # who comes later tries
    assert names(path) == {"key"}


def test_what_was_left_on_another_machine_is_removed_after_a_day(start: Start, path: Path) -> None:
    killed = start("n1", seconds=UNTIL_TOLD).go()
    killed.says("building")
    killed.process.kill()
    killed.process.communicate()
    [lease] = path.parent.glob("*.lease-1")
    yesterday = time.time() - lease_file.ABANDONED_SECONDS - 60
    os.utime(lease, (yesterday, yesterday))
    assert start("n2").go().rest()[-1] == "built"
    assert names(path) == {"key"}


def test_a_lease_that_says_nothing_is_not_for_ever(path: Path) -> None:
    """Its maker was killed between making and writing it."""
    path.parent.mkdir()
    path.with_name("key.lease-7").touch()
    with exclusive_build(path, pace=QUICK):
        assert json.loads(path.with_name("key.lease-8").read_text())["pid"] == os.getpid()


def test_an_error_that_is_nobody_elses_leaves_the_lease_free(path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), exclusive_build(path, pace=Pace(patience=3600)) as beside:
            beside.write_text("half of it")
            raise ZeroDivisionError
    assert names(path) == set()


def test_a_full_disk_is_named_and_leaves_no_lease(disk: Disk) -> None:
    path = disk.folder / "tokens" / "key"
    path.parent.mkdir()
    disk.fill()
    with pytest.raises(ConfigError, match=r"Nothing can be written to cache_root: .*No space.*set another cache_root"):
        exclusive_build(path, pace=QUICK).__enter__()
    assert names(path) == set()


def test_a_read_only_file_system_is_named(disk: Disk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
    with pytest.raises(ConfigError, match=r"Nothing can be written to cache_root: .*Read-only"):
        exclusive_build(disk.folder / "tokens" / "key").__enter__()


def test_a_disk_that_fills_up_meanwhile_does_not_keep_the_lease(disk: Disk) -> None:
    path = disk.folder / "tokens" / "key"
    with pytest.raises(DataError), exclusive_build(path, pace=QUICK):
        disk.fill()
        time.sleep(2 * QUICK.renewal)
        raise DataError("nothing to learn from")
    disk.clear()
    with exclusive_build(path, pace=QUICK) as beside:
        assert names(path) == {"key.lease-2"} and not beside.exists()
