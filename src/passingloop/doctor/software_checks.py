"""Whether the environment fits: Python and packages on both sides, NCCL, containers, modules, ODBC, W&B, umask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.doctor.finding import Finding, Level


@dataclass(frozen=True, slots=True)
class BadNccl:
    """Versions of NCCL with a known fault: from `first` on, before `fixed`."""

    first: tuple[int, ...]
    fixed: tuple[int, ...]
    level: Level
    fault: str
    source: str
    machines: str = ""
    """Only of this kind, as ``aarch64``; empty means all."""


BAD_NCCL = (
    BadNccl((2, 17, 1), (2, 17, 2), "warning", "hangs when communicators are aborted", "pytorch/pytorch#119215"),
    BadNccl((2, 25, 1), (2, 26, 2), "problem", "hangs when communicators are aborted", "pytorch/pytorch#149153"),
    BadNccl((2, 27, 5), (2, 29, 7), "warning", "a mean over a single rank leaves elements out", "NVIDIA/nccl#1950"),
    BadNccl((2, 28, 3), (2, 28, 7), "problem", "fails on H100; torch took it back", "pytorch/pytorch#164352, #166174"),
    BadNccl((2, 29, 2), (2, 29, 3), "problem", "hangs", "pytorch/pytorch#174338"),
    BadNccl((2, 0), (2, 29, 3), "problem", "hangs at random", "NVIDIA/nccl v2.29.3-1, release notes", "aarch64"),
)
"""Read in November 2026. `#1950` names 2.27.5; earlier ones were not looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A library that a process may load."""

    version: str
    place: str
    """A package, or a path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OdbcDriver:
    """A driver in odbcinst.ini."""

    name: str
    library: str
    found: bool | None
    """None for a name without a path, which the loader looks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftwareEvidence:
    """What a Python process sees on a machine, without importing what is heavy."""

    host: str
    machine: str
    """``x86_64``, ``aarch64`` …"""
    python: str
    """The interpreter's path and version."""
    versions: dict[str, str]
    """Of the packages that decide about a run, by name."""
    cuda: str | None = None
    """The version of CUDA that torch was built for; None if for none."""
    nccl: tuple[Library, ...] = ()
    container: str = ""
    """The container that the process is in; empty if there is no sign of any."""
    modules: tuple[str, ...] = ()
    """Environment modules that are loaded."""
    python_path: str = ""
    """PYTHONPATH."""
    umask: int = 0o077
    unixodbc: bool = False
    """Whether libodbc can be loaded."""
    odbc: tuple[OdbcDriver, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WandbEvidence:
    """Whether runs can be tracked online from a machine."""

    mode: str
    """The setting tracking.mode, or what WANDB_MODE makes of `auto`."""
    installed: bool = True
    has_key: bool = True
    host: str = ""
    reachable: bool | None = None
    """None if it was not tried."""


def software_findings(seen: SoftwareEvidence, uses_sql: bool) -> Iterator[Finding]:
    """All findings about the environment on the machine where the command is given.

    Args:
        uses_sql: whether the settings read a database.
    """
    yield from container(seen)
    yield from modules(seen)
    yield from nccl(seen)
    yield from odbc(seen, uses_sql)
    yield from umask(seen)


def container(seen: SoftwareEvidence) -> Iterator[Finding]:
    """Whether jobs would look for the Python of a container outside of it."""
    if seen.container:
        what = (
            f"You are in a container. A job starts {seen.python.partition(' ')[0]} outside of it, where there may be "
            "another one, or none."
        )
        remedy = (
            "Use an environment on the shared file system, or options of your site's container plugin in cluster.extra."
        )
        yield Finding("container", "warning", what, seen.container, f"{remedy} `--node` looks whether a node has it.")


def modules(seen: SoftwareEvidence) -> Iterator[Finding]:
    """What loaded modules and PYTHONPATH put before the environment."""
    if seen.python_path:
        what = "Packages in PYTHONPATH are imported instead of those of the environment, here and in jobs."
        loaded = f"; modules: {', '.join(seen.modules)}" if seen.modules else ""
        remedy = "unset PYTHONPATH, or unload the module that sets it."
        yield Finding("modules", "warning", what, f"PYTHONPATH={seen.python_path}{loaded}", remedy)
    elif seen.modules:
        what = "Jobs inherit the modules that are loaded here; load the same ones whenever you submit."
        yield Finding("modules", "ok", what, f"loaded: {', '.join(seen.modules)}")


def nccl(seen: SoftwareEvidence) -> Iterator[Finding]:
    """Versions of NCCL with known faults."""
    sound = True
    for library in seen.nccl:
        version = tuple(int(part) for part in re.findall(r"\d+", library.version)[:3])
        for bad in BAD_NCCL:
            if bad.first <= version < bad.fixed and bad.machines in ("", seen.machine):
                sound = False
                fixed = ".".join(map(str, bad.fixed))
                what = f"NCCL {library.version} has a known fault: {bad.fault}. It is fixed in {fixed}."
                remedy = f"Use a torch that brings NCCL {fixed} or later, or unset what puts {library.place} before it."
                yield Finding("nccl", bad.level, what, f"{library.place}; {bad.source}", remedy)
    if seen.nccl and sound:
        found = ", ".join(f"{library.version} ({library.place})" for library in seen.nccl)
        yield Finding("nccl", "ok", "No known fault in NCCL.", found)


def odbc(seen: SoftwareEvidence, uses_sql: bool) -> Iterator[Finding]:
    """Whether databases can be read: pyodbc, unixODBC and drivers."""
    if "pyodbc" not in seen.versions:
        level: Level = "problem" if uses_sql else "ok"
        remedy = "pip install 'passingloop[sql]'" if uses_sql else ""
        yield Finding("odbc", level, "pyodbc is not installed: no database can be read.", seen.python, remedy)
        return
    evidence = ", ".join(f"{driver.name} ({driver.library})" for driver in seen.odbc) or "odbcinst.ini: no driver"
    lost = [driver for driver in seen.odbc if driver.found is False]
    if not seen.unixodbc:
        what, remedy = "unixODBC is missing: pyodbc cannot be loaded.", "Install libodbc2 (apt) or unixodbc (conda)."
        yield Finding("odbc", "problem" if uses_sql else "warning", what, "libodbc.so.2 cannot be loaded", remedy)
    elif not seen.odbc:
        what = "No ODBC driver is installed for all users; one can be named by its path in data.connection."
        remedy = "Install the driver of your database, such as odbc-postgresql (apt) or psqlodbc (conda)."
        yield Finding("odbc", "warning" if uses_sql else "ok", what, evidence, remedy if uses_sql else "")
    for driver in lost:
        what, remedy = f"The library of ODBC driver {driver.name} is not there.", "Install the driver again."
        yield Finding("odbc", "warning", what, driver.library, remedy)
    if seen.unixodbc and seen.odbc and not lost:
        yield Finding("odbc", "ok", "ODBC drivers are installed.", evidence)


def umask(seen: SoftwareEvidence) -> Iterator[Finding]:
    """Whether new files can be read by their owner, and not be changed by everybody."""
    evidence = f"umask {seen.umask:04o}"
    if seen.umask & 0o700:
        what = "You could not use the files that you make: the umask takes rights from their owner."
        yield Finding("umask", "problem", what, evidence, "umask 0077, also in the start-up file of your shell.")
    elif not seen.umask & 0o002:
        what = "Everybody may change the files that you make, outside of run_root."
        yield Finding("umask", "warning", what, evidence, "umask 0027 or 0077, in the start-up file of your shell.")
    else:
        yield Finding("umask", "ok", "Files that you make can be changed by you, and by your group at most.", evidence)


def tracking(seen: WandbEvidence, host: str) -> Iterator[Finding]:
    """Whether W&B can be reached from `host`, where runs need it."""
    wanted = seen.mode == "wandb"
    evidence = f"tracking.mode={seen.mode}"
    if seen.mode in ("none", "offline"):
        yield Finding("wandb", "ok", f"Runs are not tracked online ({seen.mode}).", evidence)
    elif not seen.installed:
        what = "wandb is not installed, so runs are not tracked there."
        remedy = "pip install 'passingloop[wandb]'" if wanted else ""
        yield Finding("wandb", "problem" if wanted else "ok", what, evidence, remedy)
    elif not seen.has_key:
        what = "There is no API key of W&B, so runs are tracked offline."
        remedy = "wandb login, or set WANDB_API_KEY." if wanted else ""
        yield Finding(
            "wandb", "warning" if wanted else "ok", what, "WANDB_API_KEY is not set, no entry in netrc", remedy
        )
    elif seen.reachable is False:
        what = f"W&B cannot be reached from {host}, so runs there are tracked offline."
        remedy = "Set HTTPS_PROXY if your site has a proxy; else `wandb sync` uploads a run once it has ended."
        yield Finding("wandb", "warning", what, f"{seen.host} did not answer within 3 s", remedy)
    else:
        yield Finding("wandb", "ok", f"W&B answers {host}.", seen.host)
