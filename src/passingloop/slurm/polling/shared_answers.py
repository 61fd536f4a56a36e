"""Answers that all users of a node share, if the site names a folder for them and Slurm answers every user alike.

Everybody can write into that folder. So before an answer from it is shown, it is to be checked with `is_plausible`, and
by whoever parses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

from passingloop.errors import SlurmSilent
from passingloop.site import Site
from passingloop.slurm import control
from passingloop.slurm.command import run_command
from passingloop.slurm.polling.answer_store import Answer, Store, asked, folder_problem, own_store, polled

PRIVACY_SECONDS = 600.0
"""For so long an answer counts on what the site hides from other users."""

MAX_NODES, MAX_NAMES = 100_000, 2_000_000
"""What a hostlist, or a list of tasks, may stand for; and all of an answer together."""

BRACKETS = re.compile(r"(?:\[[^\]\s]*\][^\s,=\x1f\[\]]*)+")
"""The brackets in one part of a hostlist: each multiplies the names."""

SPAN = re.compile(r"(\d{1,18})-(\d{1,18})")


class AnswersDiffer(Exception):
    """Slurm hides something from other users, so an answer that shows it may not be shared."""


def shared_answer(question: str, ask: Callable[[], str], hidden_by: Collection[str], settings: Site) -> Answer | None:
    """The answer to `question` that the users of this node share, at most `poll_seconds` old; None if they share none.

    Args:
        ask: asks Slurm, if nobody has asked in time.
        hidden_by: the words in PrivateData with which Slurm answers users differently.

    Raises:
        SlurmMissing, SlurmRefused: by `ask`.
    """
    folder = settings.snapshot_folder
    if folder is None or folder_problem(folder):
        return None
    ask_to_share = partial(_ask_to_share, ask, hidden_by, own_store(), settings.poll_seconds)
    with suppress(AnswersDiffer):
        return polled(Store(folder, shared=True), question, settings.poll_seconds, ask_to_share)
    return None


def is_plausible(texts: Sequence[str], separators: str = "\n") -> bool:
    """Whether Slurm can have printed them: nothing that a terminal takes for a command, or that takes for ever.

    Args:
        separators: the characters in them that no terminal is to get.
    """
    without = str.maketrans(dict.fromkeys(separators, ""))
    amounts = [_amount(part) for text in texts for part in BRACKETS.findall(text)]
    few = max(amounts, default=0) <= MAX_NODES and sum(amounts) <= MAX_NAMES
    return few and all(text.translate(without).isprintable() for text in texts)


def _amount(brackets: str) -> int:
    """How many names the brackets stand for; some more, if only every second number is meant."""
    return math.prod(
        inside.count(",") + 1 + sum(max(0, int(last) - int(first)) for first, last in SPAN.findall(inside))
        for inside in brackets.split("[")[1:]
    )


def _ask_to_share(ask: Callable[[], str], hidden_by: Collection[str], own: Store | None, poll_seconds: float) -> str:
    """What `ask` returns.

    Raises:
        AnswersDiffer: the site hides some of it from other users; not from an administrator, who might ask here.
    """
    answer = polled(own, "private", PRIVACY_SECONDS, _private_data) if own else None
    if own and answer and answer.text is None:
        answer = polled(own, "private", poll_seconds, _private_data)
    hidden = (answer or asked(_private_data)).text
    if hidden is None:
        raise SlurmSilent("Slurm does not say whether it hides jobs.")
    if set(hidden.split(",")) & set(hidden_by):
        raise AnswersDiffer
    return ask()


def _private_data() -> str:
    return ",".join(control.read_configuration(run_command(*control.CONFIGURATION_COMMAND)).private_data)
