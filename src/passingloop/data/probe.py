"""Checks the data of runs before they start or are submitted: that they exist, and how large they are.

Databases, buckets and hubs are checked in a separate process, so that the submitting process loads no drivers, and
survives a driver that hangs or crashes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from passingloop.config.build import section, to_plain
from passingloop.config.data import DataConfig, Fingerprint, Part, errors_named, named_sources
from passingloop.config.settings import ModelConfig, RunConfig, Task
from passingloop.data.prepare.classes import classes_of
from passingloop.data.prepare.notes import no_usable_example
from passingloop.data.source import Source, VersionedSource, open_source
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError
from passingloop.tasks.chat_template import is_learned
from passingloop.tasks.task import learning_task
from passingloop.tasks.template_source import TemplateSource, template_source

SMALL_BYTES = 1 << 20
"""Files of at most so many bytes are read whole before a run starts."""

MAX_ROLES = 5
"""Roles of chats that a message lists."""

SECONDS_PER_SOURCE = 30.0
"""Time limit for each source. The sources have lower limits of their own."""

CURRENT_SECONDS = 12.0
"""The same if a complete run's data are only compared: nothing depends on it, and somebody waits."""

Question = Literal["size", "current"]
"""The method of `SourceCheck` that is called in the separate process."""

_ERRORS: dict[str, type[PassingloopError]] = {cls.__name__: cls for cls in (ConfigError, DataError, MissingError)}


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """The check of one source."""

    name: str
    """The name of the source in a mix; else empty."""
    data: DataConfig
    task: Task
    cache_root: Path
    model: str | None = None
    """The folder of the model whose chat template is to write the chats; None if there are none, or no such folder."""

    def size(self) -> int | None:
        """Check that the data of the source exist, and return their size in bytes; None if the size is unknown.

        Raises:
            ConfigError, DataError, MissingError: as `passingloop.data.source.Source.check`.
        """
        source = self.checked_source()
        with errors_named(self.name):
            return source.size()

    def current(self) -> Fingerprint:
        """The fingerprint of the source as it is now, found within seconds.

        Raises:
            ConfigError, DataError, MissingError: as `passingloop.data.source.VersionedSource.current_identity`.
        """
        with errors_named(self.name):
            source = open_source(self.data, self.task, self.cache_root)
            identity = source.current_identity if isinstance(source, VersionedSource) else source.identity
            return {part: identity(part) for part in source.parts()}

    def checked_source(self) -> Source:
        """The source, after `Source.check`.

        Raises:
            ConfigError, DataError, MissingError: as that.
        """
        with errors_named(self.name):
            source = open_source(self.data, self.task, self.cache_root)
            source.check()
            return source

    def check_rows(self, source: Source) -> None:
        """Check what needs no tokenizer of the rows of the source, unless they are many.

        Raises:
            DataError: examples cannot be used and `data.on_bad` is fail, a part has none that can be used, or the
                labels do not suit the task; chats have no template.
        """
        with errors_named(self.name):
            template = template_source(self.model) if self.model else None
            if (source.size() or 0) <= SMALL_BYTES and not _is_plainly_usable(source):
                parts = self._labels_of_rows(source, template)
                if not self.name:  # the sources of a mix have their classes together
                    classes_of([parts], learning_task(self.task).fewest_classes)

    def _labels_of_rows(self, source: Source, template: TemplateSource | None) -> dict[Part, dict[str, Any]]:
        """The number of rows of each part, and how often each label occurs in it, as ``meta.json`` has them."""
        from passingloop.data.rows.faults import Faults  # with pyarrow.compute it takes 40 ms

        task, parts = learning_task(self.task), {}
        faults = Faults(task, self.data, source.pieces)
        chats_of: dict[Part, ChatCounts] = {}
        for part in source.parts():
            used, names, chats = 0, Counter[str](), ChatCounts()
            for batch in source.read(part, faults.reject_callback(part)):
                usable = faults.usable_examples(part, batch)
                if "messages" in usable.schema.names:
                    refused = chats.add(usable.column("messages").to_pylist(), template)
                    faults.refuse(part, usable, refused)
                    used -= len(refused)
                used += usable.num_rows
                if labels := task.labels(usable, self.data):
                    names.update(labels.names or ())
            parts[part] = {"read": faults.read[part], "used": used, "labels": names}
            chats_of[part] = chats
        if faults and self.data.on_bad == "fail":
            raise faults.error()
        for part, counts in parts.items():
            if not counts["used"]:
                raise no_usable_example(part, faults.counts[part])
            chats_of[part].check(part)
        return parts


