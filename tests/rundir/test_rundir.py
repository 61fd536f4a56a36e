"""What is in a run directory survives kills, and one process at a time writes it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from passingloop import files
from passingloop.errors import RunBusy
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


# --- files ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from passingloop.files import write_json
path = Path(sys.argv[1], "state.json")
content = [{"version": n, "filling": [n] * 20_000} for n in (0, 1)]
write_json(path, content[0])
print("ready", flush=True)
while True:
    for version in content:
        write_json(path, version)
"""


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(start: Start, tmp_path: Path) -> None:
    seen = set()
    for _ in range(20):
        process = start(WRITER)
        until = time.monotonic() + random.uniform(0.001, 0.08)
        while time.monotonic() < until:
            seen.add(_whole(tmp_path / "state.json"))
        kill(process)
        seen.add(_whole(tmp_path / "state.json"))
    assert seen == {0, 1}


def _whole(path: Path) -> int:
    content = files.read_json(path)
    version: int = content["version"]
    assert content["filling"] == [version] * 20_000
    return version


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    files.write_json(path, "old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from passingloop.files import write_json\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_json(Path(sys.argv[1]), 'new' * 9999)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert files.read_json(path) == "old"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\n\u2028\r"), inner, max_size=3),
    max_leaves=5,
)


@given(rows=st.lists(JSON, min_size=1, max_size=4), more=JSON, data=st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_torn_last_line_costs_that_line_only(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], more: Any, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    for row in rows:
        files.append_json_line(path, row)
    assert files.read_json_lines(path) == rows
    last = json.dumps({"torn": rows[-1]}, ensure_ascii=False).encode()
    cut = data.draw(st.integers(1, len(last) - 1))
    with path.open("ab") as file:
        file.write(last[:cut])
    assert files.read_json_lines(path) == rows
    files.append_json_line(path, more)
    assert files.read_json_lines(path) == [*rows, more]


def test_lines_that_are_not_there(tmp_path: Path) -> None:
    assert files.read_json_lines(tmp_path / "none.jsonl") == []


# --- checkpoints ----------------------------------------------------------------------------------------------


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert (run.complete_checkpoints(), run.saved_step) == ([], 0)
    for name in ("step-00000002", "step-00000010", "step-00000030", "step-3", "step-00000040.part", "other"):
        (run.checkpoints / name).mkdir(parents=True)
        if name != "step-00000030":
            (run.checkpoints / name / "manifest.json").write_text("{}")
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000010", "step-00000002"]
    assert run.saved_step == 10
    assert run.checkpoint(10) == run.complete_checkpoints()[0]


# --- the lock ------------------------------------------------------------------------------------------------

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
    with pytest.raises(RunBusy, match=f"by process {process.pid} "):
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
