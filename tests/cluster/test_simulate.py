"""scripts/slurm-policy simulate: a trace on a real Slurm with a clock of its own, and nothing left afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import RELEASE, ROOT, own_environment, until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="jobs of many users are started by root only"),
]

POLICY = """\
qos:
  interactive: {priority: 100, preempts: [scavenger], max_time: 4:00:00}
  production: {priority: 50}
  scavenger: {preempt_mode: requeue, grace_time: 0:02:00}
accounts:
  root: {qos: [interactive, production, scavenger], default_qos: production}
  vision: {shares: 3}
slurm_conf:
  PreemptType: preempt/qos
  PreemptMode: REQUEUE
  PriorityType: priority/multifactor
  PriorityWeightQOS: 1000
  AccountingStorageEnforce: [associations, limits, qos]
objectives:
  interactive.wait_p95: 600s
  never_started: 0
"""

FIFO = POLICY.replace("preempts: [scavenger], ", "").replace("priority: 100", "priority: 0")

# The scavenger holds all GPUs when the interactive job comes.
TRACE = """\
submit_s,duration_s,gpus,group,user,qos,state,patience_s
0,7200,2,vision,ada,scavenger,completed,
1800,600,1,vision,bob,interactive,completed,
1900,900,1,language,cai,,failed,
1950,0,2,vision,bob,,cancelled,60
"""


@pytest.fixture
def folder(packages: None, tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "fifo.yaml").write_text(FIFO)
    (tmp_path / "trace.csv").write_text(TRACE)
    return tmp_path


def command(*options: str) -> list[str]:
    return [
        *(sys.executable, str(ROOT / "scripts" / "slurm-policy"), "simulate", "policy.yaml", "--trace", "trace.csv"),
        *("--nodes", "1", "--gpus", "2", *(["--release", RELEASE] if RELEASE else []), *options),
    ]


def test_an_urgent_job_gets_gpus_at_once_and_the_one_that_gives_way_loses_a_little(folder: Path) -> None:
    """It waits for the other to save, which that one loses, and no hours until its end."""
    measured = {"save_s": 15.0, "restart_s": 45.0, "save_every_s": 600.0}
    (folder / "drill.json").write_text(json.dumps({"exact": True, "measured": measured}))
    said = simulated(folder, "--drill", "drill.json", "--restart", "30")
    own = said["policy"]
    assert {name: (one["seconds"], one["source"]) for name, one in said["saving"].items()} == {
        "save_s": (15.0, "drill.json"),
        "restart_s": (30.0, "--restart"),
        "save_every_s": (600.0, "drill.json"),
    }
    assert own["named"]["interactive.wait_p95"]["value"] < 600
    preempted = [group["preemptions"] for group in own["groups"]["qos"] if group["name"] == "scavenger"]
    assert preempted == [1]
    assert 0 < own["totals"]["lost_gpu_hours"] < 0.2
    assert [own["totals"][key] for key in ("jobs", "cancelled", "never_started")] == [4, 1, 0]


@pytest.mark.slow
def test_beside_a_policy_under_which_it_waits(folder: Path) -> None:
    said = simulated(folder, "--against", "fifo.yaml")
    assert said["policy"]["named"]["interactive.wait_p95"]["value"] < 600
    assert said["against"]["named"]["interactive.wait_p95"]["value"] > 4000
    assert said["against"]["totals"]["preemptions"] == 0


def simulated(folder: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        command("--json", *options),
        cwd=folder,
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(folder: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen(command(), cwd=folder, env=own_environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = "".join(line for _, line in zip(range(2), process.stderr, strict=False))
        own = Path(said.split(" nodes in ")[1].strip())
        until((own / "run/reports").exists)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert not own.exists()
    assert not [entry for entry in Path("/proc").glob("[0-9]*") if str(own) in environment_of(entry)]


def environment_of(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""
