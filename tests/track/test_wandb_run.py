"""Real wandb, without a server that answers."""

from __future__ import annotations

import getpass
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

from passingloop.config.running import TrackingConfig
from passingloop.errors import MissingError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import NodeSamples, Sample, SamplesFile
from passingloop.track import wandb_run
from passingloop.track.wandb_child import _wandb_settings
from passingloop.track.wandb_run import order_for
from tests.track.conftest import KEY, Tracking, inspect, made_identity, records

pytestmark = pytest.mark.process

CONFIG = TrackingConfig(mode="offline", project="p", entity=None, tags=())

RUN = """
import os, sys, time
from pathlib import Path
from passingloop.config.running import TrackingConfig
from passingloop.track.wandb_identity import Identity
from passingloop.track.wandb_run import open_wandb
config = TrackingConfig(mode="offline", project="p", entity=None, tags=())
identity = Identity(run_id="abc123", name="n", group="g", job_type="j", tags=(),
                    config={"data": {"password_env": "DB_PASSWORD"}})
run = open_wandb(config, identity, folder=Path(os.environ["FOLDER"]), attempt=1, notice=print)
run.log(1, "train", {"loss": 0.5})
"""


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that W&B has started for a run in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"FOLDER={folder}\0" in (process / "environ").read_text():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or belongs to someone else
            continue
    return found


