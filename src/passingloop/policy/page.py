"""What `slurm-policy` prints: a plan in words, as commands, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from passingloop.policy.commands import SCHEMAS, command
from passingloop.policy.fields import PARENT
from passingloop.policy.guards import Refusal
from passingloop.policy.policy_changes import Change, Setting
from passingloop.policy.site_lines import SiteLine
from passingloop.text import list_excerpt

SIGNS = {"add": "+", "change": "~", "remove": "-"}
NAMES_SHOWN = 8


def change_lines(changes: Sequence[Change]) -> Iterator[str]:
    """A line per change: ``~ qos production: max_time 2:00:00 -> 4:00:00``."""
    for change in changes:
        settings = ", ".join(_setting(change, setting) for setting in change.settings)
        yield f"{SIGNS[change.action]} {_subject(change)}{': ' + settings if settings else ''}"


def _subject(change: Change) -> str:
    names = list_excerpt(change.names, NAMES_SHOWN)
    noun = {"qos": "qos", "account": "account", "user": "user", "seat": "user"}[change.thing]
    plural = "" if len(change.names) == 1 or noun == "qos" else "s"
    where = f" in {change.account}" if change.thing == "seat" else ""
    only = f" (partition {change.partition})" if change.partition else ""
    return f"{noun}{plural} {names}{where}{only}"


def _setting(change: Change, setting: Setting) -> str:
    schema = SCHEMAS[change.thing]
    key = schema.shown(setting.option, setting.after or setting.before or "0")[0]
    texts = [None if value is None else schema.shown(setting.option, value)[1] for value in _sides(setting)]
    if change.action == "add":
        return f"{key} {texts[1]}"
    unset = "root" if setting.option == PARENT else "not set"
    return f"{key} {texts[0] or unset} -> {texts[1] or unset}"


def _sides(setting: Setting) -> tuple[str | None, str | None]:
    return setting.before, setting.after


def site_line_texts(lines: Sequence[SiteLine]) -> Iterator[str]:
    """The lines to place, by file, each with what is in force instead."""
    for file in dict.fromkeys(line.file for line in lines):
        yield f"Lines for {file}, which are not in force:"
        for line in lines:
            if line.file == file:
                yield f"  {line.text}"
                yield f"    # now: {line.found}"


def as_json(
    changes: Sequence[Change], cluster: str, lines: Sequence[SiteLine], refusals: Sequence[Refusal], **more: Any
) -> dict[str, Any]:
    """The whole plan."""
    return {
        "cluster": cluster,
        "changes": [
            {
                "action": change.action,
                "thing": change.thing,
                "names": list(change.names),
                **({"account": change.account, "partition": change.partition} if change.thing == "seat" else {}),
                "settings": [
                    {"option": _option(setting), "before": setting.before, "after": setting.after}
                    for setting in change.settings
                ],
                "command": command(change, cluster),
            }
            for change in changes
        ],
        "lines": [{"file": line.file, "text": line.text, "found": line.found} for line in lines],
        "refusals": [
            {
                "reason": refusal.reason,
                "sentence": refusal.sentence,
                "jobs": list(refusal.jobs),
                "users": list(refusal.users),
            }
            for refusal in refusals
        ],
        **more,
    }


def _option(setting: Setting) -> str:
    return "=".join(part for part in setting.option if part)
