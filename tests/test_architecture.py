"""Who may import whom (docs/explanation/architecture.md), what the login node loads, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "passingloop"
MODULES = sorted(PACKAGE.rglob("*.py"))

PAGE = SOURCE.parent / "docs" / "explanation" / "architecture.md"

TABLE = {
    cells[0].strip("` "): {name.strip() for name in cells[2].split(",") if name.strip()}
    for cells in (line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `"))
}
"""For each room those that it may import: the table of docs/explanation/architecture.md. A name with * is imported
inside functions only."""

HEAVY = ("torch", "lightning", "transformers", "datasets", "wandb", "pyodbc", "gcsfs")
LONGEST = 400
SHORT, SHORT_FILES = 40, 15
FILES_IN_A_FOLDER = 15
TESTS = Path(__file__).parent
ACROSS_ROOMS = {"bench", "cluster", "containers", "docs", "runs", "tools"}
"""Folders of tests that go through several rooms, or are of what stands around the program."""
AT_THE_ROOT = 8
PARALLEL = {"cache.py", "connection.py", "errors.py", "settings.py", "source.py"}
"""In the folder of each data source; and in those that have them for all."""


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


def found() -> dict[str, set[str]]:
    """For each room those that its modules import, as the table has them."""
    arrows: dict[str, dict[str, bool]] = {}
    for path in MODULES:
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        into = arrows.setdefault(here, {})
        for _, module, late in imports(ast.parse(path.read_text())):
            there = room(module)
            if there not in {"", "__version__", here}:
                into[there] = into.get(there, True) and late
    del arrows["__init__"]
    return {here: {f"{there}*" if late else there for there, late in into.items()} for here, into in arrows.items()}


def test_the_table_of_rooms_is_what_the_imports_are() -> None:
    assert found() == TABLE


def test_no_circle() -> None:
    """Neither of rooms nor of modules, also with the imports that stand inside functions."""
    names = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in MODULES}
    graph = {name: targets(path, names) for name, path in names.items()}
    rooms = {here: {there.strip("*") for there in into} for here, into in TABLE.items()}
    assert not circles(graph)
    assert not circles(rooms)


def targets(path: Path, names: Collection[str]) -> set[str]:
    """The modules that a module imports, also as ``from room import module``."""
    reached = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                reached |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                reached |= {module} | {f"{module}.{alias.name}" for alias in aliases}
    return reached & set(names)


def circles(graph: Mapping[str, Collection[str]]) -> list[str]:
    """The nodes of circles, and those between two circles."""
    left = {node: set(into) for node, into in graph.items()}
    while ends := [n for n in left if not left[n] & set(left) or not any(n in into for into in left.values())]:
        for node in ends:
            del left[node]
    return sorted(left)


def test_circles_are_seen() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": []}) == []
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": []}) == ["b", "c"]


def test_the_walk_sees_every_kind_of_import() -> None:
    program = (
        "import os, passingloop.data.files\nfrom passingloop import errors\nfrom passingloop.rundir import lock\n"
        "class A:\n    def f(self):\n        if True:\n            from passingloop.train.loop import Fit\n"
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
    rooms = (
        "attempts",
        "cli",
        "config",
        "doctor",
        "errors",
        "exporter",
        "figures",
        "files",
        "handoff",
        "index",
        "inputs",
        "interactive",
        "job",
        "launch",
        "live",
        "notify",
        "pending",
        "plan",
        "policy",
        "preempt",
        "report",
        "rundir",
        "search",
        "site",
    )
    rooms += ("slurm", "status", "storage", "submit", "tasks", "text", "usage", "vitals")
    ours = [path.relative_to(SOURCE).with_suffix("") for path in MODULES]
    light = [".".join(path.parts) for path in ours if path.parts[1] in rooms]
    light += ["passingloop.train.optim.adamw", "passingloop.train.optim.adafactor", "passingloop.train.optim.rule"]
    plugins = [f"hydra_plugins.{path.stem}" for path in (SOURCE / "hydra_plugins").glob("*.py")]
    assert len(light) > 15
    assert plugins
    program = (
        f"import importlib, sys\nfor name in {light + plugins + ['passingloop.data.files.source']}:\n"
        "    importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.process
def test_a_training_process_does_without_torchmetrics_and_scipy() -> None:
    program = (
        "import sys\nfrom passingloop.startup.imports import light_imports\n"
        "with light_imports():\n    import transformers.modeling_utils, passingloop.train.attempt\n"
        "from transformers import BertForSequenceClassification\n"
        "print([name for name in ('torchmetrics', 'scipy.signal', 'scipy.optimize') if name in sys.modules])\n"
        "import scipy.optimize, torchmetrics.functional\n"
        "print(callable(torchmetrics.functional.accuracy), callable(scipy.optimize.linear_sum_assignment))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue True\n"


def test_no_python_process_is_started_with_the_working_folder_on_its_path() -> None:
    """Or modules beside somebody's data would be imported."""
    starts = [
        f"{path.name}: {line.strip()}"
        for path in MODULES
        for line in path.read_text().splitlines()
        if "sys.executable," in line and "{sys.executable" not in line
    ]
    assert len(starts) == 18
    assert [start for start in starts if 'sys.executable, "-P",' not in start] == []


@pytest.mark.parametrize("folder", ["src", "scripts", "bench"])
def test_no_file_is_too_long(folder: str) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (SOURCE.parent / folder).rglob("*.py")}
    long = {str(path): length for path, length in lengths.items() if length > LONGEST}
    assert not long, f"over {LONGEST} lines, so split: {long}"


def test_folders_and_files_have_a_size_at_which_they_can_be_read() -> None:
    folders = {folder: list(folder.glob("*.py")) for folder in PACKAGE.rglob("*") if folder.is_dir()}
    full = {str(folder): len(files) - 1 for folder, files in folders.items() if len(files) - 1 > FILES_IN_A_FOLDER}
    assert not full, f"over {FILES_IN_A_FOLDER} files beside __init__.py: {full}"
    short = [path for path in MODULES if path.name != "__init__.py" and len(path.read_text().splitlines()) < SHORT]
    assert len(short) <= SHORT_FILES, f"files under {SHORT} lines; see which belong together: {sorted(map(str, short))}"


def test_no_two_rooms_have_a_file_of_the_same_name() -> None:
    """The folders of the data sources are parallel: there the same name means the same thing."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        folder = str(path.parent.relative_to(PACKAGE))
        parallel = path.name in PARALLEL and (folder == "." or folder.split("/", maxsplit=1)[0] in ("data", "config"))
        if path.name != "__init__.py" and not parallel:
            places.setdefault(path.name, []).append(folder)
    assert {name: folders for name, folders in places.items() if len(folders) > 1} == {}


def test_tests_stand_beside_what_they_test() -> None:
    """tests/<room>/test_<file>.py is of src/passingloop/<room>/<file>.py."""
    paths = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]
    mirrored = [path for path in paths if path.parts[0] not in ACROSS_ROOMS and len(path.parts) > 1]
    without = [str(path) for path in mirrored if not (PACKAGE / path.parent / path.name[len("test_") :]).exists()]
    assert without == []
    assert sum(len(path.parts) == 1 for path in paths) <= AT_THE_ROOT
