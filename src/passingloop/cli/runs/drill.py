"""``passingloop drill``: interrupt a short run on purpose, and prove that it continues exactly.

Takes the overrides of `passingloop train`, and trains the same twice, afresh: NAME-drill-baseline is left alone, and
NAME-drill-twin is killed, told to stop and, with launcher=slurm, requeued, each time at a random step. Then weights,
metrics and the loss of every step are compared. Exit code 0 only if all are the same, bit by bit. Unless you set them,
the run has 60 steps, saves every 10 and sees 500 examples: trainer.steps, checkpoint.every_steps, data.limit. What it
measures of saving and continuing is for `scripts/slurm-policy simulate --drill FILE`, which reads the output of --json.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from passingloop.cli.courses.measures import measured
from passingloop.cli.courses.queue_course import QueueCourse
from passingloop.cli.courses.shell_course import ShellCourse, failed
from passingloop.cli.rows import as_json
from passingloop.config.command_line import configs_of
from passingloop.config.points import key_of
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.report import drill_page
from passingloop.report.drill_page import How, Interruption
from passingloop.rundir import ledger
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from passingloop.text import say
from passingloop.track.metrics_file import latest_rows, read_metrics

DEFAULTS = (
    ("trainer.steps=60", "trainer.epochs=null"),
    ("checkpoint.every_steps=10", "checkpoint.every=null", "checkpoint.every_minutes=null"),
    ("trainer.deterministic=true",),
    ("trainer.log_every=1",),
    ("data.limit=500",),
    ("tracking=none",),
)
"""Added to the command line, unless one of the same line is set there."""

LATEST = 0.8
"""Of all steps: an interruption after that may come when the run is done."""

POLL = 0.02
"""Seconds between two looks at the metrics."""


class Course(Protocol):
    """One run of the drill; ``ShellCourse`` or ``QueueCourse``."""

    run: RunDir
    starts: int
    kinds: tuple[How, ...]

    def start(self) -> None: ...

    def is_over(self) -> bool: ...

    def interrupt(self, how: How) -> None: ...

    def stop(self) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interruptions", metavar="N", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--seed", metavar="N", type=int, help="repeats the random steps of another drill")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train, such as launcher=slurm")


def main(arguments: argparse.Namespace) -> int:
    """Drill; the two run directories on stdout, the table on stderr. Returns 0 only if the twin is exact.

    Raises:
        ConfigError: an override is wrong, or the run is too short for so many interruptions.
        MissingError: what the run needs is not here.
        RunError: a run failed without having been interrupted.
    """
    words = add_defaults(arguments.overrides)
    own, config = _config(arguments.overrides), _config(words)
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    baseline, twin = (_new_course(config, words, f"{config.name}-drill-{part}") for part in ("baseline", "twin"))
    with _cleanup(baseline, twin):
        done = _train(config, baseline, twin, arguments.interruptions, random.Random(seed))  # noqa: S311
    report = _comparison(baseline.run, twin.run, done, own, config) | {"seed": seed}
    print("\n".join(drill_page.page(report)), file=sys.stderr)
    print(as_json(report) if arguments.json else f"{baseline.run.path}\n{twin.run.path}")
    return 0 if report["exact"] else 1


def add_defaults(overrides: Sequence[str]) -> list[str]:
    """`overrides` and what makes a short run of them, where they leave that open."""
    given = {key_of(word) for word in overrides}
    added = [word for words in DEFAULTS if not given & set(map(key_of, words)) for word in words]
    return [*added, *(word for word in overrides if key_of(word) != "rerun")]


def plan_interruptions(steps: int, count: int, kinds: Sequence[How], chance: random.Random) -> list[tuple[int, How]]:
    """At which steps the twin is interrupted, and how: all kinds in turn, in random order.

    Raises:
        ConfigError: there are not so many steps.
    """
    last = int(LATEST * steps)
    if not 1 <= count <= last:
        raise ConfigError(
            f"You set --interruptions {count}, but a run of {steps} steps has room for 1 to {last}. Set another "
            "number, or trainer.steps."
        )
    order = [kind for _ in range(0, count, len(kinds)) for kind in chance.sample(kinds, len(kinds))]
    return list(zip(sorted(chance.sample(range(1, last + 1), count)), order[:count], strict=True))


def _config(words: Sequence[str]) -> RunConfig:
    """What `words` say, checked; mistakes are answered as those of train are."""
    configs = configs_of(words)
    if len(configs) != 1:
        raise ConfigError("A drill is about one run, so it takes plain overrides: no sweep, and no options of Hydra.")
    return configs[0]


def _new_course(config: RunConfig, words: Sequence[str], name: str) -> Course:
    """A new run called `name`, whose command has not been given yet."""
    run = choose_run(dataclasses.replace(config, name=name, rerun=True))
    named = [*(word for word in words if key_of(word) != "name"), f"name={name}"]
    return QueueCourse(run, named) if config.launcher.kind == "slurm" else ShellCourse(run, named)


@contextmanager
def _cleanup(*courses: Course) -> Iterator[None]:
    """Stop the runs of `courses` if the context ends with an error or a signal."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    except BaseException:
        for course in courses:
            course.stop()
        raise
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _train(config: RunConfig, baseline: Course, twin: Course, count: int, chance: random.Random) -> list[Interruption]:
    """Both to their ends; in the queue side by side once the baseline trains, unless only its end tells how many steps
    there are."""
    steps = config.trainer.steps
    planned = plan_interruptions(steps, count, twin.kinds, chance) if steps else None
    baseline.start()
    if planned is None or isinstance(baseline, ShellCourse):
        _finish(baseline, [])
    if planned is None:
        planned = plan_interruptions((baseline.run.read_result() or {})["steps"], count, twin.kinds, chance)
    say(f"The twin is interrupted at about {', '.join(f'step {step} ({how})' for step, how in planned)}.")
    _hand_measurements(baseline, twin)
    twin.start()
    done = _interrupt(twin, planned)
    _finish(twin, done)
    _finish(baseline, [])
    return done


