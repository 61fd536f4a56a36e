"""The environment: each check with evidence by which it says something is wrong, and by which it does not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from passingloop.doctor.software_checks import (
    BAD_NCCL,
    Library,
    OdbcDriver,
    SoftwareEvidence,
    WandbEvidence,
    software_findings,
    tracking,
)
from tests.doctor.said import levels

POSTGRESQL = OdbcDriver(name="PostgreSQL", library="psqlodbcw.so", found=None)
SOUND: dict[str, Any] = {
    "host": "login",
    "machine": "x86_64",
    "python": "/env/bin/python 3.11.7",
    "versions": {"torch": "2.13.0", "pyodbc": "5.5.0"},
    "nccl": (Library(version="2.30.7", place="nvidia-nccl-cu13"),),
    "modules": ("cuda/13",),
    "unixodbc": True,
    "odbc": (POSTGRESQL,),
}


def said(check: str, uses_sql: bool = False, **changes: Any) -> list[str]:
    return levels(software_findings(SoftwareEvidence(**SOUND | changes), uses_sql), check)


def test_a_sound_environment() -> None:
    found = list(software_findings(SoftwareEvidence(**SOUND), uses_sql=True))
    assert [finding.check for finding in found] == ["modules", "nccl", "odbc", "umask"]
    assert set(levels(found)) == {"ok"}


def test_a_container() -> None:
    assert said("container", container="APPTAINER_CONTAINER=/images/torch.sif") == ["warning"]
    assert said("container") == []


def test_modules_and_the_path_that_they_set() -> None:
    assert said("modules", python_path="/apps/python/lib") == ["warning"]
    assert said("modules", modules=()) == []


@pytest.mark.parametrize(
    ("version", "machine", "level"),
    [
        ("2.17.1", "x86_64", ["warning"]),
        ("2.25.1", "x86_64", ["problem"]),
        ("2.26.2", "x86_64", ["ok"]),
        ("2.27.5", "x86_64", ["warning"]),
        ("2.28.3", "x86_64", ["warning", "problem"]),
        ("2.28.9", "x86_64", ["warning"]),
        ("2.29.2", "x86_64", ["warning", "problem"]),
        ("2.29.3", "x86_64", ["warning"]),
        ("2.29.7", "x86_64", ["ok"]),
        ("2.21.5", "x86_64", ["ok"]),
        ("2.21.5", "aarch64", ["problem"]),
        ("2.30.4", "aarch64", ["ok"]),
    ],
)
def test_versions_of_nccl_with_known_faults(version: str, machine: str, level: list[str]) -> None:
    library = Library(version=version, place="nvidia-nccl-cu13")
    assert said("nccl", nccl=(library,), machine=machine) == level


def test_nccl_of_a_module_is_looked_at_beside_that_of_torch() -> None:
    libraries = (*SOUND["nccl"], Library(version="2.25.1", place="/apps/libnccl.so.2"))
    found = list(software_findings(SoftwareEvidence(**SOUND | {"nccl": libraries}), uses_sql=False))
    assert levels(found, "nccl") == ["problem"]
    assert any("/apps/libnccl.so.2" in finding.remedy for finding in found)


def test_every_fault_of_nccl_has_its_source_and_an_end() -> None:
    assert all(re.search(r"#\d+|release notes", bad.source) and bad.first < bad.fixed for bad in BAD_NCCL)


def test_without_nccl_nothing_is_said_of_it() -> None:
    assert said("nccl", nccl=()) == []


@pytest.mark.parametrize(
    ("changes", "with_sql", "without"),
    [
        ({"versions": {}}, ["problem"], ["ok"]),
        ({"unixodbc": False}, ["problem"], ["warning"]),
        ({"odbc": ()}, ["warning"], ["ok"]),
        ({"odbc": (OdbcDriver(name="MariaDB", library="/gone.so", found=False),)}, ["warning"], ["warning"]),
        ({"odbc": (OdbcDriver(name="MariaDB", library="/there.so", found=True),)}, ["ok"], ["ok"]),
    ],
)
def test_databases(changes: dict[str, Any], with_sql: list[str], without: list[str]) -> None:
    assert said("odbc", uses_sql=True, **changes) == with_sql
    assert said("odbc", uses_sql=False, **changes) == without


@pytest.mark.parametrize(
    ("umask", "level"), [(0o077, "ok"), (0o022, "ok"), (0o002, "ok"), (0o000, "warning"), (0o777, "problem")]
)
def test_the_umask(umask: int, level: str) -> None:
    assert said("umask", umask=umask) == [level]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"mode": "none"}, "ok"),
        ({"mode": "offline"}, "ok"),
        ({"mode": "auto", "reachable": True}, "ok"),
        ({"mode": "auto", "installed": False}, "ok"),
        ({"mode": "auto", "has_key": False}, "ok"),
        ({"mode": "auto", "reachable": False}, "warning"),
        ({"mode": "wandb", "installed": False}, "problem"),
        ({"mode": "wandb", "has_key": False}, "warning"),
        ({"mode": "wandb", "reachable": False}, "warning"),
        ({"mode": "wandb", "reachable": True}, "ok"),
    ],
)
def test_tracking(changes: dict[str, Any], level: str) -> None:
    assert levels(tracking(WandbEvidence(**{"host": "https://api.wandb.ai", **changes}), "n1")) == [level]
