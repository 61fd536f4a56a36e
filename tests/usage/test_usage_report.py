"""The whole report, from a run root and from what sacct prints; a script stands in for sacct."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.files import read_json, write_json
from passingloop.report.usage.content import Report
from passingloop.slurm.job_records import FIELDS, SEPARATOR
from passingloop.usage.usage_report import Request, advice_on, usage_report
from tests.usage.told import NOON, USER, Told

Accounting = Callable[..., None]


@pytest.fixture
def accounting(work: Path, monkeypatch: pytest.MonkeyPatch) -> Accounting:
    """`accounting(jobs, ending="exit 1")`: what sacct prints, and what it does then; until then there is none."""
    folder = work / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setenv("SLURM_CONF", str(work / "slurm.conf"))
    (work / "slurm.conf").touch()
    (folder / "sacct").write_text("#!/bin/sh\necho 'sacct: error: Slurm accounting storage is disabled' >&2\nexit 1\n")
    (folder / "sacct").chmod(0o755)

    def accounting(*jobs: dict[str, str], ending: str = "exit 0") -> None:
        lines = [SEPARATOR.join(job.get(name, "") for name in FIELDS) for job in jobs]
        (folder / "lines").write_text("".join(f"{line}\n" for line in lines))
        (folder / "sacct").write_text(f"#!/bin/sh\ncat {folder}/lines\n{ending}\n")

    return accounting


def line(job_id: str, started: float, ended: float, **fields: str) -> dict[str, str]:
    usual = {
        "JobIDRaw": job_id, "JobID": job_id, "User": USER, "Account": "team-a", "QOS": "normal", "NodeList": "n1",
        "AllocTRES": "cpu=4,gres/gpu:h200=1,gres/gpu=1,mem=64G", "Eligible": f"{NOON + started - 60:.0f}",
        "Start": f"{NOON + started:.0f}", "End": f"{NOON + ended:.0f}", "TimelimitRaw": "1440", "State": "COMPLETED",
        "Cluster": "dev", "JobName": "train",
    }  # fmt: skip
    return usual | fields


def made(told: Told, **fields: float | str | bool) -> Report:
    root = Path(os.environ.get("PASSINGLOOP_RUN_ROOT") or "runs").absolute()
    usual = {"since": NOON - 3600, "until": NOON + 36_000, "run_root": root}
    return usage_report(Request(**usual | fields))  # type: ignore[arg-type]


def two_runs(told: Told) -> None:
    for number, lr in enumerate(("1e-3", "1e-4"), start=1):
        run = told.runs.new("name=sweep", f"optim.lr={lr}")
        told.queued(run, -100, f"1{number}")
        told.start(run, 10, f"1{number}")
        told.end(run, 7200 * number, "completed", starting=600, training=7200 * number - 700, saving=10)
        (run.path / "result.json").write_text(json.dumps({"metrics": {"test/accuracy": number / 10}}))


def test_both_sources(told: Told, accounting: Accounting) -> None:
    two_runs(told)
    accounting(line("11", 0, 7210), line("12", 0, 14410), line("13", 0, 36_000, User="ben", JobName="a|b"))
    report = made(told)
    assert (report.cluster, report.notes) == ("dev", ())
    assert report.totals.gpu_hours.allocated == pytest.approx((7210 + 14410 + 36_000) / 3600)
    assert report.totals.explained_share == pytest.approx((7210 + 14410) / (7210 + 14410 + 36_000))
    assert [group.name for group in report.groups["user"]] == ["ben", USER]
    assert [page.experiment for page in report.runs] == ["sweep", "sweep"]
    [sweep] = report.sweeps
    assert (sweep.name, sweep.parameters, sweep.metrics) == ("sweep", ("optim.lr",), ("test/accuracy",))
    points = {point.overrides["optim.lr"]: (point.metrics["test/accuracy"], point.gpu_hours) for point in sweep.points}
    assert points == {0.001: (0.1, pytest.approx(7210 / 3600)), 0.0001: (0.2, pytest.approx(14410 / 3600))}
    shorter = next(waster for waster in report.wasters if waster.gpu_hours < 3)
    assert shorter.wasted == pytest.approx((10 + 600 + 80 + 10 + 10) / 3600)  # starting, ending, saving, holding
    assert "time limit 24 h, took 2 h: resources.time=3:30:00 would do, and shorter limits start sooner" in [
        said.sentence for said in shorter.advice
    ]


def test_only_the_largest_runs_have_curves(told: Told, accounting: Accounting) -> None:
    two_runs(told)
    row = {"time": "t", "attempt": 1, "step": 7, "split": "train", "loss": 0.5}
    for path in Path("runs/sweep").iterdir():
        (path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    accounting(line("11", 0, 7210), line("12", 0, 14410))
    curves = {page.settings["optim.lr"]: len(page.curves) for page in made(told, runs_with_curves=1).runs}
    assert curves == {0.001: 0, 0.0001: 1}


def test_a_site_without_accounting(told: Told, accounting: Accounting) -> None:
    two_runs(told)
    report = made(told)
    assert report.totals.runs == 2
    [note] = report.notes
    assert note.startswith("Slurm's accounting could not be read, so jobs that are no runs are missing: sacct: ")
    assert made(told, with_accounting=False).notes == ()


def test_accounting_that_fails_in_the_middle(told: Told, accounting: Accounting) -> None:
    accounting(line("13", 0, 3600, User="ben"), ending="echo 'sacct: error: Connection refused' >&2; exit 1")
    report = made(told)
    assert report.totals.jobs == 1
    note, _ = report.notes  # and that there is no folder of runs
    assert note.startswith("Slurm's accounting could only in part be read")


def test_only_accounting(told: Told, accounting: Accounting) -> None:
    accounting(line("13", 0, 3600), line("14", 0, 3600, AllocTRES="cpu=1,gres/shard=1"))
    report = made(told, run_root=Path("nowhere"))
    assert (report.totals.jobs, report.totals.gpu_hours.unexplained, report.runs) == (2, 1.0, ())
    nowhere, unknown = report.notes
    assert nowhere.startswith("The folder of runs nowhere cannot be read (No such file or directory), so it is not")
    assert unknown.startswith("1 allocation")


def test_damaged_directories_are_left_out_and_named(told: Told, accounting: Accounting) -> None:
    two_runs(told)
    damaged = told.runs.new("name=damaged")
    told.start(damaged, 0, None)
    damaged.record.write_text('{"schema": 99}')
    broken = told.runs.new("name=broken")
    told.start(broken, 0, None)
    broken.attempts.write_bytes(b'{"event": "start", "time": \n\xff\x00')
    odd = told.runs.new("name=odd")
    told.start(odd, 0, None)
    write_json(odd.record, read_json(odd.record) | {"config": {"resources": None}})
    report = made(told, with_accounting=False)
    assert report.totals.runs == 2
    assert report.notes == (
        f"These runs are left out, as their directories cannot be read: damaged/{damaged.path.name}, "
        f"odd/{odd.path.name}.",
    )


def test_of_one_user(told: Told, accounting: Accounting, work: Path) -> None:
    two_runs(told)
    accounting(ending=f'echo "$@" > {work}/asked')
    assert made(told, user="somebody").runs == ()
    assert "--user=somebody" in (work / "asked").read_text()
    made(told)
    assert "--allusers" in (work / "asked").read_text()


def test_advice_on_a_run_needs_no_slurm(told: Told) -> None:
    run = told.runs.new("name=a", "resources.time=24:00:00")
    told.start(run, 0, "12")
    told.end(run, 5400, "completed", starting=60, training=5300)
    (run.path / "result.json").write_text('{"metrics": {}}')
    assert [said.rule for said in advice_on(told.read(run), time.time())] == ["time_limit"]
