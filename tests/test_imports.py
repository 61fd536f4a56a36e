"""Who may import whom (docs/explanation/architecture.md), what the login node loads, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "passingloop"
MODULES = sorted(PACKAGE.rglob("*.py"))

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "plan": {"config", "errors"},
    "rundir": {"config", "errors"},
    "slurm": {"errors"},
    "retry": {"config", "rundir", "errors"},
    "launch": {"plan", "rundir", "slurm", "preempt", "retry", "config", "errors"},
    "preempt": {"rundir", "slurm", "retry", "errors"},
    "job": {"rundir", "preempt", "errors"},
    "data": {"config", "errors"},
    "track": {"rundir", "config", "errors"},
    "train": {"data", "rundir", "preempt", "track", "plan", "config", "errors"},
    "report": {"rundir", "slurm", "errors"},
    "cli": {
        "config",
        "plan",
        "rundir",
        "slurm",
        "retry",
        "launch",
        "report",
        "preempt",
        "job",
        "data",
        "track",
        "train",
        "errors",
    },
}
"""Nothing imports `cli`, and nothing but `launch` and `cli` knows about launching."""

LATE = {("job", "train")}
"""Allowed inside a function only: it loads torch."""

HEAVY = ("torch", "lightning", "transformers", "datasets", "wandb", "pyodbc", "gcsfs")
LONGEST = 300


def room(module: str) -> str:
    """The room of `passingloop.room.…`; the package itself is none."""
    return [*module.split("."), ""][1]


def imports(tree: ast.AST, late: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Line, module, and whether it is imported inside a function, for all that is ours."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                found = [f"passingloop.{alias.name}" for alias in names] if module == "passingloop" else [module]
            case ast.ImportFrom(level=level) if level:
                found = ["passingloop.a relative import"]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from imports(node, late=True)
                continue
            case _:
                yield from imports(node, late)
                continue
        yield from ((node.lineno, name, late) for name in found if name.split(".")[0] == "passingloop")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_table(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    wrong = []
    for line, module, late in imports(ast.parse(path.read_text())):
        there = room(module)
        allowed = there in {"", "__version__", here, *ALLOWED.get(here, set())} or ((here, there) in LATE and late)
        if not allowed:
            wrong.append(f"{path}:{line}: {here} may not import {module}")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_in_the_table() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert rooms == set(ALLOWED)


def test_the_walk_sees_every_kind_of_import() -> None:
    program = (
        "import os, passingloop.data.files\nfrom passingloop import errors\nfrom passingloop.rundir import lock\n"
        "class A:\n    def f(self):\n        if True:\n            from passingloop.train.fit import Fit\n"
        "from . import x\ntry:\n    import passingloop.cli.main as m\nfinally: pass\n"
    )
    assert [(line, room(module), late) for line, module, late in imports(ast.parse(program))] == [
        (1, "data", False),
        (2, "errors", False),
        (3, "rundir", False),
        (7, "train", True),
        (8, "a relative import", False),
        (10, "cli", False),
    ]


def test_the_login_nodes_side_is_light() -> None:
    rooms = ("cli", "config", "errors", "plan", "rundir", "slurm", "retry", "launch", "report", "preempt", "job")
    ours = [path.relative_to(SOURCE).with_suffix("") for path in MODULES]
    light = [".".join(path.parts) for path in ours if path.parts[1] in rooms]
    plugins = [f"hydra_plugins.{path.stem}" for path in (SOURCE / "hydra_plugins").glob("*.py")]
    assert len(light) > 15
    assert plugins
    program = (
        f"import importlib, sys\nfor name in {light + plugins + ['passingloop.data.files']}:\n"
        "    importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_training_process_does_without_torchmetrics_and_scipy() -> None:
    program = (
        "import sys\nfrom passingloop.train.light import lightly\n"
        "with lightly():\n    import transformers.modeling_utils, passingloop.train.attempt\n"
        "from transformers import BertForSequenceClassification\n"
        "print([name for name in ('torchmetrics', 'scipy.signal', 'scipy.optimize') if name in sys.modules])\n"
        "import scipy.optimize, torchmetrics.functional\n"
        "print(callable(torchmetrics.functional.accuracy), callable(scipy.optimize.linear_sum_assignment))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue True\n"


@pytest.mark.parametrize("folder", ["src", "scripts", "bench"])
def test_no_file_is_too_long(folder: str) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (SOURCE.parent / folder).rglob("*.py")}
    long = {str(path): length for path, length in lengths.items() if length > LONGEST}
    assert not long, f"over {LONGEST} lines, so split: {long}"
