"""``launcher=shell``: which GPUs, how many processes, and how it ends when they do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.handoff import Handoff
from passingloop.launch import machine, processes
from passingloop.launch.machine import Machine
from passingloop.launch.processes import Children, Ending, Process
from passingloop.preempt.signals import lasting_interrupt
from passingloop.rundir.directory import RunDir
from tests.conftest import ROOT, Compose, trainer_of

pytestmark = pytest.mark.process

TINY = (
    *("data.limit=64", "data.max_length=16", "trainer.steps=2", "trainer.batch_size=4", "trainer.precision=fp32"),
    *("resources.gpus=0", "resources.cpus=1", "tracking=none"),
)

# --- what there is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("", []),
        ("0", ["0"]),
        ("0,1,5", ["0", "1", "5"]),
        (" 2, 3 ", ["2", "3"]),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("NoDevFiles", []),
        ("GPU-8932f937-d72c,MIG-41b6", ["GPU-8932f937-d72c", "MIG-41b6"]),
        ("0,,1", ["0"]),
    ],
)
def test_the_visible_gpus_are_those_cuda_would_take(
    monkeypatch: pytest.MonkeyPatch, variable: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert machine.visible_gpus() == names


def test_without_the_variable_the_driver_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", tmp_path / "gpus")
    assert machine.visible_gpus() == []
    for address in ("0000:01:00.0", "0000:41:00.0"):
        (tmp_path / "gpus" / address).mkdir(parents=True)
    assert machine.visible_gpus() == ["0", "1"]


def environments_of(config: RunConfig, attempt: int) -> list[Mapping[str, str]]:
    return [process.environment for process in Machine.for_run(config).processes(RunDir(Path("run")), attempt, 0.0)]


def test_every_process_is_told_its_place(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    environments = environments_of(compose("resources.gpus=2", "resources.cpus=4"), attempt=9)
    worlds = [Handoff.from_environment(environment).world for environment in environments]
    assert [(world.rank, world.local_rank, world.size) for world in worlds] == [(0, 0, 2), (1, 1, 2)]
    assert len({world.port for world in worlds}) == 1
    for environment in environments:
        assert environment["CUDA_VISIBLE_DEVICES"] == "3,5"
        assert environment["OMP_NUM_THREADS"] == "4"
        assert Handoff.from_environment(environment).attempt == 9


@pytest.mark.parametrize(("words", "size"), [(("resources=cpu",), 1), (("resources.gpus=0", "resources.tasks=2"), 2)])
def test_without_gpus_the_cpus_are_shared(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], size: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    environments = environments_of(compose(*words), attempt=1)
    assert len(environments) == size
    threads = max(1, len(os.sched_getaffinity(0)) // size)
    assert {(e["CUDA_VISIBLE_DEVICES"], e["OMP_NUM_THREADS"]) for e in environments} == {("", str(threads))}


def test_more_gpus_than_there_are(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(
        MissingError, match=r"You set resources\.gpus=2, but 1 are visible here\. Set resources\.gpus=1"
    ):
        environments_of(compose("resources.gpus=2"), attempt=1)


# --- how processes end ---------------------------------------------------------------------------------------


LATER = """
import os, time
while not (os.path.exists('pid') and os.path.getsize('pid')):
    time.sleep(0.01)
while os.path.exists('/proc/' + open('pid').read().strip()):
    time.sleep(0.01)
raise SystemExit(1)
"""
"""Fails once the launcher has seen how rank 1 ended."""


def running(programs: list[str]) -> list[Process]:
    """A process for each program."""
    return [
        Process(command=[sys.executable, "-c", f"import os\n{program}"], environment=os.environ) for program in programs
    ]


@pytest.mark.parametrize(
    ("programs", "ending"),
    [
        (["pass"], Ending(0, 0)),
        (["raise SystemExit(3)"], Ending(0, 3)),
        (["import os; os.kill(os.getpid(), 9)"], Ending(0, -9)),
        (["pass", "raise SystemExit(2)"], Ending(1, 2)),
        ([LATER, "print(os.getpid(), file=open('pid', 'w'), flush=True); os.kill(os.getpid(), 9)"], Ending(1, -9)),
    ],
)
@pytest.mark.usefixtures("work")
def test_the_first_that_fails_counts(tmp_path: Path, programs: list[str], ending: Ending) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    with Children(lock) as started:
        started.start(running(programs))
        assert started.wait() == ending
    os.close(lock)


def test_a_process_that_waits_for_a_dead_one_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    lock = os.open(tmp_path, os.O_RDONLY)
    programs = ["import time; time.sleep(600)", "raise SystemExit(2)"]
    with Children(lock) as both:
        both.start(running(programs))
        assert both.wait() == Ending(1, 2)
    os.close(lock)


KILLED_AT = """
import signal
left = {}
def count(number, frame):
    global left
    left -= 1
    if not left: os.kill(os.getpid(), signal.SIGKILL)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, count)
