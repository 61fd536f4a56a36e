"""`passingloop export-metrics` on run directories, on a machine without Slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from passingloop.rundir.record import iso_time
from tests.cli.conftest import Verb
from tests.cli.made import Runs


def crashed(runs: Runs) -> None:
    """A run that has ended after some minutes."""
    runs.end(runs.start(runs.new(), runs.compose(), time=iso_time(time.time() - 600)), "crash")


def test_the_file_has_the_figures_of_the_runs_alone(verb: Verb, runs: Runs, tmp_path: Path) -> None:
    crashed(runs)
    done = verb("export-metrics", "--textfile", str(tmp_path))
    assert (done.code, done.stdout) == (0, f"{tmp_path}/passingloop.prom\n")
    text = (tmp_path / "passingloop.prom").read_text()
    assert 'passingloop_source_up{source="queue"} 0.0' in text
    assert 'passingloop_source_up{source="runs"} 1.0' in text
    assert 'passingloop_use_runs{qos=""} 1.0' in text
    assert "passingloop_gpus{" not in text
    assert "metrics of the queue are left out: There is no squeue here" in done.stderr


def test_labels_are_added_on_request(verb: Verb, runs: Runs, tmp_path: Path) -> None:
    crashed(runs)
    assert verb("export-metrics", "--textfile", str(tmp_path), "--label", "user").code == 0
    assert 'passingloop_use_runs{qos="",user="' in (tmp_path / "passingloop.prom").read_text()


def test_without_any_source_the_file_says_so(verb: Verb, tmp_path: Path) -> None:
    done = verb("export-metrics", "--textfile", str(tmp_path))
    assert done.code == 3
    assert 'source="runs"} 0.0' in (tmp_path / "passingloop.prom").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--listen", "0.0.0.0:9840"], "--remote"),
        (["--listen", ":9840", "--every", "5"], "--every 5"),
        (["--textfile", ""], "You set --textfile to an empty text."),
        (["--textfile", ".", "--remote"], "Leave --remote out"),
        (["--textfile", ".", "--since", "yesterday"], "yesterday"),
    ],
)
def test_what_cannot_work_is_refused(verb: Verb, words: list[str], what: str) -> None:
    done = verb("export-metrics", *words)
    assert done.code == 2
    assert what in done.stderr


@pytest.mark.process
def test_it_serves_until_it_is_told_to_stop(runs: Runs, tmp_path: Path) -> None:
    crashed(runs)
    command = [sys.executable, "-P", "-m", "passingloop.cli.main", "export-metrics", "--listen", "127.0.0.1:0"]
    env = os.environ | {"PATH": str(tmp_path)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        address = next(word for word in said.split() if word.startswith("http"))
        deadline = time.monotonic() + 60
        while b'passingloop_use_runs{qos=""} 1.0' not in (read := _read(address)):
            assert time.monotonic() < deadline, read
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=20) as answer:
        content: bytes = answer.read()
    return content
