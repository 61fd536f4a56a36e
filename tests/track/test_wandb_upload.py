"""Real wandb with the stand-in for its server, to which runs are uploaded from their directories."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passingloop.config.running import TrackingConfig
from passingloop.errors import MissingError, RunBusy
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Start
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample, SamplesFile
from passingloop.track.metrics_file import MetricsFile
from passingloop.track.upload_marks import missing_uploads
from passingloop.track.wandb_upload import Upload, history_rows, upload_run
from tests.track.conftest import CREATED, KEY, made_identity, made_record
from tests.track.wandb_stand_in import WandbServer

Serve = Callable[..., WandbServer]

pytestmark = pytest.mark.process

CONFIG = TrackingConfig(mode="auto", project="p", entity=None, tags=())


@pytest.fixture
def run(tmp_path: Path, home: Path) -> RunDir:
    """Two attempts, tracked offline: the second begins at a checkpoint before the end of the first."""
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    made_record(run.path)
    for attempt, steps in ((1, range(1, 6)), (2, range(4, 9))):
        made_attempt(run, attempt, steps)
    return run


def made_attempt(run: RunDir, attempt: int, steps: range, cause: Cause = "completed") -> None:
    folder = run.path / "wandb" / f"offline-run-20261129_12000{attempt}-abc123"
    folder.mkdir(parents=True)
    (folder / "run-abc123.wandb").write_text(f"attempt {attempt}")
    start = Start(
        attempt=attempt, launcher="shell", job_id=None, nodes=["n"], processes=1, start_step=steps[0] - 1, code={}
    )
    ledger.append(run, start)
    with MetricsFile(run.metrics, attempt) as file:
        for step in steps:
            file.write(step, "train", {"loss": attempt + step / 100})
    ledger.append(run, End(attempt=attempt, end_step=steps[-1], cause=cause))


def uploaded(run: RunDir, **settings: Any) -> Upload:
    return upload_run(run, CONFIG, made_identity(), {"report/goodput": 0.75, "advice": "use less"}, **settings)


def steps(server: WandbServer) -> list[tuple[int, int]]:
    return [(row["trainer/global_step"], row["attempt"]) for row in server.history["abc123"]]


EACH_ONCE = [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 2), (8, 2)]


@pytest.mark.usefixtures("key")
def test_attempts_become_one_run_with_each_step_once(run: RunDir, serve: Serve) -> None:
    server = serve()
    done = uploaded(run)
    assert done == Upload(address=f"{server.url}/me/p/runs/abc123", rows=8)
    assert steps(server) == EACH_ONCE
    assert server.history["abc123"][3]["train/loss"] == 2.04
    assert server.exit_codes == [0]
    assert b"use less" in server.received
    assert missing_uploads(run) == []
    # Again, and after another attempt, whatever W&B had: the same, not more.
    uploaded(run)
    assert steps(server) == EACH_ONCE
    made_attempt(run, 3, range(8, 10))
    assert missing_uploads(run) == ["offline-run-20261129_120003-abc123"]
    uploaded(run)
    assert steps(server) == [*EACH_ONCE[:-1], (8, 3), (9, 3)]


@pytest.mark.usefixtures("key")
def test_an_upload_that_was_killed_is_done_again_without_doubles(run: RunDir, serve: Serve, tmp_path: Path) -> None:
    server = serve(hold_history=True)
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from tests.track.test_wandb_upload import *\nuploaded(RunDir(Path(sys.argv[2])))"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", program, root, str(run.path)]) as process:
        assert server.history_arrived.wait(60)
        process.send_signal(signal.SIGKILL)
    server.release_history()
    assert len(missing_uploads(run)) == 2
    uploaded(run)
    assert steps(server) == EACH_ONCE
    assert missing_uploads(run) == []


@pytest.mark.slow
@pytest.mark.usefixtures("key")
def test_a_host_that_keeps_no_history_is_noticed(run: RunDir, serve: Serve) -> None:
    """wandb's own client takes a refusal of the history for success."""
    serve(refuse_history=403)
    with pytest.raises(MissingError, match="not kept all rows"):
        uploaded(run, seconds=1.0)
    assert len(missing_uploads(run)) == 2


def test_without_a_key_it_says_what_to_do(run: RunDir, serve: Serve) -> None:
    serve()
    with pytest.raises(MissingError, match=r"no API key was found\. Set WANDB_API_KEY, or run `wandb login`"):
        uploaded(run)


@pytest.mark.usefixtures("key")
def test_a_dead_host_is_named(run: RunDir) -> None:
    with pytest.raises(MissingError, match=re.escape(f"{os.environ['WANDB_BASE_URL']} does not answer")):
        uploaded(run)


@pytest.mark.usefixtures("key")
def test_the_key_is_in_no_file_and_no_command_line(run: RunDir, serve: Serve) -> None:
    server = serve(hold_history=True)
    seen: list[bytes] = []

    def look() -> None:
        server.history_arrived.wait(60)
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes())
            except OSError:  # it has ended
                continue
        server.release_history()

    watcher = threading.Thread(target=look)
    watcher.start()
    uploaded(run)
    watcher.join()
    assert any(b"wandb" in line for line in seen)
    assert not any(KEY.encode() in line for line in seen)
    assert KEY.encode() not in server.received
    assert [path for path in run.path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_two_uploads_of_a_run_do_not_meet(run: RunDir) -> None:
    with (run.path / "wandb" / "upload.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunBusy, match="Another process uploads"):
            uploaded(run)


def test_samples_of_the_nodes_are_in_the_history(run: RunDir) -> None:
    device = Device(name="NVIDIA H200", uuid="GPU-1")
    run.samples.mkdir()
    node = NodeSamples(attempt=1, node="n1", devices=(device,))
    with SamplesFile(run.samples_of(1, "n1"), node) as file:
        file.append(Sample(time=CREATED + 60, seconds=5.0, gpus=(GpuSample(busy=0.5),)).to_row())
    first = history_rows(run)[0]
    assert first["resources/gpu_busy"] == 0.5
    assert first["resources/minutes"] == 1.5
    assert first["attempt"] == 1
    times = [row["_timestamp"] for row in history_rows(run)]
    assert times == sorted(times)
    assert times[-1] <= time.time()
