"""A report like that of a team of 20 on 64 GPUs, of as many runs as asked for; the same at every call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from passingloop.report.usage.allocation_use import Use
from passingloop.report.usage.content import (
    Advice,
    AttemptPart,
    By,
    Curve,
    Group,
    PriceNote,
    Report,
    ResourceCurve,
    RunPage,
    Sweep,
    SweepPoint,
    SweepRung,
    Timeline,
    Waster,
)
from passingloop.report.usage.usage_figures import Energy, Ettr, Figures, GpuHours, Money

SINCE, DAYS = 1_793_404_800.0, 30
"""31 October 2026, 00:00 UTC."""
UNTIL = SINCE + DAYS * 86_400
PRICES = PriceNote(currency="EUR", date="2026-11-01", source="prices of the computing centre", here="on_premises")
EXPERIMENTS = ("banking77", "support-intents", "chat-7b-sft", "summaries", "toxicity", "ner-legal")
USERS = ("amara", "bogdan", "chiara", "dmitri", "elif", "farid", "greta", "hiro", "ines", "jonas", "kofi", "lena")
USERS += ("mateo", "nadia", "oskar", "priya", "quentin", "rosa", "sven", "tomoko")
QOS = ("production", "interactive", "scavenger")
ADVICE = (
    Advice(rule="cpus", sentence="asked for 8 CPUs, used 1.1: resources.cpus=2 would do"),
    Advice(rule="data", sentence="GPU idle 40 % of the time: data wait 38 %. Prepare the data ahead.", gpu_hours=96.0),
    Advice(rule="memory", sentence="Memory 9 of 141 GB: sweep.pack=4 would fit.", gpu_hours=210.0),
    Advice(rule="limit", sentence="Time limit 24 h, took 1.5 h: shorter limits start sooner."),
)


def made_figures(draw: Random, hours: float, *, is_measured: bool = True) -> Figures:
    """Figures that add up."""
    shares = [0.74, 0.04, 0.015, 0.05, 0.02, 0.03, 0.105]
    shares = [share * draw.uniform(0.4, 1.6) for share in shares]
    parts = [hours * share / sum(shares) for share in shares]
    busy = hours * 0.93 * draw.uniform(0.35, 0.9) if is_measured else None
    measured = hours * 0.93 if is_measured else 0.0
    return Figures(
        jobs=max(1, round(hours / 9)),
        runs=max(1, round(hours / 14)),
        allocations=max(1, round(hours / 7)),
        gpu_hours=GpuHours(
            allocated=hours,
            training=parts[0],
            starting=parts[1],
            saving=parts[2],
            lost_to_preemption=parts[3],
            lost_to_failure=parts[4],
            holding=parts[5],
            unexplained=parts[6],
            busy=busy,
            idle=None if busy is None else measured - busy,
            unmeasured=hours - measured,
        ),
        cpu_hours=8 * hours,
        queued_hours=hours / 10,
        wait_median=draw.uniform(20, 900),
        wait_p95=draw.uniform(4_000, 40_000),
        requeues={"preempted": round(hours / 30), "timeout": round(hours / 200), "node_fail": round(hours / 900)},
        ettr=Ettr(productive=parts[0], unproductive=sum(parts[1:6]), queued=hours * 0.08),
        mfu=0.38 if is_measured else None,
        energy=Energy(kwh=measured * 0.61, co2_kg=measured * 0.22, gpu_hours=measured) if is_measured else None,
        money={
            "on_premises": Money(amount=hours * 1.62, gpu_hours=hours),
            "on_demand": Money(amount=hours * 4.15, gpu_hours=hours),
            "spot": Money(amount=hours * 2.05, gpu_hours=hours),
        },
    )


def made_report(runs: int = 40, *, points: int = 120) -> Report:
    """A month with `runs` runs, of which every third is a point of a sweep."""
    draw = Random(14)
    pages = tuple(made_run(draw, index, points) for index in range(runs))
    hours = 31_200.0
    return Report(
        since=SINCE,
        until=UNTIL,
        cluster="alpine",
        totals=made_figures(draw, hours),
        groups=_groups(draw, hours, pages),
        timeline=_timeline(draw),
        wasters=tuple(sorted(_wasters(draw, pages), key=lambda waster: -waster.wasted)),
        runs=pages,
        sweeps=tuple(_sweeps(draw, pages)),
        prices=PRICES,
        notes=("Accounting answered for 30 of 30 days; 2 run directories could not be read and are left out.",),
    )


def made_run(draw: Random, index: int, points: int) -> RunPage:
    """A run of one to five attempts: preempted now and then, sometimes still running, sometimes without samples."""
    began = UNTIL - 7_200 * (index + 1) - draw.uniform(0, 3_600)
    attempts = tuple(_attempts(draw, began, index))
    last = attempts[-1].end_step or attempts[-1].start_step + 500
    is_complete = attempts[-1].cause == "completed"
    experiment = EXPERIMENTS[index % len(EXPERIMENTS)]
    return RunPage(
        name=f"{experiment}/{draw.getrandbits(48):012x}",
        path=f"/shared/runs/{experiment}/{index:04}",
        experiment=experiment,
        user=USERS[index % len(USERS)],
        created=began - 60,
        state="completed" if is_complete else "running",
        metrics={"test/accuracy": draw.uniform(0.85, 0.94), "test/loss": draw.uniform(0.2, 0.5)} if is_complete else {},
        settings={"model.name": "Qwen/Qwen3-1.7B", "optim.lr": 3e-4, "trainer.batch_size": 64, "trainer.epochs": 3},
        figures=made_figures(draw, draw.uniform(2, 90), is_measured=index % 5 != 4),
        attempts=attempts,
        curves=tuple(_curves(draw, last, points)),
        resources=tuple(_resources(draw, attempts, points)) if index % 5 != 4 else (),
        advice=ADVICE[index % 4 : index % 4 + 2],
    )


def _attempts(draw: Random, began: float, index: int) -> Iterator[AttemptPart]:
    step, time = 0, began
    count = draw.choice((1, 1, 2, 3, 5))
    for attempt in range(1, count + 1):
        is_last = attempt == count
        took = draw.uniform(1_800, 14_000)
        reached = step + round(took / 9)
        is_running = is_last and index % 7 == 3
        seconds: dict[Use, float] = {"training": took - 300, "starting": 60, "saving": 40, "lost_to_preemption": 200}
        yield AttemptPart(
            attempt=attempt,
            started=time,
            ended=None if is_running else time + took,
            start_step=step,
            end_step=None if is_running else reached,
            cause=None if is_running else ("completed" if is_last else draw.choice(("preempted", "node_fail"))),
            message=None,
            nodes=(f"gpu{draw.randrange(1, 9):02}",),
            gpus=4,
            job_id=str(48_000 + index),
            seconds=seconds,
        )
        step, time = max(0, reached - draw.randrange(10, 120)), time + took + draw.uniform(300, 9_000)


def _curves(draw: Random, last: int, points: int) -> Iterator[Curve]:
    steps = tuple(sorted({round(last * index / (points - 1)) for index in range(points)}))
    loss = [0.35 + 2.4 * math.exp(-4 * step / last) + draw.gauss(0, 0.05) for step in steps]
    yield Curve(split="train", metric="loss", steps=steps, values=tuple(loss))
    few = steps[:: max(1, len(steps) // 20)]
    yield Curve(
        split="validation",
        metric="loss",
        steps=few,
        values=tuple(0.42 + 2.2 * math.exp(-4 * step / last) + draw.gauss(0, 0.01) for step in few),
    )
    accuracy = tuple(0.92 - 0.8 * math.exp(-5 * step / last) for step in few)
    yield Curve(split="validation", metric="accuracy", steps=few, values=accuracy)
    rate = tuple(3e-4 * min(1, step / (0.06 * last)) * (1 - step / (last + 1)) for step in steps)
    yield Curve(split="train", metric="learning_rate", steps=steps, values=rate)
    norms = tuple(abs(draw.gauss(1.1, 0.3)) for _ in steps)
    yield Curve(split="train", metric="grad_norm", steps=steps, values=norms)
    speed = tuple(draw.gauss(41_000, 900) for _ in steps)
    yield Curve(split="train", metric="tokens_per_second", steps=steps, values=speed)


def _resources(draw: Random, attempts: tuple[AttemptPart, ...], points: int) -> Iterator[ResourceCurve]:
    times: list[float] = []
    inside: list[bool] = []
    each = max(2, points // len(attempts) - 1)
    for part in attempts:
        ended = part.ended or UNTIL
        times += [part.started + (ended - part.started) * index / (each - 1) for index in range(each)]
        times.append(ended + 1)
        inside += [True] * each + [False]
    levels = {"gpu_busy": 0.9, "gpu_sm": 0.62, "gpu_tensor": 0.34, "gpu_memory": 97e9, "gpu_power": 2_350.0}
    levels |= {"cpus": 5.2, "memory": 61e9}
    for name, level in levels.items():
        values = [min(level * draw.gauss(1, 0.05), 1.0) if level < 1 else level * draw.gauss(1, 0.04) for _ in times]
        known = tuple(value if known else None for value, known in zip(values, inside, strict=True))
        yield ResourceCurve(name=name, times=tuple(times), values=known)  # type: ignore[arg-type]


def _groups(draw: Random, hours: float, pages: tuple[RunPage, ...]) -> dict[By, tuple[Group, ...]]:
    names: dict[By, tuple[str, ...]] = {
        "user": USERS,
        "account": ("nlp", "vision", "speech", ""),
        "qos": QOS,
        "experiment": EXPERIMENTS,
        "node": tuple(f"gpu{index:02}" for index in range(1, 9)),
    }
    groups: dict[By, tuple[Group, ...]] = {}
    for by, members in names.items():
        weights = sorted((draw.uniform(0.2, 2) for _ in members), reverse=True)
        groups[by] = tuple(
            Group(name=name, figures=made_figures(draw, hours * weight / sum(weights), is_measured=name != "kofi"))
            for name, weight in zip(members, weights, strict=True)
        )
    groups["run"] = tuple(Group(name=page.name, figures=page.figures) for page in pages)
    return groups


def _timeline(draw: Random) -> Timeline:
    seconds = 3_600.0
    count = int((UNTIL - SINCE) / seconds)
    starts = tuple(SINCE + index * seconds for index in range(count))
    gpus: dict[str, list[float]] = {name: [] for name in QOS}
    busy: list[float | None] = []
    waits: list[float | None] = []
    waiting: list[float] = []
    for start in starts:
        hour, weekday = (start / 3_600) % 24, int(start / 86_400 + 3) % 7
        day = max(0.0, math.sin((hour - 6) / 12 * math.pi)) * (0.35 if weekday > 4 else 1.0)
        production = 18 + 14 * day + draw.uniform(-3, 3)
        interactive = 9 * day + draw.uniform(0, 1)
        free = 64 - production - interactive
        gpus["production"].append(production)
        gpus["interactive"].append(interactive)
        gpus["scavenger"].append(free * draw.uniform(0.55, 0.95))
        held = sum(values[-1] for values in gpus.values())
        is_known = not 300 < len(busy) < 330
        busy.append(held * draw.uniform(0.52, 0.72) if is_known else None)
        waits.append(None if draw.random() < 0.1 else 300 + 5_000 * day * draw.uniform(0.3, 1.4))
        waiting.append(12 * day * draw.uniform(0.5, 1.5))
    return Timeline(
        seconds=seconds,
        starts=starts,
        gpus={name: tuple(values) for name, values in gpus.items()},
        busy=tuple(busy),
        waits=tuple(waits),
        waiting=tuple(waiting),
    )


def _wasters(draw: Random, pages: tuple[RunPage, ...]) -> Iterator[Waster]:
    for index, page in enumerate(sorted(pages, key=lambda page: -page.figures.gpu_hours.wasted)[:7]):
        hours = page.figures.gpu_hours
        yield Waster(
            name=page.name,
            job_id=str(48_000 + index),
            user=page.user,
            qos=draw.choice(QOS),
            gpu_hours=hours.allocated,
            wasted=hours.wasted,
            advice=page.advice,
        )


def _sweeps(draw: Random, pages: tuple[RunPage, ...]) -> Iterator[Sweep]:
    for experiment in EXPERIMENTS[:3]:
        own = [page for page in pages if page.experiment == experiment]
        if len(own) < 2:
            continue
        points = []
        for page in own:
            rate = draw.choice((1e-5, 3e-5, 1e-4, 3e-4, 1e-3))
            rank, name = draw.choice((4, 8, 16, 64)), draw.choice(("adamw", "muon", "adafactor"))
            score = 0.93 - 0.02 * (math.log10(rate) + 3.7) ** 2 + 0.004 * math.log2(rank) / 6 + draw.gauss(0, 0.004)
            points.append(
                SweepPoint(
                    run=page.name,
                    overrides={"optim.lr": rate, "adapter.rank": rank, "optim.name": name, "trainer.batch_size": 64},
                    metrics={"test/accuracy": score, "test/loss": 1.1 - score} if page.state == "completed" else {},
                    is_complete=page.state == "completed",
                    gpu_hours=page.figures.gpu_hours.allocated,
                )
            )
        parameters = ("optim.lr", "adapter.rank", "optim.name", "trainer.batch_size")
        metrics = ("test/accuracy", "test/loss")
        made = Sweep(name=experiment, parameters=parameters, metrics=metrics, points=tuple(points))
        rungs = tuple(_rungs(points, 3)) if experiment == EXPERIMENTS[0] else ()
        yield replace(made, compared_by="validation/loss", rungs=rungs) if rungs else made


def _rungs(points: Sequence[SweepPoint], count: int) -> Iterator[SweepRung]:
    """As if a third of the points had gone on from each."""
    for number in range(count):
        told, on = (len(points) // 3**rung for rung in (number, number + 1))
        yield SweepRung(
            number=number,
            fraction=3.0 ** (number - count + 1),
            told=told,
            done=max(0, told - 1),
            went_on=on if number < count - 1 else 0,
            failed=min(1, told),
            best=0.9 - number / 10,
        )
