"""Reads the section `objectives` of a policy file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from passingloop.policy.objectives.objective import MEASURES, OTHER, Objective, Scope, read_limit
from passingloop.policy.yaml_file import Entry, Problems, text_of

ACCOUNTS = "accounts"
"""Begins the key of an account: ``accounts.vision.share``. A key that begins with another name is of that QOS."""


def read_objectives(
    found: Iterable[Entry], qos: Collection[str] | None, accounts: Collection[str] | None, problems: Problems
) -> tuple[Objective, ...]:
    """The objectives in the entries of the section.

    Args:
        qos: those of the file; None if it does not say which there are.
        accounts: likewise.
    """
    read = [_objective(entry, qos, accounts, problems) for entry in found]
    return tuple(one for one in read if one)


def _objective(
    entry: Entry, qos: Collection[str] | None, accounts: Collection[str] | None, problems: Problems
) -> Objective | None:
    scope, name, figure = _parts(entry.name)
    if problem := _key_problem(entry.name, scope, name, figure, qos, accounts):
        problems.add(entry.line, problem)
        return None
    written = text_of(entry, problems)
    if written is None:
        return None
    measure = MEASURES[figure]
    try:
        limit, is_beside = read_limit(written, measure.unit)
    except ValueError as error:
        problems.add(entry.line, f"{entry} is {written}: it {error} `{OTHER}` is the figure of the other policy.")
        return None
    return Objective(entry.name, written, measure, limit, is_beside)


def _parts(key: str) -> tuple[Scope, str, str]:
    """Scope, name and figure of a key; a name may contain dots."""
    head, _, figure = key.rpartition(".")
    if not head:
        return "all", "", figure
    first, _, rest = head.partition(".")
    return ("account", rest, figure) if first == ACCOUNTS and rest else ("qos", head, figure)


def _key_problem(
    key: str,
    scope: Scope,
    name: str,
    figure: str,
    qos: Collection[str] | None,
    accounts: Collection[str] | None,
) -> str:
    """Why the key cannot be; empty if it can."""
    if figure not in MEASURES:
        return f"there is no objective `{key}`: {_near('figure', figure, MEASURES)}"
    known, noun = (qos, "QOS") if scope == "qos" else (accounts, "account")
    if scope != "all" and known is not None and name not in known:
        return f"there is no objective `{key}`: {_near(noun, name, known)}"
    if scope not in MEASURES[figure].scopes:
        own = sorted(MEASURES[figure].scopes)
        forms = {"all": f"`{figure}`", "qos": f"`QOS.{figure}`", "account": f"`{ACCOUNTS}.NAME.{figure}`"}
        return f"there is no objective `{key}`. Write {' or '.join(forms[one] for one in own)}."
    return ""


def _near(what: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are {', '.join(known)}."
    return f"there is no {what} `{name}`. {hint}"
