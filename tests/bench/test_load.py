"""The benchmarks of many users and many runs, in small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_benchmarks import BENCH, module, report
from tests.cluster.conftest import packages

__all__ = ["module", "packages"]

OWN_NAMESPACE = ["unshare", "--mount", "--propagation", "private"]

OPENED = """
import shutil, sys
from pathlib import Path
from people import _open_the_way
closed, needed = map(Path, sys.argv[1:])
_open_the_way([needed])
assert [path.name for path in sorted(closed.rglob("*"))] == ["needed", "file"], "what is not needed shows"
assert closed.stat().st_mode & 0o777 == 0o755
try:
    shutil.rmtree(closed)
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def namespaces() -> None:
    if os.getuid() or subprocess.run([*OWN_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root, and mount namespaces")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(900)
def test_users_work_beside_each_other(namespaces: None, packages: None, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("submit_s,duration_s,gpus,group\n3600,600,1,a\n3660,1200,1,a\n3720,1800,1,b\n9000,60,1,a\n")
    figures = report("users.py", "--users", "3", "--factor", "60", "--trace", str(trace))
    assert figures["problems"] == []
    assert (figures["runs"], figures["trained"], figures["submitted_twice_at_once"]) == (3, 1, 1)
    assert {"submit", "status", "logs", "why", "list", "cancel"} == set(figures["verbs"])
    assert figures["verbs"]["submit"]["count"] == 4
    assert 10 < figures["verbs"]["status"]["megabytes"] < 200
    assert figures["slurmctld"]["of_users_per_minute"] > 0
    assert 0 < figures["requests_per_command"]["status"] < figures["requests_per_command"]["submit"]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(900)
def test_every_verb_is_timed(packages: None) -> None:
    figures = report("many_runs.py", "--runs", "100", "--rounds", "1")
    verbs = {words.partition(" ")[0] for words in figures["commands"]}
    assert {"status", "list", "logs", "why", "wait", "cancel", "report", "top", "archive", "delete"} <= verbs
    assert all(figure["cpu_seconds"] > 0 for figure in figures["commands"].values())


def test_what_is_opened_for_users_cannot_be_removed_through_it(namespaces: None, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    needed = closed / "needed"
    needed.mkdir(parents=True)
    (needed / "file").write_text("kept")
    (closed / "secret").write_text("not shown")
    tmp_path.chmod(0o755)
    closed.chmod(0o700)
    command = [sys.executable, "-c", OPENED, str(closed), str(needed)]
    environment = os.environ | {"PYTHONPATH": str(BENCH)}
    done = subprocess.run([*OWN_NAMESPACE, *command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Read-only file system\n"), done.stderr
    assert (needed / "file").read_text() == "kept"
    assert (closed / "secret").read_text() == "not shown"
    assert closed.stat().st_mode & 0o777 == 0o700


def test_the_hour_with_as_many_jobs_as_users(module: Any, tmp_path: Path) -> None:
    users, trace = module("users"), tmp_path / "trace.csv"
    rows = [(10, 5), (7300, 60), (7200, 90), (7201, 30), (20000, 1)]
    trace.write_text("submit_s,duration_s,gpus,group\n" + "".join(f"{a},{b},1,g\n" for a, b in rows))
    assert [(job.number, job.begins, job.seconds) for job in users.hour_of_trace(trace, 4)] == [
        (0, 0.0, 90.0),
        (1, 1.0, 30.0),
        (2, 100.0, 60.0),
    ]
    assert [job.begins for job in users.hour_of_trace(trace, 1)] == [10.0]


SDIAG = """
Remote Procedure Call statistics by message type
\tREQUEST_JOB_INFO                        ( 2003) count:30     ave_time:200    total_time:6000
\tREQUEST_PING                            ( 1008) count:6      ave_time:100    total_time:600
Remote Procedure Call statistics by user
\troot            (       0) count:12     ave_time:150    total_time:1800
\tuser001         (   12001) count:24     ave_time:200    total_time:4800
"""


def test_requests_are_counted_by_kind_and_by_user(module: Any) -> None:
    found = module("users").requests_of(SDIAG, 2.0)
    assert found["requests_per_minute"] == 18.0
    assert found["of_users_per_minute"] == 12.0
    assert found["by_kind_per_minute"] == {"REQUEST_JOB_INFO": 15.0, "REQUEST_PING": 3.0}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('12  openat(AT_FDCWD, "/r/run.json", O_RDONLY|O_CLOEXEC) = 3</r/run.json>', "look up"),
        ('12  openat(AT_FDCWD, "/r/run.json.new", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3', "create"),
        ("12  fcntl(3</r/lock>, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET}) = 0", "lock"),
        ("12  fcntl(3</r/lock>, F_GETFD) = 0x1", None),
        ("12  flock(3</r/lock>, LOCK_UN) = 0", None),
        ("12  fdatasync(3</r/x>) = 0", "fsync"),
        ('12  rename("/r/a", "/r/b") = 0', "rename"),
    ],
)
def test_calls_are_told_apart(module: Any, line: str, kind: str | None) -> None:
    assert module("metadata").kind_of(line) == kind
