"""transformers' catalogue of models, kept in the cache; each test in processes that import transformers anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, os
from pathlib import Path
from passingloop.startup.model_catalogue import kept_catalogue
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
with kept_catalogue(Path(sys.argv[1])):
    import transformers.models
from transformers.utils import import_utils
models = os.path.dirname(transformers.models.__file__)
read = [path for path in opened if path.startswith(models) and path.endswith(".py")]
kept = import_utils.create_import_structure_from_path(models + "/__init__.py")
[make] = [cell.cell_contents for cell in import_utils.create_import_structure_from_path.__closure__
          if hasattr(cell.cell_contents, "cache_info")]
print(len(read), kept == make(models), transformers.BertConfig().model_type)
"""


def imported(cache: Path) -> tuple[int, str]:
    """How many files of models were read for it; and whether the catalogue was right, and a model's type."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(cache)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, rest = done.stdout.strip().split(" ", 1)
    return int(count), rest


@pytest.mark.process
def test_it_is_made_once_and_read_afterwards(tmp_path: Path) -> None:
    count, rest = imported(tmp_path)
    assert count > 1000
    assert rest == "True bert"
    count, rest = imported(tmp_path)
    assert count < 10
    assert rest == "True bert"


@pytest.mark.process
def test_a_file_that_cannot_be_understood_is_made_anew(tmp_path: Path) -> None:
    imported(tmp_path)
    [path] = (tmp_path / "startup").iterdir()
    path.write_text("{")
    assert imported(tmp_path)[1] == "True bert"
    assert json.loads(path.read_text())["folders"]["bert"]


@pytest.mark.process
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "startup").write_text("in the way")
    assert imported(tmp_path)[1] == "True bert"
