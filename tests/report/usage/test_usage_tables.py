"""The report on a terminal of 80 columns, without colour."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from passingloop.report.usage import usage_tables
from passingloop.report.usage.allocation_use import Allocation
from passingloop.report.usage.content import Advice, Report, Waster
from passingloop.report.usage.figure_sums import GROUPINGS, groups, totals
from passingloop.report.usage.prices import Prices
from passingloop.report.usage.timeline import timeline
from tests.report.usage.made import HOUR, allocation, part
from tests.report.usage.test_figure_sums import PRICES

NOON = 1_795_953_600.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def report(month: list[Allocation], prices: Prices | None = None, **fields: Any) -> Report:
    made = Report(
        since=NOON,
        until=NOON + 10 * HOUR,
        cluster="dev",
        totals=totals(month, prices, {}),
        groups={by: groups(month, by, prices, {}) for by in GROUPINGS},
        timeline=timeline(month, NOON, NOON + 10 * HOUR),
        wasters=(),
        runs=(),
        sweeps=(),
        prices=prices.note if prices else None,
        notes=(),
    )
    return replace(made, **fields)


def made() -> Report:
    run = part("bert/0123456789ab", sampled=HOUR, busy=0.75, training=6000.0, starting=900.0, lost_to_preemption=300.0)
    run = replace(run, power=500.0)
    month = [
        allocation(NOON, NOON + 2 * HOUR, gpus=4.0, gpu_type="h200", eligible=NOON - 1800, parts=(run,), cpus=16,
                   qos="scavenger", cause="preempted", is_requeued=True),
        allocation(NOON, NOON + HOUR, job_id="8", user="a-user-with-quite-a-long-name@example.org", eligible=NOON),
    ]  # fmt: skip
    advice = (
        Advice(rule="cpus", sentence="asked for 8 CPUs, used 1.1: resources.cpus=2 would do"),
        Advice(
            rule="long_wait",
            sentence="waited 3.8 days in the queue for 10 h of work: estimate=true shows which size, QOS or time limit "
            "starts sooner",
        ),
    )
    waster = Waster(
        name="bert/0123456789ab", job_id="7", user="anna", qos="scavenger", gpu_hours=8.0, wasted=1.3, advice=advice
    )
    return report(month, PRICES, wasters=(waster,))


PAGE = """\
GPUs of dev, 2026-11-29 12:00 to 2026-11-29 22:00
GPU-hours   9.0 allocated (2 jobs, 1 run); 32.0 CPU-hours
used for    training 6.7, starting 1.0, lost to preemption 0.33. Run directories
            explain 89 % of them
GPUs        busy 75 %, idle 1.0 GPU-hours; samples cover 44 %
goodput     83 % of the explained GPU-hours went into steps that were kept
ETTR        0.67: 6.7 GPU-hours productive, 1.3 unproductive, 2.0 queued
waits       median 0 s, 95 % within 30 min
requeues    1 preempted
energy      3.0 kWh, 1.2 kg CO2 (for 44 % of GPU-hours)
money       16.00 EUR on-premises (for 89 % of GPU-hours); elsewhere 64.00 EUR
            on demand (for 89 % of GPU-hours)
prices      2026-11-01, a list

experiment  GPU h  busy  goodput  wasted  ETTR    wait  requeues  CPU h
bert          8.0  75 %     83 %     1.3  0.67  30 min         1   32.0

user                        GPU h  busy  goodput  wasted  ETTR    wait  requeues
anna                          8.0  75 %     83 %     1.3  0.67  30 min         1
a-user-with-q…@example.org    1.0     -        -       -     -     0 s         -

QOS        GPU h  busy  goodput  wasted  ETTR    wait  requeues  CPU h
scavenger    8.0  75 %     83 %     1.3  0.67  30 min         1   32.0
normal       1.0     -        -       -     -     0 s         -      -

wasted most
bert/0123456789ab (anna): 1.3 of 8.0 GPU-hours, 16 %
  - asked for 8 CPUs, used 1.1: resources.cpus=2 would do
  - waited 3.8 days in the queue for 10 h of work: estimate=true shows which
    size, QOS or time limit starts sooner"""


def test_the_page_at_80_columns() -> None:
    lines = list(usage_tables.page(made(), 80, None, colour=False))
    assert "\n".join(lines) == PAGE
    assert max(map(len, lines)) <= 80


def test_a_wide_terminal_has_all_columns() -> None:
    lines = list(usage_tables.page(made(), 140, None, colour=False))
    assert any(line.endswith("CPU h      money") for line in lines)
    assert any("a-user-with-quite-a-long-name@example.org" in line for line in lines)


def test_colour_only_marks_what_is_there_without() -> None:
    plain = list(usage_tables.page(made(), 80, None, colour=False))
    coloured = list(usage_tables.page(made(), 80, None, colour=True))
    assert [line.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "") for line in coloured] == plain
    assert coloured != plain


def test_one_kind_of_group_is_listed_whole() -> None:
    month = [allocation(NOON, NOON + HOUR, user=f"user{number}") for number in range(9)]
    page = "\n".join(usage_tables.page(report(month), 80, "user", colour=False))
    assert all(f"user{number} " in page for number in range(9))
    assert "QOS" not in page
    page = "\n".join(usage_tables.page(report(month), 80, None, colour=False))
    assert "and 4 more: --by user" in page


def test_nothing_to_show() -> None:
    lines = list(usage_tables.page(report([], cluster=None), 80, None, colour=False))
    assert lines == [
        "GPUs, 2026-11-29 12:00 to 2026-11-29 22:00",
        "No job and no run held resources in this time. --since and --run-root name another time and folder.",
    ]


def test_without_gpus_there_are_cpu_hours_and_waits() -> None:
    month = [allocation(NOON, NOON + HOUR, gpus=0.0, cpus=4, eligible=NOON - 60)]
    lines = list(usage_tables.page(report(month, PRICES), 80, "user", colour=False))
    assert lines[1:4] == [
        "GPU-hours   none allocated (1 job, 0 runs); 4.0 CPU-hours",
        "waits       median 60 s, 95 % within 60 s",
        "",
    ]
    assert lines[-1].split() == ["anna", "0.00", "60", "s", "4.0"]


def test_prices_that_fit_nothing() -> None:
    page = "\n".join(usage_tables.page(report([allocation(NOON, NOON + HOUR)], PRICES), 80, None, colour=False))
    assert "money       the file of prices has none for these GPUs" in page


def test_narrow_terminals_wrap() -> None:
    os.environ.pop("COLUMNS", None)
    lines = list(usage_tables.page(made(), 40, None, colour=False))
    assert max(map(len, lines)) <= usage_tables.LEAST_WIDTH


def test_the_names_of_runs_do_not_control_the_terminal() -> None:
    month = [allocation(NOON, NOON + HOUR, user="\x1b[8mann", parts=(part("\x1b[2J/0123", training=HOUR),))]
    advice = (Advice(rule="cpus", sentence="\x1b[31mused little"),)
    waster = Waster(name="\x1b[2J/0123", job_id="1", user="ann", qos=None, gpu_hours=1.0, wasted=0.5, advice=advice)
    lines = list(usage_tables.page(report(month, wasters=(waster,)), 80, None, colour=False))
    assert r"\x1b[2J/0123 (ann)" in "\n".join(lines) and "\x1b" not in "".join(lines)
