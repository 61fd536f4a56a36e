"""The workspace and the report, made with real wandb and wandb-workspaces against the stand-in for W&B's server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from passingloop.errors import MissingError
from passingloop.report.usage.usage_figures import Figures
from passingloop.track import node_metrics
from passingloop.track.wandb_dashboard import make_dashboard
from passingloop.track.wandb_dashboard_child import COLUMNS, CURVES, FIGURES
from passingloop.usage.run_summary import figure_values
from tests.track.wandb_stand_in import WandbServer

Serve = Callable[..., WandbServer]

pytestmark = pytest.mark.process


def drawn(spec: str) -> set[str]:
    """The names of metrics in a workspace or a report."""
    return set(re.findall(r"(?:train|validation|report|resources)/\w+", spec))


def views(server: WandbServer) -> dict[str, dict[str, Any]]:
    return {view["type"]: view for view in server.views.values()}


@pytest.mark.usefixtures("key")
def test_it_is_made_once_and_then_brought_up_to_date(serve: Serve) -> None:
    server = serve()
    first = make_dashboard("p", None)
    assert server.projects == {"p"}
    assert first.workspace == f"{server.url}/me/p?nw=passingloop"
    before = {kind: json.loads(view["spec"]) for kind, view in views(server).items()}
    assert set(before) == {"project-view", "runs"}
    for view in server.views.values():
        view["spec"] = "{}"
    assert make_dashboard("p", None) == first
    assert len(server.views) == 2
    for kind, view in views(server).items():
        assert drawn(view["spec"]) == drawn(json.dumps(before[kind]))
        assert drawn(view["spec"]) >= {name for _, names in CURVES.values() for name in names}


def test_only_what_runs_have_is_drawn() -> None:
    figures = {f"report/{name}" for name in ("attempts", *figure_values(Figures()))}
    assert set(FIGURES) <= figures
    assert {word for column in COLUMNS for word in re.findall(r"report/\w+", column)} <= figures
    axis, names = CURVES["GPUs and nodes"]
    assert axis == node_metrics.AXIS
    assert set(names) <= set(node_metrics.NAMES)


@pytest.mark.slow
def test_without_a_key_it_says_what_to_do(serve: Serve) -> None:
    server = serve()
    with pytest.raises(MissingError, match=r"no API key was found\..*wandb login"):
        make_dashboard("p", "me")
    assert server.views == {}