open('ready', 'w').close()
signal.pthread_sigmask(signal.SIG_SETMASK, [])
while True: signal.pause()
"""
"""Dies of the signal with that number, as all of a step does where srun gets two SIGINT within a second."""


@pytest.mark.parametrize(("presses", "code"), [(1, -signal.SIGKILL), (2, 130)])
def test_after_a_second_ctrl_c_it_is_an_interruption(presses: int, code: int, work: Path) -> None:
    lock = os.open(work, os.O_RDONLY)

    def press() -> None:
        nonlocal presses
        if presses and (work / "ready").exists():
            presses -= 1
            os.kill(os.getpid(), signal.SIGINT)

    with Children(lock) as started:
        started.start(running([KILLED_AT.format(presses)]))
        assert started.wait(press) == Ending(0, code)
    os.close(lock)


def test_a_request_before_the_start_starts_nothing(tmp_path: Path) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    before = signal.getsignal(signal.SIGTERM)
    with Children(lock) as started:
        os.kill(os.getpid(), signal.SIGTERM)
        started.start([Process(command=[sys.executable], environment={}, log=tmp_path / "log")])
        assert started.wait() == Ending(0, 130)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "log").exists()
    os.close(lock)


def test_ctrl_c_that_a_library_swallows_comes_through() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), lasting_interrupt(), contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with lasting_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# --- the whole command ---------------------------------------------------------------------------------------

READY = (
    "from passingloop.text import exit_code; from passingloop.cli.train import main; "
    "raise SystemExit(exit_code(lambda: print('ready', flush=True) or main()))"
)


@pytest.fixture
def launch(work: Path, cache: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command, in its own group; returns when Ctrl-C is answered in a sentence."""
    environment = os.environ | {"PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    started: list[subprocess.Popen[str]] = []

    def launch(*words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*before, sys.executable, "-c", READY, *TINY, *words],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_signals,  # noqa: PLW1509  # no other threads here
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def heed_signals() -> None:
    """In the new process: as in a terminal, even if these tests run in the background or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ledger(work: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in work.glob("runs/*/*/attempts.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_ctrl_c_before_the_run_is_there(launch: Callable[..., subprocess.Popen[str]], delay: float) -> None:
    process = launch()
    time.sleep(delay)
    _ends_unfinished(process, signal.SIGINT, whole_group=True)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP], ids=lambda number: number.name
)
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.5])
def test_a_request_while_the_process_starts(
    launch: Callable[..., subprocess.Popen[str]], work: Path, number: signal.Signals, delay: float
) -> None:
    process = launch()
    trainer_of(process)
    time.sleep(delay)
    _ends_unfinished(process, number, whole_group=number == signal.SIGINT)
    start, end = ledger(work)
    assert (start["event"], end["event"], end["cause"], end["end_step"]) == ("start", "end", "interrupted", 0)


def _ends_unfinished(process: subprocess.Popen[str], number: signal.Signals, *, whole_group: bool) -> None:
    """As with Ctrl-C in a terminal, which reaches the whole group, or with `kill`, which reaches the command."""
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.startswith("error: Interrupted")
    assert stderr.count("\n") == 1


def test_a_hangup_does_not_end_what_was_started_with_nohup(launch: Callable[..., subprocess.Popen[str]]) -> None:
    process = launch(before=("nohup",))
    trainer = trainer_of(process)
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    assert Path(f"/proc/{trainer}").exists()
    os.kill(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_a_process_that_dies_is_a_crash_with_a_message(
    launch: Callable[..., subprocess.Popen[str]], work: Path
) -> None:
    process = launch()
    os.kill(trainer_of(process), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: The training process was killed by SIGKILL.\n" in stderr
    assert "the same command continues from the last checkpoint" in stderr
    assert "Traceback" not in stderr
    (folder,) = stdout.splitlines()
    _, end = ledger(work)
    assert (end["cause"], end["message"], end["attempt"]) == ("crash", "killed by SIGKILL", 1)
    log = next(word for word in stderr.split() if "rank-0000" in word).rstrip(";")
    assert Path(log).is_relative_to(folder)
    assert Path(log).exists()


def test_of_two_commands_for_one_run_one_goes_on(launch: Callable[..., subprocess.Popen[str]], work: Path) -> None:
    both = [launch("name=race"), launch("name=race")]
    ends = [process.communicate(timeout=240) for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], ends
    winner, loser = sorted(range(2), key=lambda n: both[n].returncode)
    assert ends[winner][0] == ends[loser][0], "both name the run"
    assert f"is being trained already, by process {both[winner].pid} on " in ends[loser][1]
    assert "Nothing was started." in ends[loser][1]
    assert [line["event"] for line in ledger(work)] == ["start", "end"]
    again = launch("name=race")
    assert again.communicate(timeout=60)[0] == ends[winner][0]
    assert again.returncode == 0


def test_a_sweep_that_is_interrupted_starts_no_more(launch: Callable[..., subprocess.Popen[str]], work: Path) -> None:
    process = launch("-m", "trainer.seed=1,2,3")
    trainer_of(process)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(stdout.splitlines()) == 1
    assert "[1/3]" in stderr
    assert "[2/3]" not in stderr
    assert len(list(work.glob("runs/*/*"))) == 1
