"""Which runs a command is about: ``[RUN|NAME|JOBID ...]`` on its command line become run directories."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError
from passingloop.index.catalogue import Entry, catalogue, entry_at, run_paths
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.status.rest import Rest
from passingloop.submit.repair import repair_if_possible
from passingloop.text import list_excerpt, say

JOB = re.compile(r"\d+(_\d+)?")
SHORTEST = 4
"""Digits of a signature that will do for it, if no other run's begins with them."""


def add_runs(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    """The arguments that all verbs about runs have."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN|NAME|JOBID",
        help="a run's directory or signature (its first digits will do), an experiment's name, or a Slurm job; "
        "without any, all of your runs",
    )
    add_root(parser)
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON")


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-root",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("PASSINGLOOP_RUN_ROOT") or "runs"),
        help="the folder of all runs (default: $PASSINGLOOP_RUN_ROOT, else runs)",
    )


def selected_runs(arguments: argparse.Namespace) -> list[RunDir]:
    """The runs that the command line names, each once; where that is none at all, it is said.

    What a command that died while submitting has left is brought to its end first.

    Raises:
        ConfigError: a word names no run.
    """
    return [entry.run for entry in selected_entries(arguments)]


def selected_entries(arguments: argparse.Namespace) -> list[Entry]:
    """The same with what the files of the runs say."""
    selection = Selection(arguments.run_root)
    repair_if_possible(Home.for_user(selection.root))
    entries = selection.chosen(arguments.runs)
    if not entries:
        say(f"You have no runs under {selection.root}. --run-root or PASSINGLOOP_RUN_ROOT names another folder.")
    return entries


def single_run(word: str, root: Path) -> RunDir:
    """The run that `word` names.

    Raises:
        ConfigError: it names none, or several.
    """
    entries = Selection(root).named(word)
    if len(entries) > 1:
        raise ConfigError(
            f"{word} names {len(entries)} runs, but one is asked for. Name one of them: {_run_list(entries)}."
        )
    return entries[0].run


class Selection:
    """The runs under a run root, by words that name them. The root is looked through once, and only if need be."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @cached_property
    def every(self) -> list[Entry]:
        """Every run under the root, by name and time of creation."""
        return catalogue(self.root)

    def chosen(self, words: Sequence[str]) -> list[Entry]:
        """The runs that `words` name, each once; without words all of this user's.

        Raises:
            ConfigError: a word names no run.
        """
        named = (entry for word in words for entry in self.named(word))
        return list({entry.run: entry for entry in named}.values()) if words else own(self.every)

    def named(self, word: str) -> list[Entry]:
        """The runs that `word` names: a directory, an experiment, a job, or a signature.

        Raises:
            ConfigError: it names none, or is the beginning of several signatures.
        """
        for folder in (self.root / word, Path(os.path.normpath(Path(word).absolute()))):
            if entry := entry_at(RunDir(folder)):
                self._check_place(folder)
                return [entry]
            if entries := catalogue(folder.parent, folder.name):
                return own(entries) or entries
        if JOB.fullmatch(word) and (entries := [entry for entry in self.every if _has_job(entry, word)]):
            return entries
        if entries := self._entries_at(lambda path: path.rpartition("/")[2] == word):
            return entries
        entries = self._entries_at(lambda path: is_begin(word, path))
        if len(entries) > 1:
            raise ConfigError(
                f"{word} is the beginning of the signatures of {len(entries)} runs. Give more of it: "
                f"{_run_list(entries)}."
            )
        if not entries:
            raise self._unknown(word)
        return entries

    def _unknown(self, word: str) -> ConfigError:
        paths = list(run_paths(self.root))
        known = {name for path in paths for name in path.split("/")}
        if word in known or word in paths:
            return ConfigError(
                f"{word} names no run under {self.root} that you may read: run.json or attempts.jsonl is closed to "
                "you, or there is none."
            )
        lists = "`passingloop list --archived` lists the runs of the archive."
        if not _is_hidden(self.root):
            lists = "`passingloop status` lists your runs."
            archive = Home.for_user(self.root).archive
            if any(word in (path, *path.split("/")) or is_begin(word, path) for path in run_paths(archive)):
                return _archived(word, word)
        return ConfigError(
            f"{word} is no run, no name of an experiment and no job under {self.root}."
            f"{did_you_mean(word, sorted(known))} {lists}"
        )

    def _check_place(self, folder: Path) -> None:
        """Check that a run is not in an archive, unless this is the one."""
        if _is_hidden(folder) and not _is_hidden(self.root):
            raise _archived(folder, folder.name)

    def _entries_at(self, is_meant: Callable[[str], bool]) -> list[Entry]:
        """The runs whose paths below the root are meant; the directories of others are not looked at."""
        paths = [path for path in run_paths(self.root) if is_meant(path)]
        return [entry for path in paths if (entry := entry_at(RunDir(self.root / path)))]


def is_begin(word: str, path: str) -> bool:
    """Whether `word` is enough of a signature to name the run at ``name/signature``, with the name before it or not."""
    name, slash, digits = word.rpartition("/")
    experiment, _, signature = path.rpartition("/")
    return len(digits) >= SHORTEST and signature.startswith(digits) and (name == experiment or not slash)


def _archived(what: object, word: str) -> ConfigError:
    return ConfigError(
        f"{what} is in the archive, where no command works with it. `passingloop archive --undo {word}` brings it back."
    )


def _is_hidden(folder: Path) -> bool:
    return any(part.startswith(".passingloop-") for part in folder.parts)


def own(entries: Iterable[Entry]) -> list[Entry]:
    """Several users may share a run root."""
    return [entry for entry in entries if entry.owner == os.getuid()]


def known_rests(entries: Iterable[Entry]) -> dict[RunDir, Rest]:
    """Those of the runs that are at rest, for `passingloop.status.query`."""
    return {entry.run: entry.facts.rest for entry in entries if entry.facts.rest}


def _has_job(entry: Entry, job_id: str) -> bool:
    ids = entry.facts.jobs
    return job_id in ids or any(name.partition("_")[0] == job_id for name in ids)


def _run_list(entries: Sequence[Entry]) -> str:
    return list_excerpt([entry.run.path for entry in entries], 5)
