"""``run.json``, the record of a run: configuration and code, written when the run is created.

The first attempt adds the values that later attempts must keep: the precision, the fingerprints of data and model, and
the kind of order in which examples are taken.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

import yaml

from passingloop.config.build import build, to_plain
from passingloop.config.data import Fingerprint
from passingloop.config.settings import RunConfig
from passingloop.errors import DataChanged, ModelChanged
from passingloop.files import check_version, read_json, write_json, write_text
from passingloop.plan import signature
from passingloop.rundir.directory import RunDir

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""PyYAML's faster dumper in C, if it is installed: a sweep of a thousand runs writes a thousand files."""

SCHEMA = 1
"""Format version of run.json."""

SORTED, PACKED = "sorted", "packed"
"""Kinds of order: examples of like length in each step (`passingloop.data.examples.order`), or those that fill rows
(`passingloop.data.examples.packed_order`)."""


@dataclass(frozen=True, slots=True)
class PinnedValues:
    """Values that the first attempt determines, and later attempts must keep."""

    precision: str
    data_fingerprint: Fingerprint
    model_fingerprint: Fingerprint | None
    """See `passingloop.model.fingerprint`. None in runs of earlier versions: their next attempt determines it."""
    quantize: str = "none"
    """`adapter.quantize`, of which `auto` follows from the memory of the GPU."""


def create(run: RunDir, config: RunConfig, code: dict[str, Any], *, durable: bool = True) -> None:
    """Write ``run.json`` and ``config.yaml`` of a new run; for `durable` see `passingloop.files.write_text`."""
    plain = to_plain(config)
    write_text(run.config, yaml.dump(plain, Dumper=DUMPER, sort_keys=False, allow_unicode=True), durable=durable)
    write_json(
        run.record,
        {
            "schema": SCHEMA,
            "signature": signature(config),
            "created": current_time(),
            "code": code,
            "config": plain,
            "precision": None,
            "data_fingerprint": None,
            "model_fingerprint": None,
        },
        durable=durable,
    )


def read(run: RunDir) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        OtherVersion: it has another format version.
        ValueError: it is damaged.
    """
    content: dict[str, Any] = read_json(run.record)
    if not isinstance(content, dict):
        raise ValueError(f"{run.record} is no JSON object")
    remedy = "Use the version of passingloop that began this run, or set rerun=true to start afresh beside it."
    check_version(str(run.record), content.get("schema", 1), SCHEMA, remedy)
    return content


def pin_values(run: RunDir, current: PinnedValues) -> PinnedValues:
    """Record `current` as the run's values in the first attempt; in later ones return those of the first.

    Raises:
        DataChanged, ModelChanged: data or model differ from those of the first attempt.
    """
    pinned = pinned_values(run)
    if pinned is None:
        pinned = current
    elif pinned.model_fingerprint is None:  # begun by an earlier version
        pinned = replace(pinned, model_fingerprint=current.model_fingerprint)
    check_data(pinned, current.data_fingerprint)
    check_model(pinned, current.model_fingerprint)
    if pinned != pinned_values(run):
        write_json(run.record, read(run) | asdict(pinned))
    return pinned


def check_data(pinned: PinnedValues, current: Fingerprint, *, complete: bool = False) -> None:
    """Check that the data with the fingerprint `current` are those of the run.

    Args:
        complete: whether the run is, so that nothing of it is to be continued.

    Raises:
        DataChanged: they are not; the message lists the differences.
    """
    if changed := changes(pinned.data_fingerprint, current):
        raise DataChanged(_refusal("data", "have", changed, complete=complete))


def check_model(pinned: PinnedValues, current: Fingerprint | None, *, complete: bool = False) -> None:
    """Check that the model with the fingerprint `current` is that of the run; nothing is known of it if it is None.

    Args:
        complete: as for `check_data`.

    Raises:
        ModelChanged: it is not; the message lists the files that differ.
    """
    if pinned.model_fingerprint is None or current is None:
        return
    if changed := changes(pinned.model_fingerprint, current):
        raise ModelChanged(_refusal("model", "has", changed, complete=complete))


def _refusal(what: str, has: str, changed: list[str], *, complete: bool) -> str:
    listed = "; ".join(changed)
    if complete:
        return (
            f"This run is complete, and its {what} {has} changed since it began: {listed}. Its folder keeps what it "
            f"has learned from the old {what}. Set rerun=true or another name to train with the new."
        )
    return (
        f"The {what} of this run {has} changed since it began: {listed}. Put the old {what} back to continue it, or "
        "set rerun=true to start afresh with the new."
    )


def pinned_values(run: RunDir) -> PinnedValues | None:
    """The values that the first attempt has recorded; None if no attempt has prepared its data yet."""
    content = read(run)
    if content["data_fingerprint"] is None:
        return None
    return PinnedValues(
        content["precision"],
        content["data_fingerprint"],
        content.get("model_fingerprint"),
        content.get("quantize", "none"),
    )


def pin_order(run: RunDir, order: str, *, begun: bool) -> str:
    """The kind of order in which the run takes its examples: `order`, unless it has another one already.

    Args:
        begun: whether it has done steps. Those of a run of an earlier version, which recorded no kind, were `SORTED`.
    """
    kept: str | None = read(run).get("order")
    if kept is None:
        kept = SORTED if begun else order
        write_json(run.record, read(run) | {"order": kept})
    return kept


def creation_date(run: RunDir) -> datetime.date:
    """The day on which the run began, in UTC."""
    return datetime.datetime.fromisoformat(read(run)["created"]).date()


def attempt_config(run: RunDir, attempt: int) -> RunConfig:
    """The settings of `attempt`."""
    return build(RunConfig, read_json(run.launch(attempt)))


def current_time() -> str:
    """The current time, UTC, as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@overload
def iso_time(seconds: float) -> str: ...
@overload
def iso_time(seconds: float | None) -> str | None: ...
def iso_time(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601, UTC, without fractions; None stays None."""
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def changes(old: Fingerprint, new: Fingerprint) -> list[str]:
    """Clauses on the pieces of data, or files of a model, that are missing, new or different in `new`."""
    clauses = []
    for part in sorted({*old, *new}):
        before, after = old.get(part, {}), new.get(part, {})
        clauses += [f"{name} ({part}) is gone" for name in before.keys() - after.keys()]
        clauses += [f"{name} ({part}) is new" for name in after.keys() - before.keys()]
        clauses += [
            f"{name} ({part}) has other content" for name in before.keys() & after.keys() if before[name] != after[name]
        ]
    return sorted(clauses)
