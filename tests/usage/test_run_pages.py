"""The pages of runs and sweeps."""

from __future__ import annotations

import json
import os

from passingloop.report.usage.usage_figures import Figures
from passingloop.rundir.events import Seconds
from passingloop.search.rungs import Move, Search
from passingloop.search.sweep_ledger import Entry, Reported, SweepFile
from passingloop.usage.run_pages import metrics, run_page, sweeps
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse
from tests.usage.told import NOON, Told


def test_the_page_of_a_run_that_was_preempted(told: Told) -> None:
    run = told.runs.new("name=a", "optim.lr=0.002", "tracking=none")
    told.queued(run, -100, "12")
    told.start(run, 0, "12", nodes=["n1", "n2"], gpus=4)
    told.end(run, 600, "preempted", "Stopped after step 7.", starting=100, training=480, saving=10, lost=20)
    told.start(run, 1000, "12", start_step=7, gpus=None)
    told.end(run, 1200, "completed", training=200)
    row = {"time": "t", "attempt": 2, "step": 7, "split": "validation", "loss": 0.5, "accuracy": "NaN"}
    run.metrics.write_text(json.dumps(row) + "\n")
    page = run_page(told.read(run), Figures(runs=1), (), with_curves=True)
    assert (page.name, page.experiment, page.state) == (f"a/{run.path.name}", "a", "lost")
    assert page.metrics == {"validation/loss": 0.5}
    assert page.settings["optim.lr"] == 0.002
    assert not [name for name in page.settings if name.startswith(("tracking", "resources", "cluster"))]
    first, second = page.attempts
    assert (first.started - NOON, first.cause, first.message) == (0, "preempted", "Stopped after step 7.")
    assert (first.start_step, first.end_step, first.gpus, first.nodes) == (0, 7, 8, ("n1", "n2"))
    assert first.seconds == {"starting": 110.0, "training": 460.0, "saving": 10.0, "lost_to_preemption": 20.0}
    assert (second.start_step, second.gpus) == (7, None)
    assert [(curve.split, curve.metric) for curve in page.curves] == [
        ("validation", "loss"),
        ("validation", "accuracy"),
    ]
    assert run_page(told.read(run), Figures(), (), with_curves=False).curves == ()


def test_the_state_is_told_in_the_words_of_status(told: Told) -> None:
    queued, trains, made_way, stopped, failed, done = (told.runs.new(f"name={name}") for name in "abcdef")
    told.queued(queued, 0, "1")
    for number, run in enumerate((trains, made_way, stopped, failed, done), start=2):
        told.start(run, 0, str(number))
    pulse.write(trains, Pulse(attempt=1, step=1, saved_step=0, seconds=Seconds()))
    os.utime(trains.pulse, (NOON + 9_999, NOON + 9_999))
    told.end(made_way, 600, "preempted")
    told.end(stopped, 600, "cancelled")
    told.end(failed, 600, "oom")
    told.decided(failed, 601, "stop")
    told.end(done, 600, "completed")
    done.result.write_text('{"metrics": {}}')
    runs = (queued, trains, made_way, stopped, failed, done)
    words = [run_page(told.read(run), Figures(), (), with_curves=False).state for run in runs]
    assert words == ["pending", "running", "pending", "cancelled", "failed", "completed"]


def test_sweeps(told: Told) -> None:
    records = []
    for lr, seed in ((0.1, 1), (0.2, 1), (0.2, 2)):
        run = told.runs.new("name=s", f"optim.lr={lr}", f"trainer.seed={seed}")
        told.start(run, 0, None)
        run.result.write_text(json.dumps({"metrics": {"test/accuracy": lr, "test/note": "text"}}))
        records.append(told.read(run))
    alone = told.runs.new("name=alone")
    told.start(alone, 0, None)
    [sweep] = sweeps([*records, told.read(alone)], {records[0].name: 1.5})
    assert (sweep.name, sweep.metrics) == ("s", ("test/accuracy",))
    assert set(sweep.parameters) == {"optim.lr", "trainer.seed"}
    assert [point.overrides for point in sweep.points] == [
        {"optim.lr": 0.1, "trainer.seed": 1},
        {"optim.lr": 0.2, "trainer.seed": 1},
        {"optim.lr": 0.2, "trainer.seed": 2},
    ]  # fmt: skip
    assert [point.gpu_hours for point in sweep.points] == [1.5, 0.0, 0.0]
    assert metrics(records[1]) == {"test/accuracy": 0.2}


def test_a_sweep_with_rungs_has_what_its_ledger_says(told: Told) -> None:
    records = []
    rules = Search(kind="halving", metric="validation/loss", lower_is_better=True, eta=3, rungs=2, width=3)
    file = None
    for lr, value in ((0.1, 0.5), (0.2, 0.4), (0.3, None)):
        run = told.runs.new("name=s", f"optim.lr={lr}")
        told.start(run, 0, None)
        records.append(told.read(run))
        file = SweepFile.of_run(run)
        file.write_search(rules, None)
        file.write_points([Entry(run=run.path.name, values={}, settings={}, reported={})])
        file.write_told(rules, {Move(run.path.name, 0): 0}, "a command")
        file.write_values({Move(run.path.name, 0): Reported(step=10 if value else 0, value=value)})
    assert file
    file.write_told(rules, {Move(records[1].run.path.name, 1): 0}, "a command")
    [sweep] = sweeps(records, {})
    assert sweep.compared_by == "validation/loss"
    counts = [(rung.told, rung.done, rung.went_on, rung.failed, rung.best) for rung in sweep.rungs]
    assert counts == [(3, 2, 1, 1, 0.4), (1, 0, 0, 0, None)]
    file.path.write_text('{"event": "search", "version": 99}\n')
    assert [each.rungs for each in sweeps(records, {})] == [()]
