"""``slurm-policy simulate``: a policy file tried on a trace, alone or against another one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from passingloop.policy.policy_file import read_policy_file
from passingloop.simulation.policy_trial import trial
from passingloop.simulation.replay.cluster_nodes import ReplayNodes, replay_nodes
from passingloop.simulation.replay.policy_replay import Setting, fitting, replayed
from passingloop.simulation.replay.private_cluster import ClusterMaker
from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.saving_choice import add_saving_options, chosen_figures, positive_number, saving_of
from passingloop.simulation.trace_jobs import Replay
from passingloop.simulation.traces.trace_choice import HELP, read_trace
from passingloop.simulation.trial_output import add_output_options, show, wanted_prices
from passingloop.text import say

FACTOR, MOST = 600.0, 1000.0
"""How much faster than the machine's the time goes at most, unless it is set otherwise; and what may be set."""
TAIL, SHORTEST_TAIL_S = 0.1, 4 * 3600.0
"""After the trace's period jobs that wait are waited for, for so large a part of it."""

Verbs = Any
"""What argparse returns from `add_subparsers`; it has no public name."""


def simulate_verb(maker: ClusterMaker, releases: Iterable[str]) -> Callable[[Verbs], None]:
    """The verb, for clusters of `maker`, which can make them with each of `releases` of Slurm."""

    def add(verbs: Verbs) -> None:
        one = verbs.add_parser(
            "simulate",
            help="try it on a trace",
            description=f"Replays a trace on a private cluster with the policy of FILE. Needs root.\n\n{HELP}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(verb=lambda options: _simulate(options, maker))
        one.add_argument("file", metavar="FILE", type=Path, help="the policy, YAML")
        one.add_argument("--trace", required=True, metavar="SOURCE", help="the jobs: see above")
        one.add_argument("--against", metavar="FILE2", type=Path, help="another policy, to compare it with")
        for name, words in (
            ("nodes", "how many; if the file names none, and unless it is to be as this cluster"),
            ("gpus", "of each node, 8 unless given; with --nodes"),
            ("cpus", "of each node, 16 for each GPU unless given; with --nodes"),
        ):
            one.add_argument(f"--{name}", type=_count, metavar=name[0].upper(), help=words)
        one.add_argument(
            "--release",
            choices=list(releases),
            help="of the Slurm that replays, fetched from Debian if need be; the installed one unless given",
        )
        words = f"how many times as fast the time goes while nothing happens; {FACTOR:g} unless given"
        one.add_argument("--factor", type=_factor, metavar="X", default=FACTOR, help=words)
        add_saving_options(one)
        add_output_options(one)

    return add


def _factor(word: str) -> float:
    factor = positive_number(word)
    if not 1 <= factor <= MOST:
        raise argparse.ArgumentTypeError(f"{word} is no number from 1 to {MOST:g}: Slurm has to come along")
    return factor


def _count(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 500:
        raise argparse.ArgumentTypeError(f"{word} is no number from 1 to 500")
    return int(word)


def _simulate(options: argparse.Namespace, maker: ClusterMaker) -> int:
    policy = read_policy_file(options.file)
    other = read_policy_file(options.against) if options.against else None
    prices, saving = wanted_prices(options), chosen_figures(options)
    nodes = replay_nodes(policy, options.nodes, options.gpus, options.cpus)
    trace = fitting(read_trace(options.trace, sum(node.gpus for node in nodes.nodes)))
    setting = _setting(options, nodes, saving_of(saving), trace.length_s)
    replays: list[Replay] = []
    for one in [policy, *([other] if other else [])]:
        say(f"replaying {len(trace.jobs)} jobs of {trace.length_s / 3600:.1f} hours under {Path(one.file).name}")
        replays.append(replayed(one, trace, setting, maker, say))
    return show(trial(policy, replays[0], replays[1] if other else None, prices, saving), options)


def _setting(options: argparse.Namespace, nodes: ReplayNodes, saving: Saving, length_s: float) -> Setting:
    return Setting(
        nodes=nodes.nodes,
        node_names=nodes.names,
        factor=options.factor,
        saving=saving,
        tail_s=max(TAIL * length_s, SHORTEST_TAIL_S),
        release=options.release,
    )
