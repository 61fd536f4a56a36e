"""The words of sacctmgr for each change. No shell reads them."""

from __future__ import annotations

import shlex

from passingloop.policy import fields
from passingloop.policy.fields import Schema
from passingloop.policy.policy_changes import Change

SCHEMAS: dict[str, Schema] = {"qos": fields.QOS, "account": fields.ACCOUNT, "user": fields.USER, "seat": fields.SEAT}


def command(change: Change, cluster: str) -> list[str]:
    """The command that makes the change."""
    start = ["sacctmgr", "--immediate"]
    entity = "user" if change.thing == "seat" else change.thing
    names = f"name={','.join(change.names)}"
    words = _setting_words(change)
    # A QOS belongs to all clusters of a slurmdbd; sacctmgr takes no cluster with it.
    scope = [] if change.thing == "qos" else [f"cluster={cluster}"]
    if change.thing == "seat":
        scope += [f"account={change.account}"]
        # An empty partition means associations without one; no word would mean those with one as well.
        if change.partition or not (change.action == "add" or change.any_partition):
            scope += [f"partition={change.partition}"]
    if change.action == "add":
        default = [f"DefaultAccount={change.account}"] if change.new_users else []
        return [*start, "add", entity, names, *scope, *default, *words]
    if change.action == "remove":
        return [*start, "delete", entity, "where", names, *scope]
    return [*start, "modify", entity, "where", names, *scope, "set", *words]


def command_line(words: list[str]) -> str:
    """The command as a shell would take it."""
    return shlex.join(words)


def _setting_words(change: Change) -> list[str]:
    """``MaxTRESPU=cpu=8,gres/gpu=2``: the resources of one setting are one word."""
    schema = SCHEMAS[change.thing]
    words: dict[str, list[str]] = {}
    for setting in change.settings:
        if change.action == "add" and setting.after is None:
            continue
        words.setdefault(setting.option[0], []).append(schema.word(setting.option, setting.after))
    return [f"{option}={','.join(parts)}" for option, parts in words.items()]
