"""One process at a time works on a run, and its lock says which."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.errors import RunBusy
from passingloop.rundir import lock
from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import acquire_lock

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``python -c`` in its own group, with the folder as its argument, and waits for its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


HOLDER = """
import subprocess, sys, time
from pathlib import Path
from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import acquire_lock
lock = acquire_lock(RunDir(Path(sys.argv[1])))
{child}
print("ready", flush=True)
time.sleep(600)
"""
CHILD = "subprocess.Popen(['sleep', '600'], pass_fds=[lock], stdout=subprocess.DEVNULL)"


def test_one_process_holds_a_run(start: Start, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    process = start(HOLDER.format(child=""))
    for _ in range(2):  # asking does not change who is named
        with pytest.raises(RunBusy, match=rf"is being trained already, by process {process.pid} on .* since 20\d\d-"):
            acquire_lock(run)
    kill(process)
    os.close(acquire_lock(run))
    os.close(acquire_lock(run))


def test_the_lock_lives_as_long_as_a_child_that_has_it(start: Start, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    process = start(HOLDER.format(child=CHILD))
    kill(process)
    [child] = lock.local_processes(run)
    with pytest.raises(RunBusy, match=f"by process {child} on "):
        acquire_lock(run)
    os.killpg(process.pid, signal.SIGKILL)
    for _ in range(200):
        try:
            os.close(acquire_lock(run))
            return
        except RunBusy:
            time.sleep(0.01)
    pytest.fail("the lock outlived the last process that had it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_someone_elses_run_is_not_touched(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from passingloop.errors import RunError\n"
        "from passingloop.rundir.directory import RunDir; from passingloop.rundir.lock import acquire_lock\n"
        "os.chdir(sys.argv[1]); os.setuid(65534)\n"
        "try:\n    acquire_lock(RunDir(Path('.')))\nexcept RunError as error:\n    print(error)"
    )
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (
        done.stdout == "You may not write to ., so it is someone else's run. Set name or run_root to have your own.\n"
    )


def test_who_trains_is_known_by_the_lock(start: Start, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert not lock.is_locked(run), "there is no lock yet"
    os.close(acquire_lock(run))
    assert not lock.is_locked(run)
    process = start(HOLDER.format(child=CHILD))
    assert lock.is_locked(run)
    assert lock.local_processes(run) == [process.pid], "not the one that it has started"
    kill(process)
    [left] = lock.local_processes(run)
    assert left != process.pid, "what was started by a process that is gone is found as well"
    os.killpg(process.pid, signal.SIGKILL)


def test_a_lock_that_is_let_go_of_is_waited_for(start: Start, tmp_path: Path) -> None:
    process = start(HOLDER.format(child=CHILD))
    timer = threading.Timer(0.3, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    began = time.monotonic()
    os.close(acquire_lock(RunDir(tmp_path), patience=60))
    assert time.monotonic() - began > 0.25
    timer.join()
