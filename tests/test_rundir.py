"""What is in a run directory survives kills, and one process at a time writes it."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
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

from passingloop.config.build import to_plain
from passingloop.errors import DataChanged, RunBusy
from passingloop.launch.choose import choose
from passingloop.rundir import atomic, ledger, record
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import hold
from tests.conftest import Compose

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
from passingloop.rundir.atomic import write_json
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
    content = atomic.read_json(path)
    version: int = content["version"]
    assert content["filling"] == [version] * 20_000
    return version


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    atomic.write_json(path, "old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from passingloop.rundir.atomic import write_json\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_json(Path(sys.argv[1]), 'new' * 9999)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert atomic.read_json(path) == "old"


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
        atomic.append_json_line(path, row)
    assert atomic.read_json_lines(path) == rows
    last = json.dumps({"torn": rows[-1]}, ensure_ascii=False).encode()
    cut = data.draw(st.integers(1, len(last) - 1))
    with path.open("ab") as file:
        file.write(last[:cut])
    assert atomic.read_json_lines(path) == rows
    atomic.append_json_line(path, more)
    assert atomic.read_json_lines(path) == [*rows, more]


def test_lines_that_are_not_there(tmp_path: Path) -> None:
    assert atomic.read_json_lines(tmp_path / "none.jsonl") == []


# --- the ledger ----------------------------------------------------------------------------------------------


def begin(run: RunDir, attempt: int) -> None:
    line = ledger.Start(attempt=attempt, launcher="shell", job_id=None, nodes=["n"], processes=1, start_step=0, code={})
    ledger.append(run, line)


def test_attempts_are_numbered_from_one_on(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert ledger.next_attempt(run) == 1
    begin(run, 1)
    assert ledger.next_attempt(run) == 2, "an attempt that was killed keeps its number"
    assert not ledger.ended(run, 1)
    ledger.append(run, ledger.End(attempt=1, end_step=3, cause="crash", message="x"))
    assert ledger.ended(run, 1)
    begin(run, 2)
    with run.attempts.open("a") as file:
        file.write('{"attempt": 3, "eve')
    assert ledger.next_attempt(run) == 3
    begin(run, 3)
    assert ledger.next_attempt(run) == 4
    first, end, *_ = atomic.read_json_lines(run.attempts)
    assert (first["event"], end["event"], end["cause"], end["end_step"]) == ("start", "end", "crash", 3)
    assert set(end["seconds"]) == {"queued", "starting", "training", "saving", "lost"}


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert (run.saved(), run.saved_step) == ([], 0)
    for name in ("step-00000002", "step-00000010", "step-00000030", "step-3", "step-00000040.part", "other"):
        (run.checkpoints / name).mkdir(parents=True)
        if name != "step-00000030":
            (run.checkpoints / name / "manifest.json").write_text("{}")
    assert [path.name for path in run.saved()] == ["step-00000010", "step-00000002"]
    assert run.saved_step == 10
    assert run.checkpoint(10) == run.saved()[0]


# --- the lock ------------------------------------------------------------------------------------------------

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import hold
lock = hold(RunDir(Path(sys.argv[1])))
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
            hold(run)
    kill(process)
    os.close(hold(run))
    os.close(hold(run))


def test_the_lock_lives_as_long_as_a_child_that_has_it(start: Start, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    process = start(HOLDER.format(child=CHILD))
    kill(process)
    with pytest.raises(RunBusy, match=f"by process {process.pid} "):
        hold(run)
    os.killpg(process.pid, signal.SIGKILL)
    for _ in range(200):
        try:
            os.close(hold(run))
            return
        except RunBusy:
            time.sleep(0.01)
    pytest.fail("the lock outlived the last process that had it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_someone_elses_run_is_not_touched(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from passingloop.errors import RunError\n"
        "from passingloop.rundir.layout import RunDir; from passingloop.rundir.lock import hold\n"
        "os.chdir(sys.argv[1]); os.setuid(65534)\n"
        "try:\n    hold(RunDir(Path('.')))\nexcept RunError as error:\n    print(error)"
    )
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (
        done.stdout == "You may not write to ., so it is someone else's run. Set name or run_root to have your own.\n"
    )


# --- the record ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path)
    record.create(made, compose("data.text=Größe"), "0" * 12, {"version": "1"})
    return made


def test_the_record_says_what_the_run_is(run: RunDir, compose: Compose) -> None:
    content = atomic.read_json(run.record)
    assert content["schema"] == 1
    assert content["config"] == to_plain(compose("data.text=Größe"))
    assert (content["signature"], content["code"], content["data_fingerprint"]) == ("0" * 12, {"version": "1"}, None)
    assert "text: Größe" in run.config.read_text()


THEN = {"train": {"a.csv": "1", "b.csv": "2"}, "test": {"t.csv": "3"}}


def test_the_first_attempt_settles_and_later_ones_keep(run: RunDir) -> None:
    first = record.settle(run, record.Settled("bf16", THEN))
    assert first == record.Settled("bf16", THEN)
    later = record.settle(run, record.Settled("fp32", THEN))
    assert later == first, "the first attempt's precision counts"
    assert atomic.read_json(run.record)["data_fingerprint"] == THEN


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({**THEN, "train": {"a.csv": "1"}}, "b.csv (train) is gone"),
        ({**THEN, "train": {**THEN["train"], "c.csv": "4"}}, "c.csv (train) is new"),
        ({**THEN, "test": {"t.csv": "4"}}, "t.csv (test) has other content"),
        ({"train": THEN["train"]}, "t.csv (test) is gone"),
        ({**THEN, "validation": {"v.csv": "5"}}, "v.csv (validation) is new"),
        ({"train": {"a.csv": "9", "c.csv": "2"}, "test": THEN["test"]}, "a.csv (train) has other content; b.csv"),
    ],
)
def test_other_data_are_refused_with_what_changed(run: RunDir, now: record.Fingerprint, words: str) -> None:
    record.settle(run, record.Settled("bf16", THEN))
    before = run.record.read_bytes()
    with pytest.raises(DataChanged) as caught:
        record.settle(run, record.Settled("bf16", now))
    assert words in str(caught.value)
    assert run.record.read_bytes() == before


def test_an_attempt_reads_the_settings_it_was_launched_with(run: RunDir, compose: Compose) -> None:
    config = compose("data=files", "data.train=[a.csv,'~/b.csv']", "adapter=lora", "resources.tasks=3", "optim.lr=1")
    run.launch(7).parent.mkdir()
    atomic.write_json(run.launch(7), to_plain(config))
    assert record.launched_config(run, 7) == config


# --- modes ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("words", "folders", "files"),
    [((), 0o700, 0o600), (("run_mode=0750",), 0o750, 0o640), (("run_mode=770",), 0o770, 0o660)],
)
def test_folders_and_files_get_the_runs_mode(
    compose: Compose, work: Path, words: tuple[str, ...], folders: int, files: int
) -> None:
    config = compose(*words)
    run = choose(config)
    os.close(hold(run))
    record.create(run, config, "0" * 12, {})
    record.settle(run, record.Settled("bf16", THEN))
    begin(run, 1)
    made = list(work.rglob("*"))
    assert {path.name for path in made if path.is_file()} == {"lock", "run.json", "config.yaml", "attempts.jsonl"}
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (folders if path.is_dir() else files), f"{path} has mode {mode:o}"


# --- which folder --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
def test_a_rerun_stands_beside_and_the_newest_is_continued(compose: Compose) -> None:
    def chosen(*words: str) -> str:
        run = choose(compose(*words))
        if not run.record.exists():
            record.create(run, compose(*words), "0" * 12, {})
        return run.path.name

    first = chosen()
    assert chosen() == first
    assert chosen("rerun=true") == f"{first}.2"
    assert chosen() == chosen("tracking=none") == f"{first}.2", "the newest is continued"
    assert chosen("rerun=true") == f"{first}.3"
    assert "." not in chosen("trainer.seed=2", "rerun=true"), "another run has nothing to stand beside"
