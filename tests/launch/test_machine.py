"""This machine: which GPUs are visible, and what each process is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.handoff import Handoff
from passingloop.launch import machine
from passingloop.launch.machine import Machine
from passingloop.rundir.directory import RunDir
from tests.conftest import Compose


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
    return [
        process.environment for process in Machine.for_run(config).processes(RunDir(Path("run")), attempt, 0.0, "f00d")
    ]


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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=1", "glibc.malloc.check=1:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_memory_is_in_huge_pages_unless_one_says_otherwise(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if given:
        monkeypatch.setenv("GLIBC_TUNABLES", given)
    [environment] = environments_of(compose("resources=cpu"), attempt=1)
    assert environment["GLIBC_TUNABLES"] == expected


@pytest.mark.parametrize(("words", "size"), [(("resources=cpu",), 1), (("resources.gpus=0", "resources.tasks=2"), 2)])
def test_without_gpus_the_cpus_are_shared(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], size: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    environments = environments_of(compose(*words), attempt=1)
    assert len(environments) == size
    threads = max(1, len(os.sched_getaffinity(0)) // size)
    assert {(e["CUDA_VISIBLE_DEVICES"], e["OMP_NUM_THREADS"]) for e in environments} == {("", str(threads))}


@pytest.mark.parametrize(("gpus", "size"), [("1-2", 2), ("1-8", 3), ("3-3", 3)])
def test_of_a_range_it_takes_what_is_visible(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, gpus: str, size: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    machine = Machine.for_run(compose(f"resources.gpus={gpus}", "resources.nodes=1-4"))
    assert (machine.size, machine.gpus_per_node) == (size, size)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("resources.gpus=4-8", "You set resources.gpus=4-8, but 3 are visible here. Set resources.gpus=3"),
        ("resources.nodes=2-4", "You set resources.nodes=2-4, but there is one machine here. Take an allocation of 2"),
    ],
)
def test_fewer_than_a_range_allows(compose: Compose, monkeypatch: pytest.MonkeyPatch, word: str, message: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    with pytest.raises(MissingError) as refused:
        Machine.for_run(compose(word))
    assert message in str(refused.value)


def test_more_gpus_than_there_are(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(
        MissingError, match=r"You set resources\.gpus=2, but 1 are visible here\. Set resources\.gpus=1"
    ):
        environments_of(compose("resources.gpus=2"), attempt=1)
