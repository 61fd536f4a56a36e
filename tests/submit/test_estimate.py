"""What is compared for ``estimate=true``, and the table of it."""

from __future__ import annotations

from datetime import datetime

import pytest

from passingloop.plan import run_folder
from passingloop.submit.estimate import Alternative, heading, places, table, variants
from passingloop.submit.request import request
from tests.conftest import Compose
from tests.slurm.site import FACTS, INFORMED

NOW = datetime(2026, 11, 21, 8, 0).timestamp()


KINDS = [f"resources.gpu_type={kind}" for kind in ("a100", "t4", "v100")]


def typed(alternatives: list[Alternative]) -> list[str]:
    return [" ".join(alternative.overrides) for alternative in alternatives]


def test_each_partition_with_each_qos(compose: Compose) -> None:
    """Not those that take no jobs, or are hidden."""
    config = compose("launcher=slurm")
    assert typed(list(places(config, INFORMED))) == [
        "",
        "cluster.qos=interactive",
        "cluster.partition=short",
        "cluster.partition=short cluster.qos=interactive",
        "cluster.partition=short cluster.qos=production",  # of the account there it is not known what it may have
        "cluster.partition=short cluster.qos=small",
        "cluster.partition=short cluster.qos=free",
        "cluster.partition=maintained",
        "cluster.partition=maintained cluster.qos=interactive",
    ]
    other = compose("launcher=slurm", "cluster.qos=interactive")
    assert typed(list(places(other, INFORMED)))[:2] == ["", "cluster.qos=production"]
    chosen = compose("launcher=slurm", "cluster.partition=short", "cluster.qos=interactive")
    found = list(places(chosen, FACTS))
    assert typed(found)[:2] == ["", "cluster.partition=main"]
    assert "cluster.qos=free" in typed(found)
    assert {place.request.qos for place in found} == {"interactive", "production", "small", "free"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("resources.time=2:00:00",),
            ["resources.gpus=2", "resources.gpus=4", *KINDS],
        ),
        (("resources.gpus=3", "resources.time=10"), ["resources.gpus=1", "resources.gpus=2", "resources.gpus=4"]),
        (("resources.gpus=1-3", "resources.time=10"), ["resources.gpus=2", "resources.gpus=3"]),
        (
            ("resources.gpus=2", "resources.nodes=1-2", "resources.time=10"),
            ["resources.gpus=2 resources.nodes=2"],
        ),
        (("resources.gpus=0", "resources.time=10"), []),
        (("+cluster.extra.gres=gpu:t4:1", "resources.time=10"), []),
    ],
)
def test_sizes_kinds_and_shorter_limits(words: tuple[str, ...], expected: list[str], compose: Compose) -> None:
    config = compose("launcher=slurm", *words)
    found = typed(list(variants(Alternative((), config, request(config, FACTS)), FACTS)))
    shown = [text for text in found if "resources.time" not in text]
    assert [text for text in shown if text not in KINDS or KINDS[0] in expected] == expected
    assert (KINDS[-1] in shown) == ("resources.gpus=0" not in words and "gres" not in "".join(words))
    assert ("resources.time=0:30:00" in found) == ("resources.time=2:00:00" in words)


def test_the_earliest_start_comes_first(compose: Compose) -> None:
    config = compose("launcher=slurm")
    asked = request(config, FACTS)
    starts: dict[Alternative, float | None] = {
        Alternative((), config, asked): NOW + 5400,
        Alternative(("resources.gpus=2",), config, asked): NOW + 3,
        Alternative(("cluster.qos=free", "resources.gpus=2"), config, asked): NOW - 3,
        Alternative(("resources.gpus=4",), config, asked): None,
    }
    assert list(table(starts, NOW)) == [
        "start            wait  to choose it, add",
        "21 Nov 08:00     none  resources.gpus=2",
        "21 Nov 07:59     none  cluster.qos=free resources.gpus=2",
        "21 Nov 09:30  1:30:00  nothing: it is what the command says",
        "For 1 more Slurm has no estimate.",
    ]
    assert list(table(dict.fromkeys(starts), NOW)) == ["Slurm has no estimate for any of these."]


def test_of_a_sweep_each_table_names_its_runs(compose: Compose) -> None:
    runs = [compose("launcher=slurm", f"trainer.seed={seed}") for seed in range(1, 6)]
    folders = [str(run_folder(config)) for config in runs]
    assert heading(runs[:1]) == f"A job for {folders[0]}:"
    assert heading(runs) == f"A job for each of 5 runs, {', '.join(folders[:3])} and 2 more:"
