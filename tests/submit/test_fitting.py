"""What a run that makes way finds, and how far it has to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import MANIFEST, RunDir
from passingloop.rundir.events import End, Seconds
from passingloop.submit.fitting import ASSUMED, Fit, Yielded, run_pace
from passingloop.submit.request import request
from passingloop.submit.sizes import Size
from passingloop.track.metrics_file import MetricsFile
from tests.conftest import Compose
from tests.rundir.events import start
from tests.slurm.site import FACTS


@pytest.mark.parametrize(
    ("remaining", "size", "fits"),
    [
        ({"a": 6}, Size(1, 4), True),
        ({"a": 6}, Size(1, 8), False),
        ({"a": 0, "b": 2}, Size(1, 2), True),
        ({"a": 1, "b": 1}, Size(1, 2), False),
        ({"a": 2, "b": 2}, Size(2, 2), True),
        ({"a": 4, "b": 1}, Size(2, 2), False),
        ({}, Size(1, 1), False),
    ],
)
def test_what_fits_into_the_rest_of_its_nodes(remaining: dict[str, int], size: Size, fits: bool) -> None:
    assert Yielded(nodes=tuple(remaining), remaining=remaining, longest=None).has_room(size) is fits


def a_run(path: Path, saved: int) -> RunDir:
    """Has done steps up to 40 with two GPUs, at half a second each, and has a checkpoint."""
    run = RunDir(path)
    run.checkpoint(saved).mkdir(parents=True)
    (run.checkpoint(saved) / MANIFEST).touch()
    ledger.append(run, start(1, gpus=2))
    ledger.append(run, End(attempt=1, end_step=40, cause="preempted", seconds=Seconds(training=20.0)))
    with MetricsFile(run.metrics, 1) as file:
        file.write(40, "train", {"loss": 1.0, "epoch": 40 / 16})
    return run


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("trainer.steps=100",), 60),
        (("trainer.epochs=5",), 40),
        (("trainer.epochs=2.5",), 0),
        (("trainer.epochs=1",), 0),
    ],
)
def test_how_many_steps_remain(words: tuple[str, ...], steps: int, compose: Compose, tmp_path: Path) -> None:
    pace = run_pace(compose(*words), a_run(tmp_path / "run", saved=40), Size(1, 1))
    assert (pace.steps, pace.measured) == (steps, {Size(1, 2): 0.5})
    assert pace.seconds(Size(1, 2)) == steps / 2


@pytest.mark.parametrize(("words", "seconds"), [((), ASSUMED), (("resources.time=2:00:00",), 7200.0)])
def test_of_a_new_run_the_time_limit_is_assumed(
    words: tuple[str, ...], seconds: float, compose: Compose, tmp_path: Path
) -> None:
    pace = run_pace(compose(*words), RunDir(tmp_path), Size(1, 2))
    assert (pace.is_measured, pace.seconds(Size(1, 2))) == (False, seconds)


def test_the_choice_in_words(compose: Compose) -> None:
    asked = request(compose("launcher=slurm"), FACTS)
    fit = Fit(size=Size(1, 2), request=asked, start=None, remaining=4360.0, is_measured=True)
    assert fit.sentence == "With 2 GPUs it finishes soonest: 1:12:40 from its start on."
