"""What the live view shows at one time, as plain lines and as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from passingloop.live import board as parts
from passingloop.live.board import Board
from passingloop.live.drawing import Glyphs, Line, text_of
from passingloop.live.run_row import Arrangement, Curves, RunRow, counts_text
from passingloop.live.table_layout import columns, header, run_line
from passingloop.rundir.directory import RunDir


def lines(
    board: Board, rows: Sequence[RunRow], curves: Mapping[RunDir, Curves], width: int, glyphs: Glyphs
) -> list[str]:
    """The lines without trailing spaces; without colour and without what is for keys."""
    shape = columns(width, max((len(row.name) for row in rows), default=0))
    page: list[Line] = [parts.title_line(board, width, glyphs), *parts.use_lines(board, width, glyphs), ()]
    if rows:
        page.append((("your runs: ", ""), (counts_text(board.rows), "")))
        page.append(header(shape, Arrangement().sort, glyphs, reverse=False))
    for row in rows:
        page.append(run_line(row, curves.get(row.state.run, Curves()), shape, board.now, glyphs, chosen=False))
    return [text_of(line).rstrip() for line in page]


def figures(board: Board) -> dict[str, Any]:
    """How Slurm stands, and what the cluster or this machine does; times in seconds since the epoch, null for what is
    not known."""
    slurm, cluster, machine = board.slurm, board.cluster, board.machine
    return {
        "time": board.now,
        "slurm": {
            "is_there": slurm.is_there,
            "answered": slurm.answered,
            "silent_since": slurm.silent_since,
            "problem": slurm.problem or None,
        },
        "cluster": None
        if cluster is None
        else {
            "unit": cluster.unit,
            "total": cluster.total,
            "by_state": dict(cluster.by_state),
            "by_qos": [asdict(use) for use in cluster.by_qos],
            "nodes": cluster.nodes,
            "nodes_out": cluster.nodes_out,
        },
        "machine": None if machine is None else asdict(machine),
    }


def row_figures(row: RunRow, curves: Curves, now: float) -> dict[str, Any]:
    """What ``status --json`` does not have of a run."""
    progress, place = row.progress, row.place
    return {
        "share": progress.share,
        "steps_per_second": progress.pace,
        "seconds_left": row.seconds_left(now),
        "quiet_for": row.quiet_for(now),
        "saved_step": progress.saved_step,
        "loss": progress.loss if progress.loss is not None and math.isfinite(progress.loss) else None,
        "place": None if place is None else {"place": place.place, "of": place.of},
        "busy": curves.busy.newest,
        "device": curves.device if curves.busy.values else None,
    }
