"""``passingloop promote``: what production size is, whose code runs, and what is refused before Slurm is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.cli.runs.promote import experiment_code, production_words
from passingloop.config.build import to_plain
from passingloop.errors import ConfigError
from passingloop.rundir.code import FrozenCode, code_identity
from passingloop.rundir.submission import Home
from passingloop.rundir.tasks import TrainTask
from passingloop.site import Production
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.partition import read_partitions
from passingloop.slurm.capacity.policy import Qos
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs
from tests.conftest import Compose

CLUSTER = Facts(
    partitions=read_partitions(
        "PartitionName=main Default=YES State=UP MaxTime=UNLIMITED TotalNodes=2\n"
        "PartitionName=big State=UP MaxTime=UNLIMITED TotalNodes=1",
        "NodeName=n1 CPUTot=8 RealMemory=1000 Gres=gpu:a100:4 Partitions=main\n"
        "NodeName=n2 CPUTot=8 RealMemory=1000 Gres=gpu:2 Partitions=main\n"
        "NodeName=n3 CPUTot=8 RealMemory=1000 Gres=gpu:h200:8 Partitions=big",
    ),
    qos={"production": Qos(name="production", caps={}, has_user_caps=False)},
    accounts=(),
    max_array_size=1000,
)
EVERY_TIME = ["resources.tasks=auto", "resources.cpus=auto"]


def test_production_size_is_all_data_on_all_gpus_of_a_node(compose: Compose) -> None:
    words = production_words(compose("data.limit=64"), Production(), CLUSTER)
    assert words == ["data.limit=null", "resources.gpus=4", *EVERY_TIME, "cluster.qos=production"]


def test_the_site_says_what_production_is(compose: Compose) -> None:
    production = Production(qos="none-such", partition="big", time="3-00:00:00", gpus=2)
    words = production_words(compose(), production, CLUSTER)
    assert words == ["resources.gpus=2", *EVERY_TIME, "cluster.partition=big", "resources.time=3-00:00:00"]
    assert "resources.gpus=8" in production_words(compose("cluster.partition=big"), Production(), CLUSTER)


def test_the_limit_of_each_source_of_a_mix_is_lifted(compose: Compose, work: Path) -> None:
    (work / "a.csv").write_text("text,label\nx,y\n")
    mix = ("data=mix", "+data@data.sources.a=files", "data.sources.a.train=a.csv", "data.sources.a.limit=5")
    experiment = compose(*mix)
    assert "data.sources.a.limit=null" in production_words(experiment, Production(), CLUSTER)


def test_an_experiment_of_the_current_code(runs: Runs, work: Path) -> None:
    run = runs.start(runs.new("name=a"), code=code_identity())
    assert experiment_code(run, work).files == FrozenCode.of_package(work).files


def test_the_frozen_code_of_a_submission(runs: Runs, compose: Compose) -> None:
    run, config = runs.new("name=a"), compose("name=a")
    home = Home.for_user(config.run_root)
    home.create()
    (home.code / "0123").mkdir()
    submission, code = home.new_submission(), {"version": "0.1", "commit": "a" * 40, "changes": "b" * 64}
    submission.write_intent([TrainTask(run=run, code=code, settings=to_plain(config))], home.code / "0123")
    submission.accept("12")
    frozen = experiment_code(run, home.code)
    assert (frozen.folder, frozen.identity()) == (home.code / "0123", code)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "version 0.0.1, which"),
        ("b" * 64, "commit 999999999999 with changes that were not committed"),
    ],
)
def test_code_that_was_not_kept_is_named(runs: Runs, work: Path, changes: str | None, words: str) -> None:
    code = {"version": "0.0.1", "commit": "9" * 40 if changes else None, "changes": changes}
    run = runs.start(runs.new("name=a"), code=code)
    with pytest.raises(ConfigError) as caught:
        experiment_code(run, work)
    assert words in str(caught.value)
    assert "--current-code" in str(caught.value)


def test_a_run_that_trains_is_not_promoted(verb: Verb, runs: Runs, hold: Hold) -> None:
    run = runs.start(runs.new("name=a"))
    holder = hold(run)
    done = verb("promote", "a")
    holder.kill()
    assert done.code == 2
    assert "is running" in done.stderr


def test_without_slurm_nothing_is_made(verb: Verb, runs: Runs, compose: Compose, work: Path) -> None:
    runs.end(runs.start(runs.new("name=a"), compose("name=a"), code=code_identity()), "completed")
    before = sorted(work.rglob("*"))
    done = verb("promote", "a", "optim.lr=1e-3", "--dry-run")
    assert (done.code, done.stdout) == (3, "")
    assert sorted(work.rglob("*")) == before
