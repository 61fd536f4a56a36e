"""``sweep.search`` on a real Slurm: whichever job comes to a rung last decides, and nothing is lost or done twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop import files
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.search.decision_round import decide
from passingloop.search.enrolment import add_points
from passingloop.search.stalled_search import STILL
from passingloop.search.sweep_ledger import SweepFile
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for, wait_for_step

pytestmark = pytest.mark.slow

HALVING = ("-m", "name=lr", "sweep.search=halving", "sweep.rungs=2", "resources.cpus=1")
POINTS = "trainer.seed=1,2,3"


def causes(run: RunDir) -> list[str]:
    return [end["cause"] for end in events(run, "end")]


def best_of(runs: list[RunDir]) -> RunDir:
    """The run that went on, once it has been told to."""
    file = SweepFile.of_run(runs[0])
    until(lambda: any(line.get("rung") == 1 for line in files.read_json_lines(file.path)))
    [told] = [line for line in files.read_json_lines(file.path) if line["event"] == "told" and line["rung"] == 1]
    assert told["by"].startswith("job ")
    return file.run(told["run"])


def test_a_job_decides_and_what_a_killed_one_had_decided_is_submitted_by_the_next_command(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = login.submit(*HALVING, POINTS)
    best = best_of(runs)
    until(best.result.exists)
    assert sorted(causes(run) for run in runs) == [["paused"], ["paused"], ["paused", "completed"]]
    assert login.verb("wait", "lr").returncode == 0
    assert sum(len(events(run, "start")) for run in runs) == 4, "no rung was trained twice"

    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, login.env[name])
    file = SweepFile.of_run(best)
    sweep = file.read()
    assert sweep
    config = sweep.entries[best.path.name].config
    add_points([replace(config, trainer=replace(config.trainer, seed=4))], one_by_one=False)
    [owed] = decide(file, "one that is killed before it submits")
    done = login.train("launcher=slurm", *HALVING, "trainer.seed=1,2,3,4")
    assert "Submitted 1 run as" in done.stderr
    assert wait_for(owed.run)["cause"] == "paused"
    assert len(events(owed.run, "queued")) == 1
    [told] = [told for told in (file.read() or sweep).entries[owed.run.path.name].told if told.rung == 0]
    assert told.by == "one that is killed before it submits"


def test_deciders_that_are_killed_before_they_decide_leave_it_to_the_same_command(login: Login) -> None:
    """Nobody is left: that is said, and the command goes on without training a rung twice."""
    runs = login.submit(*HALVING, POINTS)
    with Home.for_user(login.folder / "runs").lock():  # their jobs wait for it, to decide
        until(lambda: all(causes(run) == ["paused"] for run in runs))
        for job in login.jobs("lr"):
            login.cluster.says("scancel", "--signal=KILL", "--full", job)
        until(lambda: not login.cluster.says("squeue", "--noheader", "--me"))
    for verb in ("sweep", "status", "why"):
        said = " ".join(login.verb(verb, runs[0].path.name if verb != "sweep" else "lr").stdout.split())
        assert STILL in said, verb
    done = login.train("launcher=slurm", *HALVING, POINTS)
    assert "Submitted 1 run as" in done.stderr
    [told] = [line for line in files.read_json_lines(SweepFile.of_run(runs[0]).path) if line.get("fraction") == 1.0]
    best = SweepFile.of_run(runs[0]).run(told["run"])
    until(best.result.exists)
    assert sorted(causes(run) for run in runs) == [["paused"], ["paused"], ["paused", "completed"]]
    assert "1 went on to rung 2" in done.stderr


def test_a_requeued_point_comes_to_its_rung_and_the_promoted_one_to_the_end(login: Login) -> None:
    runs = login.submit(*HALVING, "trainer.seed=1,2", "sweep.eta=2", "trainer.steps=200", "trainer.log_every=1")
    wait_for_step(runs[0], 3)
    login.cluster.says("scontrol", "requeue", events(runs[0], "start")[0]["job_id"])
    assert wait_for(runs[0])["cause"] == "requeued"
    best = best_of(runs)
    wait_for_step(best, 110, attempt=len(events(best, "start")))
    login.cluster.says("scontrol", "requeue", events(best, "start")[-1]["job_id"])
    until(best.result.exists)
    assert causes(best)[-2:] == ["requeued", "completed"]
    assert causes(best).count("paused") == 1
    [other] = [run for run in runs if run != best]
    assert causes(other)[-1] == "paused"
    assert {end["end_step"] for run in runs for end in events(run, "end") if end["cause"] == "paused"} == {100}


def values(file: SweepFile) -> int:
    """How many points have a value at a rung, each for every rung."""
    sweep = file.read()
    return sum(len(entry.reported) for entry in sweep.entries.values()) if sweep else 0


def test_asha_with_one_place_begins_a_point_where_another_cannot_go_on(login: Login) -> None:
    words = ("-m", "name=asha", "sweep.search=asha", "sweep.rungs=2", "sweep.eta=2", "trainer.seed=1,2")
    [first] = login.submit(*words, "sweep.points=1", "sweep.max_points=2")
    file = SweepFile.of_run(first)
    for count in (1, 2, 3):
        until(lambda count=count: values(file) == count)
    sweep = file.read()
    assert sweep
    told = [(told.rung, told.by) for entry in sweep.entries.values() for told in entry.told]
    assert sorted(rung for rung, _ in told) == [0, 0, 1]
    assert sum(by.startswith("job ") for _, by in told) == 2
    assert sum(len(events(file.run(name), "start")) for name in sweep.entries) == 3


def test_the_members_of_a_pack_go_on_in_their_job(login: Login) -> None:
    words = ("-m", "name=pack", "sweep.search=halving", "sweep.rungs=2", "sweep.eta=2", "trainer.seed=1,2")
    runs = login.submit(*words, "sweep.pack=2", "resources.cpus=1")
    best = best_of(runs)
    until(best.result.exists)
    assert len(login.jobs("pack")) <= 2
    assert sorted(causes(run) for run in runs) == [["paused"], ["paused", "completed"]]
