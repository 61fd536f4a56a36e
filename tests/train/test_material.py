"""What an attempt begins with: tokens that are the same on every day."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers

from passingloop.config.data import MixData
from passingloop.config.settings import RunConfig
from passingloop.errors import DataError
from passingloop.rundir.record import PinnedValues
from passingloop.train.material import Material, gather
from tests.conftest import Compose
from tests.train.tiny import make_tokenizer

DATED = (
    '{% if date_string is not defined %}{% set date_string = strftime_now("%d %b %Y, %H:%M") %}{% endif %}'
    "Today is {{ date_string }}.{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THAT_DAY, THE_NEXT = datetime.date(2026, 3, 31), datetime.date(2026, 4, 1)


@pytest.fixture
def config(compose: Compose, saved: Any, work: Path) -> RunConfig:
    folder = saved("llama")
    make_tokenizer(DATED).save_pretrained(folder)
    turns = [("user", "hello"), ("assistant", "good day")]
    chat = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (work / "chats.jsonl").write_text(f"{json.dumps(chat)}\n" * 3)
    words = ("data=files", "data.train=chats.jsonl", "data.messages=messages", "cache_root=cache")
    split = ("data.validation_fraction=0", "data.test_fraction=0", "data.max_length=60")
    return compose("task=causal_lm", f"model.path={folder}", *words, *split)


def text_of(material: Material) -> str:
    return str(material.tokenizer.decode(material.data.parts["train"].ids(0)))


def test_the_date_in_a_chat_template_is_that_of_the_run(config: RunConfig, work: Path) -> None:
    notices: list[str] = []
    first = gather(config, notices.append, THAT_DAY)
    assert text_of(first).startswith("Today is 31 Mar 2026, 00:00.")
    assert "The chat template writes the current date. For this run it is always 2026-03-31." in notices
    shutil.rmtree(work / "cache")
    assert text_of(gather(config, notices.append, THAT_DAY)) == text_of(first)
    other = gather(config, notices.append, THE_NEXT)
    assert text_of(other).startswith("Today is 01 Apr 2026, 00:00."), "the cache tells the days apart"
    assert not isinstance(config.data, MixData)
    assert gather(config, notices.append, THAT_DAY).prepared[""].reused


def test_the_exported_template_is_the_models_own(config: RunConfig, tmp_path: Path) -> None:
    gather(config, lambda _: None, THAT_DAY).tokenizer.save_pretrained(tmp_path / "export")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "export").chat_template == DATED


def test_a_run_that_has_begun_keeps_its_classes(compose: Compose, saved: Any, work: Path) -> None:
    """Earlier versions made classes of labels that look alike."""
    (work / "a.csv").write_text("text,label\none,fruit\ntwo,fruit \nthree,root\n")
    split = ("data.validation_fraction=0", "data.test_fraction=0", "data.max_length=60")
    config = compose("data=files", "data.train=a.csv", f"model.path={saved('bert')}", "cache_root=cache", *split)
    with pytest.raises(DataError, match="Labels that look alike would be classes of their own"):
        gather(config, lambda _: None)
    begun = gather(config, lambda _: None, pinned=PinnedValues("fp32", {}, None))
    assert begun.data.label_names == ["fruit", "fruit ", "root"]
    assert begun.data.notes[-1].startswith(
        "Labels that look alike are classes of their own: 'fruit' (1 example, such as"
    )
