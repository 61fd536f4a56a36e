"""What the jobs of a search ask for."""

from __future__ import annotations

from pathlib import Path

from passingloop.plan import signature
from passingloop.rundir.directory import RunDir
from passingloop.search.decision_round import Owed
from passingloop.submit.search_points import settings_to_rung
from tests.conftest import Compose


def test_a_point_waits_for_what_it_was_to_wait_for_before_its_first_rung_only(compose: Compose) -> None:
    words = ("hold=true", "begin=now+1hour", "constraint=a100")
    config = compose("launcher=slurm", *(f"+cluster.extra.{word}" for word in words))
    run = RunDir(Path("runs/name/0123456789ab"))
    assert settings_to_rung(Owed(run, config, 0)) == config
    later = settings_to_rung(Owed(run, config, 1))
    assert later.cluster.extra == {"constraint": "a100"}
    assert signature(later) == signature(config)
