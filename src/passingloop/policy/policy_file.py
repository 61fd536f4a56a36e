"""Reads a policy file. Everything that is wrong with it is reported at once, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from passingloop.policy import fields, kinds, site_lines
from passingloop.policy.entities import Keys, Policy, Seat
from passingloop.policy.fields import DEFAULT_ACCOUNT, PARENT, ROOT, Option, Options, Schema
from passingloop.policy.kinds import Kind
from passingloop.policy.objectives.objective_section import read_objectives
from passingloop.policy.references import file_problems
from passingloop.policy.yaml_file import (
    Entry,
    Problems,
    below,
    entries,
    is_empty,
    is_list,
    is_mapping,
    items,
    read_tree,
    text_of,
    texts,
)

SECTIONS = (
    "cluster",
    "qos",
    "accounts",
    "users",
    "partitions",
    "nodes",
    "slurm_conf",
    "cgroup_conf",
    "objectives",
)

LISTS = {kinds.QOS_NAMES, kinds.ALLOWED_QOS, kinds.FLAGS, kinds.PREEMPT_MODE}
"""Kinds that may be a list in the file."""


def read_policy_file(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; a line for each problem, with file and line.
    """
    problems = Problems(str(path))
    tree = read_tree(path, problems)
    sections = {entry.name: entry for entry in entries(tree, problems)}
    for name, entry in sections.items():
        if name not in SECTIONS:
            problems.add(entry.line, unknown("section", name, SECTIONS))
        elif is_empty(entry):
            problems.add(entry.line, f"the section `{name}` is empty. Leave it out, and the cluster's is left alone.")
    filled = {name: entry for name, entry in sections.items() if name in SECTIONS and not is_empty(entry)}
    policy = _Reader(problems, {entry.path: entry.line for entry in filled.values()}).read(filled)
    for line, sentence in file_problems(policy):
        problems.add(line, sentence)
    problems.raise_any()
    return policy


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence on a key that does not exist."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are {', '.join(names)}."
    return f"there is no {what} `{name}`. {hint}"


