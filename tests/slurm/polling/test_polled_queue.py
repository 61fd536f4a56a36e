"""Which answers about jobs are used: made by hand here; those of a real Slurm are in tests/cluster/test_polling.py."""

from __future__ import annotations

import time

import pytest

from passingloop.errors import SlurmMissing
from passingloop.slurm.polling.answer_store import Answer, Store, own_store
from passingloop.slurm.polling.polled_queue import note_change, polled_jobs, question_about
from passingloop.slurm.queue import FIELDS, RECORD, UNIT

EVERYBODY = question_about(None)
SQUEUE = {
    "%i": "12", "%F": "12", "%j": "name", "%U": "1000", "%T": "PENDING", "%r": "Priority", "%N": "",
    "%V": "2026-11-21T08:00:00", "%S": "N/A", "%e": "N/A", "%l": "1:00:00", "%P": "main", "%a": "team", "%q": "normal",
    "%y": "0", "%o": "/s/submission.sh",
}  # fmt: skip


def record(**changes: str) -> str:
    """A job as squeue prints it; `U="7"` changes the field %U."""
    values = SQUEUE | {f"%{letter}": value for letter, value in changes.items()}
    return RECORD + UNIT.join(values[field] for field in FIELDS) + "\n"


def own() -> Store:
    store = own_store()
    assert store
    return store


def keep(store: Store, text: str | None, question: str = EVERYBODY, age: float = 1.0) -> Answer:
    now = time.time()
    answer = Answer(asked=now - age, answered=now - age, text=text)
    store.write(question, answer)
    return answer


def test_the_shared_answer_is_used_for_every_user(shared: Store) -> None:
    kept = keep(shared, record() + record(i="13_1", F="13", U="7", y="100"))
    found = polled_jobs({1000})
    assert found.asked == kept.asked
    assert list(found.jobs or ()) == ["12"]
    every = polled_jobs(None)
    assert every.jobs
    assert {name: (job.user, job.nice) for name, job in every.jobs.items()} == {"12": (1000, 0), "13_1": (7, 100)}
    assert polled_jobs({5}).jobs == {}


def test_that_slurm_is_silent_is_shared(shared: Store) -> None:
    keep(shared, None)
    assert polled_jobs({1000}).jobs is None


@pytest.mark.parametrize("hidden", ["jobs", "usage,jobs"])
def test_where_jobs_are_hidden_each_user_has_answers_alone(shared: Store, hidden: str) -> None:
    keep(own(), record(), question_about({1000}))
    keep(own(), "usage,users", "private")
    with pytest.raises(SlurmMissing):  # it would be asked for all jobs, to share them
        polled_jobs({1000})
    keep(own(), hidden, "private")
    assert list(polled_jobs({1000}).jobs or ()) == ["12"]


def test_nothing_is_shared_until_it_is_known_whether_jobs_are_hidden(shared: Store) -> None:
    keep(own(), None, "private")
    assert polled_jobs({1000}).jobs is None
    assert shared.fresh(question_about(None), 3600.0) is not None, "that Slurm is silent"


def test_a_folder_that_is_open_to_others_is_not_used(shared: Store) -> None:
    keep(shared, record())
    shared.folder.chmod(0o777)
    with pytest.raises(SlurmMissing):
        polled_jobs({1000})


@pytest.mark.parametrize(
    "text",
    [
        record() + RECORD + "1000",
        record(U="root"),
        record(r="\x1b]0;title\x07"),
        record(T="RUNNING\x1b[2J"),
        record(N="n[1-9999999999]"),
        record(N="a[1-999]b[1-999]"),
        record(N="n[x]"),
        record(S="9999-12-31T23:59:59"),
        record(l=f"{'9' * 400}:00:00"),
        record(y="much"),
        record(P="\udcff"),
    ],
)
def test_what_slurm_would_not_have_said_is_not_shown(shared: Store, text: str) -> None:
    """Another user can write what they like into the folder. The commands of this user have an answer of their own."""
    keep(shared, text)
    with pytest.raises(SlurmMissing):
        polled_jobs(None)
    keep(own(), "damaged" + RECORD)
    with pytest.raises(SlurmMissing):
        polled_jobs(None)
    keep(own(), record(r="Resources"))
    jobs = polled_jobs(None).jobs
    assert jobs
    assert jobs["12"].reason == "Resources"


def test_it_is_waited_for_a_newer_answer_as_long_as_allowed(shared: Store) -> None:
    """Slurm, which is not there here, would be asked again."""
    kept = keep(shared, record(), age=3597.0)
    event = kept.asked + 0.1
    assert polled_jobs({1000}, not_before=event, patience=0.0).asked == kept.asked
    with pytest.raises(SlurmMissing):
        polled_jobs({1000}, not_before=event, patience=5.0)
    kept = keep(shared, record(), age=10.0)
    assert polled_jobs({1000}, not_before=time.time(), patience=5.0).asked == kept.asked, "it would take too long"
    assert polled_jobs({1000}, not_before=kept.asked, patience=9999.0).asked == kept.asked, "it is new enough"


def test_after_a_change_slurm_is_asked_again_as_soon_as_it_may_be(shared: Store) -> None:
    """An answer from before `passingloop hold` would show the job as if nothing had been done."""
    keep(shared, record(), age=3598.5)
    assert polled_jobs({1000}, patience=0.0).jobs, "the site lets nobody ask earlier"
    assert polled_jobs({1000}, patience=5.0).jobs, "nothing has changed"
    note_change()
    with pytest.raises(SlurmMissing):
        polled_jobs({1000}, patience=5.0)
