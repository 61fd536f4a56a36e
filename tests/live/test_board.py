"""The lines above and below the table: GPUs, QOS, how Slurm stands, the chosen run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from passingloop.live.board import (
    Board,
    Machine,
    MachineGpu,
    Slurm,
    detail_lines,
    heights,
    rule_line,
    slurm_text,
    title_line,
    use_lines,
)
from passingloop.live.cluster_use import cluster_use
from passingloop.live.drawing import ASCII, BLOCKS, Series, text_of, width_of
from passingloop.live.run_row import Arrangement, Curves, Place
from tests.live.shown import NOW, half_way, job, node, run_row

CLUSTER = cluster_use(
    [node("n1", "MIXED", 8, 6), node("n2", "IDLE+DRAIN"), node("n3", "ALLOCATED", 8, 8), node("n4", "IDLE+RESERVED")],
    [
        job(1, gpus=8),
        job(2, qos="scavenger", gpus=6, uid=8),
        job(3, "PENDING", gpus=4),
        job(4, "PENDING", "interactive", 0),
    ],
    8,
)
MACHINE = Machine(
    cpus=16,
    cpu_busy=0.25,
    memory=12e9,
    memory_total=128e9,
    gpus=(
        MachineGpu(name="NVIDIA H200", busy=0.97, memory=80e9, memory_total=150e9, power=612.4, temperature=58),
        MachineGpu(name="MIG 1g.18gb"),
    ),
)


def board(**fields: Any) -> Board:
    usual = {"now": NOW, "slurm": Slurm(answered=NOW - 3), "cluster": CLUSTER}
    return Board(**(usual | fields))


def clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time):%H:%M:%S}"


def test_the_cluster_at_80_columns() -> None:
    one_of_several = run_row(gpus=4)
    bars, qos, legend = (text_of(line).rstrip() for line in use_lines(board(rows=(one_of_several,)), 80, BLOCKS))
    assert bars == f"GPUs  {'█' * 21}{'▒' * 12}{'░' * 12}··· 14 of 32 in use, 6 by you"
    assert qos == "QOS   production 8 (+4 wait) · scavenger 6 · interactive 0 (1 wait)"
    assert legend == "      █ 14 in use   ▒ 8 reserved   ░ 8 drained   · 2 idle   1 node of 4 out"


@pytest.mark.parametrize("width", [1, 10, 24, 40, 80, 200])
@pytest.mark.parametrize("glyphs", [BLOCKS, ASCII], ids=["blocks", "ascii"])
def test_no_line_is_too_wide(width: int, glyphs: Any) -> None:
    shown = board(rows=(run_row(progress=half_way()),))
    lines = [title_line(shown, width, glyphs), *use_lines(shown, width, glyphs)]
    lines += use_lines(board(cluster=None, machine=MACHINE), width, glyphs)
    lines += [rule_line(shown, shown.rows, Arrangement(words="x", active_only=True), width, glyphs)]
    lines += detail_lines(shown.rows[0], Curves(loss=Series((1.0,)), busy=Series((1.0,))), NOW, width, 8, glyphs)
    assert [text_of(line) for line in lines if width_of(line) > width] == []
    assert glyphs is BLOCKS or "".join(map(text_of, lines)).isascii()


def test_qos_that_do_not_fit_are_counted() -> None:
    jobs = [job(number, qos=f"qos-number-{number}", gpus=9 - number) for number in range(1, 9)]
    shown = board(cluster=cluster_use([node(gpus=64, held=36)], jobs, 8))
    qos = text_of(use_lines(shown, 60, BLOCKS)[1]).rstrip()
    assert qos == "QOS   qos-number-1 8 · qos-number-2 7 · 6 more"


def test_a_cluster_of_which_nothing_is_shown() -> None:
    [line] = use_lines(board(cluster=cluster_use([node(gpus=0)], [], 8)), 80, BLOCKS)
    assert text_of(line) == "1 node, none of which is shown with GPUs or CPUs"
    assert use_lines(board(cluster=None), 80, BLOCKS) == []
    assert "nothing runs or waits" in text_of(use_lines(board(cluster=cluster_use([node()], [], 8)), 80, BLOCKS)[1])


@pytest.mark.parametrize(
    ("slurm", "words", "style"),
    [
        (Slurm(), "asking Slurm", "dim"),
        (Slurm(answered=NOW - 4), "Slurm 4 s ago", "dim"),
        (Slurm(answered=NOW - 150), "Slurm 2 min ago", "waits"),
        (Slurm(silent_since=NOW - 60), f"Slurm has not answered since {clock(NOW - 60)}", "alarm"),
        (Slurm(is_there=False), "no Slurm here; runs and GPUs of this machine", "dim"),
        (Slurm(answered=NOW, problem="squeue: Access denied."), "squeue: Access denied.", "alarm"),
    ],
)
def test_how_slurm_stands(slurm: Slurm, words: str, style: str) -> None:
    assert slurm_text(board(slurm=slurm)) == (words, style)


def test_while_slurm_is_silent_the_title_says_since_when_and_what_is_shown() -> None:
    shown = board(slurm=Slurm(answered=NOW - 90, silent_since=NOW - 60))
    title = text_of(title_line(shown, 80, BLOCKS))
    assert f"Slurm has not answered since {clock(NOW - 60)}; shown is {clock(NOW - 90)[:5]}" in title
    assert title.endswith(clock(NOW))
    assert width_of(title_line(shown, 80, BLOCKS)) == 80


def test_this_machine_where_there_is_no_slurm() -> None:
    lines = [text_of(line).rstrip() for line in use_lines(board(cluster=None, machine=MACHINE), 90, BLOCKS)]
    assert lines == [
        f"CPU   {'━' * 7}{'─' * 23}  25% of 16 cores   memory 12 of 128 GB",
        f"GPU 0 {'━' * 29}─  97%  80 of 150 GB  612 W  58 °C  NVIDIA H200",
        f"GPU 1 {'─' * 30}       MIG 1g.18gb",
    ]


@pytest.mark.parametrize("height", range(1, 60))
@pytest.mark.parametrize("machine", [None, MACHINE], ids=["cluster", "machine"])
def test_at_every_height_runs_can_be_seen(height: int, machine: Machine | None) -> None:
    parts = heights(height, board(machine=machine))
    around = 3 + parts.use + parts.detail + parts.keys  # title, rule and header
    assert height - around >= min(1, height - 3)
    assert height < 24 or height - around >= 12 or machine


def test_the_rule_says_which_runs_are_shown_as_far_as_there_is_room() -> None:
    rows = (run_row(), run_row("pending"))
    shown = board(rows=rows)
    arrangement = Arrangement(words="sweep", sort="left", reverse=True, active_only=True)
    text = text_of(rule_line(shown, rows, arrangement, 120, BLOCKS))
    assert text.endswith(" 2 with 'sweep' · active only · sorted by left in reverse ──")
    assert text_of(rule_line(shown, rows, arrangement, 74, BLOCKS)).endswith(" 2 with 'sweep' ──")
    assert "1 running on 2 GPUs, 1 pending" in text_of(rule_line(shown, rows, arrangement, 50, BLOCKS))


def detail(row: Any, curves: Curves | None = None, height: int = 9) -> list[str]:
    return [text_of(line).rstrip() for line in detail_lines(row, curves or Curves(), NOW, 90, height, BLOCKS)]


def test_the_chosen_run() -> None:
    row = run_row(job_id="4711_3", progress=half_way(metric=("accuracy", 0.9)), limit_ends=NOW + 3600)
    head, where, figures, path = detail(row)
    assert head.startswith("── sweep/3fa94c21be running ──")
    assert where.startswith("job 4711_3 · on n1 · 2 GPUs · attempt 1 · since ")
    assert "its time ends" in where
    assert figures.startswith("step 500 of 1,000 · saved at 400 · 5 steps/s · done ")
    assert figures.endswith("accuracy 0.9")
    assert path == "/runs/sweep/3fa94c21be"
    curves = Curves(loss=Series((1.0, 0.5)), busy=Series((0.1, 0.9)), device="CPU")
    assert detail(row, curves)[3] == "loss █▁  CPU ▂▇ 90%"
    assert len(detail(row, curves, height=2)) == 2


def test_of_a_quiet_run_it_is_said_since_when_and_not_when_it_will_be_done() -> None:
    figures = detail(run_row(progress=half_way(newest=NOW - 600)))[2]
    assert "no step since " in figures
    assert "done" not in figures


def test_the_chosen_run_that_waits_or_has_failed_says_all_of_why() -> None:
    why = "jobs of higher priority are before it and this goes on " * 3
    row = run_row("pending", message=why, place=Place(place=3, of=7), job_id="9", confirmed=False)
    lines = detail(row)
    assert lines[1].startswith("not confirmed by Slurm · job 9")
    assert " ".join(lines[2:-1]) == f"place 3 of 7: {why.strip()}"
    assert detail(run_row("missing"))[1:] == ["/runs/sweep/3fa94c21be"]
