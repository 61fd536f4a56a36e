"""How often a real slurmctld is asked when several users look at their jobs, and what they share."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.slurm.polling.polled_queue import polled_jobs
from passingloop.slurm.waiting.evidence import read_cluster
from tests.cluster.cluster import Cluster, dev_slurm
from tests.slurm.polling.test_answer_store import as_user, in_processes

USERS = (12001, 12002, 12003)
"""None of them has to be known to the machine."""


@pytest.fixture
def open_cluster(packages: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One that every user of this machine reaches, on which they share answers; this process is pointed at it."""
    if os.getuid() != 0:
        pytest.skip("to become other users takes root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "answers").mkdir()
        (folder / "answers").chmod(0o1777)
        for uid in USERS:
            (folder / str(uid)).mkdir(mode=0o700)
            os.chown(folder / str(uid), uid, -1)
        done = dev_slurm("up", folder / "cluster", "--nodes", "1")
        assert done.returncode == 0, done.stderr
        cluster = Cluster.in_folder(folder / "cluster", folder)
        conf = Path(cluster.env["SLURM_CONF"])
        site = f'poll_seconds = 3600\nsnapshot_folder = "{folder}/answers"\n'
        conf.with_name("passingloop.toml").write_text(site)
        cluster.point_here(monkeypatch)
        yield cluster
        done = dev_slurm("down", folder / "cluster")
        assert done.returncode == 0, done.stderr


def questions(cluster: Cluster) -> int:
    """How often slurmctld has been asked for jobs."""
    counts = re.findall(r"REQUEST_JOB_(?:USER_)?INFO\s+\(\s*\d+\) count:(\d+)", cluster.says("sdiag"))
    return sum(map(int, counts))


@pytest.mark.slow
def test_users_share_one_answer_unless_jobs_are_hidden(open_cluster: Cluster) -> None:
    job = open_cluster.submit("true", "--hold")
    conf, answers = Path(os.environ["SLURM_CONF"]), open_cluster.folder.parent / "answers"

    def look(uid: int, sees_it: bool) -> None:
        os.environ["XDG_RUNTIME_DIR"] = str(open_cluster.folder.parent / str(uid))
        for _ in range(3):
            jobs = polled_jobs({0}).jobs
            assert jobs is not None
            assert (job in jobs) == sees_it

    def ask_why(uid: int, sees_it: bool) -> None:
        os.environ["XDG_RUNTIME_DIR"] = str(open_cluster.folder.parent / str(uid))
        for _ in range(3):
            assert any(queued.job_id == job for queued in read_cluster().jobs) == sees_it

    def all_look(look: Callable[[int, bool], None], *, sees_it: bool) -> int:
        before = questions(open_cluster)
        in_processes(*(as_user(uid, lambda uid=uid: look(uid, sees_it)) for uid in USERS))  # type: ignore[misc]
        return questions(open_cluster) - before

    assert all_look(look, sees_it=True) == 1
    assert all_look(ask_why, sees_it=True) == 1
    conf.write_text(f"{conf.read_text()}\nPrivateData=jobs\n")
    open_cluster.says("scontrol", "reconfigure")
    for path in [*answers.iterdir(), *(path for uid in USERS for path in answers.with_name(str(uid)).glob("*/*"))]:
        path.unlink()  # as if they were old
    assert all_look(look, sees_it=False) == len(USERS)
    assert all_look(ask_why, sees_it=False) == len(USERS)
    assert list(answers.glob("*.jsonl")) == []