class ChatCounts:
    """Counts the chats of a part without an answer to learn."""

    def __init__(self) -> None:
        self.chats = self.answered = 0
        self.roles: Counter[str] = Counter()

    def add(self, chats: Sequence[str], template: TemplateSource | None) -> dict[int, str]:
        """Count chats as sources give them; returns why `template` refuses some, by their place."""
        refused = {}
        for place, chat in enumerate(map(json.loads, chats)):
            if template and (reason := template.refusal(chat)):
                refused[place] = reason
            self.chats += 1
            self.answered += any(map(is_learned, chat["messages"]))
            self.roles.update(message["role"] for message in chat["messages"])
        return refused

    def check(self, part: Part) -> None:
        """
        Raises:
            DataError: there are chats, and none has an answer.
        """
        if self.chats and not self.answered:
            listed = ", ".join(repr(role) for role, _ in self.roles.most_common(MAX_ROLES))
            raise DataError(
                f"No chat of the {part} data has an answer to learn: a message of the role assistant whose weight is "
                f"not 0, nor its train false. The roles are: {listed}."
            )


def _is_plainly_usable(source: Source) -> bool:
    """Whether all rows have a text and a label, and all labels are among several of the training data."""
    faults: list[DataError] = []
    labels: dict[Part, set[str]] = {part: set() for part in source.parts()}
    for part in source.parts():
        for batch in source.read(part, faults.append):
            if batch.schema.names != ["row", "text", "label"]:
                return False
            texts, names = batch.column("text").to_pylist(), batch.column("label").to_pylist()
            if not all(text and text.strip() for text in (*texts, *names)):
                return False
            labels[part].update(name.strip() for name in names)
    return not faults and len(labels["train"]) > 1 and all(found <= labels["train"] for found in labels.values())


def check_data(configs: Sequence[RunConfig]) -> Mapping[DataConfig, int | None]:
    """Check the files, tables and columns of all runs; a source that several runs share is checked once.

    Returns:
        The approximate sizes in bytes, None if unknown, of the sources that were checked in the separate process, by
        the source's settings without limits (`DataConfig.unlimited`).

    Raises:
        ConfigError, DataError, MissingError: as `passingloop.data.source.Source.check`; also if a driver does not
            answer, or crashes.
    """
    checks = dict.fromkeys(
        SourceCheck(name, data.unlimited(), config.task, config.cache_root, _model_of_chats(data, config.model))
        for config in configs
        for name, data in named_sources(config.data).items()
    )
    sources = {check: check.checked_source() for check in checks if check.data.CHECKED == "here"}
    for check, source in sources.items():  # once all are known to exist
        check.check_rows(source)
    remote = [check for check in checks if check.data.CHECKED == "in a process"]
    return {check.data: size for check, size in zip(remote, _sizes(remote), strict=True)}


def _model_of_chats(data: DataConfig, model: ModelConfig) -> str | None:
    """The folder of the model, if its files say how chats of `data` are written."""
    here = data.CHECKED == "here" and data.chat_column is not None and not model.trust_remote_code
    return model.path if here and Path(model.path).is_dir() else None


def current_fingerprint(check: SourceCheck) -> Fingerprint:
    """What `SourceCheck.current` returns, or raises: in a separate process where drivers or servers are asked.

    Raises:
        ConfigError, DataError, MissingError: as that; also if a driver does not answer, or crashes.
    """
    if check.data.CHECKED != "in a process":
        return check.current()
    fingerprint: Fingerprint = _answers([check], "current", CURRENT_SECONDS)[0]
    return fingerprint


def _sizes(checks: Sequence[SourceCheck]) -> list[int | None]:
    return _answers(checks, "size", SECONDS_PER_SOURCE * len(checks)) if checks else []


def _answers(checks: Sequence[SourceCheck], question: Question, seconds: float) -> list[Any]:
    """What the method `question` of all checks returns in a separate process, in which this module is `__main__`.

    Raises:
        ConfigError, DataError, MissingError: the first that one has raised; the process took longer, or crashed.
    """
    kinds = " and ".join(dict.fromkeys(f"data={check.data.source}" for check in checks))
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", __name__, question],
            input=json.dumps([to_plain(check) for check in checks]),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise MissingError(
            f"{kinds}: no answer within {problem.timeout:.0f} s. Is the server reachable from here?"
        ) from None
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    for answer in answers:
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["message"])
    if len(answers) < len(checks):
        last_line = (process.stderr.strip().splitlines() or [""])[-1]
        raise MissingError(
            f"{kinds}: the process that looks at the data ended with code {process.returncode}. {last_line}".strip()
        )
    return [answer["result"] for answer in answers]


def _check_result(plain: dict[str, Any], question: str) -> dict[str, Any]:
    """The result or the error of a method of a `SourceCheck`; both are JSON objects."""
    data = section(DataConfig, plain["data"], "data")
    try:
        check = SourceCheck(plain["name"], data, plain["task"], Path(plain["cache_root"]))
        return {"result": getattr(check, question)()}
    except tuple(_ERRORS.values()) as problem:
        kind = next(name for name, cls in _ERRORS.items() if isinstance(problem, cls))
        return {"error": kind, "message": str(problem)}


if __name__ == "__main__":
    for plain_check in json.load(sys.stdin):
        print(json.dumps(_check_result(plain_check, sys.argv[1])), flush=True)
