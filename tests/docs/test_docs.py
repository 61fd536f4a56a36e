"""The documentation says what is: generated pages are up to date, links lead somewhere, examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.cli.main import VERBS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.sh"))


@pytest.mark.parametrize("page", ["config_reference", "cost_page"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    check = [sys.executable, str(ROOT / "scripts" / "lib" / f"{page}.py"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0, "run scripts/docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_lists_each_page_once() -> None:
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    links = re.findall(r"\]\(([^)]+)\)", "".join(rows))
    assert len(links) > 30
    assert sorted(links) == sorted(set(links))


def test_the_calls_of_a_submitted_run_are_there() -> None:
    """docs/explanation/life-of-a-run.md names functions and their files."""
    page = (ROOT / "docs" / "explanation" / "life-of-a-run.md").read_text(encoding="utf-8")
    calls = re.findall(r"^(?:\w+ \w+)? +([\w/]+\.py) +([\w., ]+)", page, re.MULTILINE)
    assert len(calls) > 20
    for file, names in calls:
        source = (ROOT / "src" / "passingloop" / file).read_text(encoding="utf-8")
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^ *(?:def|class) {name}\b", source, re.MULTILINE), f"{file} has no {name}"


def test_every_decision_is_numbered_in_turn_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    names = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    listed = (folder / "README.md").read_text()
    assert [name for name in names if f"({name})" not in listed] == []


def test_every_example_is_listed() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()
    assert EXAMPLES
    assert [path.name for path in EXAMPLES if path.name not in listed] == []


ELSEWHERE = (
    "02-own-files",
    "03-sweep",
    "04-interrupt-and-continue",
    "05-chats-with-lora",
    "10-drill",
    "11-prepare",
    "12-several-labels",
    "20-search",
)
"""What these show has tests of its own, so they need not run every time."""

QUICKLY = {"01-first-run": ["data.limit=100", "trainer.epochs=1"]}
"""These run with less to do, and whole where all tests run."""

HERE = [
    pytest.param(path, words, id=f"{path.stem} {' '.join(words)}".strip(), marks=[pytest.mark.slow] if slow else [])
    for path in EXAMPLES
    if "slurm" not in path.name
    for words, slow in [([], path.stem in ELSEWHERE or path.stem in QUICKLY), (QUICKLY.get(path.stem), False)]
    if words is not None
]
"""The others are run by tests/cluster/test_examples.py."""


@pytest.mark.process
@pytest.mark.parametrize(("example", "words"), HERE)
def test_examples_run(example: Path, words: list[str], tmp_path: Path, cache: Path) -> None:
    places = {"PASSINGLOOP_RUN_ROOT": str(tmp_path / "runs"), "PASSINGLOOP_CACHE": str(cache), "TMPDIR": str(tmp_path)}
    # torch makes a folder in TMPDIR when it is imported: also in the examples' own scripts, which are plain torch.
    places["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    done = subprocess.run(
        [str(example), *words],
        cwd=tmp_path,
        env=os.environ | places | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "runs").glob("*/*/result.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["runs"], "an example leaves nothing else behind"


def test_every_verb_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert [verb for verb in VERBS if f"| `{verb}" not in page] == []
