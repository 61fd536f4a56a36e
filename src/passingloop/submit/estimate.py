"""``estimate=true``: when Slurm would start the run, as it is and in other partitions, QOS and sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from passingloop.config.running import FIXED_SIZE
from passingloop.config.settings import RunConfig
from passingloop.plan import run_folder
from passingloop.rundir.directory import RunDir
from passingloop.rundir.start_history import start_errors
from passingloop.slurm.batch import Request, expected_starts
from passingloop.slurm.capacity.facts import Facts, complete_from_database
from passingloop.slurm.capacity.limits import request_problems
from passingloop.slurm.capacity.partition import Partition
from passingloop.slurm.notation import duration_text, seconds
from passingloop.submit.accuracy import Accuracy
from passingloop.submit.arrays import Submitter
from passingloop.submit.fitting import fit
from passingloop.submit.request import candidates, request
from passingloop.submit.sbatch import script
from passingloop.submit.sizes import Size
from passingloop.text import list_excerpt, say

MOST_QUESTIONS = 60
"""Questions to Slurm for a request."""

LIMITS = ("0:30:00", "2:00:00", "8:00:00", "1-00:00:00")
"""Time limits that are compared, those that are shorter than the one that is set. A short job may fit into a gap."""

MOST_NAMED = 3
"""Runs of a sweep that are named over their table."""

NOW = 60.0
"""Seconds; what starts so soon starts now."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to run the same."""

    overrides: tuple[str, ...]
    """What is to be typed in addition; empty for the command as it is."""
    config: RunConfig
    request: Request


def show_estimates(configs: Sequence[RunConfig], submitter: Submitter) -> None:
    """Print a table for each request, the earliest start first, and how right Slurm has been here."""
    facts = complete_from_database(submitter.cluster)
    for asked in dict.fromkeys(submitter.requests.values()):
        same = [config for config, other in submitter.requests.items() if other == asked]
        if len(configs) > 1:
            say(heading(same))
        _show(same[0], facts, submitter)
    say(Accuracy.of(start_errors(submitter.home, facts.cluster)).sentence)


def heading(configs: Sequence[RunConfig]) -> str:
    """Which runs of a sweep a table is for."""
    runs = list_excerpt([run_folder(config) for config in configs], MOST_NAMED)
    return f"A job for {runs}:" if len(configs) == 1 else f"A job for each of {len(configs):,} runs, {runs}:"


def _show(config: RunConfig, facts: Facts, submitter: Submitter) -> None:
    asked, *others = _possible(places(config, facts), facts)
    starts = dict(zip([asked, *others], _starts([asked, *others], submitter), strict=True))
    best = min([asked, *others], key=lambda place: starts[place] or math.inf)
    further = [*variants(asked, facts), *(variants(best, facts) if best != asked else ())]
    rest = list(dict.fromkeys(_possible(further, facts)))[: MOST_QUESTIONS - len(starts)]
    starts |= dict(zip(rest, _starts(rest, submitter), strict=True))
    for line in table(starts, time.time()):
        say(line)
    if config.resources.is_ranged:
        home = submitter.home
        fitted = fit(config, RunDir(run_folder(config)), facts, home, home.code)
        say(fitted.sentence if fitted else "Slurm has no estimate for any size of the range.")


def _starts(alternatives: Sequence[Alternative], submitter: Submitter) -> list[float | None]:
    home = submitter.home
    return expected_starts([script(alternative.request, home, home.code) for alternative in alternatives])


def table(starts: dict[Alternative, float | None], now: float) -> Iterator[str]:
    """The lines of a table: start, wait, and what is to be typed. Those without an estimate are counted."""
    known = {alternative: start for alternative, start in starts.items() if start is not None}
    if not known:
        yield "Slurm has no estimate for any of these."
        return
    order = sorted(known, key=lambda one: (max(known[one] - now, NOW), len(one.overrides), one.overrides))
    cells = [("start", "wait", "to choose it, add")]
    for one in order:
        wait = known[one] - now
        when = f"{datetime.fromtimestamp(known[one]):%d %b %H:%M}"
        words = " ".join(one.overrides) or _unchanged(one)
        cells.append((when, "none" if wait < NOW else duration_text(wait), words))
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    for when, pause, words in cells:
        yield f"{when.ljust(widths[0])}  {pause.rjust(widths[1])}  {words}"
    if len(known) < len(starts):
        yield f"For {len(starts) - len(known)} more Slurm has no estimate."


