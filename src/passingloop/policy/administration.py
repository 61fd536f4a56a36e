"""The verbs of `slurm-policy`: plan, apply, check, export."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop import files
from passingloop.errors import ConfigError, MissingError, PassingloopError
from passingloop.policy.cluster_policy import PATIENCE, Observed, history, observe, queued_jobs, usage
from passingloop.policy.commands import command, command_line
from passingloop.policy.entities import Policy, State, desired
from passingloop.policy.guards import Refusal, history_losses, stranded_jobs
from passingloop.policy.page import as_json, change_lines, site_line_texts
from passingloop.policy.policy_changes import Change, changes
from passingloop.policy.policy_file import read_policy_file
from passingloop.policy.references import cluster_problems, vain_settings
from passingloop.policy.site_lines import SiteLine, lines_not_in_force
from passingloop.policy.written import written_policy
from passingloop.policy.yaml_file import Problems
from passingloop.slurm.command import run_command
from passingloop.text import data_exit_code, exit_code, say

SAME, DIFFERENT = 0, 1
"""Exit codes of `check`; of `apply`, 1 means that not all of it was done."""

WORDS = """\
Plans and applies a cluster's policy: accounts, users, shares, QOS, limits and budgets in slurmdbd, and the lines of
slurm.conf, gres.conf and cgroup.conf that go with them.

    slurm-policy export FILE     writes the policy that the cluster has
    slurm-policy plan FILE       shows what would be changed; --commands prints the calls of sacctmgr instead
    slurm-policy apply FILE      changes it: additions first, removals last
    slurm-policy check FILE      exit code 0: the cluster is as the file says, 1: it is not
    slurm-policy simulate FILE --trace TRACE
                                 tries it on a trace, on a private cluster; 1: an objective was missed

