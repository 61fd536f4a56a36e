"""GPUs of a run and of a shell that compute nothing, on a real cluster; the driver's library is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, until
from tests.cluster.desk import Desk
from tests.cluster.login import Login, events, wait_for_step
from tests.cluster.test_causes import job, told
from tests.notify.receiver_programs import writing_program
from tests.tools.nvml_stand_in import NvmlStandIn

pytestmark = pytest.mark.slow

LONG = ("trainer.steps=100000", "trainer.log_every=1", "resources.gpus=1", "resources.cpus=1", "tracking=none")
ENDS = ("watch.idle_warning_minutes=[]", "watch.idle_end=true", "watch.idle_end_minutes=0.1")


def test_a_run_saves_and_ends_and_is_not_started_again(login: Login, nvml: NvmlStandIn) -> None:
    gpu = nvml.add_gpu(busy=90)  # the other one of the node is not the run's
    program = writing_program(login.folder / "tell", login.folder / "told")
    words = (*LONG, *ENDS, "tracking.sample_seconds=0.5", f"notify.command=[{program}]")
    [run] = login.but(**nvml.environment).submit("name=idle", *words)
    wait_for_step(run, 60)
    assert events(run, "stop_request") == [], "it is busy, for all that the library says"
    gpu.busy = 0
    until(lambda: bool(told(run)))
    until(lambda: login.cluster.state(job(run)) == "FAILED")
    assert told(run) == [("idle", ["stop"])]
    [end] = events(run, "end")
    assert run.saved_step == end["end_step"] >= 60
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    assert (row["state"], row["cause"], row["action"]) == ("interrupted", "idle", "stop")
    assert row["decided"].startswith("Its GPU has computed nothing for ")
    [notice] = map(json.loads, (login.folder / "told").read_text().splitlines())
    assert notice["env"]["PASSINGLOOP_NOTICE_OCCASION"] == "idle"


@pytest.fixture
def ending_site(cluster: Cluster) -> Iterator[None]:
    """A site that ends sessions whose GPUs compute nothing, and no others."""
    path = Path(cluster.env["SLURM_CONF"]).with_name("passingloop.toml")
    limits = "[gpu_idle]\nend = true\nwarning_minutes = []\nend_minutes = 0.15\n"
    path.write_text(f"[interactive]\nidle_warning_minutes = 0\n{limits}")
    yield
    path.unlink()


@pytest.mark.usefixtures("ending_site")
def test_a_shell_ends_whose_gpus_compute_nothing(desk: Desk, nvml: NvmlStandIn) -> None:
    gpu = nvml.add_gpu(busy=90)
    desk.env.update(nvml.environment)
    shell = desk.terminal("shell")
    number = shell.read_until(r"\(job (\d+) on n\d\) ")[1]
    assert desk.active() == [number]
    gpu.busy = 0
    shell.read_until(f"Slurm job {number} ends: its GPUs have computed nothing for")
    shell.exit_code()
    until(lambda: desk.active() == [])
