"""The report on usage for a terminal: totals, groups, and who wasted most, with advice. Readable without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from passingloop.figures import percent, span
from passingloop.pending.wording import count_text
from passingloop.report.usage.content import By, Group, PriceNote, Report, Waster
from passingloop.report.usage.run_facts import hours_text
from passingloop.report.usage.usage_figures import PRICE_NAMES, Figures
from passingloop.text import printable

LABEL = 12
"""Characters of the column of labels."""

LEAST_WIDTH = 60

SHOWN: Mapping[By, str] = {"experiment": "experiment", "user": "user", "qos": "QOS"}
"""The groups of a page that is not about one kind, with their headings."""

HEADINGS: Mapping[By, str] = {**SHOWN, "run": "run", "account": "account", "node": "node"}

TOP = 5
"""Groups, and wasters, that such a page lists."""

NONE = "-"
"""What stands in a table for a figure that is not known."""

BOLD, FAINT = 1, 2
"""Numbers of ECMA-48 (SGR)."""


def page(report: Report, width: int, by: By | None, *, colour: bool) -> Iterator[str]:
    """The lines of the report, of `width` characters at most where words can be wrapped.

    Args:
        by: list only these groups, and all of them.
    """
    width = max(width, LEAST_WIDTH)
    title = f"GPUs{f' of {report.cluster}' if report.cluster else ''}, {_date(report.since)} to {_date(report.until)}"
    yield _painted(title, BOLD, colour)
    if not report.totals.allocations:
        yield "No job and no run held resources in this time. --since and --run-root name another time and folder."
        return
    for label, text in summary(report):
        wrapped = textwrap.wrap(text, width - LABEL, break_on_hyphens=False)
        yield from (f"{label if not number else '':<{LABEL}}{line}" for number, line in enumerate(wrapped))
    for kind, heading in ({by: HEADINGS[by]} if by else SHOWN).items():
        groups = report.groups[kind]
        if groups:
            yield ""
            yield from group_table(groups if by else groups[:TOP], heading, width, report.prices, colour=colour)
            if not by and len(groups) > TOP:
                yield _painted(f"and {len(groups) - TOP:,} more: --by {kind}", FAINT, colour)
    if report.wasters and not by:
        yield ""
        yield from _waster_lines(report.wasters[:TOP], width, colour=colour)


def summary(report: Report) -> Iterator[tuple[str, str]]:
    """The totals, as labels and texts; what is not known is left out."""
    figures, hours = report.totals, report.totals.gpu_hours
    jobs = f"{count_text(figures.jobs, 'job')}, {count_text(figures.runs, 'run')}"
    allocated = f"{hours_text(hours.allocated)} allocated" if hours.allocated else "none allocated"
    cpu_hours = f"; {hours_text(figures.cpu_hours)} CPU-hours" if figures.cpu_hours else ""
    yield "GPU-hours", f"{allocated} ({jobs}){cpu_hours}"
    if hours.explained:
        parts = {
            "training": hours.training,
            "starting": hours.starting,
            "saving": hours.saving,
            "lost to preemption": hours.lost_to_preemption,
            "lost to failure": hours.lost_to_failure,
            "queued while holding": hours.holding,
        }
        shares = ", ".join(f"{name} {hours_text(value)}" for name, value in parts.items() if value)
        yield "used for", f"{shares}. Run directories explain {percent(figures.explained_share or 0.0)} of them"
    if figures.busy_share is not None:
        covered = f"samples cover {percent(figures.measured_share or 0.0)}"
        yield "GPUs", f"busy {percent(figures.busy_share)}, idle {hours_text(hours.idle or 0.0)} GPU-hours; {covered}"
    if figures.goodput is not None:
        yield "goodput", f"{percent(figures.goodput)} of the explained GPU-hours went into steps that were kept"
    if figures.ettr and figures.ettr.value is not None:
        ettr = figures.ettr
        yield (
            "ETTR",
            f"{ettr.value:.2f}: {hours_text(ettr.productive)} GPU-hours productive, {hours_text(ettr.unproductive)} "
            f"unproductive, {hours_text(ettr.queued)} queued",
        )
    if figures.mfu is not None:
        yield "MFU", percent(figures.mfu)
    if figures.wait_median is not None and figures.wait_p95 is not None:
        yield (
            "waits",
            f"median {span(figures.wait_median)}, 95 % within {span(figures.wait_p95)}",
        )
    if figures.requeues:
        causes = ", ".join(f"{count} {cause}" for cause, count in figures.requeues.items())
        yield "requeues", causes
    if figures.energy:
        co2 = "" if figures.energy.co2_kg is None else f", {figures.energy.co2_kg:,.1f} kg CO2"
        covered = _coverage(figures.energy.gpu_hours, hours.allocated)
        yield "energy", f"{figures.energy.kwh:,.1f} kWh{co2}{covered}"
    if report.prices and hours.allocated:
        yield from _money(figures, report.prices)


def _money(figures: Figures, prices: PriceNote) -> Iterator[tuple[str, str]]:
    allocated = figures.gpu_hours.allocated
    amounts = {kind: figures.money[kind] for kind in PRICE_NAMES if kind in figures.money}
    if not amounts:
        yield "money", "the file of prices has none for these GPUs"
        return
    texts = {
        kind: f"{_amount(money.amount, prices.currency)} {PRICE_NAMES[kind]}{_coverage(money.gpu_hours, allocated)}"
        for kind, money in amounts.items()
    }
    here = texts.pop(prices.here, None)
    elsewhere = f"elsewhere {', '.join(texts.values())}" if texts else ""
    yield "money", "; ".join(filter(None, [here, elsewhere]))
    yield "prices", f"{prices.date}, {prices.source}"


def _coverage(hours: float, allocated: float) -> str:
    """That a figure is not for all GPU-hours."""
    return "" if not allocated or hours >= 0.995 * allocated else f" (for {percent(hours / allocated)} of GPU-hours)"


def group_table(
    groups: Sequence[Group], heading: str, width: int, prices: PriceNote | None, *, colour: bool
) -> Iterator[str]:
    """A header and a line for each group; names are shortened, and columns left out, to fit `width`."""
    columns = {name: [_cell(name, group.figures, prices) for group in groups] for name in COLUMNS}
    shown = {name: cells for name, cells in columns.items() if any(cell != NONE for cell in cells)}
    widths = {name: max(map(len, [name, *cells])) for name, cells in shown.items()}
    names = [printable(group.name) or "(none)" for group in groups]
    longest = max(map(len, [heading, *names]))
    while len(widths) > 1 and sum(size + 2 for size in widths.values()) + min(longest, 24) > width:
        widths.popitem()
    room = min(longest, width - sum(size + 2 for size in widths.values()))
    header = "".join(f"  {name:>{size}}" for name, size in widths.items())
    yield _painted(f"{heading:<{room}}{header}", BOLD, colour)
    for number, name in enumerate(names):
        cells = "".join(f"  {shown[column][number]:>{size}}" for column, size in widths.items())
        yield f"{_shortened(name, room):<{room}}{cells}"


COLUMNS = ("GPU h", "busy", "goodput", "wasted", "ETTR", "wait", "requeues", "CPU h", "money")
"""In the order in which they are given up from the right where there is no room."""


def _cell(column: str, figures: Figures, prices: PriceNote | None) -> str:
    hours, ettr = figures.gpu_hours, figures.ettr.value if figures.ettr else None
    money = figures.money.get(prices.here) if prices else None
    cells: dict[str, str | None] = {
        "GPU h": hours_text(hours.allocated),
        "busy": None if figures.busy_share is None else percent(figures.busy_share),
        "goodput": None if figures.goodput is None else percent(figures.goodput),
        "wasted": hours_text(hours.wasted) if hours.explained or hours.idle is not None else None,
        "ETTR": None if ettr is None else f"{ettr:.2f}",
        "wait": None if figures.wait_median is None else span(figures.wait_median),
        "requeues": str(sum(figures.requeues.values())) if figures.requeues else None,
        "CPU h": hours_text(figures.cpu_hours) if figures.cpu_hours else None,
        "money": None if money is None or not prices else _amount(money.amount, prices.currency),
    }
    return cells[column] or NONE


def _waster_lines(wasters: Sequence[Waster], width: int, *, colour: bool) -> Iterator[str]:
    yield _painted("wasted most", BOLD, colour)
    for waster in wasters:
        share = waster.wasted / waster.gpu_hours if waster.gpu_hours else 0.0
        wasted = f"{hours_text(waster.wasted)} of {hours_text(waster.gpu_hours)} GPU-hours, {percent(share)}"
        yield f"{printable(waster.name)} ({waster.user}): {wasted}"
        for said in waster.advice:
            yield from wrapped_advice(said.sentence, width)


def wrapped_advice(sentence: str, width: int) -> list[str]:
    """A sentence of advice as indented lines."""
    return textwrap.wrap(
        printable(sentence), max(width, 40), initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
    )


def _shortened(name: str, width: int) -> str:
    """`name` with its middle left out if it is too long."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def _amount(amount: float, currency: str) -> str:
    return f"{amount:,.{0 if amount >= 100 else 2}f} {currency}"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def _painted(text: str, number: int, colour: bool) -> str:
    return f"\x1b[{number}m{text}\x1b[0m" if colour else text
