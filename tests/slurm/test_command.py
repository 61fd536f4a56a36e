"""The environment of Slurm's commands, and what they print as lines; a script stands in for the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.slurm.command import inherited_variables, own_job_id, run_command, stream_command


@pytest.mark.parametrize(
    ("environ", "gone"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CPU_BIND": "x", "SBATCH_PARTITION": "p", "SRUN_CPUS_PER_TASK": "3"}, "all"),
        ({"SLURM_CONF": "/etc/slurm.conf", "PATH": "/bin", "SLURMISH": "1", "WANDB_API_KEY": "k"}, "none"),
    ],
)
def test_what_belongs_to_another_allocation_goes(environ: dict[str, str], gone: str) -> None:
    assert inherited_variables(environ) == (list(environ) if gone == "all" else [])


def test_a_job_is_known_by_its_name() -> None:
    assert own_job_id({}) is None
    assert own_job_id({"SLURM_JOB_ID": "17"}) == "17"
    assert own_job_id({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "16", "SLURM_ARRAY_TASK_ID": "1"}) == "16_1"


@pytest.fixture
def speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`speaks("echo hello")`: what a command named sacct does from now on."""

    def speaks(script: str) -> None:
        path = tmp_path / "sacct"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return speaks


def test_lines_come_while_the_command_still_writes(speaks: Callable[[str], None], tmp_path: Path) -> None:
    speaks(f"echo first; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; printf 'last ü'")
    lines = stream_command("sacct", timeout=60)
    assert next(lines) == "first"
    (tmp_path / "go").touch()
    assert list(lines) == ["last ü"]


def test_a_command_that_fails_is_known_after_its_lines(speaks: Callable[[str], None]) -> None:
    speaks("echo one; echo 'sacct: error: slurmdbd: Access/permission denied' >&2; exit 1")
    lines = stream_command("sacct", timeout=60)
    assert next(lines) == "one"
    with pytest.raises(SlurmRefused, match="Access/permission denied"):
        next(lines)


def test_a_command_that_takes_too_long_is_ended(speaks: Callable[[str], None]) -> None:
    speaks("echo one; exec sleep 600")
    lines = stream_command("sacct", timeout=0.5)
    assert next(lines) == "one"
    with pytest.raises(SlurmSilent, match=r"has not answered sacct within 0\.5 s"):
        next(lines)


def test_a_command_that_something_else_kills_has_not_been_refused(speaks: Callable[[str], None]) -> None:
    speaks("kill -TERM $$")
    with pytest.raises(SlurmSilent, match="sacct was killed by signal 15 before Slurm had answered"):
        run_command("sacct")


def test_a_command_of_which_no_more_is_wanted_ends(speaks: Callable[[str], None], tmp_path: Path) -> None:
    speaks(f"echo $$ > {tmp_path}/pid; echo one; exec sleep 600")
    lines = stream_command("sacct", timeout=60)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_many_messages_do_not_hold_it_up(speaks: Callable[[str], None]) -> None:
    speaks("head -c 300000 /dev/zero | tr '\\0' 'x' >&2; echo one")
    assert list(stream_command("sacct", timeout=60)) == ["one"]


def test_variables_are_set_and_those_of_jobs_are_not(
    speaks: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SACCT_FORMAT", "User")
    speaks('echo "$SLURM_TIME_FORMAT $SACCT_FORMAT."')
    assert list(stream_command("sacct", timeout=60, variables={"SLURM_TIME_FORMAT": "%s"})) == ["%s ."]
