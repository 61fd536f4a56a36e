"""A simulation as one HTML file: the verdict first, then what either policy did with the trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passingloop.pending.wording import count_text
from passingloop.report.html.document import document
from passingloop.report.html.markup import Child, Markup, data_block, element
from passingloop.report.html.quantities import duration, share, significant
from passingloop.report.html.sections import chart, folded, page_footer, page_header, section, tiles
from passingloop.report.html.simulation_views import costs, groups, never_started, objectives, shares
from passingloop.report.html.summary import legend
from passingloop.report.simulation.figure_words import saving_text
from passingloop.report.simulation.key_figures import change_words, key_figures, named_words
from passingloop.report.simulation.policy_figures import HeldGpus, PolicyFigures, Simulation

SCRIPTS = ("dom.js", "theme.js", "tables.js", "controls.js", "charts.js", "simulation.js")

SERIES = 6
"""QOS that have a colour of their own; the smallest are added up."""

OTHERS = "others"


def simulation_page(simulation: Simulation) -> str:
    """The whole file."""
    names = qos_names(simulation)
    body = [
        page_header(),
        element("main", _content(simulation, names), id="content", tabindex="-1"),
        page_footer("from a replay on a private Slurm. Times are those of the trace."),
        data_block("simulation-data", chart_data(simulation, names)),
    ]
    return document(_title(simulation), body, SCRIPTS)


def qos_names(simulation: Simulation) -> list[str]:
    """Those with a colour of their own, the largest under the first policy first."""
    found = [name for one in policies(simulation) for name in one.held.by_qos]
    names = list(dict.fromkeys(found))
    return names if len(names) <= SERIES else [*names[: SERIES - 1], OTHERS]


def policies(simulation: Simulation) -> list[PolicyFigures]:
    """The policy, and the other one if there is one."""
    return [one for one in (simulation.figures, simulation.against) if one]


def chart_data(simulation: Simulation, names: Sequence[str]) -> dict[str, Any]:
    """What the charts draw."""
    return {
        "gpus": simulation.figures.gpus,
        "length": simulation.figures.length,
        "seconds": simulation.figures.held.seconds,
        "starts": simulation.figures.held.starts,
        "qos": list(names),
        "waits": _curve_waits(simulation),
        "policies": [
            {
                "name": one.policy,
                "held": {name: _rounded(values) for name, values in _series(one.held, names).items()},
                "waiting": _rounded(one.held.waiting),
                "curves": {
                    group.name: [significant(part) for _, part in group.waits.curve]
                    for group in one.groups["qos"]
                    if group.waits and group.name in names
                },
            }
            for one in policies(simulation)
        ],
    }


def _curve_waits(simulation: Simulation) -> list[float]:
    """The waits that the curves have points for."""
    waits = simulation.figures.totals.waits
    return [seconds for seconds, _ in waits.curve] if waits else []


def _series(held: HeldGpus, names: Sequence[str]) -> Mapping[str, Sequence[float]]:
    """GPUs over time by QOS, in the order of `names`; those that have no colour of their own are one series."""
    none = (0.0,) * len(held.starts)
    series = {name: held.by_qos.get(name, none) for name in names}
    if names and names[-1] == OTHERS:
        rest = [values for name, values in held.by_qos.items() if name not in names]
        series[OTHERS] = tuple(map(sum, zip(none, *rest, strict=True)))
    return series


def _rounded(values: Sequence[float]) -> list[float | int | None]:
    return [significant(value) for value in values]


def _title(simulation: Simulation) -> str:
    return f"{simulation.figures.policy} on {simulation.trace}"


def _content(simulation: Simulation, names: Sequence[str]) -> Child:
    return [
        element("h1", _title(simulation), tabindex="-1"),
        _lead(simulation),
        tiles(_tiles(simulation)),
        _notes(simulation),
        objectives(simulation),
        _held(simulation, names),
        _waits(simulation, names),
        shares(simulation),
        never_started(simulation),
        costs(simulation),
    ]


def _lead(simulation: Simulation) -> Markup:
    """The verdict, and what was tried, for a reader who reads nothing else."""
    figures, against = simulation.figures, simulation.against
    missed = sum(one.is_met is False for one in simulation.judgements)
    judged = sum(one.is_met is not None for one in simulation.judgements)
    verdict: list[Child] = []
    if missed:
        verdict = [element("strong", "Refused", class_="missed"), f": {missed} of {judged} objectives are missed. "]
    elif judged:
        verdict = [element("strong", "Accepted"), f": {judged} of {len(simulation.judgements)} objectives are met. "]
    beside = f", beside {against.policy}" if against else ""
    return element(
        "p",
        verdict,
        f"{count_text(figures.totals.jobs, 'job')} would hold {share(figures.load)} of {figures.gpus:,} GPUs in ",
        f"{duration(figures.length)}; they were replayed under {figures.policy}{beside}. Jobs held GPUs for ",
        element("strong", share(figures.utilisation)),
        " of the GPU-time",
        f", under {against.policy} for {share(against.utilisation)}." if against else ".",
        class_="lead",
    )


def _notes(simulation: Simulation) -> Markup:
    how = [
        f"{one.policy}: time went {one.factor:,.0f} × faster than in the trace; launching a job took "
        f"{share(one.overhead)} of the median job."
        for one in policies(simulation)
    ]
    saving = [f"Saving: {saving_text(simulation.saving)}."] if simulation.saving else []
    lines = [element("li", line) for line in (*how, *saving, *simulation.left_out)]
    return folded("How it was replayed, and what is not as in the trace", element("ul", lines))


def _tiles(simulation: Simulation) -> Iterator[tuple[str, str, str]]:
    """Title, value, and the other policy's."""
    for one in key_figures(simulation):
        change = change_words(one)
        note = f"{named_words(one.other)} under {simulation.against.policy}" if simulation.against else ""
        yield one.title[0].upper() + one.title[1:], named_words(one.own), f"{note}: {change}" if change else note


def _held(simulation: Simulation, names: Sequence[str]) -> Markup:
    charts = []
    for index, one in enumerate(policies(simulation)):
        about = (
            f"GPUs held over time under {one.policy}, by QOS, of {one.gpus:,}. The mean is {share(one.utilisation)}."
        )
        charts += [element("h3", one.policy), chart(f"held-chart-{index}", about, "small")]
    return section(
        "held",
        "GPUs over time",
        element("p", "Mean number of GPUs that jobs held, by QOS."),
        legend(list(names)),
        charts,
        element("h3", "GPUs that waiting jobs asked for"),
        legend([one.policy for one in policies(simulation)]) if simulation.against else None,
        chart("waiting-chart", "GPUs that waiting jobs asked for over time, under each policy.", "small"),
    )


def _waits(simulation: Simulation, names: Sequence[str]) -> Markup:
    dashed = f" Solid lines are {simulation.figures.policy}" if simulation.against else ""
    other = f", dashed ones {simulation.against.policy}." if simulation.against else ""
    return section(
        "waits",
        "How soon jobs start",
        element("p", f"The part of the jobs that had started within a time, by QOS.{dashed}{other}"),
        legend([name for name in names if name != OTHERS]),
        chart("curves-chart", "The part of the jobs that had started within a time, by QOS. The tables give waits."),
        groups(simulation),
    )
