"""What differs between two runs: their settings, their code, their data. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from passingloop.config.build import leaves


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Of two records: under `config` the values of each setting that differs, those of `a` and of `b`; `code` and
    `data` say whether they differ, the latter null as long as one of the runs has not read its data."""
    flat_a, flat_b = (dict(leaves(record["config"])) for record in (a, b))
    keys = sorted(key for key in {*flat_a, *flat_b} if flat_a.get(key) != flat_b.get(key))
    prints = [record["data_fingerprint"] for record in (a, b)]
    return {
        "config": {key: [flat_a.get(key), flat_b.get(key)] for key in keys},
        "code": a["code"] != b["code"],
        "data": None if None in prints else prints[0] != prints[1],
    }


def page(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines: the two runs, a setting each with its two values, and the code and data.

    Args:
        report: as ``passingloop diff --json`` prints it.
    """
    yield f"A  {report['a']}"
    yield f"B  {report['b']}"
    longest = max(map(len, report["config"]), default=0)
    for key, (a, b) in report["config"].items():
        yield f"{key.ljust(longest)}  {_shown(a)} -> {_shown(b)}"
    if not report["config"]:
        yield "The settings are the same."
    if report["code"]:
        yield "The code differs: run.json names both versions."
    if report["data"] is None:
        yield "Whether the data are the same is not known before both runs have begun."
    elif report["data"]:
        yield "The content of the data differs."


def _shown(value: Any) -> str:
    """As it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