Exit codes: 0 done or the same, 1 different, refused or not all done, 2 the file is wrong, 3 there is no Slurm here.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a policy would change."""

    policy: Policy
    before: State
    after: State
    changes: list[Change]
    lines: list[SiteLine]
    notes: list[str]
    """What the policy says in vain."""


def main(arguments: Sequence[str] | None = None, add_verb: Callable[[Any], None] | None = None) -> int:
    """Run one verb; the exit code. `add_verb` gets what argparse returns from `add_subparsers`, to add one more."""
    options = _options(arguments, add_verb)
    return exit_code(lambda: int(options.verb(options)))


def _options(arguments: Sequence[str] | None, add_verb: Callable[[Any], None] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="slurm-policy", description=WORDS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb, words in (
        ("plan", _plan, "show what would be changed"),
        ("apply", _apply, "change it"),
        ("check", _check, "say by exit code whether the cluster is as the file says"),
        ("export", _export, "write the policy that the cluster has"),
    ):
        one = verbs.add_parser(name, help=words)
        one.set_defaults(verb=verb)
        one.add_argument("file", metavar="FILE", type=Path, help="the policy, YAML; for export - is stdout")
        if name != "export":
            one.add_argument("--json", action="store_true", help="print JSON")
        if name == "plan":
            one.add_argument("--commands", action="store_true", help="print the calls of sacctmgr only")
        if name in ("plan", "apply"):
            one.add_argument("--delete-history", action="store_true", help="remove also what was used")
            one.add_argument("--strand-jobs", action="store_true", help="also if jobs lose what they need")
    if add_verb:
        add_verb(verbs)
    return parser.parse_args(arguments)


def make_plan(policy: Policy, observed: Observed) -> Plan:
    """What a policy would change on a cluster.

    Raises:
        ConfigError: the file is wrong, or is of another cluster.
    """
    state = observed.state
    if policy.cluster not in (None, state.cluster):
        raise ConfigError(
            f"{policy.place('cluster')}: this is the policy of the cluster {policy.cluster}, but this is the cluster "
            f"{state.cluster}. Use its own file."
        )
    problems = Problems(policy.file)
    for line, sentence in cluster_problems(policy, state):
        problems.add(line, sentence)
    problems.raise_any()
    after = desired(policy, state)
    return Plan(
        policy=policy,
        before=state,
        after=after,
        changes=changes(state, after),
        lines=lines_not_in_force(policy, observed.config, observed.partitions, observed.nodes),
        notes=vain_settings(after, observed.config),
    )


def refusals(plan: Plan, options: argparse.Namespace) -> list[Refusal]:
    """Why it is not applied, except for what the options allow. Asks for jobs and history if it depends on them."""
    if not plan.changes:
        return []
    found: list[Refusal] = []
    if not options.delete_history and any(change.action == "remove" for change in plan.changes):
        found += history_losses(plan.before, plan.after, history(plan.before, plan.after))
    if not options.strand_jobs and (jobs := queued_jobs()):
        found += stranded_jobs(plan.before, plan.after, jobs, usage())
    return found


def _plan(options: argparse.Namespace) -> int:
    plan = make_plan(read_policy_file(options.file), observe())
    against = refusals(plan, options)
    if options.json:
        print(json.dumps(as_json(plan.changes, plan.before.cluster, plan.lines, against), indent=2))
    elif options.commands:
        for change in plan.changes:
            print(command_line(command(change, plan.before.cluster)))
    else:
        _print_plan(plan)
    for note in plan.notes:
        say(f"note: {note}")
    _say_refusals(against)
    return data_exit_code() or (DIFFERENT if against else SAME)


def _print_plan(plan: Plan) -> None:
    for line in change_lines(plan.changes):
        print(line)
    for line in site_line_texts(plan.lines):
        print(line)
    calls = f"{len(plan.changes)} call{'s' if len(plan.changes) != 1 else ''} of sacctmgr"
    say(f"{calls} would be made." if plan.changes else "slurmdbd is as the file says.")


def _say_refusals(against: Sequence[Refusal]) -> None:
    for refusal in against:
        say(f"refused: {refusal.sentence}")
    flags = {"history": "--delete-history", "jobs": "--strand-jobs"}
    if needed := sorted({flags[refusal.reason] for refusal in against}):
        say(f"Nothing is applied. Change the file, or, if all of this is meant, add {' '.join(needed)}.")


def _check(options: argparse.Namespace) -> int:
    plan = make_plan(read_policy_file(options.file), observe())
    if options.json:
        print(json.dumps(as_json(plan.changes, plan.before.cluster, plan.lines, []), indent=2))
    else:
        for line in [*change_lines(plan.changes), *site_line_texts(plan.lines)]:
            print(line)
    return data_exit_code() or (DIFFERENT if plan.changes or plan.lines else SAME)


def _export(options: argparse.Namespace) -> int:
    if str(options.file) != "-" and options.file.exists():
        raise ConfigError(f"{options.file} exists already. Give another name, or remove it.")
    observed = observe()
    text = written_policy(observed.state, observed.config, observed.partitions, observed.nodes)
    if str(options.file) == "-":
        print(text, end="")
        return data_exit_code()
    try:
        files.write_text(options.file, text)
    except OSError as problem:
        raise ConfigError(
            f"{options.file} cannot be written: {problem.strerror}. Name a file in a folder where you may write."
        ) from None
    return SAME


def _apply(options: argparse.Namespace) -> int:
    plan = make_plan(read_policy_file(options.file), observe())
    cluster = plan.before.cluster
    against = refusals(plan, options)
    if against:
        if options.json:
            print(json.dumps(as_json(plan.changes, cluster, plan.lines, against, done=[], problem=""), indent=2))
        _say_refusals(against)
        return DIFFERENT
    done, problem = make_changes(plan, print_each=not options.json)
    left = changes_left(plan, problem)
    if options.json:
        commands = [command(change, cluster) for change in plan.changes[:done]]
        print(json.dumps(as_json(left, cluster, plan.lines, [], done=commands, problem=problem), indent=2))
    else:
        for line in site_line_texts(plan.lines):
            print(line)
    _say_result(plan, done, problem, left)
    return data_exit_code() or (DIFFERENT if problem or left else SAME)


def make_changes(plan: Plan, *, print_each: bool) -> tuple[int, str]:
    """Make the changes one after the other, up to the first that fails; how many were made, and why no more."""
    for number, change in enumerate(plan.changes):
        words = command(change, plan.before.cluster)
        try:
            run_command(*words, timeout=PATIENCE)
        except PassingloopError as error:
            return number, f"{command_line(words)} failed: {error}"
        if print_each:
            print(*change_lines([change]), flush=True)
    return len(plan.changes), ""


def changes_left(plan: Plan, problem: str) -> list[Change]:
    """What is still different. sacctmgr ends with exit code 0 also where slurmdbd has refused."""
    if not plan.changes:
        return []
    try:
        return make_plan(plan.policy, observe()).changes
    except (MissingError, ConfigError):
        if problem:  # then it is known already that not all was done
            return []
        raise


def _say_result(plan: Plan, done: int, problem: str, left: Sequence[Change]) -> None:
    if not plan.changes:
        say("slurmdbd is as the file says.")
        return
    say(f"Changes made in slurmdbd: {done} of {len(plan.changes)}.")
    if problem:
        say(problem)
        say("The next apply goes on from there.")
    elif left:
        say("sacctmgr reported no failure, but this is still different:")
        for line in change_lines(left):
            print(line, file=sys.stderr)
