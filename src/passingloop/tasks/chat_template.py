"""Chats as a tokenizer's template writes them, and where in the text the assistant's answers are."""

from __future__ import annotations

from typing import Any

from passingloop.errors import DataError

Chat = list[dict[str, str]]
Span = tuple[int, int]


def answer_spans(chat: Chat, tokenizer: Any) -> tuple[str, list[Span]]:
    """The chat's text, and the first and last (exclusive) character of each answer, with what ends its turn.

    An answer is what the template adds when its message is added to the chat up to the generation prompt.

    Raises:
        DataError: the tokenizer has no template, the template refuses the chat, or it writes earlier messages
            differently once later ones follow, so that answers cannot be told from questions.
    """
    if not tokenizer.chat_template:
        raise DataError(
            f"You set data.messages, but the tokenizer of {tokenizer.name_or_path} has no chat template. Choose an "
            "instruction-tuned model, or write the chats as text and set data.text."
        )
    text = _write(chat, tokenizer)
    spans = []
    for place, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        # Templates cannot write an empty chat: the header of an answer that opens one counts with it.
        question = _write(chat[:place], tokenizer, add_generation_prompt=True) if place else ""
        answered = _write(chat[: place + 1], tokenizer)
        if not (answered.startswith(question) and text.startswith(answered)):
            raise DataError(
                f"The chat template of {tokenizer.name_or_path} rewrites earlier messages when later ones follow, so "
                "the answers cannot be told apart. Give each answer as a chat of its own."
            )
        spans.append((len(question), len(answered)))
    return text, spans


def _write(chat: Chat, tokenizer: Any, *, add_generation_prompt: bool = False) -> str:
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
    except TemplateError as error:
        raise DataError(f"The chat template of {tokenizer.name_or_path} refuses a chat: {error}.") from error
    return text