def _unchanged(here: Alternative) -> str:
    if not here.config.resources.is_ranged:
        return "nothing: it is what the command says"
    size = Size(here.request.nodes, here.request.gpus)
    return f"nothing: it is the smallest size of the range, {size}; which one is chosen is said below"


def _possible(alternatives: Iterable[Alternative], facts: Facts) -> Iterator[Alternative]:
    """Those that the cluster would run; the command as it is in any case."""
    for alternative in alternatives:
        if not alternative.overrides or not request_problems(alternative.request, facts, 1):
            yield alternative


def places(config: RunConfig, facts: Facts) -> Iterator[Alternative]:
    """The command as it is, and in each other partition with each QOS."""
    here = Alternative((), config, request(config, facts))
    yield here
    cluster = config.cluster
    default = next((partition.name for partition in facts.named_partitions(None)), None)
    for partition in (part for part in facts.partitions.values() if part.open and not part.hidden):
        for qos in _qos_names(config, facts, partition):
            moved = partition.name != (cluster.partition or default)
            words = [f"cluster.partition={partition.name}"] if moved else []
            words += [f"cluster.qos={qos}"] if qos != cluster.qos else []
            if words:
                chosen = replace(cluster, partition=partition.name if moved else cluster.partition, qos=qos)
                other = replace(config, cluster=chosen)
                yield Alternative(tuple(words), other, request(other, facts))


def _qos_names(config: RunConfig, facts: Facts, partition: Partition) -> list[str | None]:
    """The QOS that this user may have there; the one that is set, or none, where that is not known."""
    account = facts.account(config.cluster.account, partition.name)
    names = account.qos if account and account.qos is not None else tuple(facts.qos)
    asked = config.cluster.qos
    same = account.default_qos if account and asked is None else asked
    return [asked, *(name for name in names if name in facts.qos and name != same)]


def variants(place: Alternative, facts: Facts) -> Iterator[Alternative]:
    """`place` with each other size, kind of GPU, and shorter time limit."""
    config = place.config
    resources = config.resources
    nodes = [node for partition in facts.named_partitions(config.cluster.partition) for node in partition.nodes]
    here = place.request
    if resources.is_ranged:
        for size in candidates(config, facts)[1:]:
            words = (f"resources.gpus={size.gpus}", *([f"resources.nodes={size.nodes}"] if size.nodes > 1 else []))
            other = replace(config, resources=replace(resources, nodes=size.nodes, gpus=size.gpus))
            yield _variant(place, words, other, facts)
    elif here.gpus and not _is_fixed(here):
        most = max((node.gpus for node in nodes), default=0)
        counts = {2**power for power in range(most.bit_length()) if 2**power <= most} | {most}
        for count in sorted(counts - {here.gpus, 0}):
            other = replace(config, resources=replace(resources, gpus=count))
            yield _variant(place, (f"resources.gpus={count}",), other, facts)
    if here.gpus and not _is_fixed(here):
        for kind in sorted({kind for node in nodes for kind in node.gpu_kinds} - {here.gpu_type}):
            other = replace(config, resources=replace(resources, gpu_type=kind))
            yield _variant(place, (f"resources.gpu_type={kind}",), other, facts)
    limit = seconds(resources.time) if resources.time else None
    for shorter in LIMITS:
        if limit is None or (seconds(shorter) or 0) < limit:
            other = replace(config, resources=replace(resources, time=shorter))
            yield _variant(place, (f"resources.time={shorter}",), other, facts)


def _is_fixed(asked: Request) -> bool:
    """Whether an option of sbatch says how many GPUs of which type."""
    return any(key in FIXED_SIZE for key, _ in asked.extra)


def _variant(place: Alternative, words: tuple[str, ...], config: RunConfig, facts: Facts) -> Alternative:
    return Alternative((*place.overrides, *words), config, request(config, facts))
