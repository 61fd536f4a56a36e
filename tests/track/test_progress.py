from __future__ import annotations

import itertools
import os
import pty
import re
import subprocess
import sys
from io import StringIO

from rich.console import Console

from passingloop.track.console import say
from passingloop.track.progress import ProgressDisplay
from passingloop.track.speed import Speed

SPEED = Speed(samples_per_second=812.4, tokens_per_second=9_000.0, padding=0.02, data_wait=0.031)


class FakeTime:
    """Seconds that pass only when a step says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines_of(total: int, seconds_per_step: float, *, start: int = 0, warm_up: float = 0.0) -> list[str]:
    """What a run off a terminal prints."""
    console, time = Console(file=StringIO(), force_terminal=False, width=80), FakeTime()
    with ProgressDisplay(total, start, console, clock=time) as progress:
        time.now += warm_up
        for step in range(start + 1, total + 1):
            time.now += seconds_per_step
            progress.update(step, loss=0.412, speed=SPEED)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_a_short_run_prints_its_first_and_its_last_step() -> None:
    assert lines_of(430, 0.01) == [
        "step   1/430  loss 0.412  812 samples/s  data wait 3 %",
        "step 430/430  loss 0.412  812 samples/s  data wait 3 %",
    ]


def test_lines_stand_at_round_steps_thirty_seconds_apart_at_least() -> None:
    lines = lines_of(400, 1.0)
    assert lines[1] == "step  40/400  loss 0.412  812 samples/s  data wait 3 %  6:00 left"
    steps = [int(line[5:8]) for line in lines]
    assert all(step % 10 == 0 for step in steps[1:])
    assert min(later - earlier for earlier, later in itertools.pairwise(steps[:-1])) >= 30


def test_a_run_of_hours_prints_about_forty_lines() -> None:
    assert 40 <= len(lines_of(4321, 5.0)) <= 43


def test_a_run_of_days_is_not_silent_for_more_than_ten_minutes() -> None:
    seconds_per_step = 2 * 86400 / 1000
    steps = [int(re.findall(r"\d+", line)[0]) for line in lines_of(1000, seconds_per_step)]
    gaps = [(later - earlier) * seconds_per_step for earlier, later in itertools.pairwise(steps)]
    assert 600 <= max(gaps) < 600 + seconds_per_step


def test_a_run_of_one_step() -> None:
    assert lines_of(1, 1.0) == ["step 1/1  loss 0.412  812 samples/s  data wait 3 %"]


def test_nothing_to_do() -> None:
    assert lines_of(10, 1.0, start=10) == []


def test_the_time_left_counts_the_steps_of_this_attempt_only() -> None:
    lines = lines_of(1000, 2.0, start=900, warm_up=500.0)
    step, left = re.search(r"step +(\d+)/1000 .* (\d+:\d\d) left", lines[1]).groups()  # type: ignore[union-attr]
    minutes, seconds = left.split(":")
    assert int(minutes) * 60 + int(seconds) == (1000 - int(step)) * 2


def test_on_a_terminal_there_is_one_bar_within_eighty_columns() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    with ProgressDisplay(1000, 900, console) as progress:
        for step in range(901, 951):
            progress.update(step, loss=0.412, speed=SPEED)
        say(console, "validated")  # as others print while the bar is shown
    assert isinstance(console.file, StringIO)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    lines = re.split(r"[\r\n]+", shown)
    assert "validated" in [line.strip() for line in lines]
    last = [line for line in lines if line.startswith("step")][-1]
    assert last.startswith("step 950/1000 ━")
    assert re.search(r"loss 0\.412  812 samples/s  data wait 3 %  0:00  0:00 left$", last)
    assert max(map(len, lines)) <= 80


SCRIPT = """
import sys
from passingloop.track.console import make_console
from passingloop.track.progress import ProgressDisplay
from passingloop.track.speed import Speed
speed = Speed(samples_per_second=100.0, tokens_per_second=1000.0, padding=0.0, data_wait=0.0)
with ProgressDisplay(10, 0, make_console()) as progress:
    for step in range(1, 11):
        progress.update(step, 0.5, speed)
    print("data")
    print("a library speaks", file=sys.stderr)
"""


def test_a_real_terminal_gets_the_bar_and_standard_output_stays_clean() -> None:
    master, slave = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")} | {"TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=slave, env=env, check=True)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert done.stdout == b"data\n"
    assert "step 10/10" in shown
    assert "━" in shown
    assert "a library speaks" in shown


def test_forced_colours_do_not_put_a_bar_into_a_file() -> None:
    env = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env, check=True)
    assert done.stderr.splitlines() == [
        "step  1/10  loss 0.500  100 samples/s  data wait 0 %",
        "step 10/10  loss 0.500  100 samples/s  data wait 0 %",
        "a library speaks",
    ]
