"""transformers' catalogue of models, kept in the cache; each test in processes that import transformers anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from passingloop.startup.model_catalogue import read_or_make

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


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder such as transformers has."""
    folder = tmp_path / "models"
    (folder / "bert").mkdir(parents=True)
    (folder / "bert" / "modeling_bert.py").write_text("class Bert: ...\n")
    return folder


MADE = {frozenset({"torch"}): {"auto": {"Auto"}}, "bert": {frozenset(): {"modeling_bert": {"Bert", "BertLayer"}}}}


def kept_or_made(models: Path, cache: Path) -> bool:
    """Whether the catalogue was there; it is the right one in any case."""
    made: list[dict[Any, Any]] = []
    assert read_or_make(lambda: made.append(MADE) or MADE, models, cache) == MADE  # type: ignore[func-returns-value]
    return not made


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"folders": {}, "files": [1]}', '{"folders": 1, "files": []}', "[" * 10**5]
)
def test_a_file_that_cannot_be_understood_is_made_anew(tmp_path: Path, models: Path, content: str) -> None:
    assert [kept_or_made(models, tmp_path) for _ in range(2)] == [False, True]
    [path] = (tmp_path / "startup").iterdir()
    path.write_text(content)
    assert [kept_or_made(models, tmp_path) for _ in range(2)] == [False, True]


def test_it_is_made_anew_when_a_file_has_changed_and_each_environment_has_its_own(tmp_path: Path, models: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(models, other)
    assert [kept_or_made(folder, tmp_path) for folder in (models, other, models, other)] == [False, False, True, True]
    (models / "bert" / "modeling_bert.py").write_text("class Bert: pass  # longer\n")
    assert [kept_or_made(folder, tmp_path) for folder in (models, other)] == [False, True]
    assert len(list((tmp_path / "startup").iterdir())) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_another_user_has_put_there_is_not_read(tmp_path: Path, models: Path) -> None:
    kept_or_made(models, tmp_path)
    [path] = (tmp_path / "startup").iterdir()
    os.chown(path, 12345, -1)
    assert not kept_or_made(models, tmp_path)


@pytest.mark.process
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "startup").write_text("in the way")
    assert imported(tmp_path)[1] == "True bert"
