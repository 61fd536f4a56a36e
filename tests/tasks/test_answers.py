"""What is learned of a chat is what a person would mark, for each kind of template."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from passingloop.data.source import CHAT
from passingloop.errors import DataError
from passingloop.tasks.answers import AnswerFinder
from passingloop.tasks.chat_template import read_chat
from passingloop.tasks.encoding import Encoded
from passingloop.tasks.task import learning_task
from tests.tasks.templates import (
    CALL,
    CHATML,
    KINDS,
    STRIPPING,
    TOOLS,
    TWO,
    WITH_TOOLS,
    Kind,
    bot,
    make_tokenizer,
    user,
)


def encoded(kind: Kind) -> tuple[Encoded, Any]:
    tokenizer = make_tokenizer(kind.template)
    chat = json.dumps({"messages": kind.messages} | kind.beside)
    batch = pa.record_batch([[0], [chat]], schema=CHAT)
    return learning_task("causal_lm").encoder(tokenizer, 10_000)(batch), tokenizer


def marked(encoded: Encoded, tokenizer: Any) -> tuple[str, ...]:
    """The examples as text, with marks around the tokens that the loss counts."""
    assert encoded.answers is not None
    texts = []
    for ids, counts in zip(encoded.ids, encoded.answers, strict=True):
        tokens = tokenizer.convert_ids_to_tokens(ids)
        text, inside = [], 0
        for token, count in zip([*tokens, ""], [*counts, 0], strict=True):
            text += ["[[" if count > inside else "]]" if count < inside else "", token]
            inside = count
        texts.append("".join(text).replace("Ġ", " ").replace("Ċ", "\n"))
    return tuple(texts)


@pytest.mark.parametrize("name", KINDS)
def test_answers_and_their_ends_are_learned_and_nothing_else(name: str) -> None:
    kind = KINDS[name]
    found, tokenizer = encoded(kind)
    assert not found.refused
    assert (marked(found, tokenizer), found.unprompted) == (kind.expected, kind.unprompted)
    assert tuple(sorted(tokenizer.convert_ids_to_tokens(found.ends))) == kind.ends


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.prompted])
def test_what_is_learned_follows_what_the_model_is_given(name: str) -> None:
    """The text before the last answer is that of the generation prompt, by transformers itself."""
    kind = KINDS[name]
    prompt = make_tokenizer(kind.template).apply_chat_template(
        kind.before_answer, tokenize=False, add_generation_prompt=True, **kind.variables
    )
    assert kind.prompt == prompt


REFUSED: list[tuple[str, list[Any], dict[str, Any], str]] = [
    (CHATML, [user("hi"), bot("", tool_calls=[{"name": "f"}])], {}, "does not write tool_calls (message 2)"),
    (CHATML, [user("hi"), bot("a", reasoning_content="b")], {}, "does not write reasoning_content (message 2)"),
    (STRIPPING, [user("hi"), bot("a", thinking="b")], {}, "does not write thinking (message 2)"),
    (CHATML, [user("hi") | {"name": "Ada"}, bot("a")], {}, "does not write name (message 1)"),
    (CHATML, [user("hi"), bot("a", mood="merry")], {}, "does not write mood (message 2)"),
    (CHATML, TWO, {"tools": TOOLS}, "does not write tools"),
    (CHATML, TWO, {"documents": [{"title": "a", "text": "b"}]}, "does not write documents"),
    (
        "{% set _ = documents %}" + CHATML,
        TWO,
        {"documents": [{"title": "a", "text": "b"}]},
        "does not write documents,",
    ),
    (
        WITH_TOOLS.replace("m.tool_calls or []", "(m.tool_calls or [])[:1]"),
        [user("hi"), bot("", tool_calls=[CALL]), user("bye"), bot("", tool_calls=[CALL, CALL])],
        {},
        "does not write all tool_calls (message 4)",
    ),
    (CHATML, TWO, {"chat_template_kwargs": {"enable_thinking": False}}, "does not write enable_thinking"),
    (
        "{% for m in messages %}{% if m.role != 'system' %}<|user|>{{ m.content }}<|end|>{% endif %}{% endfor %}",
        [{"role": "system", "content": "be kind"}, *TWO],
        {},
        "does not write message 1 (of the role system)",
    ),
    ("{{ raise_exception('No system messages') }}", TWO, {}, "refuses a chat: No system messages"),
    ("{{ messages[7].content + 1 }}", TWO, {}, "refuses a chat: "),
    ("{% for m in messages %}<|user|>{{ m.role }}<|end|>{% endfor %}", TWO, {}, "does not write message 1"),
]


@pytest.mark.parametrize(("template", "messages", "beside", "reason"), REFUSED, ids=[case[-1] for case in REFUSED])
def test_what_the_template_leaves_out_is_refused_by_name(
    template: str, messages: list[Any], beside: dict[str, Any], reason: str
) -> None:
    finder = AnswerFinder(make_tokenizer(template))
    with pytest.raises(DataError) as error:
        finder.learned_texts(read_chat(json.dumps({"messages": messages} | beside)))
    assert reason in str(error.value)


def test_a_tokenizer_needs_a_template_and_a_way_to_end_answers() -> None:
    with pytest.raises(DataError, match=r"has no chat template\. Choose an instruction-tuned model"):
        AnswerFinder(make_tokenizer(None))
    finder = AnswerFinder(make_tokenizer(KINDS["no end"].template, eos=None))
    with pytest.raises(DataError, match="the model would never learn to stop"):
        finder.learned_texts(read_chat(json.dumps({"messages": TWO})))
