"""``launcher=shell``: the command, when its process dies, is interrupted or asked to stop; and the runs of a search."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passingloop.attempts import foreground
from passingloop.attempts.foreground import search_here
from passingloop.config.settings import RunConfig
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from tests.conftest import ROOT, Compose, trainer_of
from tests.search.made_points import STEPS, Sweep

TINY = (
    *("data.limit=64", "data.max_length=16", "trainer.steps=2", "trainer.batch_size=4", "trainer.precision=fp32"),
    *("resources.gpus=0", "resources.cpus=1", "tracking=none"),
)

# --- how processes end ---------------------------------------------------------------------------------------


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


# --- the runs of a search, whose training is a stand-in --------------------------------------------------------


Trains = Callable[[RunDir, RunConfig], int]


@pytest.fixture
def search(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sweep, Trains], int]:
    """Trains the points 1, 2 and 3 by calling a function, which returns the exit code of a run. Returns that of all."""

    def search(sweep: Sweep, trains: Trains) -> int:
        def carry_out(run: RunDir, config: RunConfig, *_: object) -> int:
            assert run.path.is_dir()
            return trains(run, config)

        monkeypatch.setattr(foreground, "carry_out", carry_out)
        return search_here([sweep.config(seed) for seed in (1, 2, 3)], lambda _: None)

    return search


def test_ctrl_c_ends_it_also_after_a_run_whose_process_was_killed(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []

    def trains(_: RunDir, config: RunConfig) -> int:
        seed = config.trainer.seed
        begun.append(seed)
        sweep.begin(seed)
        sweep.end(seed, "crash" if seed == 1 else "interrupted", 4)
        return 137 if seed == 1 else 130

    assert search(sweep, trains) == 130
    assert begun == [1, 2]


def test_a_failed_point_counts_in_the_exit_code_and_the_best_is_trained_to_the_end(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []

    def trains(_: RunDir, config: RunConfig) -> int:
        seed = config.trainer.seed
        step = round(STEPS * (config.trainer.pause_at or 1))
        begun.append((seed, step))
        if seed == 1:
            sweep.begin(seed)
            sweep.end(seed, "crash", 4)
            return 1
        sweep.reach(seed, step, loss=seed / step)
        return 0

    assert search(sweep, trains) == 1
    assert begun == [(1, 10), (2, 10), (3, 10), (2, 30), (2, 90)]


def test_a_metric_that_is_not_measured_ends_the_search_after_one_point(
    compose: Compose, search: Callable[[Sweep, Trains], int], capsys: pytest.CaptureFixture[str]
) -> None:
    begun = []
    sweep = Sweep(compose, "resources.gpus=0", "sweep.metric=validation/acc")

    def trains(_: RunDir, config: RunConfig) -> int:
        begun.append(config.trainer.seed)
        sweep.reach(config.trainer.seed, 10, loss=0.5, accuracy=0.5)
        return 0

    assert search(sweep, trains) == 2
    assert begun == [1]
    assert "You set sweep.metric=validation/acc, by which nothing can be compared." in (said := capsys.readouterr().err)
    assert "Did you mean validation/accuracy?" in said
    assert search(sweep, trains) == 2
    assert begun == [1], "nor does the same command train another one"


def test_a_point_is_its_run_also_where_that_was_trained_again_beside_it(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []
    sweep.add(1)
    point = sweep.run(1)
    record.create(point, sweep.config(1), {})
    beside = choose_run(replace(sweep.config(1), rerun=True))
    record.create(beside, sweep.config(1), {})

    def trains(run: RunDir, config: RunConfig) -> int:
        begun.append(run)
        return 130

    assert search(sweep, trains) == 130
    assert begun == [point]
    assert len(sweep.content.entries) == 3
