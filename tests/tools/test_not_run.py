"""The last line of a test run says what did not run, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.skip(reason="no server")
def test_skipped(): pass

def test_runs(): pass

@pytest.mark.xfail(strict=True)
def test_fails(): assert False
"""
PLUGIN = "from tests.tools.not_run import NotRun\ndef pytest_configure(config): config.pluginmanager.register(NotRun())"


def last_line(folder: Path, *arguments: str, **modules: str) -> str:
    """What pytest prints last on test modules with the plugin."""
    for name, content in {"conftest": PLUGIN, **modules}.items():
        (folder / f"{name}.py").write_text(content)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long")
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[-1]


@pytest.mark.process
@pytest.mark.parametrize("processes", [(), ("--numprocesses=2",)], ids=["one process", "several"])
def test_what_did_not_run_is_said_last(processes: tuple[str, ...], tmp_path: Path) -> None:
    module = "import pytest\npytest.skip('no module', allow_module_level=True)"
    last = last_line(tmp_path, "-m", "not slow", *processes, test_some=TESTS, test_other=module)
    assert last == "2 skipped: no server (1), no module (1); 1 slow left out: --all runs them"


def test_nothing_is_said_where_all_ran(tmp_path: Path) -> None:
    assert last_line(tmp_path, test_some="def test_runs(): pass").startswith("1 passed")
