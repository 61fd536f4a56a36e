"""The differences between two runs: settings, code, data, model. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passingloop.config.build import leaves


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """The differences between two records, as JSON: under `config` the values in `a` and `b` of each setting that
    differs; `code`, `data` and `model` are true if they differ. `data` and `model` are null if a run has not begun."""
    return {
        "config": setting_differences(a["config"], b["config"]),
        "code": a["code"] != b["code"],
        "data": _differs("data_fingerprint", a, b),
        "model": _differs("model_fingerprint", a, b),
    }


def _differs(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool | None:
    """Whether a fingerprint differs; None if it is not known. Runs of earlier versions have none of their model."""
    fingerprints = [record.get(name) for record in (a, b)]
    return None if None in fingerprints else fingerprints[0] != fingerprints[1]


def page(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the report: the two runs, the values of each setting that differs, code and data.

    Args:
        report: the JSON of ``passingloop diff --json``.
    """
    yield f"A  {report['a']}"
    yield f"B  {report['b']}"
    yield from setting_lines(report["config"])
    if not report["config"]:
        yield "The settings are the same."
    if report["code"]:
        yield "The code differs: run.json names both versions."
    if report["data"] is None:
        yield "Whether the data are the same is not known before both runs have begun."
    elif report["data"]:
        yield "The content of the data differs."
    if report["model"]:
        yield "The files of the model differ."


def setting_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values in `a` and `b` of each setting that differs, by its full name."""
    flat_a, flat_b = dict(leaves(a)), dict(leaves(b))
    keys = sorted(key for key in {*flat_a, *flat_b} if flat_a.get(key) != flat_b.get(key))
    return {key: [flat_a.get(key), flat_b.get(key)] for key in keys}


def setting_lines(differences: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """A line for each setting that differs."""
    longest = max(map(len, differences), default=0)
    for key, (a, b) in differences.items():
        yield f"{key.ljust(longest)}  {_value_text(a)} -> {_value_text(b)}"


def _value_text(value: Any) -> str:
    """A value as it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
