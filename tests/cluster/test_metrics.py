"""What `passingloop export-metrics` says of a real cluster, and how often it asks it."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.cluster import until
from tests.cluster.login import Login
from tests.cluster.test_polling import questions


def values(text: str, name: str, label: str) -> dict[str, float]:
    """The values of a metric by one of its labels."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.labels[label]: sample.value for sample in samples if sample.name == name}


def exported(login: Login, folder: Path) -> str:
    done = login.verb("export-metrics", "--textfile", str(folder))
    assert done.returncode == 0, done.stderr
    return (folder / "passingloop.prom").read_text()


def test_gpus_jobs_and_reasons_are_those_of_the_cluster(login: Login, tmp_path: Path) -> None:
    """The cluster has 2 nodes with 2 GPUs each."""
    login.cluster.submit("sleep 60", "--gres=gpu:2", "--nodes=1")
    login.cluster.submit("true", "--hold", "--array=0-4", "--gres=gpu:1")
    columns = ("--allocations", "--noheader", "--format=State")
    until(lambda: "RUNNING" in login.cluster.says("sacct", *columns))  # slurmdbd hears of it later
    text = exported(login, tmp_path)
    assert values(text, "passingloop_gpus", "state") == {"allocated": 2, "idle": 2, "unavailable": 0}
    assert sum(values(text, "passingloop_gpus_allocated", "qos").values()) == 2
    assert sum(values(text, "passingloop_gpus_requested", "qos").values()) == 5
    assert values(text, "passingloop_jobs_pending", "reason") == {"JobHeldUser": 5}
    assert sum(values(text, "passingloop_jobs_running", "qos").values()) == 1
    assert values(text, "passingloop_source_up", "source")["queue"] == 1
    assert sum(values(text, "passingloop_use_jobs", "qos").values()) >= 1


def test_slurm_is_asked_once_however_often_it_is_scraped(login: Login) -> None:
    conf = Path(login.env["SLURM_CONF"]).with_name("passingloop.toml")
    conf.write_text("poll_seconds = 3600\n")
    command = [sys.executable, "-P", "-m", "passingloop.cli.main", "export-metrics", "--listen", "127.0.0.1:0"]
    try:
        with subprocess.Popen(command, env=login.env, cwd=login.folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            found = re.search(r"http\S+", process.stderr.readline())
            assert found
            before = questions(login.cluster)
            for _ in range(5):
                with urllib.request.urlopen(found[0], timeout=30) as answer:
                    assert b'passingloop_source_up{source="queue"} 1.0' in answer.read()
            asked = questions(login.cluster) - before
            process.terminate()
            assert process.wait(30) == 0
    finally:
        conf.unlink()
    assert asked == 1
