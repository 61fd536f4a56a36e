"""A shell in which our Python comes first, whatever the user's start-up files do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.interactive.environment import SESSION_VARIABLE, Shell, activated, python_folder

ASK = 'command -v python; echo $VIRTUAL_ENV; echo $MINE; echo "$PS1"; exit 5\n'


def test_our_python_is_first_and_once() -> None:
    environment = activated({"PATH": f"/a:{python_folder()}:/b", "PYTHONHOME": "/x", "SLURM_JOB_ID": "7"})
    assert environment["PATH"] == f"{python_folder()}:/a:/b"
    assert (environment["VIRTUAL_ENV"], environment[SESSION_VARIABLE]) == (sys.prefix, "7")
    assert "PYTHONHOME" not in environment


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_users_start_up_files_are_read_and_do_not_hide_it(name: str, tmp_path: Path) -> None:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}")
    for folder in ("home", "other", "private"):
        (tmp_path / folder).mkdir()
    (tmp_path / "other" / "python").write_text("#!/bin/sh\n")
    (tmp_path / "other" / "python").chmod(0o755)
    start = f"export PATH={tmp_path}/other:$PATH MINE=yes\nPS1='> '\n"
    (tmp_path / "home" / f".{name}rc").write_text(start)
    environment = activated(os.environ | {"HOME": str(tmp_path / "home"), "SHELL": path, "TERM": "dumb"})
    environment.pop("ZDOTDIR", None)
    command = Shell.of_user(environment).interactive(tmp_path / "private", environment, "job 7 on n1")
    done = subprocess.run(command, env=environment, input=ASK, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{python_folder()}/python", sys.prefix, "yes", "(job 7 on n1) > "]
    assert done.returncode == 5


def test_another_shell_is_started_as_it_is(tmp_path: Path) -> None:
    command = Shell("/bin/dash").interactive(tmp_path, {"PATH": "/bin"}, "job 7 on n1")
    assert command == ["/bin/dash", "-i"]
    assert list(tmp_path.iterdir()) == []


def test_where_the_node_lacks_the_users_shell_another_is_taken() -> None:
    assert Shell.of_user({"SHELL": "/opt/none/such"}).path != "/opt/none/such"
