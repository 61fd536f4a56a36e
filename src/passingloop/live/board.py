"""All that is shown at one time, and the lines above and below the table of runs. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from passingloop.figures import span
from passingloop.live.cluster_use import STATES, ClusterUse, QosUse
from passingloop.live.drawing import Glyphs, Line, Style, bar, cut, cut_line, sparkline, stacked_bar, width_of
from passingloop.live.run_row import Arrangement, Curves, RunRow, counts_text, metric_text
from passingloop.live.table_layout import STYLES, percent_text
from passingloop.pending.wording import count_text, time_text

STATE_STYLES: dict[str, Style] = {
    "in use": "busy",
    "reserved": "waits",
    "drained": "dim",
    "down": "bad",
    "idle": "good",
}
LABEL = 6
"""The width of what stands before a bar."""

OLD = 90.0
"""An answer of Slurm that is older than so many seconds is said to be so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slurm:
    """How Slurm stands."""

    is_there: bool = True
    answered: float | None = None
    """When it last answered, in seconds since the epoch."""
    silent_since: float | None = None
    """Since when it has not answered; None if it has, the last time that it was asked."""
    problem: str = ""
    """Why it shows nothing, as a sentence, if it answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineGpu:
    """A GPU of this machine. None is what it does not tell."""

    name: str
    busy: float | None = None
    memory: float | None = None
    """Bytes, as `memory_total`."""
    memory_total: float | None = None
    power: float | None = None
    """Watts."""
    temperature: float | None = None
    """°C."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What this machine does."""

    cpus: int
    cpu_busy: float | None
    """The share of all CPUs, 0 to 1."""
    memory: float
    """Bytes in use, as `memory_total`."""
    memory_total: float
    gpus: tuple[MachineGpu, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """All that is known at one time."""

    now: float
    slurm: Slurm
    rows: tuple[RunRow, ...] = ()
    cluster: ClusterUse | None = None
    """None until Slurm has answered once, and where there is none."""
    machine: Machine | None = None
    """Shown where there is no Slurm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heights:
    """How many lines each part gets; the table gets the rest."""

    use: int
    """Below the title: bars and their explanation."""
    detail: int
    """About the chosen run, with the rule above."""
    keys: int


def heights(height: int, board: Board) -> Heights:
    """The parts that fit, so that some runs can be seen."""
    full = 3 if board.machine is None else 1 + len(board.machine.gpus)
    if height >= 20:
        return Heights(use=min(full, height // 3), detail=5 if height >= 32 else 4, keys=1)
    if height >= 12:
        return Heights(use=min(full, 2), detail=2, keys=1)
    return Heights(use=min(full, 1) if height >= 7 else 0, detail=0, keys=int(height >= 6))


def title_line(board: Board, width: int, glyphs: Glyphs) -> Line:
    """What this is, how old Slurm's answer is, and the time."""
    clock = f"{datetime.fromtimestamp(board.now):%H:%M:%S}"
    said, style = slurm_text(board)
    left: Line = (("passingloop top", "title"),)
    room = width - width_of(left) - len(clock) - 2
    said = cut(said, room - 2, glyphs) if room > 6 else ""
    middle: Line = (("  ", ""), (said, style)) if said else ()
    gap = width - width_of(left) - width_of(middle) - len(clock)
    return cut_line((*left, *middle, (" " * max(1, gap), ""), (clock, "dim")), width, glyphs)


def slurm_text(board: Board) -> tuple[str, Style]:
    """How Slurm stands; empty if there is nothing to say."""
    slurm = board.slurm
    if not slurm.is_there:
        return "no Slurm here; runs and GPUs of this machine", "dim"
    if slurm.silent_since is not None:
        shown = f"; shown is {time_text(slurm.answered, board.now)}" if slurm.answered else ""
        return f"Slurm has not answered since {_clock(slurm.silent_since, board.now)}{shown}", "alarm"
    if slurm.problem:
        return slurm.problem, "alarm"
    if slurm.answered is None:
        return "asking Slurm", "dim"
    age = board.now - slurm.answered
    return (f"Slurm {span(age)} ago", "waits" if age > OLD else "dim")


def use_lines(board: Board, width: int, glyphs: Glyphs) -> list[Line]:
    """The cluster's GPUs by state and QOS; or what this machine does. The most important line comes first."""
    lines = _machine_lines(board.machine, width, glyphs) if board.machine else []
    if board.cluster:
        lines = [*_cluster_lines(board.cluster, width, glyphs)]
    return [cut_line(line, width, glyphs) for line in lines]


def _cluster_lines(use: ClusterUse, width: int, glyphs: Glyphs) -> Iterator[Line]:
    if not use.total:
        yield ((f"{count_text(use.nodes, 'node')}, none of which is shown with GPUs or CPUs", "dim"),)
        return
    said = f" {use.by_state['in use']:,} of {use.total:,} in use" + (f", {use.own:,} by you" if use.own else "")
    room = max(4, width - LABEL - len(said))
    widths = stacked_bar([use.by_state[state] for state in STATES], room)
    pieces = zip(STATES, glyphs.gpus, widths, strict=True)
    bars: Line = tuple((glyph * length, STATE_STYLES[state]) for state, glyph, length in pieces)
    yield ((f"{use.unit}s".ljust(LABEL), "bold"), *bars, (said, ""))
    yield ((("QOS".ljust(LABEL), "bold")), *_qos_pieces(use.by_qos, width - LABEL, glyphs))
    yield ((" " * LABEL, ""), *_legend(use, glyphs))


def _legend(use: ClusterUse, glyphs: Glyphs) -> Iterator[tuple[str, Style]]:
    for state, glyph in zip(STATES, glyphs.gpus, strict=True):
        if use.by_state[state] or state in ("in use", "idle"):
            yield glyph, STATE_STYLES[state]
            yield f" {use.by_state[state]:,} {state}   ", ""
    if use.nodes_out:
        yield f"{count_text(use.nodes_out, 'node')} of {use.nodes:,} out", "dim"


def _qos_pieces(uses: Sequence[QosUse], width: int, glyphs: Glyphs) -> Line:
    """As many QOS as fit, and how many more there are."""
    if not uses:
        return (("nothing runs or waits", "dim"),)
    line: Line = ()
    for index, use in enumerate(uses):
        waits = f" (+{use.asked:,} wait)" if use.asked else f" ({use.waiting_jobs:,} wait)" if use.waiting_jobs else ""
        pieces: Line = ((glyphs.gap if index else "", "dim"), (f"{use.name} ", ""), (f"{use.held:,}", "bold"))
        pieces += ((waits, "waits"),)
        left = len(uses) - index
        more = f"{glyphs.gap}{left} more" if index else ""
        reserve = len(f"{glyphs.gap}{left - 1} more") if left > 1 else 0
        if index and width_of(line) + width_of(pieces) + reserve > width:
            return (*line, (more, "dim"))
        line += pieces
    return line


def _machine_lines(machine: Machine, width: int, glyphs: Glyphs) -> list[Line]:
    length = max(4, min(30, width - 50))
    busy = machine.cpu_busy or 0.0
    said = f" {percent_text(machine.cpu_busy).rjust(4)} of {count_text(machine.cpus, 'core')}"
    memory = f"   memory {_gigabytes(machine.memory)} of {_gigabytes(machine.memory_total)} GB"
    lines: list[Line] = [(("CPU".ljust(LABEL), "bold"), *bar(busy, length, glyphs), (said + memory, ""))]
    for number, gpu in enumerate(machine.gpus):
        facts = [percent_text(gpu.busy).rjust(4)]
        if gpu.memory is not None and gpu.memory_total is not None:
            facts.append(f"{_gigabytes(gpu.memory)} of {_gigabytes(gpu.memory_total)} GB")
        facts += [] if gpu.power is None else [f"{gpu.power:.0f} W"]
        facts += [] if gpu.temperature is None else [f"{gpu.temperature:.0f} {glyphs.degrees}"]
        said = " " + "  ".join([*facts, gpu.name])
        lines.append(((f"GPU {number}".ljust(LABEL), "bold"), *bar(gpu.busy or 0.0, length, glyphs), (said, "")))
    return lines


def rule_line(board: Board, shown: Sequence[RunRow], arrangement: Arrangement, width: int, glyphs: Glyphs) -> Line:
    """Between the cluster and the runs: how many there are, and which of them are shown in which order."""
    counts = counts_text(board.rows) or "no runs"
    said = [f"{len(shown):,} with {arrangement.words!r}"] if arrangement.words else []
    said += ["active only"] if arrangement.active_only else []
    said += [f"sorted by {arrangement.sort}" + (" in reverse" if arrangement.reverse else "")]
    line: Line = ((f"{glyphs.rule * 2} ", "dim"), ("your runs", "bold"), (f"  {counts} ", ""))
    room = width - width_of(line)
    while said and len(tail := f" {glyphs.gap.join(said)} {glyphs.rule * 2}") >= room:
        said.pop()
    if not said:
        return cut_line((*line, (glyphs.rule * max(0, room), "dim")), width, glyphs)
    return (*line, (glyphs.rule * (room - len(tail)), "dim"), (tail, "dim"))


def detail_lines(row: RunRow, curves: Curves, now: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """What is known of the chosen run, in at most `height` lines."""
    state, progress = row.state, row.progress
    kind = state.kind
    head: Line = ((f"{glyphs.rule * 2} ", "dim"), (row.name, "bold"), (" ", ""), (kind, STYLES.get(kind, "dim")))
    head += ((f" {glyphs.rule * max(0, width - width_of(head) - 1)}", "dim"),)
    where = [
        "" if state.confirmed else "not confirmed by Slurm",
        f"job {state.job_id}" if state.job_id else "",
        f"on {', '.join(state.nodes[:3])}" + (f" and {len(state.nodes) - 3} more" if len(state.nodes) > 3 else "")
        if state.nodes
        else "",
        count_text(state.gpus, "GPU") if state.gpus else "",
        f"attempt {state.attempt}" if state.attempt else "",
        f"since {time_text(state.since, now)}" if state.since else "",
        f"its time ends {time_text(row.limit_ends, now)}" if row.limit_ends and kind == "running" else "",
    ]
    lines: list[Line] = [((glyphs.gap.join(filter(None, where)), ""),)] if any(where) else []
    if standing := row.standing(now):
        style: Style = "bad" if kind in ("failed", "lost", "missing") else ""
        lines += [((text, style),) for text in textwrap.wrap(standing, max(20, width))[: max(1, height - 2)]]
    left, quiet = row.seconds_left(now), row.quiet_for(now)
    figures = [
        f"step {progress.step:,}" + (f" of {progress.steps:,}" if progress.steps else "") if progress.step else "",
        f"saved at {progress.saved_step:,}" if progress.saved_step and kind == "running" else "",
        f"{progress.pace:.3g} steps/s" if progress.pace and kind == "running" else "",
        f"no step since {time_text(now - quiet, now)}" if quiet is not None else "",
        f"done {time_text(now + left, now)}" if left is not None and quiet is None else "",
        f"{progress.metric[0]} {metric_text(progress.metric[1])}" if progress.metric and kind != "completed" else "",
    ]
    if any(figures):
        lines.append(((glyphs.gap.join(filter(None, figures)), ""),))
    if curves.loss.values or curves.busy.values:
        lines.append(_curves_line(curves, width, glyphs))
    lines.append(((str(state.run.path), "dim"),))
    return [cut_line(line, width, glyphs) for line in [head, *lines][:height]]


def _curves_line(curves: Curves, width: int, glyphs: Glyphs) -> Line:
    """Both lines of values, as wide as there is room."""
    length = max(8, (width - 26) // 2)
    line: Line = ()
    if curves.loss.values:
        line += (("loss ", "dim"), (sparkline(curves.loss, length, glyphs).lstrip(), "good"), ("  ", ""))
    if curves.busy.values:
        busy = sparkline(curves.busy, length, glyphs, low=0.0, high=1.0).lstrip()
        line += ((f"{curves.device} ", "dim"), (busy, "busy"), (f" {percent_text(curves.busy.newest)}", ""))
    return line


def _clock(time: float, now: float) -> str:
    """With seconds, if it was today."""
    moment = datetime.fromtimestamp(time)
    return f"{moment:%H:%M:%S}" if moment.date() == datetime.fromtimestamp(now).date() else time_text(time, now)


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.3g}" if amount < 1e11 else f"{amount / 1e9:.0f}"
