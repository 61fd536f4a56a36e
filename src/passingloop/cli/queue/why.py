"""``passingloop why``: why a job waits, who holds what it waits for, and what would start it sooner.

JOBID may be any job in the queue, also another user's, and a task of an array, such as 4711_3. What Slurm does not
show you, because of the site's PrivateData, is said to be unknown.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from passingloop.cli.paused_runs import with_pauses_explained
from passingloop.cli.rows import as_json
from passingloop.cli.selection import JOB, add_runs, known_rests, selected_entries
from passingloop.errors import ConfigError
from passingloop.pending.alternatives import possible_changes
from passingloop.pending.answer import Answer, Category, Trial
from passingloop.pending.diagnosis import explain
from passingloop.pending.wording import amount_text, count_text, time_text
from passingloop.report import why_page
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from passingloop.slurm.notation import duration_text
from passingloop.slurm.waiting.evidence import Cluster, Evidence, read_cluster, read_evidence
from passingloop.slurm.waiting.queue_table import QueuedJob, chosen_jobs
from passingloop.slurm.waiting.trial import job_options, start_estimates
from passingloop.status.query import shown_states
from passingloop.status.state import State
from passingloop.text import has_colour, say

add_arguments = add_runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A job that is asked about, and the runs that wait with it; or a run that waits for no job."""

    job: QueuedJob | None = None
    runs: tuple[RunDir, ...] = ()
    preface: str | None = None
    """What the run waits for, if the job is not its own; or how it stands, if there is no job."""
    category: Category = "ended"
    """How the run stands, if there is no job."""


def main(arguments: argparse.Namespace) -> int:
    """Print an answer for each job, or a list of JSON objects. Returns 0.

    Raises:
        ConfigError: a word names neither a run nor a job in the queue.
        MissingError: Slurm does not answer.
    """
    begun = time.time()
    jobs = [word for word in arguments.runs if JOB.fullmatch(word) and not Path(word).is_dir()]
    cluster = _cluster(jobs, begun) if jobs else None
    named = {word: chosen_jobs(cluster.jobs, word) for word in jobs} if cluster else {}
    questions = [Question(job=found[0]) for found in named.values() if found]
    others = [word for word in arguments.runs if not named.get(word)]
    if others or not arguments.runs:
        states = _states(arguments, others, jobs)
        if waiting := [state.job_id for state in states if state.kind == "pending" and state.job_id]:
            cluster = _cluster(waiting, begun)
        questions += _questions_of(states, cluster, asked=bool(arguments.runs))
    now = time.time()
    answers = [(question, _answer(question, cluster, now)) for question in questions]
    if arguments.json:
        print(as_json([_row(question, answer) for question, answer in answers]))
    elif answers:
        print("\n\n".join("\n".join(_text(question, answer, now)) for question, answer in answers))
    elif not arguments.runs:
        say("None of your runs waits.")
    return 0


def _cluster(job_ids: Sequence[str], begun: float) -> Cluster:
    """The cluster; asked for anew if one of the jobs is not in an answer that Slurm gave before `begun`."""
    cluster = read_cluster(job_ids[0])
    if all(chosen_jobs(cluster.jobs, job_id) for job_id in job_ids):
        return cluster
    return read_cluster(job_ids[0], not_before=begun)


def _states(arguments: argparse.Namespace, words: Sequence[str], jobs: Sequence[str]) -> list[State]:
    """The states of the runs that `words` name.

    Raises:
        ConfigError: a word names none, and no job in the queue.
    """
    try:
        entries = selected_entries(argparse.Namespace(runs=list(words), run_root=arguments.run_root))
        states = shown_states([entry.run for entry in entries], rests=known_rests(entries))
        return with_pauses_explained(states) if words else states
    except ConfigError:
        missing = [word for word in words if word in jobs]
        if not missing:
            raise
        raise ConfigError(
            f"The queue shows no job {missing[0]}, and no run has had it. It has ended some minutes ago (sacct -j "
            f"{missing[0]}), or it is another user's and not shown to you."
        ) from None


def _questions_of(states: Sequence[State], cluster: Cluster | None, *, asked: bool) -> list[Question]:
    """A question for each job that runs wait for, and one for each other run that was asked about."""
    waiting: dict[str, Question] = {}
    for state in states:
        question = _question(state, cluster)
        if question.job is None and state.kind != "pending" and not asked:
            continue
        key = question.job.number if question.job else str(state.run.path)
        before = waiting.get(key, replace(question, runs=()))
        waiting[key] = replace(before, runs=(*before.runs, state.run))
    return list(waiting.values())


def _question(state: State, cluster: Cluster | None) -> Question:
    if state.kind == "pending" and state.job_id and cluster:
        own, history = chosen_jobs(cluster.jobs, state.job_id), ledger.read(state.run)
        # The first reason of a new job may be that of its partition.
        for ref in history.data_jobs if own and own[0].dependency else ():
            found = chosen_jobs(cluster.jobs, ref.job_id)
            if found and (found[0].waits or found[0].runs):
                return Question(
                    job=found[0],
                    runs=(state.run,),
                    preface=f"The run waits for job {ref.job_id}, which prepares its data.",
                )
        if own:
            return Question(job=own[0], runs=(state.run,))
        unseen = f"It waits, but the queue does not show its job {state.job_id}."
        return Question(runs=(state.run,), preface=unseen, category="unknown")
    category: Category = "running" if state.kind == "running" else "ended"
    return Question(runs=(state.run,), preface=_standing(state), category=category)


