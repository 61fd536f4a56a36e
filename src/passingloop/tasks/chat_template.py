"""The text of chats, from the tokenizer's chat template, and the location of the assistant's answers in it."""

from __future__ import annotations

from typing import Any

from passingloop.errors import DataError

Chat = list[dict[str, str]]
Span = tuple[int, int]


def answer_spans(chat: Chat, tokenizer: Any) -> tuple[str, list[Span]]:
    """The text of a chat, and for each answer its start and end (exclusive) in characters, with its end of turn.

    An answer is the text after the generation prompt that the template adds for the answer's message.

    Raises:
        DataError: the tokenizer has no template, the template refuses the chat, or it changes the text of earlier
            messages when later ones follow, so that answers cannot be located.
    """
    if not tokenizer.chat_template:
        raise DataError(
            f"You set data.messages, but the tokenizer of {tokenizer.name_or_path} has no chat template. Choose an "
            "instruction-tuned model, or write the chats as text and set data.text."
        )
    text = _chat_text(chat, tokenizer)
    spans = []
    for place, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        # Templates refuse an empty chat: if an answer is the first message, its header counts as a part of it.
        prompt = _chat_text(chat[:place], tokenizer, add_generation_prompt=True) if place else ""
        answered = _chat_text(chat[: place + 1], tokenizer)
        if not (answered.startswith(prompt) and text.startswith(answered)):
            raise DataError(
                f"The chat template of {tokenizer.name_or_path} rewrites earlier messages when later ones follow, so "
                "the answers cannot be told apart. Give each answer as a chat of its own."
            )
        spans.append((len(prompt), len(answered)))
    return text, spans


def _chat_text(chat: Chat, tokenizer: Any, *, add_generation_prompt: bool = False) -> str:
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
    except TemplateError as error:
        raise DataError(f"The chat template of {tokenizer.name_or_path} refuses a chat: {error}.") from error
    return text
