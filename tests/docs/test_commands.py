"""The commands and files in the pages for users are ones that the program understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from passingloop.config.command_line import hydra_word
from tests.conftest import ROOT, Compose

PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/tutorials/*.md"), *ROOT.glob("docs/reference/*.md")]
    + [page for page in ROOT.glob("docs/how-to/*.md") if not page.name.startswith("add-")]
)
"""What the pages named add-… use is not there before it is added."""

COMMAND = re.compile(r"^(?:python train\.py|passingloop prepare) (?!-)([^…\n]*)$(?!\nerror:)", re.MULTILINE)
"""A line without … in it, which stands for something that it leaves out, and without an error below it."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_understood(page: Path, compose: Compose) -> None:
    for words in commands(page):
        compose(*map(hydra_word, shlex.split(words, comments=True)))


def test_there_are_commands_to_understand() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 30


def commands(page: Path) -> list[str]:
    found: list[str] = COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " "))
    return found


def test_the_experiment_in_a_file_is_understood(compose: Compose, tmp_path: Path, monkeypatch) -> None:
    """The mix that docs/how-to/data-mix.md shows as a file."""
    import hydra

    from passingloop.config.compose import config_folder, settings

    page = (ROOT / "docs" / "how-to" / "data-mix.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "more" / "experiment").mkdir(parents=True)
    (tmp_path / "more" / "experiment" / "support.yaml").write_text(text)
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = ["experiment=support", f"hydra.searchpath=[file://{tmp_path / 'more'}]"]
        config = settings(hydra.compose("config", words), tmp_path)
    assert {name: source.source for name, source in config.data.sources.items()} == {"faq": "files", "shop": "sql"}
    assert config.data.weights == {"faq": 2.0}
    assert config.data.sources["shop"].text == "body"


def test_the_files_of_a_cluster_are_complete(compose: Compose, tmp_path: Path) -> None:
    """Those that docs/how-to/add-your-cluster.md shows: a setting that is left out is a mistake."""
    page = (ROOT / "docs" / "how-to" / "add-your-cluster.md").read_text(encoding="utf-8")
    files = re.findall(r"```yaml\n# config/(\S+\.yaml):[^\n]*\n(.*?)```", page, re.DOTALL)
    for name, text in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    config = compose("cluster=ours", "resources=node8", f"hydra.searchpath=[file://{tmp_path}]")
    assert (config.cluster.partition, config.resources.gpus) == ("gpu", 8)
    assert config.cluster.extra == {"constraint": "a100", "mail-type": "FAIL"}