def _standing(state: State) -> str:
    """How a run stands that waits for no job."""
    if state.kind == "running":
        if state.waits_for:
            since = f" since {time_text(state.waits_since, time.time())}" if state.waits_since else ""
            return f"It does not wait in the queue, but it does not train yet; it waits{since}: {state.waits_for}"
        if state.launcher == "slurm" and state.attempt_start is None:
            return (
                f"It does not wait in the queue: job {state.job_id} has started, and its first step is being started."
            )
        return f"It does not wait: attempt {state.attempt} is running."
    message = " ".join((state.message or "").split())
    return f"It does not wait: it is {state.kind}.{f' {message}' if message else ''}"


def _answer(question: Question, cluster: Cluster | None, now: float) -> Answer:
    if question.job is None or cluster is None:
        return Answer(job_id="", category=question.category, reason="", summary=question.preface or "")
    evidence = read_evidence(cluster, question.job, now)
    answer = explain(evidence)
    if question.preface:
        answer = replace(answer, summary=f"{question.preface} {answer.summary}")
    return _with_trials(evidence, answer)


def _with_trials(evidence: Evidence, answer: Answer) -> Answer:
    """The answer with what Slurm says of each change; it is not asked on behalf of other users, who have other limits
    and priorities."""
    options = job_options(evidence.fields) if evidence.job.user == evidence.cluster.viewer else None
    changes = possible_changes(evidence, answer, options) if options else []
    if not options or not changes:
        return answer
    unchanged, *estimates = start_estimates([options, *({**options, **change.options} for change in changes)])
    trials = (
        Trial(change=change, start=estimate.start, refusal=estimate.refusal)
        for change, estimate in zip(changes, estimates, strict=True)
    )
    # sbatch's estimates leave out the limits on use.
    known = answer.category in ("resources", "priority", "nodes", "reservation")
    return replace(answer, trials=tuple(trials), unchanged_start=unchanged.start if known else None)


def _text(question: Question, answer: Answer, now: float) -> list[str]:
    title, settings = _title(question), bool(question.runs)
    if not sys.stdout.isatty():
        return why_page.lines(answer, title, now, owner_settings=settings)
    width = shutil.get_terminal_size().columns
    return list(why_page.page(answer, title, now, width, owner_settings=settings, colour=has_colour()))


def _title(question: Question) -> str:
    names = [run.short_name for run in question.runs]
    more = f" and {count_text(len(names) - 1, 'more run')}" if len(names) > 1 else ""
    return ", ".join([*([f"{names[0]}{more}"] if names else []), *_job_words(question.job)])


def _job_words(job: QueuedJob | None) -> Iterator[str]:
    if job is None:
        return
    yield f"job {job.job_id} of {job.user}"
    yield f"QOS {job.qos}" if job.qos else "no QOS"
    yield f"partition {','.join(job.partitions)}"
    amount = amount_text("gres/gpu", job.gpus) if job.gpus else amount_text("cpu", job.tres.get("cpu", 1.0))
    time_limit = duration_text(job.limit) if job.limit else "any time"
    nodes = f" on {count_text(job.nodes, 'node')}" if job.nodes > 1 else ""
    yield f"{amount}{nodes} for {time_limit}"


def _row(question: Question, answer: Answer) -> dict[str, Any]:
    """The answer with the same keys for every job; times in UTC as ISO 8601, null for what is not known."""
    job, limit, release = question.job, answer.limit, answer.release
    return {
        "runs": [str(run.path) for run in question.runs],
        "job_id": answer.job_id or None,
        "user": job.user if job else None,
        "account": job.account if job else None,
        "qos": job.qos if job else None,
        "partitions": list(job.partitions) if job else [],
        "state": job.state if job else None,
        "category": answer.category,
        "reason": answer.reason or None,
        "summary": answer.summary,
        "never": answer.never,
        "remedy": answer.remedy,
        "facts": list(answer.facts),
        "limit": {**asdict(limit.ceiling), "asked": _finite(limit.asked), "exceeded": limit.exceeded}
        if limit
        else None,
        "unit": limit.ceiling.what if limit else answer.unit,
        "holders": [{**asdict(holder), "ends": iso_time(holder.ends)} for holder in answer.holders],
        "hidden": answer.hidden,
        "release": {"what": release.what, "at": iso_time(release.at), "enough_at": iso_time(release.enough_at)}
        if release
        else None,
        "place": asdict(answer.rank) if answer.rank else None,
        "priority": [asdict(part) for part in answer.parts],
        "expected_start": iso_time(answer.expected_start),
        "unchanged_start": iso_time(answer.unchanged_start),
        "options": [
            {
                "change": trial.change.what,
                "setting": trial.change.setting,
                "sbatch": dict(trial.change.options),
                "note": trial.change.note,
                "start": iso_time(trial.start),
                "refusal": trial.refusal,
                "sooner": trial in answer.sooner,
            }
            for trial in answer.trials
        ],
        "unknown": list(answer.unknown),
        "evidence": dict(answer.evidence),
    }


def _finite(amount: float) -> float | None:
    """JSON has no infinity, which is what a job without a time limit asks for."""
    return None if amount == float("inf") else amount
