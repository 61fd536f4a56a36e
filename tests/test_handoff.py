"""What a launcher hands to a training process arrives there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import passingloop
from passingloop.handoff import Handoff, World

TOLD = Handoff(
    attempt=3,
    world=World(5, 8, 1, 4, "n1", 29500),
    at_a_terminal=False,
    queued_seconds=12.345,
    grace_seconds=90.0,
    restarts=2,
    token="f00d",
    stuck_seconds=1800.0,
    launcher_process=77,
)


@pytest.mark.parametrize("told", [TOLD, Handoff(attempt=1, world=World(0, 1, 0, 1))])
def test_what_is_written_into_the_environment_is_read_from_it(told: Handoff) -> None:
    inherited = dataclasses.replace(TOLD, attempt=7, by_srun=True).to_environment()
    assert Handoff.from_environment(inherited | told.to_environment()) == told
    assert not told.redirects_output, "its launcher has opened the log"


@pytest.mark.parametrize(
    ("rank", "at_a_terminal", "redirects_output"),
    [(0, False, True), (0, True, False), (5, False, True), (5, True, True)],
)
def test_srun_hands_the_same_to_all_processes_and_slurm_tells_each_its_ranks(
    rank: int, at_a_terminal: bool, redirects_output: bool
) -> None:
    launcher = dataclasses.replace(
        TOLD, world=World(0, 8, 0, 4, "n1", 29500), by_srun=True, at_a_terminal=at_a_terminal
    )
    slurm = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % 4)}
    process = Handoff.from_environment(launcher.to_environment() | slurm)
    assert process == dataclasses.replace(launcher, world=World(rank, 8, rank % 4, 4, "n1", 29500))
    assert process.redirects_output is redirects_output


def test_a_world_knows_its_nodes_and_who_leads() -> None:
    world = World(5, 8, 1, 4)
    assert world.nodes == 2
    assert not world.leads
    assert World(0, 8, 0, 8).leads


def test_the_variables_are_named_in_one_file() -> None:
    ours = [name for name in TOLD.to_environment() if name.startswith("PASSINGLOOP_")]
    package = Path(passingloop.__file__).parent
    naming = {path.name for path in package.rglob("*.py") if any(name in path.read_text() for name in ours)}
    assert naming == {"handoff.py"}
