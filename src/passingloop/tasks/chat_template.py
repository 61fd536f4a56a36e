"""Writes chats as text with the tokenizer's chat template, and refuses what the template would leave out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from passingloop.errors import DataError
from passingloop.tasks.template_source import no_template

Message = dict[str, Any]
Span = tuple[int, int]

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""The mark of a template that says itself which text is the assistant's."""

LISTS = ("tools", "documents")
"""Variables of which the template writes the items; others may change what it writes, or not."""

REFERENCES = frozenset({"name", "tool_call_id"})
"""Fields of a tool's message that only say which call it answers: a template need not write them."""

PROBES = "Zebra", "quartz"
"""Two texts without a common start or end. Where they stand in a chat's text is where the template writes a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A chat in the form that the template takes."""

    messages: Sequence[Message]
    learned: Sequence[bool]
    """For each message, whether it is an answer that the loss counts."""
    variables: Mapping[str, Any]
    """`tools`, `documents` and other variables of the template."""


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a chat."""

    text: str
    blocks: tuple[Span, ...] = ()
    """What a template with ``{% generation %}`` marks: start and end (exclusive) of each block in characters."""


def read_chat(text: str) -> Chat:
    """The chat in the JSON text of the column `messages`; see `passingloop.data.rows.chats`."""
    content = json.loads(text)
    messages: list[Message] = content.pop("messages")
    return Chat(
        messages=[
            {key: value for key, value in message.items() if key not in ("weight", "train")} for message in messages
        ],
        learned=[is_learned(message) for message in messages],
        variables=content.pop("chat_template_kwargs", {}) | content,
    )


def is_learned(message: Message) -> bool:
    """Whether the loss counts a message: an answer, unless its fields `weight` or `train` say otherwise."""
    return message["role"] == "assistant" and bool(message.get("weight", 1)) and bool(message.get("train", True))


class ChatTemplate:
    """The chat template of `tokenizer`.

    Raises:
        DataError: the tokenizer has none.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise no_template(tokenizer.name_or_path)
        self._tokenizer = tokenizer
        self._takes: dict[tuple[str, str], bool] = {}
        """Whether messages of a role may have their content as text, and as a list of parts."""
        self._written_fields: set[tuple[str, str]] = set()
        """Roles and fields that are known to be written."""
        self._written_variables: set[str] = set()
        """Those of `LISTS` that are known to be written."""

    def is_marked(self, chat: Chat) -> bool:
        """Whether the template says with ``{% generation %}`` which text is the assistant's."""
        return GENERATION.search(self._source(chat.variables)) is not None

    def write(self, chat: Chat, messages: Sequence[Message], *, prompt: bool = False) -> Written:
        """The text of `messages`, which are some of the chat's, and of the generation prompt with `prompt`.

        Raises:
            DataError: the template refuses them.
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        tokenizer, variables = self._tokenizer, dict(chat.variables)
        try:
            if not self.is_marked(chat):
                return Written(
                    tokenizer.apply_chat_template(
                        list(messages), tokenize=False, add_generation_prompt=prompt, **variables
                    )
                )
            texts, blocks = render_jinja_template(
                [list(messages)],
                chat_template=self._source(variables),
                return_assistant_tokens_mask=True,
                add_generation_prompt=prompt,
                **{**tokenizer.special_tokens_map, **variables},
            )
        except Exception as error:  # the template is a program that its authors wrote
            raise DataError(f"The chat template of {tokenizer.name_or_path} refuses a chat: {error}.") from error
        return Written(texts[0], tuple(blocks[0]))

    def attempt(self, chat: Chat, messages: Sequence[Message], *, prompt: bool = False) -> Written | None:
        """As `write`; None if the template refuses them."""
        try:
            return self.write(chat, messages, prompt=prompt)
        except DataError:
            return None

    def adapted(self, chat: Chat) -> Chat:
        """The chat with contents and arguments of tool calls in the form that the template takes.

        Raises:
            DataError: the template refuses the chat, or does not write a field or variable of it.
        """
        self._check_variables(chat)
        contents = [self._with_content(chat, message) for message in chat.messages]
        chat = self._with_calls(replace(chat, messages=contents))
        for place, message in enumerate(chat.messages):
            self._check_fields(chat, place, message)
        self._check_lists(chat)
        return chat

    def check_contents(self, chat: Chat, first: int, place: int, prompt: str) -> None:
        """Check that the contents of the messages from `first` up to the answer at `place` stand in its prompt.

        Raises:
            DataError: the template leaves one out.
        """
        for number in range(first, place):
            message = chat.messages[number]
            if message["role"] == "assistant" or all(text.strip() in prompt for text in texts_of(message)):
                continue
            before = list(chat.messages[:place])
            others = [with_text(message, probe) for probe in PROBES]
            texts = [
                self.write(chat, [*before[:number], other, *before[number + 1 :]], prompt=True).text for other in others
            ]
            if texts[0] == texts[1]:
                raise self._left_out(f"message {number + 1} (of the role {message['role']})")

    def _source(self, variables: Mapping[str, Any]) -> str:
        try:
            source: str = self._tokenizer.get_chat_template(tools=variables.get("tools"))
        except ValueError as error:  # several templates, and none is the default
            raise DataError(f"The tokenizer of {self._tokenizer.name_or_path} has no chat template: {error}") from error
        return source

    def _check_variables(self, chat: Chat) -> None:
        for name in chat.variables:
            if not re.search(rf"\b{re.escape(name)}\b", self._source(chat.variables)):
                raise self._left_out(name)

    def _check_fields(self, chat: Chat, place: int, message: Message) -> None:
        role = message["role"]
        for name, value in message.items():
            several = name == "tool_calls" and len(value) > 1
            what = f"all {name}" if several else name
            known = name in ("role", "content") or (role, what) in self._written_fields
            if known or value in ("", [], {}) or (role == "tool" and name in REFERENCES):
                continue
            before = list(chat.messages[:place])
            # Reasoning may be given under several names, of which the template needs one.
            without = {key: other for key, other in message.items() if other != value or key in ("role", "content")}
            if several:
                without[name] = value[:-1]
            if self.write(chat, [*before, message]) == self.attempt(chat, [*before, without]):
                raise self._left_out(f"{what} (message {place + 1})")
            self._written_fields.add((role, what))

    def _check_lists(self, chat: Chat) -> None:
        """Check that tools and documents are written for an answer: a template may name them, and leave them out."""
        for name in LISTS:
            if name in chat.variables and name not in self._written_variables and any(chat.learned):
                others = {key: value for key, value in chat.variables.items() if key != name}
                if self._answer_texts(chat) == self._answer_texts(replace(chat, variables=others)):
                    raise self._left_out(name)
                self._written_variables.add(name)

    def _answer_texts(self, chat: Chat) -> list[Written | None]:
        """What is written for the chat, and before each of its answers."""
        places = [place for place, learned in enumerate(chat.learned) if learned and place]
        prompts = [self.attempt(chat, chat.messages[:place], prompt=True) for place in places]
        return [self.attempt(chat, chat.messages), *prompts]

    def _left_out(self, what: str) -> DataError:
        return DataError(
            f"The chat template of {self._tokenizer.name_or_path} does not write {what}, so it would not be learned. "
            "Remove it from the data, or choose a model whose template does."
        )

    def _with_content(self, chat: Chat, message: Message) -> Message:
        """The message with its content as a text or as a list of parts, whichever the template writes."""
        content = message.get("content")
        if isinstance(content, str):
            if self._takes_content(chat, message["role"], PROBES[0]) or not content:
                return message
            parts = [{"type": "text", "text": content}]
            return message | {"content": parts} if self._takes_content(chat, message["role"], parts) else message
        if content is None or self._takes_content(chat, message["role"], content):
            return message
        return message | {"content": "\n".join(part["text"] for part in content)}

    def _takes_content(self, chat: Chat, role: str, content: str | list[Message]) -> bool:
        """Whether the template writes a content of this type in messages of `role`."""
        key = role, type(content).__name__
        if key not in self._takes:
            probe = PROBES[0] if isinstance(content, str) else [{"type": "text", "text": PROBES[0]}]
            message = {"role": role, "content": probe}
            contents: tuple[Any, Any] = PROBES[1], [{"type": "text", "text": PROBES[1]}]
            questions = [{"role": "user", "content": other} for other in contents]
            chats = [[message], *([user, message] for user in questions), *([message, user] for user in questions)]
            written = [self.attempt(replace(chat, variables={}), messages) for messages in chats]
            texts = [chat_text.text for chat_text in written if chat_text is not None]
            # A list that a template takes for a text is written with Python's quotes and braces.
            self._takes[key] = any(PROBES[0] in text and f"'{PROBES[0]}'" not in text for text in texts)
        return self._takes[key]

    def _with_calls(self, chat: Chat) -> Chat:
        """The chat with tool calls in the form that the template takes; the first is the one it is documented to."""
        if not any("tool_calls" in message for message in chat.messages):
            return chat
        refusal: DataError | None = None
        for form in call_forms(chat):
            try:
                self.write(form, form.messages)
                return form
            except DataError as error:
                refusal = refusal or error
        assert refusal
        raise refusal


def texts_of(message: Message) -> list[str]:
    """The texts of a message's content."""
    content = message.get("content") or []
    return [content] if isinstance(content, str) else [part["text"] for part in content]


def with_text(message: Message, text: str) -> Message:
    """The message with another content of the same type."""
    content = message.get("content")
    return message | {"content": text if isinstance(content, str | None) else [{"type": "text", "text": text}]}


def call_forms(chat: Chat) -> Iterator[Chat]:
    """The chat with arguments of tool calls as objects, then as JSON text; each without and with an empty content."""
    for as_text in (False, True):
        messages = [_with_arguments(message, as_text=as_text) for message in chat.messages]
        yield replace(chat, messages=messages)
        yield replace(chat, messages=[{"content": ""} | message for message in messages])


def _with_arguments(message: Message, *, as_text: bool) -> Message:
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        if "function" in call:
            calls.append(call | {"function": _call_with_arguments(call["function"], as_text=as_text)})
        else:
            calls.append(_call_with_arguments(call, as_text=as_text))
    return message | {"tool_calls": calls}


def _call_with_arguments(call: Message, *, as_text: bool) -> Message:
    arguments = call.get("arguments")
    if as_text and isinstance(arguments, dict):
        return call | {"arguments": json.dumps(arguments, ensure_ascii=False)}
    if not as_text and isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except ValueError:
            return call
        return call | {"arguments": parsed} if isinstance(parsed, dict) else call
    return call
