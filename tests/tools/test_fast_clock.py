"""The clock of the clusters on which traces are replayed: programs see its time, and sleep by it."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

LIBRARY = str(ROOT / "scripts" / "lib")
WAITS = """
import select, threading, time
began = time.time(), time.monotonic()
select.select([], [], [], {seconds})
threading.Event().wait({seconds})
time.sleep({seconds})
poll = select.poll()
poll.poll({seconds} * 1000)
print(time.time() - began[0], time.monotonic() - began[1])
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, and its library compiled in `tmp_path`."""
    monkeypatch.syspath_prepend(LIBRARY)
    from dev_slurm import packages, replay_cluster  # type: ignore[import-not-found]

    if not packages.find("cc"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no C compiler")
    (tmp_path / "run").mkdir()
    replay_cluster.compile_clock(tmp_path)
    return replay_cluster


@pytest.fixture
def clock(cluster: Any, tmp_path: Path) -> Any:
    return cluster.Clock(tmp_path / "run/clock")


def started(folder: Path, *argv: str) -> subprocess.Popen[str]:
    own = {"LD_PRELOAD": f"{folder}/run/fast_clock.so", "REPLAY_CLOCK": f"{folder}/run/clock"}
    return subprocess.Popen(argv, env=os.environ | own, stdout=subprocess.PIPE, text=True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("limit", [math.inf, 100_000.0])
def test_every_wait_follows_it(clock: Any, tmp_path: Path, limit: float) -> None:
    """Four waits of 10,000 seconds; with a limit each sleeps for more than the usual 10 ms at once."""
    clock.limit(limit)
    clock.go(100_000.0)
    out, _ = started(tmp_path, sys.executable, "-c", WAITS.format(seconds=10_000)).communicate(timeout=50)
    passed = [float(word) for word in out.split()]
    assert min(passed) >= 40_000
    assert passed[0] == pytest.approx(passed[1], rel=0.1)


@pytest.mark.timeout(60)
def test_a_sleep_begun_while_it_was_slow_ends_when_it_becomes_fast(clock: Any, tmp_path: Path) -> None:
    begun = clock.now()
    process = started(tmp_path, "sh", "-c", "echo; sleep 50000; date +%s")
    assert process.stdout
    process.stdout.readline()
    clock.go(1_000_000.0)
    out, _ = process.communicate(timeout=50)
    assert float(out) >= begun + 49_999


@pytest.mark.timeout(60)
def test_a_long_sleep_looks_at_the_time_as_often_as_the_fastest_rate_needs(clock: Any, tmp_path: Path) -> None:
    """Hundreds of jobs sleep for hours: each looked a hundred times a second, which took most of two cores."""
    clock.limit(1000.0)
    begun = clock.now()
    process = started(tmp_path, "sh", "-c", "echo; sleep 5000 & wait; date +%s")
    assert process.stdout
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (child := children.read_text().strip()):
        pass
    time.sleep(1.0)
    switches = re.search(r"^voluntary_ctxt_switches:\t(\d+)", Path(f"/proc/{child}/status").read_text(), re.MULTILINE)
    assert switches and int(switches[1]) < 20
    clock.go(1000.0)
    out, _ = process.communicate(timeout=50)
    assert begun + 4_999 <= float(out) < begun + 50_000


def test_it_may_go_on_for_ever(clock: Any) -> None:
    """Where all that is left are jobs that cannot start, nothing more is known to come."""
    from passingloop.simulation.replay.replayer import NEVER_S

    begun = clock.now()
    clock.go(600.0, begun + NEVER_S, 1.0)
    assert clock.now() >= begun


def test_no_rate_is_above_the_limit(clock: Any) -> None:
    clock.limit(10.0)
    with pytest.raises(ValueError, match="above the limit of 10"):
        clock.go(1.0, clock.now() + 50, 11.0)


@pytest.mark.timeout(60)
def test_it_slows_down_by_itself_where_it_was_told_to(clock: Any, tmp_path: Path) -> None:
    """So that nothing is missed while whoever sets it looks elsewhere."""
    until = clock.now() + 1_000_000
    clock.go(1e9, until, 1.0)
    while clock.now() < until:
        pass
    out, _ = started(tmp_path, "date", "+%s").communicate(timeout=50)
    assert 0 <= float(out) + 1 - until < 1000
    assert 0 <= clock.now() - until < 1000


def test_it_never_goes_back(clock: Any) -> None:
    seen = [clock.now()]
    for rate in (1.0, 1e6, 2.0, 1e3, 1.0):
        clock.go(rate, clock.now() + 50, 1.0)
        seen += [clock.now() for _ in range(100)]
    assert seen == sorted(seen)
