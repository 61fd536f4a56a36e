"""A simulation for a terminal: key figures, waits, shares, jobs that never started, the verdict. Readable without
colour."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from passingloop.figures import duration
from passingloop.pending.wording import count_text
from passingloop.report.simulation.figure_words import hours, saving_text, share, wait
from passingloop.report.simulation.key_figures import change_words, key_figures, named_words
from passingloop.report.simulation.policy_figures import By, Cost, JobFigures, PolicyFigures, Simulation
from passingloop.report.usage.usage_figures import PRICE_NAMES
from passingloop.text import printable

BOLD, RED, GREEN, FAINT = 1, 31, 32, 2
"""Numbers of ECMA-48 (SGR)."""

HEADINGS: dict[By, str] = {"qos": "QOS", "account": "account", "size": "size of job"}
LABEL = 11
LEVELS = " ▁▂▃▄▅▆▇█"
MOST_ROWS = 20


class Table(NamedTuple):
    """Rows of texts; the first column is aligned to the left, the others to the right."""

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]


def page(simulation: Simulation, width: int, *, colour: bool) -> Iterator[str]:
    """The lines, of `width` characters at most where words can be wrapped."""
    figures, against = simulation.figures, simulation.against
    beside = f" beside {printable(against.policy)}" if against else ""
    yield _painted(f"{printable(figures.policy)}{beside}", BOLD, colour)
    for label, text in _facts(simulation):
        lines = textwrap.wrap(text, max(width, 60) - LABEL, break_on_hyphens=False)
        yield from (f"{label if not number else '':<{LABEL}}{line}" for number, line in enumerate(lines))
    yield ""
    yield from _lines(_key_table(simulation), colour)
    yield ""
    yield from _over_time(simulation, max(width, 60), colour)
    for kind in HEADINGS:
        yield ""
        yield from _lines(_wait_table(kind, figures, against), colour)
    for table in (_share_table(figures, against), _never_started_table(figures, against)):
        if table.rows:
            yield ""
            yield from _lines(table, colour)
    if simulation.judgements:
        yield ""
        yield from _verdict(simulation, colour)


def _facts(simulation: Simulation) -> Iterator[tuple[str, str]]:
    figures = simulation.figures
    yield (
        "trace",
        f"{printable(simulation.trace)}: {count_text(figures.totals.jobs, 'job')} in {duration(figures.length)}, which "
        f"would hold {share(figures.load)} of {figures.gpus:,} GPUs",
    )
    for one in _both(simulation):
        yield (
            "replay",
            f"{printable(one.policy)}: {one.factor:,.0f} × faster than the trace; launching a job took "
            f"{share(one.overhead)} of the median job",
        )
    if simulation.saving:
        yield "saving", printable(saving_text(simulation.saving))
    for sentence in simulation.left_out:
        yield "left out", printable(sentence)


def _both(simulation: Simulation) -> list[PolicyFigures]:
    return [one for one in (simulation.figures, simulation.against) if one]


def _key_table(simulation: Simulation) -> Table:
    figures, against = simulation.figures, simulation.against
    rows = [
        [one.title, named_words(one.own), *([named_words(one.other), change_words(one)] if against else [])]
        for one in key_figures(simulation)
    ]
    rows += _cost_rows(figures.cost, against.cost if against else None)
    names = [printable(one.policy) for one in _both(simulation)]
    return Table(["", *names, *(["difference"] if against else [])], rows)


def _cost_rows(cost: Cost | None, other: Cost | None) -> Iterator[list[str]]:
    """What the jobs cost, what of it was lost, and what stood idle, at the price that is paid here."""
    if cost is None or not cost.held:
        return
    here = cost.note.here if cost.note.here in cost.held else next(iter(cost.held))
    for title, name in (("cost", "held"), ("cost, lost", "lost"), ("cost, idle", "idle")):
        amounts = [getattr(one, name)[here].amount for one in (cost, other) if one]
        more = round(amounts[0] - amounts[-1])
        change = [f"{more:+,} {cost.note.currency}" if more else "same"] if other else []
        yield [f"{title}, {PRICE_NAMES[here]}", *(f"{one:,.0f} {cost.note.currency}" for one in amounts), *change]


def _over_time(simulation: Simulation, width: int, colour: bool) -> Iterator[str]:
    """How full the cluster was, in columns that are as long as so many spans of the figures as fit."""
    names = [printable(one.policy) for one in _both(simulation)]
    longest = max(map(len, names))
    spans = len(simulation.figures.held.starts)
    each = math.ceil(spans / (width - longest - 2))
    yield _painted(
        f"GPUs held over time, a column for {duration(each * simulation.figures.held.seconds)}", BOLD, colour
    )
    for name, one in zip(names, _both(simulation), strict=True):
        sums = [sum(values) for values in zip(*one.held.by_qos.values(), strict=True)]
        shares = [fmean(sums[start : start + each]) / one.gpus for start in range(0, len(sums), each)]
        yield f"{name:<{longest}}  {''.join(LEVELS[round(min(part, 1.0) * (len(LEVELS) - 1))] for part in shares)}"


def _wait_table(kind: By, figures: PolicyFigures, against: PolicyFigures | None) -> Table:
    """Each group, and below it the same under the other policy."""
    heading = [HEADINGS[kind], "jobs", "GPU-hours", "wait median", "95 %", "99 %", "in 1 min", "preempted", "lost"]
    groups = figures.groups[kind]
    rows = []
    for group in groups[:MOST_ROWS]:
        rows.append([printable(group.name), f"{group.jobs:,}", *_job_cells(group)])
        if against and (other := against.group(kind, group.name)):
            rows.append([f"  {printable(against.policy)}", "", *_job_cells(other)])
    if len(groups) > MOST_ROWS:
        rows.append([f"and {len(groups) - MOST_ROWS:,} more", *[""] * (len(heading) - 1)])
    return Table(heading, rows)


def _job_cells(jobs: JobFigures) -> list[str]:
    waits = jobs.waits
    return [
        hours(jobs.gpu_hours),
        *(wait(one) for one in ((waits.median, waits.p95, waits.p99) if waits else (None, None, None))),
        share(waits.soon[0] if waits else None),
        f"{jobs.preemptions:,}",
        share(jobs.lost_share),
    ]


def _share_table(figures: PolicyFigures, against: PolicyFigures | None) -> Table:
    """The shares, and what was got of them in the time in which they were asked for."""
    names = [printable(one.policy) for one in (figures, against) if one]
    heading = ["account", "share", "used", "asked for it", *(f"got, {name}" for name in names)]
    rows = []
    for one in figures.shares[:MOST_ROWS]:
        other = against.share(one.account) if against else None
        got = [share(each.got if each and each.counts else None) for each in ((one, other) if against else (one,))]
        used = share(one.used)
        rows.append([printable(one.account), share(one.configured), used, f"{share(one.asked)} of the time", *got])
    return Table(heading, rows)


def _never_started_table(figures: PolicyFigures, against: PolicyFigures | None) -> Table:
    heading = ["never started", "policy", "jobs", "GPU-hours", "longest wait"]
    rows = [
        [
            printable(one.reason),
            printable(each.policy),
            f"{one.jobs:,}",
            hours(one.gpu_hours),
            f"> {duration(one.longest_wait)}",
        ]
        for each in (figures, against)
        if each
        for one in each.never_started
    ]
    return Table(heading, rows)


def _verdict(simulation: Simulation, colour: bool) -> Iterator[str]:
    words = {True: ("met", GREEN), False: ("missed", RED), None: ("not judged", FAINT)}
    longest = max(len(one.objective) for one in simulation.judgements)
    yield _painted("objectives", BOLD, colour)
    for one in simulation.judgements:
        word, number = words[one.is_met]
        by = f" (by {one.missed_by})" if one.missed_by else ""
        yield f"{_painted(f'{word:<10}', number, colour)}  {one.objective:<{longest}}  {one.found or one.why}{by}"


def _lines(table: Table, colour: bool) -> Iterator[str]:
    columns = list(zip(table.heading, *table.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            f"{cell:<{widths[0]}}" if not number else f"{cell:>{widths[number]}}" for number, cell in enumerate(cells)
        ]
        return "  ".join(padded).rstrip()

    yield _painted(line(table.heading), BOLD, colour)
    yield from map(line, table.rows)


def _painted(text: str, number: int, colour: bool) -> str:
    return f"\x1b[{number}m{text}\x1b[0m" if colour else text