class _Reader:
    """Reads the sections; `lines` becomes the line of each key that a later check may name."""

    def __init__(self, problems: Problems, lines: dict[Keys, int]) -> None:
        self._problems = problems
        self._lines = lines

    def read(self, sections: Mapping[str, Entry]) -> Policy:
        users, seats = self._users(sections["users"]) if "users" in sections else (None, None)
        qos = self._named(sections["qos"], fields.QOS) if "qos" in sections else None
        accounts = self._accounts(sections["accounts"]) if "accounts" in sections else None
        objectives = self._entries(sections["objectives"]) if "objectives" in sections else []
        return Policy(
            file=self._problems.file,
            cluster=text_of(sections["cluster"], self._problems) if "cluster" in sections else None,
            qos=qos,
            accounts=accounts,
            users=users,
            seats=seats,
            partitions=self._lined(sections.get("partitions"), site_lines.PARTITION_KEYS),
            nodes=self._lined(sections.get("nodes"), site_lines.NODE_KEYS),
            slurm_conf=self._settings(sections.get("slurm_conf")),
            cgroup_conf=self._settings(sections.get("cgroup_conf")),
            objectives=read_objectives(objectives, qos, accounts, self._problems),
            lines=self._lines,
        )

    def _entries(self, entry: Entry) -> list[Entry]:
        found = list(entries(entry, self._problems))
        self._lines |= {one.path: one.line for one in found}
        return found

    def _named(self, section: Entry, schema: Schema) -> dict[str, Options]:
        """The entries of a section, whose keys are names."""
        return {
            one.name: self._options(one, schema) for one in self._entries(section) if self._checked(one, kinds.name)
        }

    def _checked(self, entry: Entry, check: Callable[[str], str]) -> bool:
        """Whether the key is a name of its kind; if not, that is a problem."""
        try:
            check(entry.name)
        except ValueError as error:
            self._problems.add(entry.line, f"`{entry.name}` in {'.'.join(entry.path[:-1])} {error}")
            return False
        return True

    def _accounts(self, section: Entry) -> dict[str, Options]:
        accounts = self._named(section, fields.ACCOUNT)
        for name, options in accounts.items():
            if name == ROOT and PARENT in options:
                self._problems.add(
                    self._lines["accounts", name, "parent"],
                    "the account root is at the top and has no parent. Leave the line out.",
                )
        tops = {PARENT: ROOT}
        return {
            name: {option: value for option, value in options.items() if option != PARENT}
            if name == ROOT
            else tops | dict(options)
            for name, options in accounts.items()
        }

    def _users(self, section: Entry) -> tuple[dict[str, Options], dict[Seat, Options]]:
        users: dict[str, Options] = {}
        seats: dict[Seat, Options] = {}
        for one in self._entries(section):
            if not self._checked(one, kinds.user_name):
                continue
            if not is_mapping(one):
                self._problems.add(one.line, f"{one} has no accounts. Write `accounts: [NAME]` on a line below it.")
                continue
            own = self._user_seats(one)
            options = dict(self._options(one, fields.USER, but=("accounts",)))
            accounts = list(dict.fromkeys(seat.account for seat in own))
            if accounts and options.get(DEFAULT_ACCOUNT, accounts[0]) not in accounts:
                self._problems.add(
                    self._lines[(*one.path, "default_account")],
                    f"{one}.default_account is {options[DEFAULT_ACCOUNT]}, which is none of the user's accounts.",
                )
            users[one.name] = options
            seats |= own
        return users, seats

    def _user_seats(self, user: Entry) -> dict[Seat, Options]:
        entry = below(user, "accounts")
        if entry is None or is_empty(entry):
            self._problems.add(user.line, f"{user} has no accounts. Write `accounts: [NAME]` on a line below it.")
            return {}
        if not is_mapping(entry):
            names = texts(entry, self._problems)
            self._lines |= {(*entry.path, name): entry.line for name in names}
            for name in names:
                self._checked(Entry((*entry.path, name), entry.line, entry.node), kinds.name)
            return {Seat(user.name, name): {} for name in names}
        seats: dict[Seat, Options] = {}
        for account in self._entries(entry):
            if not self._checked(account, kinds.name):
                continue
            for one in items(account) if is_list(account) else [account]:
                partition, options = self._seat(one)
                seat = Seat(user.name, account.name, partition)
                if seat in seats:
                    self._problems.add(one.line, f"{one} is there twice for the same partition. Keep one of the two.")
                seats[seat] = options
        return seats

    def _seat(self, entry: Entry) -> tuple[str, Options]:
        """The partition of a seat, and its settings."""
        partition = below(entry, "partition")
        name = text_of(partition, self._problems) if partition else ""
        return name or "", self._options(entry, fields.SEAT, but=("partition",))

    def _options(self, entry: Entry, schema: Schema, but: tuple[str, ...] = ()) -> Options:
        """The settings below an entry. Those that have Slurm's default are left out."""
        keys, mappings = schema.keys(), schema.mappings()
        options: dict[Option, str] = {}
        for one in self._entries(entry):
            if one.name in but:
                continue
            if one.name in mappings:
                found = self._resources(one, mappings[one.name], schema)
            elif one.name in keys:
                option, kind = keys[one.name]
                value = self._value(one, kind)
                found = {} if value is None else {option: value}
            else:
                self._problems.add(one.line, unknown(f"setting of {entry}", one.name, [*keys, *mappings, *but]))
                continue
            for option in found.keys() & options.keys():
                self._problems.add(one.line, f"{one} limits {option[1]} once more. Keep one of the two.")
            options |= found
        defaults = {(field.option, ""): field.default for field in schema.fields if field.default}
        return {option: value for option, value in options.items() if defaults.get(option) != value}

    def _resources(self, entry: Entry, field: fields.ResourceField, schema: Schema) -> dict[Option, str]:
        values = {one.name: self._value(one, schema.resource_kind(field, one.name)) for one in self._entries(entry)}
        return {(field.option, name): value for name, value in values.items() if value is not None}

    def _value(self, entry: Entry, kind: Kind) -> str | None:
        if kind in LISTS:
            values = texts(entry, self._problems)
            written = ",".join(values)
        else:
            written = text_of(entry, self._problems) or ""
        if not written:
            return None
        try:
            return kind.read(written)
        except ValueError as error:
            self._problems.add(entry.line, f"{entry} is {written}: it {error}")
            return None

    def _lined(self, section: Entry | None, keys: Mapping[str, site_lines.LineKey]) -> dict[str, dict[str, str]]:
        """A section of what becomes lines of a file: partitions or nodes."""
        found: dict[str, dict[str, str]] = {}
        for one in self._entries(section) if section else []:
            found[one.name] = {}
            for setting in self._entries(one):
                if setting.name not in keys:
                    self._problems.add(setting.line, unknown(f"setting of {one}", setting.name, keys))
                    continue
                value = ",".join(texts(setting, self._problems))
                try:
                    found[one.name][setting.name] = keys[setting.name].read(value)
                except ValueError as error:
                    self._problems.add(setting.line, f"{setting} is {value}: it {error}")
        return found

    def _settings(self, section: Entry | None) -> dict[str, str]:
        """A section of settings with Slurm's own names."""
        found: dict[str, str] = {}
        for one in self._entries(section) if section else []:
            if problem := site_lines.setting_problem(one.name, found):
                self._problems.add(one.line, f"{one}: {problem}")
                continue
            found[one.name] = ",".join(texts(one, self._problems))
        return found