def _hand_measurements(baseline: Course, twin: Course) -> None:
    """Let the twin go by what the baseline has measured on its device, once it trains. Measured twice, what is close to
    a limit, such as whether bf16 is faster, may come out on either side of it."""
    while not (baseline.run.result.exists() or read_metrics(baseline.run.metrics)):
        _wait_or_start_again(baseline, [])
    if baseline.run.measured.exists():
        shutil.copyfile(baseline.run.measured, twin.run.measured)


def _interrupt(twin: Course, planned: Sequence[tuple[int, How]]) -> list[Interruption]:
    """Do what is planned, as far as the run does not end before."""
    done: list[Interruption] = []
    for step, how in planned:
        attempt = _attempt_at(twin, step, done)
        if attempt is None:
            break
        done.append(Interruption(how=how, attempt=attempt, time=time.time()))
        twin.interrupt(how)
    return done


def _attempt_at(twin: Course, step: int, done: list[Interruption]) -> int | None:
    """The attempt that has come to `step` after all that was done before; None if the run is done."""
    last = done[-1].attempt if done else 0
    while not twin.run.result.exists():
        rows = read_metrics(twin.run.metrics)
        if rows and rows[-1]["attempt"] > last and rows[-1]["step"] >= step:
            return int(rows[-1]["attempt"])
        _wait_or_start_again(twin, done)
    return None


def _finish(course: Course, done: Sequence[Interruption]) -> None:
    while not course.run.result.exists():
        _wait_or_start_again(course, done)
    while not course.is_over():  # its processes end
        time.sleep(POLL)


def _wait_or_start_again(course: Course, done: Sequence[Interruption]) -> None:
    """Wait a moment; give the command again where an interruption has ended the last.

    Raises:
        RunError: nobody has interrupted it.
    """
    if course.is_over() and not course.run.result.exists():
        if course.starts > len(done):
            raise failed(course.run)
        course.start()
    time.sleep(POLL)


def _comparison(
    baseline: RunDir, twin: RunDir, done: Sequence[Interruption], own: RunConfig, drilled: RunConfig
) -> dict[str, object]:
    """What the drill has found, as ``--json`` prints it; `own` are the settings without those of the drill."""
    expected, actual = baseline.read_result(), twin.read_result()
    assert expected
    assert actual
    past, rows = ledger.read(twin), read_metrics(twin.metrics)
    in_time = [interruption for interruption in done if interruption.attempt < past.next_attempt - 1]
    if len(in_time) < len(done):
        say("The last interruption came when the run was done, and does not count.")
    step_s = expected["train_seconds"] / expected["steps"]
    differs = drill_page.differences(expected, actual, latest_rows(read_metrics(baseline.metrics)), latest_rows(rows))
    return {
        "baseline": str(baseline.path),
        "twin": str(twin.path),
        "steps": actual["steps"],
        "exact": bool(in_time) and not differs,
        "differs": differs,
        "interruptions": drill_page.interruption_costs(in_time, rows, past),
        "measured": measured(own.checkpoint, drilled.checkpoint.every_steps, in_time, rows, past, step_s),
    }
