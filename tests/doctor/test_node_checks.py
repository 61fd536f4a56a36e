"""A node against the login node: each check with evidence by which it says something is wrong, and by which not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.doctor.folder_checks import FolderEvidence
from passingloop.doctor.gpu_checks import GpuEvidence
from passingloop.doctor.node_checks import Here, MarkEvidence, NodeEvidence, node_findings, unseen_sharing
from passingloop.doctor.software_checks import SoftwareEvidence, WandbEvidence
from tests.doctor.said import levels

SOFTWARE = SoftwareEvidence(host="login", machine="x86_64", python="/env/bin/python 3.11.7", versions={"torch": "2.13"})
ROOT = FolderEvidence(path="/shared/runs", probed="/shared/runs")
HERE = Here(
    software=SOFTWARE, began=1000.0, ended=1010.0, answered=True, run_root=ROOT, cred_expire=120.0, real_gpus=False
)
NODE = NodeEvidence(
    host="n1",
    time=1005.0,
    mark=MarkEvidence(found=True, same=True, lock="held"),
    folders={"run_root": ROOT},
    software=replace(SOFTWARE, host="n1"),
    gpus=GpuEvidence(),
    wandb=WandbEvidence(mode="none"),
    commands={"scontrol": "", "sbatch": ""},
)


def said(check: str, here: Here = HERE, **changes: Any) -> list[str]:
    return levels(node_findings(replace(NODE, **changes), here), check)


def test_a_sound_node() -> None:
    found = list(node_findings(NODE, HERE))
    checks = ["shared", "shared locks", "clock", "scontrol", "environment", "gpu", "wandb", "clock"]
    assert [finding.check for finding in found] == checks
    assert set(levels(found)) == {"ok"}


@pytest.mark.parametrize(
    ("mark", "answered", "level"),
    [
        (MarkEvidence(found=False), False, "problem"),
        (MarkEvidence(found=True, same=False, lock="free"), True, "problem"),
        (MarkEvidence(found=True, same=True, lock="held", error="Read-only file system"), False, "problem"),
        (MarkEvidence(found=True, same=True, lock="held"), False, "problem"),
        (MarkEvidence(found=True, same=True, lock="held"), True, "ok"),
    ],
)
def test_whether_run_root_is_shared(mark: MarkEvidence, answered: bool, level: str) -> None:
    assert said("shared", replace(HERE, answered=answered), mark=mark) == [level]


@pytest.mark.parametrize(("lock", "level"), [("held", "ok"), ("free", "problem"), ("No locks available", "problem")])
def test_whether_locks_are_shared(lock: str, level: str) -> None:
    assert said("shared locks", mark=MarkEvidence(found=True, same=True, lock=lock)) == [level]


@pytest.mark.parametrize(
    ("time", "level"),
    [(1000.0, "ok"), (1010.0, "ok"), (996.0, "ok"), (990.0, "warning"), (1020.0, "warning"), (1200.0, "problem")],
)
def test_the_clock_against_that_before_and_after_the_question(time: float, level: str) -> None:
    assert said("clock", time=time) == [level, "ok"]  # the second is of run_root's file server


@pytest.mark.parametrize(
    ("commands", "level"),
    [
        ({"scontrol": "", "sbatch": ""}, "ok"),
        ({"scontrol": "There is no scontrol here", "sbatch": ""}, "warning"),
        ({"scontrol": "", "sbatch": "There is no sbatch here"}, "warning"),
        ({"scontrol": "silent", "sbatch": "There is no sbatch here"}, "problem"),
    ],
)
def test_slurms_commands_on_the_node(commands: dict[str, str], level: str) -> None:
    assert said("scontrol", commands=commands) == [level]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, ["ok"]),
        ({"versions": {"torch": "2.12"}}, ["problem"]),
        ({"versions": {}}, ["problem"]),
        ({"python": "/usr/bin/python3 3.9.2"}, ["problem"]),
        ({"machine": "aarch64"}, ["ok", "warning"]),
    ],
)
def test_the_environment_on_both_sides(changes: dict[str, Any], level: list[str]) -> None:
    assert said("environment", software=replace(NODE.software, **changes)) == level


def test_a_folder_that_the_node_cannot_write() -> None:
    assert said("cache_root", folders={"cache_root": replace(ROOT, error="Read-only file system")}) == ["problem"]
    assert said("cache_root", folders={"cache_root": ROOT}) == []


def test_real_gpus_that_are_not_seen() -> None:
    assert said("gpu", replace(HERE, real_gpus=True)) == ["warning"]


@pytest.mark.parametrize(("kind", "level"), [("ext4", ["unknown"]), ("tmpfs", ["unknown"]), ("nfs4", []), ("gpfs", [])])
def test_without_a_node_a_local_disk_is_doubtful(kind: str, level: list[str]) -> None:
    assert levels(unseen_sharing(replace(ROOT, kind=kind))) == level
