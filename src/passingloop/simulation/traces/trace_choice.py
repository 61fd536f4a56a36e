"""The words of ``--trace``: where a trace comes from, and what is done with it."""

from __future__ import annotations

import difflib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from passingloop import files
from passingloop.errors import ConfigError, DataError
from passingloop.simulation.traces.accounting_trace import Period, accounting_trace, sacct_lines
from passingloop.simulation.traces.asked_limits import cut_to, with_limits
from passingloop.simulation.traces.csv_trace import csv_text, read_csv_trace
from passingloop.simulation.traces.offered_load import scaled_to_load
from passingloop.simulation.traces.population import with_interactive, with_qos, with_scavenger, with_users
from passingloop.simulation.traces.pseudonyms import kept_key, pseudonymised, random_key
from passingloop.simulation.traces.published_figures import CLUSTERS
from passingloop.simulation.traces.synthetic import Wish, synthetic_trace
from passingloop.simulation.traces.trace import DAY, Trace, window
from passingloop.slurm.notation import seconds

HELP = """\
--trace SOURCE[,KEY=VALUE]...   the jobs to replay

  FILE.csv            columns submit_s, duration_s, gpus, group; if known user, qos, cpus, state, limit_s, patience_s
  sacct               the accounting of this cluster; the last 30 days
    since=2026-10-01, until=2026-11-01, partition=gpu, cpu_jobs=yes (also jobs without GPUs),
    file=SAVED        what sacct --allusers --duplicates --allocations --parsable2 --format=... printed, instead
  synthetic:helios, synthetic:philly, synthetic:acme
                      jobs generated after published figures; days=7, users=120, groups=12, load=0.8

Of any of them:
  days=1, first_day=3   only so many days, from this one on (1 is the first)
  load=0.95             so many of the jobs, or copies of them, that they ask for 95 % of all GPUs
  users=120             the jobs of each group spread over so many users in all
  longest=3-0           jobs cut to three days, in Slurm's notation of times
  qos.OLD=NEW           other names for QOS; qos.=NEW for jobs without one
  interactive=0.1       a tenth of the 1-GPU jobs in the QOS interactive
  scavenger=0.5         half of the other jobs' GPU-hours in the QOS scavenger
  limits=3-0            round time limits for jobs that have none, three days at most
  pseudonyms=yes        other names for users and accounts, not for QOS; pseudonyms=KEYFILE: the same ones each time
  save=FILE.csv         write the trace, as it is replayed, into a file
  seed=0                other random choices
"""

WORDS = re.compile(r"(?P<source>.*?)(?P<options>(?:,[a-z][\w.-]*=[^,]*)*)", re.DOTALL)

SYNTHETIC = "synthetic:"
SACCT = "sacct"
SACCT_DAYS = 30.0

COMMON = (
    "days", "first_day", "load", "users", "longest", "interactive", "scavenger", "limits", "pseudonyms", "save", "seed",
)  # fmt: skip
OF_SACCT = ("since", "until", "partition", "cpu_jobs", "file")
OF_SYNTHETIC = ("groups",)

MOST_LOAD = 3.0


@dataclass(frozen=True, slots=True)
class _Options:
    """The keys of one ``--trace``; reads their values."""

    words: str
    values: Mapping[str, str]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def text(self, key: str) -> str:
        return self.values.get(key, "")

    def number(self, key: str, default: float, low: float, high: float, example: str) -> float:
        """A number above or equal to `low` and up to `high`."""
        try:
            value = float(self.values.get(key, default))
        except ValueError:
            value = float("nan")
        if low <= value <= high:
            return value
        raise self.error(key, f"is not a number from {low:g} to {high:g}. Write for example {key}={example}.")

    def count(self, key: str, default: int, low: int, example: str) -> int:
        """A whole number, `low` at least."""
        text = self.values.get(key, str(default))
        if text.isascii() and text.isdigit() and int(text) >= low:
            return int(text)
        raise self.error(key, f"is not a whole number from {low} on. Write for example {key}={example}.")

    def length(self, key: str) -> float:
        """Seconds of a time in Slurm's notation."""
        value = seconds(self.values[key])
        if value:
            return value
        raise self.error(key, f"is no length of time. Write for example {key}=12:00:00 or {key}=3-0 for three days.")

    def moment(self, key: str, default: float) -> float:
        """Seconds since the epoch of a date, or a date and a time of day."""
        if key not in self.values:
            return default
        try:
            return datetime.fromisoformat(self.values[key]).timestamp()
        except ValueError:
            raise self.error(key, f"is no date. Write for example {key}=2026-11-01 or 2026-11-01T09:30.") from None

    def is_yes(self, key: str) -> bool:
        """Whether the value is ``yes``; ``no`` is the default."""
        value = self.values.get(key, "no")
        if value in ("yes", "no"):
            return value == "yes"
        raise self.error(key, "is neither yes nor no.")

    def error(self, key: str, why: str) -> ConfigError:
        return ConfigError(f"--trace {self.words}: {key}={self.values.get(key)} {why}")


