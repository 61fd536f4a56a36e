"""The source of a template tells of some chats that it refuses them; running the template is the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from passingloop.errors import DataError
from passingloop.tasks.answers import AnswerFinder
from passingloop.tasks.chat_template import read_chat
from passingloop.tasks.template_source import TemplateSource, template_source
from tests.tasks.templates import CHATML, KINDS, TOOLS, TWO, bot, make_tokenizer, user

TOLD: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "a field": ([user("hi"), bot("a", mood="merry")], {}, "does not write mood (message 2)"),
    "tool calls": ([user("hi"), bot("", tool_calls=[{"name": "f"}])], {}, "does not write tool_calls (message 2)"),
    "tools": (TWO, {"tools": TOOLS}, "does not write tools"),
    "a variable": (TWO, {"chat_template_kwargs": {"enable_thinking": False}}, "does not write enable_thinking"),
}

WRITING_ALL = [
    "{% for m in messages %}<|user|>{{ m }}<|end|>{% endfor %}",
    "{% for m in messages %}<|user|>{{ m | tojson }}<|end|>{% endfor %}",
    "{% for m in messages %}<|user|>{% for k, v in m.items() %}{{ k }}{{ v }}{% endfor %}<|end|>{% endfor %}",
    "{% for m in messages %}<|user|>{% for k in m %}{{ m[k] }}{% endfor %}<|end|>{% endfor %}",
    "{% macro w(x) %}{{ x }}{% endmacro %}{% for m in messages %}<|user|>{{ w(m) }}<|end|>{% endfor %}",
    "{% for m in messages %}{% set x = m %}<|user|>{{ '' ~ x }}<|end|>{% endfor %}",
]


@pytest.mark.parametrize("name", KINDS)
def test_what_a_template_writes_is_not_refused(name: str) -> None:
    kind = KINDS[name]
    assert TemplateSource("m", kind.template).refusal({"messages": kind.messages} | kind.beside) is None


@pytest.mark.parametrize("case", TOLD)
def test_what_no_template_names_is_refused_as_by_running_it(case: str) -> None:
    messages, beside, reason = TOLD[case]
    chat = {"messages": messages} | beside
    tokenizer = make_tokenizer(CHATML)
    with pytest.raises(DataError) as error:
        AnswerFinder(tokenizer).learned_texts(read_chat(json.dumps(chat)))
    assert TemplateSource(tokenizer.name_or_path, CHATML).refusal(chat) == str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize("template", WRITING_ALL)
def test_a_template_may_write_fields_that_it_does_not_name(template: str) -> None:
    chat = {"messages": [user("hi"), bot("a", mood="merry")]}
    assert "merry" in make_tokenizer(template).apply_chat_template(chat["messages"], tokenize=False)
    assert TemplateSource("m", template).refusal(chat) is None


def test_reasoning_of_which_the_template_needs_one_name() -> None:
    source = TemplateSource("m", CHATML + "{{ messages[0].thinking }}")
    both = [user("hi"), bot("a", thinking="b", reasoning_content="b", empty="")]
    assert source.refusal({"messages": both}) is None
    assert source.refusal({"messages": [user("hi"), bot("a", thinking="b", reasoning_content="c")]})


def test_templates_are_read_from_the_files_of_a_model(tmp_path: Path) -> None:
    assert template_source("owner/model") is None
    tokenizer = make_tokenizer(CHATML)
    tokenizer.save_pretrained(tmp_path)
    found = template_source(str(tmp_path))
    assert found and found.text == CHATML
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(DataError, match=f"the tokenizer of {tmp_path} has no chat template"):
        template_source(str(tmp_path))
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": named}))
    found = template_source(str(tmp_path))
    assert found and found.text == "a\nb"
    (tmp_path / "tekken.json").touch()
    assert template_source(str(tmp_path)) is None
