"""How the runs of a sweep are packed into jobs: how many, and what a job asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.tasks import PackTask, TrainTask
from passingloop.slurm.batch import Request
from passingloop.submit.packing import Packing, packing
from tests.conftest import Compose

ASKED = Request(
    name="a",
    nodes=1,
    gpus=1,
    tasks=1,
    cpus=4,
    mem="2G",
    time="1:00:00",
    partition=None,
    account=None,
    qos=None,
    extra=(),
)


@pytest.mark.parametrize(
    ("words", "count", "members", "at_once", "parallel"),
    [
        (["sweep.pack=1"], 9, 1, 1, None),
        (["sweep.pack=3"], 1, 1, 1, None),
        (["sweep.pack=3"], 2, 2, 2, None),
        (["sweep.pack=3"], 9, 3, 3, None),
        (["sweep.pack=3", "sweep.parallel=7"], 9, 3, 3, 2),
        (["sweep.pack=3", "sweep.parallel=2"], 9, 3, 2, 1),
        (["sweep.pack=auto"], 9, 4, None, None),
        (["sweep.pack=auto"], 2, 2, None, None),
        (["sweep.pack=auto", "sweep.parallel=8"], 9, 4, None, 2),
    ],
)
def test_members_and_jobs(
    compose: Compose, words: list[str], count: int, members: int, at_once: int | None, parallel: int | None
) -> None:
    packs = packing(compose(*words), ASKED, count)
    assert (packs.members, packs.at_once, packs.parallel) == (members, at_once, parallel)


@pytest.mark.parametrize(
    ("words", "cpus", "mem"),
    [
        (["sweep.pack=3"], 4, "6144M"),  # the CPUs that go with a GPU are shared
        (["sweep.pack=3", "resources.cpus=4"], 12, "6144M"),
        (["sweep.pack=3", "sweep.parallel=2", "resources.cpus=4"], 8, "4096M"),
        (["sweep.pack=auto", "resources.cpus=4"], 16, "8192M"),
    ],
)
def test_a_job_asks_for_what_its_members_use_together(compose: Compose, words: list[str], cpus: int, mem: str) -> None:
    assert packing(compose(*words), ASKED, 9).request == replace(ASKED, cpus=cpus, mem=mem)


def test_the_last_job_has_what_is_left(tmp_path: Path) -> None:
    runs = [TrainTask(run=RunDir(tmp_path / str(n)), code={}, settings={}) for n in range(5)]
    packs = Packing(members=2, at_once=2, parallel=None, request=ASKED)
    tasks = packs.tasks(runs)
    assert [len(task.members) for task in tasks if isinstance(task, PackTask)] == [2, 2, 1] == [2, 2, packs.jobs(5) - 2]
    assert [member for task in tasks if isinstance(task, PackTask) for member in task.members] == runs
    assert Packing(members=1, at_once=1, parallel=None, request=ASKED).tasks(runs) == runs


@pytest.mark.parametrize("more", [{"gpus": 2, "tasks": 2}, {"nodes": 2}, {"gpus": 0, "tasks": 2}])
def test_a_run_of_several_processes_is_not_packed(compose: Compose, more: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.pack=2, .* train in 2 processes\. Set resources\.gpus=1"):
        packing(compose("sweep.pack=2"), replace(ASKED, **more), 4)


def test_the_share_follows_from_the_pack_and_not_from_what_was_measured(tmp_path: Path) -> None:
    members = tuple(TrainTask(run=RunDir(tmp_path / str(n)), code={}, settings={}) for n in range(4))
    assert PackTask(members=members, at_once=2).share == 2
    assert PackTask(members=members, at_once=None).share == 4
    assert PackTask(members=members[:1], at_once=3).share == 1