def read_trace(words: str, gpus: int) -> Trace:
    """The trace that ``--trace`` asks for; `HELP` is what it can say.

    Args:
        gpus: of the cluster on which it is replayed. A load is a share of them.

    Raises:
        ConfigError: a key or a value is wrong.
        DataError: the source is wrong.
        SlurmMissing, SlurmSilent, SlurmRefused: Slurm's accounting does not answer.
    """
    match = WORDS.fullmatch(words)
    assert match, "the source may be any text"
    source, pairs = match["source"], [pair.split("=", 1) for pair in match["options"].split(",")[1:]]
    options = _Options(words, dict(pairs))
    if len(options.values) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ConfigError(f"--trace {words}: {twice}= is there more than once. Give it one value.")
    _check_keys(options, source)
    trace = _read_source(source, options, gpus)
    for change in _changes(options, source, gpus):
        trace = change(trace)
    if not trace.jobs:
        raise DataError(f"--trace {words}: no job is left to replay. Ask for a longer part of the trace.")
    if "save" in options:
        _save(trace, Path(options.text("save")))
    return trace


def _check_keys(options: _Options, source: str) -> None:
    known = COMMON + (OF_SYNTHETIC if source.startswith(SYNTHETIC) else OF_SACCT if source == SACCT else ())
    for key in options.values:
        if key not in known and not key.startswith("qos."):
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {near[0]}=?" if near else f"There are {', '.join(known)} and qos.NAME."
            raise ConfigError(f"--trace {options.words}: there is no {key}= for {source}. {hint}")


def _read_source(source: str, options: _Options, gpus: int) -> Trace:
    if source == SACCT:
        return _accounting(options)
    if source.startswith(SYNTHETIC):
        return _synthetic(source, options, gpus)
    if not source or not Path(source).exists():
        names = [SACCT, *(SYNTHETIC + name for name in CLUSTERS)]
        near = difflib.get_close_matches(source, names, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Name a CSV file, or one of {', '.join(names)}."
        raise ConfigError(f"--trace {source or options.words}: there is no such file. {hint}")
    return read_csv_trace(Path(source))


def _synthetic(source: str, options: _Options, gpus: int) -> Trace:
    cluster = source.removeprefix(SYNTHETIC)
    if cluster not in CLUSTERS:
        near = difflib.get_close_matches(cluster, CLUSTERS, 1)
        hint = f"Did you mean {SYNTHETIC}{near[0]}?" if near else f"There are {', '.join(CLUSTERS)}."
        raise ConfigError(f"--trace {source}: nothing is published here on a cluster {cluster}. {hint}")
    return synthetic_trace(
        Wish(
            cluster=cluster,
            gpus=gpus,
            load=options.number("load", 0.8, 0.001, MOST_LOAD, "0.95"),
            days=options.number("days", 7, 0.01, 366, "7"),
            users=options.count("users", 120, 1, "120"),
            accounts=options.count("groups", 12, 1, "12"),
            seed=options.count("seed", 0, 0, "1"),
        )
    )


def _accounting(options: _Options) -> Trace:
    partition, cpu_jobs = options.text("partition"), options.is_yes("cpu_jobs")
    until = options.moment("until", time.time())
    since = options.moment("since", until - DAY * options.number("days", SACCT_DAYS, 0.01, 3660, "30"))
    if since >= until:
        raise ConfigError(f"--trace {options.words}: since= is not before until=. Set an earlier date.")
    period = Period(since=since, until=until)
    if "file" not in options:
        first, last = (f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}" for at in (since, until))
        name = f"sacct from {first} to {last}"
        return accounting_trace(sacct_lines(period), name, period, partition, cpu_jobs=cpu_jobs)
    path = Path(options.text("file"))
    given = period if {"since", "until"} <= {*options.values} else None
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return accounting_trace(lines, str(path), given, partition, cpu_jobs=cpu_jobs)
    except OSError as problem:
        raise ConfigError(f"--trace {options.words}: {path} cannot be read: {problem.strerror}.") from None


def _changes(options: _Options, source: str, gpus: int) -> Iterator[Callable[[Trace], Trace]]:
    """What is done with the trace, in this order."""
    seed = options.count("seed", 0, 0, "1")
    generated = source.startswith(SYNTHETIC)
    if {"days", "first_day"} & {*options.values} and not generated and (source != SACCT or "file" in options):
        begin = DAY * (options.number("first_day", 1, 1, 3660, "3") - 1)
        yield lambda trace: window(trace, begin, DAY * options.number("days", 3660, 0.001, 3660, "1"))
    if "longest" in options:
        yield lambda trace: cut_to(trace, options.length("longest"))
    if "load" in options and not generated:
        yield lambda trace: scaled_to_load(trace, options.number("load", 1, 0.001, MOST_LOAD, "0.95"), gpus, seed)
    if "users" in options and not generated:
        yield lambda trace: with_users(trace, options.count("users", 1, 1, "120"), seed)
    if names := {key.removeprefix("qos."): name for key, name in options.values.items() if key.startswith("qos.")}:
        yield lambda trace: with_qos(trace, names)
    if "interactive" in options:
        yield lambda trace: with_interactive(trace, options.number("interactive", 0, 0, 1, "0.1"), seed)
    if "scavenger" in options:
        yield lambda trace: with_scavenger(trace, options.number("scavenger", 0, 0, 1, "0.5"), seed)
    if "limits" in options:
        yield lambda trace: with_limits(trace, options.length("limits"), seed)
    if (key := options.text("pseudonyms")) not in ("", "no"):
        yield lambda trace: pseudonymised(trace, random_key() if key == "yes" else kept_key(Path(key)))


def _save(trace: Trace, path: Path) -> None:
    try:
        files.write_text(path, csv_text(trace))
    except OSError as problem:
        raise ConfigError(
            f"save={path}: the file cannot be written: {problem.strerror}. Name one in a folder where you may write."
        ) from None
