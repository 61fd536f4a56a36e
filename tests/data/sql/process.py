"""A process of its own that reads: ``python -m tests.data.sql.process SETTINGS CACHE``; prints what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyodbc  # noqa: F401  # imports count for the memory before

from passingloop.config.build import build
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.source import Sql


def memory(name: str) -> int:
    """VmRSS (now) or VmHWM (at most until now) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024


def main(settings: str, cache: str) -> None:
    source = Sql(build(SqlData, json.loads(settings), prefix="data."), "causal_lm", Path(cache), None)
    before = memory("VmRSS")
    identity = source.identity("train")
    rows = sum(batch.num_rows for batch in source.read("train", print))
    print(json.dumps({"identity": identity, "rows": rows, "grown": memory("VmHWM") - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
