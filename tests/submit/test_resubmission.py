"""What a run that Slurm or a machine has failed is submitted again with."""

from __future__ import annotations

from typing import Any

from passingloop.rundir.events import Decision
from passingloop.submit.resubmission import changed
from tests.conftest import Compose


def test_what_a_new_job_asks_for_otherwise(compose: Compose) -> None:
    words = ("hold=true", "begin=now+1hour", "mem_per_cpu=2G", "exclude=n9", "constraint=a100")
    config = compose("launcher=slurm", *(f"+cluster.extra.{word}" for word in words))
    plain: dict[str, Any] = {"attempt": 1, "action": "resubmit", "reason": "why"}
    elsewhere = changed(config, Decision(**plain, exclude=["n[1-2]", "n9"]))
    assert elsewhere.cluster.extra == {"mem_per_cpu": "2G", "exclude": "n9,n[1-2]", "constraint": "a100"}
    larger = changed(config, Decision(**plain, mem="8G"))
    assert larger.cluster.extra == {"exclude": "n9", "constraint": "a100"}
    assert larger.resources.mem == "8G"
