"""The token with which the model ends an answer, wherever the chat template writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from passingloop.errors import DataError
from passingloop.tasks.chat_template import PROBES, Chat, ChatTemplate, Message, Span, with_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer, in a text that ends with it."""

    text: str
    spans: tuple[Span, ...]
    turn: int
    """Where the token that ends the answer ends, in characters."""
    end: str
    """That token."""
    unprompted: bool = False
    """Whether it does not follow the generation prompt."""


class AnswerEnds:
    """Finds the token that ends an answer, wherever the template writes it."""

    def __init__(self, tokenizer: Any, template: ChatTemplate) -> None:
        self._template = template
        self._name, self._bos, self._eos = tokenizer.name_or_path, tokenizer.bos_token, tokenizer.eos_token
        added = tokenizer.added_tokens_decoder.values()
        special = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
        self._any_added = _one_of(special | {str(token) for token in added})
        self._kinds = _one_of(special), self._any_added
        """The tokens that may end an answer; the second kind is tried if the first does not end it."""
        self._starts_of_next: dict[tuple[str, str, bool], str | None] = {}
        self._last: dict[tuple[str, ...], str] = {}

    def ended(self, chat: Chat, place: int, text: str, spans: Sequence[Span]) -> Answer:
        """The answer at `place` with its end.

        Args:
            text: it ends with the answer.
            spans: what is learned of `text`.

        Raises:
            DataError: the template does not end answers, and the tokenizer has no eos token.
        """
        *earlier, (start, stop) = spans
        for kind in self._kinds:
            if tokens := _last_tokens(kind, text, spans[0][0]):
                end = self._turn_end(kind, chat, [text[first:last] for first, last in tokens])
                last = next(last for first, last in tokens if text[first:last] == end)
                if self._opens_answers(chat, text[last:]):
                    stop = last
                return Answer(text=text, spans=(*earlier, (start, max(stop, last))), turn=tokens[0][1], end=end)
            if opening := self._next_opening(kind, chat, place):
                text += opening
                return Answer(text=text, spans=(*earlier, (start, len(text))), turn=len(text), end=opening.strip())
        if self._eos is None:
            raise DataError(
                f"The chat template of {self._name} writes no token at the end of an answer, and the tokenizer has no "
                "eos token, so the model would never learn to stop. Choose a model whose template ends its answers."
            )
        text = text.removesuffix(self._space_after_answers(chat)) + self._eos
        return Answer(text=text, spans=(*earlier, (start, len(text))), turn=len(text), end=self._eos)

    def whole_tokens(self, text: str, length: int) -> int:
        """`length`, or less, so that `text` cut to it does not end within an added token."""
        if length == len(text):
            return length
        cut = (token.start() for token in self._any_added.finditer(text) if token.start() < length < token.end())
        return next(cut, length)

    def _turn_end(self, kind: re.Pattern[str], chat: Chat, tokens: list[str]) -> str:
        """The one of the last `tokens` of an answer with which the model ends it.

        Templates write some after the last answer of a chat only, as Phi-3 an eos token.
        """
        key = tuple(tokens)
        if len(tokens) > 1 and key not in self._last:
            answered, continued = self._short_chats(chat, {"role": "assistant", "content": PROBES[0]}, "user")
            shared = common_length(answered, continued)
            before = [answered[first:last] for first, last in _last_tokens(kind, answered, 0) if last <= shared]
            self._last[key] = before[-1] if before and before[-1] in tokens else tokens[-1]
        return self._last.get(key, tokens[-1])

    def _next_opening(self, kind: re.Pattern[str], chat: Chat, place: int) -> str | None:
        """The token with which the next message opens, and white space before it, if it ends an answer, as with
        GLM-4."""
        message = chat.messages[place]
        calls = "tool_calls" in message
        following = [other["role"] for other in chat.messages[place + 1 : place + 2] if other["role"] != "assistant"]
        role = following[0] if following else "tool" if calls else "user"
        key = kind.pattern, role, calls
        if key not in self._starts_of_next:
            answer = message if calls else {"role": "assistant", "content": PROBES[0]}
            answered, continued = self._short_chats(chat, answer, role)
            added = continued.removeprefix(answered)
            opening = re.match(rf"\s*({kind.pattern})", added) if added != continued else None
            self._starts_of_next[key] = opening.group() if opening and opening.group(1) != self._bos else None
        return self._starts_of_next[key]

    def _opens_answers(self, chat: Chat, added: str) -> bool:
        """Whether `added`, written after the end of an answer, is the prompt for another one, which some templates
        write whether it is asked for or not."""
        prompt = self._template.attempt(chat, [question_of(chat)], prompt=True) if added.strip() else None
        return prompt is not None and prompt.text.endswith(added)

    def _space_after_answers(self, chat: Chat) -> str:
        answered, _ = self._short_chats(chat, {"role": "assistant", "content": PROBES[0]}, "user")
        after = answered.rpartition(PROBES[0])[2]
        return "" if after.strip() else after

    def _short_chats(self, chat: Chat, answer: Message, role: str) -> tuple[str, str]:
        """The texts of a question with this answer, and of both with a message of `role` after them; empty texts if
        the template refuses them."""
        form = chat.messages[0].get("content")
        answer = answer if "tool_calls" in answer else with_text({**answer, "content": form}, PROBES[0])
        messages = [question_of(chat), answer, with_text({"role": role, "name": "f", "content": form}, PROBES[1])]
        answered, continued = (self._template.attempt(chat, messages[:number]) for number in (2, 3))
        return (answered.text, continued.text) if answered and continued else ("", "")


def question_of(chat: Chat) -> Message:
    """A short question with a content of the type that the chat's messages have."""
    contents = [message["content"] for message in chat.messages if message["role"] == "user" and "content" in message]
    return with_text({"role": "user", "content": contents[0] if contents else ""}, PROBES[1])


def _one_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern of these tokens, longest first; of nothing without tokens."""
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or "(?!)")


def _last_tokens(kind: re.Pattern[str], text: str, start: int) -> list[Span]:
    """The tokens at the end of `text`, after `start`, with nothing but white space between and after them."""
    run = re.compile(rf"(?:(?:{kind.pattern})\s*)+\Z").search(text, start)
    return [token.span() for token in kind.finditer(text, run.start())] if run else []


def common_length(*texts: str) -> int:
    """The number of characters with which all texts begin."""
    first, last = min(texts), max(texts)  # what these two share, all share
    if last.startswith(first):
        return len(first)
    return next(length for length, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
