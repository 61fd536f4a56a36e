"""The jobs in Slurm for commands that show them, asked for no more often than the site's `poll_seconds` says.

The users of a node share one answer about all jobs if the site names a folder for it and hides no jobs from them
(PrivateData). Elsewhere the commands of each user share theirs. Decisions are never taken from these answers: an answer
may be some seconds old, and another user may have written it. They ask with `passingloop.slurm.queue.jobs`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial

from passingloop.site import Site, site
from passingloop.slurm.accounting import JobEnd, job_ends
from passingloop.slurm.notation import node_count
from passingloop.slurm.polling.answer_store import Answer, asked, own_store, polled
from passingloop.slurm.polling.shared_answers import MAX_NODES, shared_answer
from passingloop.slurm.queue import FIELDS, Job, ask_for_jobs, read_jobs

CHANGED = "changed"
"""Under this name the user's own store keeps when they have last held, released or reordered jobs."""

LATEST = 4_102_444_800.0
"""The year 2100."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The jobs at one time."""

    asked: float
    """When Slurm was asked, in seconds since the epoch; it may know of later things as well."""
    jobs: Mapping[str, Job] | None
    """By job id; None if Slurm does not answer."""


def question_about(users: Collection[int] | None) -> str:
    """The name of the question about the jobs of `users`, or of all users, for `polled`.

    Other versions of this program may ask squeue for other fields.
    """
    asked_for = f"jobs-{_digest(FIELDS)}"
    return asked_for if users is None else f"{asked_for}-{_digest(sorted(users))}"


def polled_jobs(users: Collection[int] | None, *, not_before: float = 0.0, patience: float = 0.0) -> Snapshot:
    """The jobs of `users`, or of all users, as they were at most `poll_seconds` ago.

    Args:
        not_before: in seconds since the epoch; Slurm is to have been asked after that, if possible.
        patience: seconds to wait for it until Slurm may be asked again.

    Raises:
        SlurmMissing: there is no Slurm here.
        ConfigError: the site's settings cannot be read.
    """
    settings = site()
    not_before = max(not_before, _newest_change(settings.poll_seconds))
    answer, jobs = _answer(users, settings)
    wait = answer.answered + settings.poll_seconds - time.time()
    if answer.asked < not_before and wait <= patience:
        time.sleep(max(0.0, wait) + 0.01)
        answer, jobs = _answer(users, settings)
    return Snapshot(asked=answer.asked, jobs=jobs)


def note_change() -> None:
    """Keep that this user has just changed jobs in Slurm: what they read next should have been asked for after it."""
    now = time.time()
    if own := own_store():
        own.write(CHANGED, Answer(asked=now, answered=now, text=None))


def _newest_change(seconds: float) -> float:
    """When this user last changed jobs, in seconds since the epoch; 0 if that was before the last `seconds`."""
    change = own.fresh(CHANGED, seconds) if (own := own_store()) else None
    return change.asked if change else 0.0


def polled_job_ends(job_ids: Collection[str]) -> dict[str, JobEnd]:
    """`passingloop.slurm.accounting.job_ends`, as it was at most `poll_seconds` ago."""
    question = f"ends-{_digest(sorted(job_ids))}"
    store = own_store()
    ask = partial(_job_ends_text, job_ids)
    answer = polled(store, question, site().poll_seconds, ask) if store else None
    try:
        return {row["job_id"]: JobEnd(**row) for row in json.loads((answer or asked(ask)).text or "[]")}
    except (ValueError, TypeError, KeyError):  # the file is damaged, or of another version
        return job_ends(job_ids)


def _answer(users: Collection[int] | None, settings: Site) -> tuple[Answer, Mapping[str, Job] | None]:
    with suppress(ValueError, OverflowError):  # somebody has made it up
        if answer := shared_answer(question_about(None), partial(ask_for_jobs, None), {"jobs"}, settings):
            return answer, _jobs(answer, users, shared=True)
    ask, own = partial(ask_for_jobs, users), own_store()
    if own and (answer := polled(own, question_about(users), settings.poll_seconds, ask)):
        with suppress(ValueError):  # it is damaged
            return answer, _jobs(answer, users, shared=False)
    answer = asked(ask)
    return answer, _jobs(answer, users, shared=False)


def _jobs(answer: Answer, users: Collection[int] | None, *, shared: bool) -> dict[str, Job] | None:
    """The jobs in an answer.

    Raises:
        ValueError, OverflowError: Slurm would not have given such an answer.
    """
    if answer.text is None:
        return None
    jobs = read_jobs(answer.text, users)
    if shared and not all(map(_is_plausible, jobs.values())):
        raise ValueError("no answer of Slurm's")
    return jobs


def _is_plausible(job: Job) -> bool:
    """Whether the job can be shown: nothing in it that a terminal takes for a command, or that takes for ever."""
    words = (job.job_id, job.array_id, job.state, job.reason, job.nodes, job.partition, job.account, job.qos)
    times = (time for time in (job.submitted, job.started, job.ends) if time is not None)
    has_few_nodes = node_count(job.nodes) <= MAX_NODES
    return has_few_nodes and all(map(str.isprintable, words)) and all(0 <= time < LATEST for time in times)


def _job_ends_text(job_ids: Collection[str]) -> str:
    return json.dumps([asdict(end) for end in job_ends(job_ids).values()])


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
