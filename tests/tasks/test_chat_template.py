"""Chat templates that cannot be used are refused."""

from __future__ import annotations

import pytest

from passingloop.errors import DataError
from passingloop.tasks.chat_template import answer_spans
from tests.train.tiny import CHATML, make_tokenizer

REWRITING = CHATML.replace("message.content }}", "message.content if loop.last else 'forgotten' }}")
REFUSING = "{{ raise_exception('Only users may speak') }}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template. Choose an instruction-tuned model"),
        (REWRITING, "rewrites earlier messages when later ones follow"),
        (REFUSING, "refuses a chat: Only users may speak"),
        ("{{ messages[7].content }}", "refuses a chat: "),
    ],
)
def test_templates_that_will_not_do(template: str | None, message: str) -> None:
    roles = ("user", "assistant", "user", "assistant")
    chat = [{"role": role, "content": content} for role, content in zip(roles, "abcd", strict=True)]
    with pytest.raises(DataError) as error:
        answer_spans(chat, make_tokenizer(template))
    assert message in str(error.value)