def wait_for(true: object, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    return bool(true())  # type: ignore[operator]


def test_an_offline_run_reads_back(tracking: Tracking) -> None:
    run = tracking.must_open("offline", attempt=3, optim={"lr": 1e-4}, run_root=Path("runs"))
    run.log(10, "train", {"loss": 0.5, "lr": 1e-4})
    run.log(10, "validation", {"accuracy": numpy.float32(0.75)})  # type: ignore[dict-item]
    run.summary({"test/accuracy": 0.8, "validation/loss": 0.6, "advice": "use less"})
    run.finish("completed")
    (folder,) = tracking.folders()
    assert run.address == str(folder)
    assert tracking.notices == []

    (opened,) = records(folder, "run")
    assert (opened["run_id"], opened["display_name"], opened["project"]) == ("abc123", "docs-abc123", "p")
    assert (opened["run_group"], opened["job_type"]) == ("docs", "classification")
    assert opened["tags"] == ["t"]
    config = opened["config"]["update"]
    assert config["optim"] == {"lr": 1e-4}
    assert config["run_root"] == "runs"
    first, second = [record["item"] for record in records(folder, "history")]
    assert (first["train/loss"], first["train/lr"], first["trainer/global_step"], first["attempt"]) == (
        0.5,
        1e-4,
        10,
        3,
    )
    assert (second["validation/accuracy"], second["trainer/global_step"]) == (0.75, 10)
    axes = {record.get("glob_name"): record.get("step_metric") for record in records(folder, "metric")}
    assert axes["*"] == "trainer/global_step"
    assert {"test/accuracy": 0.8, "advice": "use less"} in [record["update"] for record in records(folder, "summary")]
    assert records(folder, "exit")[0].get("exit_code", 0) == 0


def test_nodes_that_are_sampled_are_not_measured_a_second_time(tracking: Tracking) -> None:
    run = RunDir(tracking.folder)
    order = order_for("offline", CONFIG, made_identity(), run.path, 2, finish_seconds=5.0)
    assert not _wandb_settings(order)["x_disable_stats"]
    run.samples.mkdir()
    with SamplesFile(run.samples_of(2, "n1"), NodeSamples(attempt=2, node="n1")) as file:
        file.append(Sample(time=time.time() - 60, seconds=5.0, cpus=3.5).to_row())
    assert _wandb_settings(order)["x_disable_stats"]
    tracked = tracking.must_open("offline", attempt=2)
    tracked.log(1, "train", {"loss": 1.0})
    tracked.finish("completed")
    rows = [record["item"] for record in records(tracking.folders()[0], "history")]
    assert [row["resources/cpus"] for row in rows if "resources/cpus" in row] == [3.5]


def test_it_costs_the_run_next_to_nothing(tracking: Tracking) -> None:
    begun = time.monotonic()
    run = tracking.must_open("offline")
    for step in range(500):
        run.log(step, "train", {"loss": 1.0})
    assert time.monotonic() - begun < 0.5
    begun = time.monotonic()
    run.finish("completed")
    assert time.monotonic() - begun < 10
    (folder,) = tracking.folders()
    assert len(records(folder, "history")) == 500


@pytest.mark.parametrize(("state", "code"), [("preempted", 1), ("crash", 1), ("interrupted", 255)])
def test_the_cause_of_the_end_is_recorded(tracking: Tracking, state: str, code: int) -> None:
    run = tracking.must_open("offline")
    run.finish(state)
    (folder,) = tracking.folders()
    assert records(folder, "exit")[0]["exit_code"] == code
    assert len(records(folder, "preempting")) == (state == "preempted")


def test_after_the_finish_nothing_happens(tracking: Tracking) -> None:
    run = tracking.must_open("offline")
    run.finish("completed")
    run.log(1, "train", {"loss": 1.0})
    run.summary({"a": 1.0})
    run.finish("completed")
    assert tracking.notices == []


def test_without_a_key_the_run_is_offline_and_says_how_to_upload(tracking: Tracking) -> None:
    for mode in ("auto", "wandb"):
        run = tracking.must_open(mode)
        run.log(1, "train", {"loss": 1.0})
        run.finish("completed")
    for notice, folder in zip(tracking.notices, tracking.folders(), strict=True):
        assert notice.startswith("W&B is offline: no API key was found.")
        assert notice.endswith(f"passingloop sync '{tracking.folder}'")
        assert "\n" not in notice
        assert len(records(folder, "history")) == 1


def test_a_malformed_key_is_named(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    run = tracking.must_open("auto")
    run.finish("completed")
    (notice,) = tracking.notices
    assert "API" in notice
    assert "passingloop sync" in notice


def test_a_key_from_netrc_is_found(tracking: Tracking, home: Path) -> None:
    (home / ".netrc").write_text(f"machine {os.environ['WANDB_BASE_URL'][7:]}\n login user\n password {KEY}\n")
    run = tracking.must_open("auto")
    run.finish("completed")
    assert "does not answer" in tracking.notices[0]


@pytest.mark.usefixtures("key")
def test_a_user_who_ran_wandb_offline_is_reminded(tracking: Tracking, home: Path) -> None:
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nmode = offline\n")
    run = tracking.must_open("auto")
    run.finish("completed")
    assert tracking.notices[0].startswith("W&B is offline: its settings file says mode = offline.")


@pytest.mark.usefixtures("key")
def test_a_dead_host_means_offline(tracking: Tracking) -> None:
    run = tracking.must_open("wandb")
    run.log(1, "train", {"loss": 1.0})
    begun = time.monotonic()
    run.finish("completed")
    assert time.monotonic() - begun < 8
    (notice,) = tracking.notices
    assert f"{os.environ['WANDB_BASE_URL']} does not answer" in notice
    assert len(records(tracking.folders()[0], "history")) == 1


@pytest.mark.usefixtures("key", "mute")
def test_a_host_that_never_answers_means_offline(tracking: Tracking) -> None:
    begun = time.monotonic()
    run = tracking.must_open("auto")
    run.log(1, "train", {"loss": 1.0})
    assert time.monotonic() - begun < 0.5
    run.finish("completed")
    assert time.monotonic() - begun < 10
    assert "does not answer" in tracking.notices[0]
    assert len(records(tracking.folders()[0], "history")) == 1


@pytest.mark.usefixtures("key", "mute")
def test_finish_gives_up_when_told_to(tracking: Tracking) -> None:
    run, begun = tracking.must_open("auto"), time.monotonic()
    run.finish("preempted", seconds=0.5)
    assert time.monotonic() - begun < 1.5
    assert tracking.notices == ["W&B has not finished within 0.5 s; metrics.jsonl has everything."]


def test_a_helper_that_dies_is_noticed_once(tracking: Tracking) -> None:
    run = tracking.must_open("offline")
    assert run._process is not None
    os.kill(run._process._process.pid, signal.SIGKILL)

    def told() -> bool:
        run.log(1, "train", {"loss": 1.0})
        return bool(tracking.notices)

    assert wait_for(told)
    run.log(2, "train", {"loss": 1.0})
    run.finish("completed")
    assert tracking.notices == ["W&B has ended unexpectedly; metrics.jsonl has everything."]


def test_what_wandb_raises_is_noticed_and_stops_nothing(tracking: Tracking) -> None:
    run = tracking.open("offline", run_id="not/allowed")
    assert run is not None
    run.log(1, "train", {"loss": 1.0})
    run.finish("completed")
    (notice,) = tracking.notices
    assert notice.startswith("W&B has stopped: ")
    assert notice.endswith("metrics.jsonl has everything.")


def test_a_killed_run_leaves_its_values_and_no_process(tmp_path: Path, tracking: Tracking) -> None:
    env = os.environ | {"FOLDER": str(tracking.folder)}
    with subprocess.Popen([sys.executable, "-c", RUN + "time.sleep(60)"], env=env) as owner:
        assert wait_for(lambda: len(processes_of(tracking.folder)) >= 3)
        owner.kill()
    assert wait_for(lambda: not processes_of(tracking.folder))
    (folder,) = tracking.folders()
    assert len(records(folder, "history")) == 1
    assert records(folder, "exit")[0]["exit_code"] == 1


def test_signals_to_the_whole_job_do_not_end_the_helper(tracking: Tracking) -> None:
    run = tracking.must_open("offline")
    assert wait_for(lambda: run.address != str(tracking.folder / "wandb"))
    assert run._process is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(run._process._process.pid, number)
    run.log(1, "train", {"loss": 1.0})
    run.finish("preempted")
    assert tracking.notices == []
    assert len(records(tracking.folders()[0], "history")) == 1


@pytest.mark.usefixtures("key")
def test_no_command_line_no_machine_and_no_key_on_disk(tracking: Tracking, home: Path, tmp_path: Path) -> None:
    env = os.environ | {"FOLDER": str(tracking.folder), "DB_PASSWORD": "hunter2-in-the-environment"}
    arguments = ["data.dsn=hunter2-on-the-command-line"]
    script = tmp_path / "planted_script.py"
    script.write_text(RUN + "run.finish('completed')")
    work = tmp_path / "working folder"
    work.mkdir()
    subprocess.run([sys.executable, str(script), *arguments], env=env, cwd=work, check=True, timeout=60)

    kept = {path: path.read_bytes() for path in tracking.folder.rglob("*") if path.is_file()}
    assert any(path.suffix == ".wandb" for path in kept)
    for secret in ("hunter2", KEY, "planted_script", "working folder"):
        assert [path for path, content in kept.items() if secret.encode() in content] == []
    (folder,) = tracking.folders()
    recorded = json.dumps(inspect(folder))
    for machine in (f'"{socket.gethostname()}"', sys.prefix, str(tmp_path), f'"{getpass.getuser()}"'):
        assert machine not in recorded
    assert list(work.iterdir()) == []
    assert list(home.iterdir()) == []


def test_a_process_that_cannot_be_started_stops_nothing(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert tracking.open("auto") is None
    assert tracking.notices[0].startswith("W&B is off: its process cannot be started (")


def test_off_is_off(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking.open("none") is None
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking.open("auto") is None
    assert [path.name for path in tracking.folder.iterdir()] == ["run.json"]


def test_a_user_who_set_wandb_to_offline_is_not_told_so(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tracking.must_open("auto")
    run.finish("completed")
    assert tracking.notices == []
    assert len(tracking.folders()) == 1


def test_without_wandb_auto_goes_without_and_the_others_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_run, "is_installed", lambda: False)  # the tests need it; what finds it has a test below
    tracking = Tracking(tmp_path)
    assert tracking.open("auto") is None
    assert "pip install 'passingloop[wandb]'" in tracking.notices[0]
    for mode in ("wandb", "offline"):
        with pytest.raises(MissingError, match=r"tracking=.*pip install 'passingloop\[wandb\]'"):
            tracking.open(mode)


def test_a_folder_called_wandb_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    assert not wandb_run.is_installed()


def test_importing_the_room_is_light() -> None:
    source = (
        "import sys, passingloop.track.console, passingloop.track.recorder, passingloop.track.wandb_run\n"
        "print([name for name in ('torch', 'lightning', 'transformers', 'wandb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
