"""Where the time of a start goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from passingloop.handoff import Handoff, World
from passingloop.startup.phases import FirstStep, Phases, process_age

ALONE = World(0, 1, 0, 1)


class Told:
    def __init__(self) -> None:
        self.steps: list[tuple[int, float, float]] = []

    def update(self, step: int, loss: float, samples_per_second: float) -> None:
        self.steps.append((step, loss, samples_per_second))


def numbers(lines: list[str]) -> list[float]:
    return [float(line.split()[1]) for line in lines]


def names(lines: list[str]) -> list[str]:
    return [line.split("s  ", 1)[1] for line in lines]


def test_each_phase_ends_where_the_next_begins_and_all_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    phases = Phases(now, Handoff(attempt=1, world=ALONE))
    for name, at in (("importing torch", now + 1), ("loading the model", now + 4)):
        monkeypatch.setattr(time, "time", lambda at=at: at)
        phases.begin(name)
    monkeypatch.setattr(time, "time", lambda: now + 9.5)
    lines = phases.lines()
    assert names(lines)[1:] == [
        "signals, settings",
        "importing torch",
        "loading the model",
        "in all, to the end of the first step",
    ]
    assert numbers(lines)[1:4] == [1.0, 3.0, 5.5]
    assert numbers(lines)[4] == pytest.approx(sum(numbers(lines)[:4]), abs=0.05)


def test_the_command_counts_where_it_is_the_parent() -> None:
    lines = Phases(time.time(), Handoff(attempt=1, world=ALONE, launcher_process=os.getpid())).lines()
    assert names(lines)[:2] == ["the command", "the interpreter"]


def test_the_age_of_a_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        young, own = process_age(process.pid), process_age(os.getpid())
        assert young is not None
        assert own is not None
        assert -0.02 < young < own
        process.communicate()
    assert process_age(process.pid) is None


def test_the_display_is_told_of_all_steps_and_the_first_is_noticed_once() -> None:
    told, noticed = Told(), []
    display = FirstStep(told, lambda: noticed.append(len(told.steps)))
    display.update(21, 1.5, 30.0)
    display.update(22, 1.4, 31.0)
    assert told.steps == [(21, 1.5, 30.0), (22, 1.4, 31.0)]
    assert noticed == [1]
