"""``run.json``: what a run is. Frozen when the run is created; its first attempt adds what it settled."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import yaml

from passingloop.config.build import build, to_plain
from passingloop.config.data import Fingerprint
from passingloop.config.settings import RunConfig
from passingloop.errors import DataChanged
from passingloop.files import check_version, read_json, write_json, write_text
from passingloop.plan import signature
from passingloop.rundir.directory import RunDir

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one in C where PyYAML has it: a sweep of a thousand runs writes a thousand files."""

SCHEMA = 1
"""Version of the layout of run.json."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What the first attempt found or chose, and every later one keeps."""

    precision: str
    data_fingerprint: Fingerprint


def create(run: RunDir, config: RunConfig, code: dict[str, Any], *, durable: bool = True) -> None:
    """Write ``run.json`` and ``config.yaml`` of a new run; see `passingloop.files` for `durable`."""
    plain = to_plain(config)
    write_text(run.config, yaml.dump(plain, Dumper=DUMPER, sort_keys=False, allow_unicode=True), durable=durable)
    write_json(
        run.record,
        {
            "schema": SCHEMA,
            "signature": signature(config),
            "created": now(),
            "code": code,
            "config": plain,
            "precision": None,
            "data_fingerprint": None,
        },
        durable=durable,
    )


def read(run: RunDir) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises:
        OtherVersion: another version of the program has written it, in another layout.
    """
    content: dict[str, Any] = read_json(run.record)
    remedy = "Use the version of passingloop that began this run, or set rerun=true to start afresh beside it."
    check_version(str(run.record), content.get("schema", 1), SCHEMA, remedy)
    return content


def settle(run: RunDir, current: Settled) -> Settled:
    """What counts for this attempt: `found` on the first, what the first settled on every later one.

    Raises:
        DataChanged: the data are not those of the first attempt.
    """
    record = read(run)
    if record["data_fingerprint"] is None:
        write_json(run.record, {**record, "precision": current.precision, "data_fingerprint": current.data_fingerprint})
        return current
    settled = Settled(record["precision"], record["data_fingerprint"])
    check_data(settled, current.data_fingerprint)
    return settled


def check_data(settled: Settled, current: Fingerprint) -> None:
    """The data that a process of the run has found are those of the run.

    Raises:
        DataChanged: they are not.
    """
    changes = _changes(settled.data_fingerprint, current)
    if changes:
        raise DataChanged(
            f"The data of this run have changed since it began: {'; '.join(changes)}. Put the old data back to "
            "continue it, or set rerun=true to start afresh with the new."
        )


def kept_fingerprint(run: RunDir) -> Fingerprint | None:
    """The fingerprint of the data that the first attempt found; None if none has come that far."""
    fingerprint: Fingerprint | None = read(run)["data_fingerprint"]
    return fingerprint


def launched_config(run: RunDir, attempt: int) -> RunConfig:
    """The settings `attempt` was launched with."""
    return build(RunConfig, read_json(run.launch(attempt)))


def now() -> str:
    """The time, UTC, as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _changes(then: Fingerprint, now: Fingerprint) -> list[str]:
    changes = []
    for part in sorted({*then, *now}):
        before, after = then.get(part, {}), now.get(part, {})
        changes += [f"{name} ({part}) is gone" for name in before.keys() - after.keys()]
        changes += [f"{name} ({part}) is new" for name in after.keys() - before.keys()]
        changes += [
            f"{name} ({part}) has other content" for name in before.keys() & after.keys() if before[name] != after[name]
        ]
    return sorted(changes)
