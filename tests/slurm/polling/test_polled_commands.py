"""Several commands as one question: which answer is used. Those of real Slurm are in tests/cluster/test_polling.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from passingloop.errors import SlurmMissing, SlurmRefused
from passingloop.slurm.polling.answer_store import Store
from passingloop.slurm.polling.polled_commands import Question, polled_reply
from tests.slurm.polling.test_polled_queue import keep, own

Program = Callable[[str, str], None]


def numbers(texts: Sequence[str]) -> list[int]:
    return [int(text or 0) for text in texts]


QUESTION = Question(
    kind="numbers", commands=(("squeue",), ("sinfo", "--all")), hidden_by=frozenset({"jobs", "nodes"}), parse=numbers
)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Installs a command of Slurm that prints a word, and notes that it was called."""

    def program(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/called\n{script}\n")
        path.chmod(0o755)

    return program


def called(tmp_path: Path) -> list[str]:
    return sorted((tmp_path / "called").read_text().split())


def answer(*texts: str) -> str:
    return json.dumps(texts)


def test_the_users_of_a_node_share_an_answer(shared: Store) -> None:
    kept = keep(shared, answer("1", "2"), QUESTION.name)
    reply = polled_reply(QUESTION)
    assert (reply.content, reply.asked, reply.shared, reply.others) == ([1, 2], kept.asked, True, None)
    keep(shared, None, QUESTION.name)
    assert polled_reply(QUESTION).content is None, "Slurm is silent"


@pytest.mark.parametrize("hidden", ["jobs", "usage,nodes"])
def test_what_the_site_hides_is_not_shared(shared: Store, program: Program, hidden: str) -> None:
    program("squeue", "echo 3")
    program("sinfo", "echo 4")
    keep(own(), hidden, "private")
    reply = polled_reply(QUESTION)
    assert (reply.content, reply.shared) == ([3, 4], False)
    assert not list(shared.folder.glob("*numbers*.jsonl"))
    assert polled_reply(QUESTION).asked == reply.asked, "this user's own answer is kept"


@pytest.mark.parametrize(
    "text", [answer("1"), answer("1", "2", "3"), answer("x", "2"), answer("1", "2\x1b[2J"), "{", "[1, 2]", "7"]
)
def test_what_slurm_would_not_have_said_is_not_used(shared: Store, program: Program, text: str) -> None:
    keep(shared, text, QUESTION.name)
    with pytest.raises(SlurmMissing):
        polled_reply(QUESTION)
    program("squeue", "echo 5")
    program("sinfo", "echo 6")
    keep(own(), "[", QUESTION.name)
    assert polled_reply(QUESTION).content == [5, 6]


def test_all_are_asked_at_once_and_only_the_first_may_not_be_refused(
    shared: Store,
    program: Program,
    tmp_path: Path,
) -> None:
    program("squeue", "echo 5")
    program("sinfo", "echo no >&2; exit 1")
    program("sprio", "echo mine")
    reply = polled_reply(QUESTION, together_with=[("sprio",)])
    assert (reply.content, reply.others, reply.shared) == ([5, 0], ("mine\n",), True)
    assert called(tmp_path) == ["sinfo", "sprio", "squeue"]
    assert polled_reply(QUESTION, together_with=[("sprio",)]).others is None
    assert called(tmp_path) == ["sinfo", "sprio", "squeue"]
    for path in (tmp_path / "shared").glob("*numbers*.jsonl"):
        assert "mine" not in path.read_text()
        path.unlink()
    program("squeue", "echo no >&2; exit 1")
    with pytest.raises(SlurmRefused):
        polled_reply(QUESTION)


def test_a_newer_answer_is_waited_for(shared: Store, program: Program, tmp_path: Path) -> None:
    (tmp_path / "etc" / "passingloop.toml").write_text(f'snapshot_folder = "{shared.folder}"\npoll_seconds = 3\n')
    program("squeue", "echo 5")
    program("sinfo", "echo 6")
    keep(shared, answer("1", "2"), QUESTION.name, age=1.5)
    assert polled_reply(QUESTION).content == [1, 2]
    asked_at = time.time()
    reply = polled_reply(QUESTION, not_before=asked_at)
    assert reply.content == [5, 6]
    assert reply.asked >= asked_at
