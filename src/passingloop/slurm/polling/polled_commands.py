"""Several of Slurm's commands as one question, asked for no more often than the site's `poll_seconds` says."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from passingloop.errors import SlurmRefused
from passingloop.site import Site, site
from passingloop.slurm.command import run_commands
from passingloop.slurm.polling.answer_store import Answer, asked, own_store, polled
from passingloop.slurm.polling.shared_answers import is_plausible, shared_answer

Command = Sequence[str]
T = TypeVar("T")

MADE_UP = (ValueError, KeyError, IndexError, TypeError, OverflowError)
"""What parsing an answer may raise that Slurm has not given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question(Generic[T]):
    """Commands that are run at the same time, and what their outputs mean."""

    kind: str
    """Names the question among those whose answers are kept."""
    commands: tuple[Command, ...]
    """Whose outputs are kept. Without an answer to the first there is none; the others may be refused."""
    hidden_by: frozenset[str]
    """The words in PrivateData with which Slurm answers users differently."""
    parse: Callable[[Sequence[str]], T]
    """The content of the outputs; the output of a refused command is empty."""
    separators: str = "\n"
    """The characters in the outputs that no terminal is to get."""

    @property
    def name(self) -> str:
        """Other versions of this program may ask otherwise."""
        return f"{self.kind}-{hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply(Generic[T]):
    """What Slurm has said."""

    asked: float
    """Seconds since the epoch, as `answered`."""
    answered: float
    content: T | None
    """None: Slurm does not answer."""
    shared: bool
    """Whether all users of this node have this one answer."""
    others: tuple[str | SlurmRefused, ...] | None
    """The outputs of the commands that were to run with them; None if they have not, as the answer was there."""


def polled_reply(question: Question[T], *, together_with: Sequence[Command] = (), not_before: float = 0.0) -> Reply[T]:
    """The newest answer to `question`, at most `poll_seconds` old.

    Args:
        together_with: commands that are run at the same time if Slurm is asked; their outputs are not kept.
        not_before: in seconds since the epoch; Slurm is to have been asked after that, for which this waits.

    Raises:
        SlurmMissing: there is no Slurm here.
        SlurmRefused: it does not answer the first command.
        ConfigError: the site's settings cannot be read.
    """
    settings = site()
    reply = _reply(question, together_with, settings)
    if reply.asked < not_before:
        time.sleep(max(0.0, reply.answered + settings.poll_seconds - time.time()) + 0.01)
        reply = _reply(question, together_with, settings)
    return reply


def _reply(question: Question[T], together_with: Sequence[Command], settings: Site) -> Reply[T]:
    others: list[str | SlurmRefused] = []
    ask = partial(_ask, question, together_with, others)
    if answer := shared_answer(question.name, ask, question.hidden_by, settings):
        try:
            return _read(question, answer, others, shared=True)
        except MADE_UP:
            others.clear()
    own = own_store()
    if own and (answer := polled(own, question.name, settings.poll_seconds, ask)):
        try:
            return _read(question, answer, others, shared=False)
        except MADE_UP:  # the file is damaged
            others.clear()
    return _read(question, asked(ask), others, shared=False)


def _ask(question: Question[T], together_with: Sequence[Command], others: list[str | SlurmRefused]) -> str:
    answers = run_commands(*question.commands, *together_with)
    if isinstance(answers[0], SlurmRefused):
        raise answers[0]
    kept = answers[: len(question.commands)]
    others[:] = answers[len(question.commands) :]
    return json.dumps(["" if isinstance(answer, SlurmRefused) else answer for answer in kept])


def _read(question: Question[T], answer: Answer, others: Sequence[str | SlurmRefused], *, shared: bool) -> Reply[T]:
    """Parse an answer.

    Raises:
        one of MADE_UP: it is none of Slurm's.
    """
    content = None
    if answer.text is not None:
        texts = json.loads(answer.text)
        if len(texts) != len(question.commands) or not all(isinstance(text, str) for text in texts):
            raise ValueError("another number of outputs")
        if shared and not is_plausible(texts, question.separators):
            raise ValueError("no output of Slurm's")
        content = question.parse(texts)
    return Reply(
        asked=answer.asked,
        answered=answer.answered,
        content=content,
        shared=shared,
        others=tuple(others) if others else None,
    )
