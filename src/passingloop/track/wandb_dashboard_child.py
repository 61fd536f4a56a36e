"""The process that makes a project's workspace and report in W&B; `track.wandb_dashboard` starts it.

Input: a line of JSON with `entity` (null for the key's own) and `project`. Output: `{"workspace": URL, "report": URL}`,
or `{"refused": TEXT}`.

Both have fixed names, by which they are found again: the same call makes them once and then brings them up to date.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from passingloop.track.node_metrics import AXIS
from passingloop.track.wandb_child import STEP, is_reachable, one_line, redirected_stdout

NAME = "passingloop"
"""Of the workspace, also in its URL: ``…/PROJECT?nw=passingloop``."""

TITLE = "Runs, GPUs and advice"
"""Of the report."""

ABOUT = (
    "Made by `passingloop dashboard`, which replaces it: save what you change as a view or report of your own. Runs "
    "are grouped by experiment. Shares are of 1; `report/…` are the figures of `passingloop report`, and `advice` is "
    "what it says of a run."
)

COLUMNS = (
    "run:displayName",
    "run:state",
    "run:jobType",
    "summary:validation/loss.min",
    "summary:report/goodput",
    "summary:report/gpu_busy",
    "summary:report/gpu_hours",
    "summary:report/wasted_gpu_hours",
    "summary:report/attempts",
    "summary:advice_rules",
)

CURVES = {
    "Learning": (STEP, ("train/loss", "validation/loss", "validation/accuracy", "train/lr", "train/grad_norm")),
    "Speed": (
        STEP,
        (
            "train/samples_per_second",
            "train/tokens_per_second",
            "train/mfu_causal",
            "train/data_wait",
            "train/padding",
            "train/peak_memory_gb",
        ),
    ),
    "GPUs and nodes": (
        AXIS,
        (
            "resources/gpu_busy",
            "resources/gpu_sm",
            "resources/gpu_tensor",
            "resources/gpu_memory_gb",
            "resources/gpu_power_watts",
            "resources/cpus",
            "resources/memory_gb",
            "resources/read_mb_per_second",
        ),
    ),
}
"""The metrics of each section, and what they are drawn over."""

FIGURES = {
    "report/goodput": "Goodput",
    "report/ettr": "Effective training time ratio",
    "report/gpu_busy": "GPUs busy",
    "report/wasted_gpu_hours": "GPU-hours wasted",
    "report/queued_hours": "Hours queued",
    "report/requeues": "Requeues",
}


def main() -> None:
    answers = redirected_stdout()
    order = json.loads(sys.stdin.readline())
    try:
        said = _make(order["entity"], order["project"])
    except Exception as error:  # wandb raises anything
        said = {"refused": one_line(error)}
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def workspace(entity: str, project: str) -> Any:
    """The workspace: curves by section, and figures of the report."""
    from wandb_workspaces import workspaces

    sections = [
        workspaces.Section(name=name, panels=_curves(axis, metrics), is_open=True)
        for name, (axis, metrics) in CURVES.items()
    ]
    sections.insert(1, workspaces.Section(name="Figures of the report", panels=_bars(), is_open=True))
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis=STEP, max_runs=20),
        runset_settings=workspaces.RunsetSettings(groupby=[workspaces.Metric("Group")], pinned_columns=list(COLUMNS)),
    )


def report(entity: str, project: str) -> Any:
    """The report: the same as a page to read, with the runs as a table."""
    from wandb_workspaces.reports.v2 import interface as v2

    def grid(name: str, panels: list[Any]) -> Any:
        runs = v2.Runset(entity=entity, project=project, name=name, pinned_columns=list(COLUMNS))
        return v2.PanelGrid(runsets=[runs], panels=panels)

    blocks: list[Any] = [v2.P(ABOUT), v2.TableOfContents()]
    blocks += [v2.H2("What the GPUs brought"), grid("Runs", _bars())]
    for name, (axis, metrics) in CURVES.items():
        blocks += [v2.H2(name), grid("Runs", _curves(axis, metrics))]
    return v2.Report(entity=entity, project=project, title=TITLE, description=ABOUT, blocks=blocks, width="fluid")


def _curves(axis: str, metrics: tuple[str, ...]) -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as v2

    return [v2.LinePlot(title=name, x=axis, y=[name], layout=_place(index)) for index, name in enumerate(metrics)]


def _bars() -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as v2

    return [
        v2.BarPlot(title=title, metrics=[v2.SummaryMetric(name)], layout=_place(index))
        for index, (name, title) in enumerate(FIGURES.items())
    ]


def _place(index: int) -> Any:
    """Three panels in a row of 24 columns."""
    from wandb_workspaces.reports.v2 import interface as v2

    return v2.Layout(x=index % 3 * 8, y=index // 3 * 6, w=8, h=6)


def _make(entity: str | None, project: str) -> dict[str, str]:
    import wandb
    from wandb_workspaces.workspaces import internal

    settings = wandb.setup(wandb.Settings(silent=True)).settings
    if not wandb.login(prompt=False, verify=False):
        return {"refused": "no API key was found"}
    host = str(settings.base_url)
    if not is_reachable(host):
        return {"refused": f"{host} does not answer"}
    api = wandb.Api()
    owner = entity or api.default_entity
    if project not in {found.name for found in api.projects(owner)}:
        api.create_project(project, owner)
    page = report(owner, project)
    same = (found for found in api.reports(f"{owner}/{project}") if found.display_name == TITLE)
    page.id = next((found.id for found in same), "")
    page.save()
    board = workspace(owner, project)
    board._internal_name = internal._url_query_str_to_internal_name(NAME)
    try:
        board._internal_id = internal.get_view_dict(owner, project, NAME)["id"]
    except ValueError as error:
        if "not found" not in str(error):
            raise
    board.save()
    return {"workspace": board.url, "report": page.url}


if __name__ == "__main__":
    os.environ.setdefault("WANDB_SILENT", "true")
    main()
