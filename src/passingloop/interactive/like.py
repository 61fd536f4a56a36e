"""A notebook that begins with a run: its settings, the first rows of its data, and its exported model. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from passingloop.rundir.directory import RunDir

AUTO_CLASSES = {"causal_lm": "AutoModelForCausalLM"}
"""By task; the others classify sequences."""

SETTINGS = """\
from pathlib import Path

from passingloop.config.build import build
from passingloop.config.settings import RunConfig
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir

run = RunDir(Path({path!r}))
config = build(RunConfig, record.read(run)["config"])
print(run.config.read_text())
"""

DATA = """\
from itertools import islice

from passingloop.config.data import named_sources
from passingloop.data.source import open_source

rows = {}  # the first rows that are trained on; of a mix, those of each source
for name, data in named_sources(config.data).items():
    batches = open_source(data, config.task, config.cache_root).read("train", print)
    rows[name] = [row for batch in islice(batches, 1) for row in batch.to_pylist()]
next(iter(rows.values()))[:5]
"""

EXPORT = """\
from transformers import AutoTokenizer, {auto}

tokenizer = AutoTokenizer.from_pretrained(run.export)
model = {auto}.from_pretrained(run.export, dtype="auto")
print(f"{{sum(p.numel() for p in model.parameters()):,}} parameters")
"""

NO_EXPORT = """\
# The run has exported no model yet: it is not complete. Then {auto}.from_pretrained(run.export) loads it.
"""


def notebook_name(run: RunDir) -> str:
    return f"like-{run.path.parent.name}-{run.path.name}.ipynb"


def notebook(run: RunDir, record: Mapping[str, Any], result: Mapping[str, Any] | None) -> str:
    """The notebook's file.

    Args:
        record: the content of the run's ``run.json``.
        result: of its ``result.json``; None if the run is not complete.
    """
    config = record["config"]
    auto = AUTO_CLASSES.get(config["task"], "AutoModelForSequenceClassification")
    state = "is not complete"
    if result:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
        state = f"is complete after {result['steps']} steps: {metrics}"
    cells = [
        _cell("markdown", f"# {config['name']}/{run.path.name}\n\nThe run in `{run.path}` {state}.\n"),
        _cell("code", SETTINGS.format(path=str(run.path))),
        _cell("code", DATA),
        _cell("code", (EXPORT if result else NO_EXPORT).format(auto=auto)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {
        "cells": [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, source: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source.rstrip("\n"), **code}
