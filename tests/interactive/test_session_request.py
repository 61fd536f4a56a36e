"""What a session asks for: the user's options before the site's, and no more than the cluster allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.interactive.session_request import Options, default_qos, sbatch_options, session_request, with_options
from passingloop.site import Interactive
from tests.slurm.site import FACTS

DEFAULTS = Interactive()


def asked(defaults: Interactive = DEFAULTS, **options: Any) -> dict[str, Any]:
    request = session_request("shell", Options(**options), defaults, FACTS)
    return {name: getattr(request, name) for name in request.__slots__}


@pytest.mark.parametrize(
    ("options", "defaults", "expected"),
    [
        ({}, {}, {"gpus": 1, "cpus": 15, "nodes": 1, "qos": "interactive", "time": "4:00:00", "partition": None}),
        ({"gpus": 2}, {}, {"gpus": 2, "cpus": 31}),
        ({"gpus": 2, "cpus": 3}, {}, {"gpus": 2, "cpus": 3}),
        ({"gpus": 0}, {}, {"gpus": 0, "cpus": 1}),
        ({"nodes": 2, "mem": "8G", "account": "team-b"}, {}, {"nodes": 2, "mem": "8G", "account": "team-b"}),
        ({"time": "9-0"}, {}, {"time": "9-0"}),  # the check of the request says that this is too long
        ({"qos": "free"}, {}, {"qos": "free", "time": "4:00:00"}),
        ({}, {"qos": "none-such"}, {"qos": None}),
        ({}, {"qos": None}, {"qos": None}),
        ({}, {"time": "8:00:00"}, {"time": "4:00:00"}),  # of QOS interactive
        ({}, {"time": "9-0", "qos": "production"}, {"time": "2-00:00:00"}),  # of the account
        ({}, {"time": "30"}, {"time": "30"}),
        ({"partition": "short"}, {}, {"time": "0:20:00", "cpus": 6}),  # of the partition's own QOS
        ({}, {"partition": "short", "gpus": 2}, {"partition": "short", "gpus": 2}),
        ({"partition": "maintained"}, {}, {"gpus": 0}),  # it has none
    ],
)
def test_the_request(options: dict[str, Any], defaults: dict[str, Any], expected: dict[str, Any]) -> None:
    request = asked(replace(DEFAULTS, **defaults), **options)
    assert {name: request[name] for name in expected} == expected


def test_where_the_clusters_qos_are_not_shown_the_sites_is_tried() -> None:
    assert default_qos(DEFAULTS, replace(FACTS, qos={})) == "interactive"


def test_the_words_for_sbatch() -> None:
    request = session_request("notebook", Options(gpus=0, mem="8G"), DEFAULTS, FACTS)
    words = sbatch_options(request)
    assert {"--job-name=passingloop-notebook", "--mem=8G", "--no-requeue", "--time=4:00:00"} <= set(words)
    assert not [word for word in words if word.startswith(("--gpus", "--account", "--partition"))]


def test_a_session_with_less_than_is_asked_for() -> None:
    options = Options(gpus=2, cpus=4, time="1:00:00")
    assert options.beyond(nodes=1, gpus=1, cpus=4) == ["--gpus=2"]
    assert options.beyond(nodes=1, gpus=2, cpus=8) == []
    assert Options().beyond(1, 0, 1) == []
    assert options.words == ["--gpus=2", "--cpus=4", "--time=1:00:00"]


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "You set resources.gpus=5 per node. Set another cluster.qos.",
            "You set --gpus=5 per node. Set another --qos.",
        ),
        ("no node has it: see cluster.extra", "no node has it: see the request"),
        ("resources.time=1:00", "--time=1:00"),
    ],
)
def test_settings_are_named_as_options(sentence: str, said: str) -> None:
    assert with_options(sentence) == said
