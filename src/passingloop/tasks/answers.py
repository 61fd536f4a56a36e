"""Which text of a chat is learned: the answers, as the model has to give them, and the token that ends each.

An answer is what follows the generation prompt that the template writes for it. If the template writes earlier answers
otherwise than the last one (without reasoning, or with another end), each of them gets a text of its own, which ends
with it, as at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from passingloop.errors import DataError
from passingloop.tasks.chat_template import PROBES, Chat, ChatTemplate, Message, Span, Written, texts_of, with_text

LONGEST_OPENING = 64
"""Characters of the mark that opens reasoning, such as ``<think>``; a generation prompt may have written it already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedText:
    """A text, and what of it is learned."""

    text: str
    spans: tuple[Span, ...] = ()
    """The start and end (exclusive) in characters of each passage that is learned."""
    ends: tuple[str, ...] = ()
    """The tokens that end its answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """An answer, in a text that ends with it."""

    text: str
    spans: tuple[Span, ...]
    turn: int
    """Where the token that ends the answer ends, in characters."""
    end: str
    """That token."""


class AnswerFinder:
    """Finds what is to be learned from chats.

    Raises:
        DataError: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._template = ChatTemplate(tokenizer)
        self._ends = _AnswerEnds(tokenizer, self._template)
        self._name = tokenizer.name_or_path

    def learned_texts(self, chat: Chat) -> list[LearnedText]:
        """The texts to learn from a chat: one for all answers, if the template writes all of them as it writes the
        last. Without an answer the text has no spans.

        Raises:
            DataError: the template refuses the chat, leaves a part of it out, or does not end its answers.
        """
        chat = self._template.adapted(chat)
        full = self._template.write(chat, chat.messages)
        answers = []
        checked = 0
        for place, learned in enumerate(chat.learned):
            if learned:
                is_last = place == len(chat.messages) - 1
                answered = full if is_last else self._template.write(chat, chat.messages[: place + 1])
                answers.append(self._answer(chat, checked, place, answered))
                checked = place
        return self._merged(full.text, filter(None, answers))

    def _answer(self, chat: Chat, checked: int, place: int, answered: Written) -> _Answer | None:
        """The answer at `place`; None if a template with ``{% generation %}`` marks nothing of it.

        Args:
            checked: the number of messages whose contents are known to be written.
            answered: what the template writes for the chat up to this answer.
        """
        messages = chat.messages[: place + 1]
        # Templates refuse an empty chat.
        prompt = self._template.write(chat, messages[:-1], prompt=True) if place else None
        if prompt is not None:
            self._template.check_contents(chat, checked, place, prompt.text)
        blocks = answered.blocks[len(prompt.blocks) if prompt else 0 :]
        marked = self._template.is_marked(chat)
        if marked and not (blocks and _missing_texts(messages[-1], answered.text[blocks[0][0] :])):
            return self._ends.ended(chat, place, answered.text, blocks) if blocks else None
        text, start = self._located(chat, messages, answered.text, prompt.text if prompt else None)
        spans = blocks if marked and text == answered.text else ((start, len(text)),)
        return self._ends.ended(chat, place, text, spans)

    def _located(self, chat: Chat, messages: Sequence[Message], text: str, prompt: str | None) -> tuple[str, int]:
        """A text that ends with the last message, an answer, and the place where the answer begins.

        Args:
            text: what the template writes for `messages`.
            prompt: what the model is given at inference for the answer.
        """
        message = messages[-1]
        start = None
        if prompt is not None and text.startswith(prompt):
            start = len(prompt)
        elif completion := self._completion(chat, message, text):
            before = text.removesuffix(completion) if prompt is None else prompt
            text, start = before + completion, len(before)
        contents = texts_of(message)
        if start is not None and not _missing_texts(message, text[start:]):
            return text, start
        probed = [self._template.write(chat, [*messages[:-1], with_text(message, probe)]).text for probe in PROBES]
        if probed[0] == probed[1] and (contents or start is None):
            raise DataError(
                f"The chat template of {self._name} does not write the content of message {len(messages)}, an answer. "
                "Remove that message, or choose a model whose template does."
            )
        begin = common_length(*probed, text)
        if start is None:
            start = begin
            if not _missing_texts(message, text[start:]):
                return text, start
        end = len(text) - common_length(*(probe[::-1] for probe in probed))
        return _restored("\n".join(contents), text, (begin, end), start, prompt)

    def _completion(self, chat: Chat, message: Message, text: str) -> str | None:
        """What `message` adds to the generation prompt in a chat of one question, if `text` ends with it as well."""
        question = question_of(chat)
        try:
            prompt = self._template.write(chat, [question], prompt=True).text
            answered = self._template.write(chat, [question, message]).text
        except DataError:
            return None
        completion = answered.removeprefix(prompt)
        return completion if completion != answered and text.endswith(completion) else None

    def _merged(self, full: str, answers: Iterable[_Answer]) -> list[LearnedText]:
        """The answers in as few texts as possible; in `full`, the text of the whole chat, where it has them."""
        texts = [LearnedText(text=full)]
        for answer in answers:
            for number, known in enumerate(texts):
                if known.text[: answer.turn] == answer.text[: answer.turn]:
                    texts[number] = self._with_answer(known, answer, known.text)
                    break
                if answer.text.startswith(known.text):
                    texts[number] = self._with_answer(known, answer, answer.text)
                    break
            else:
                texts.append(self._with_answer(LearnedText(text=answer.text), answer, answer.text))
        learned = sorted((text for text in texts if text.spans), key=lambda text: len(text.text))
        return learned or [LearnedText(text=full)]

    def _with_answer(self, known: LearnedText, answer: _Answer, text: str) -> LearnedText:
        shared = self._ends.whole_tokens(answer.text, common_length(text, answer.text))
        spans = [(start, min(stop, shared)) for start, stop in answer.spans if start < shared]
        return LearnedText(text=text, spans=(*known.spans, *spans), ends=(*known.ends, answer.end))


class _AnswerEnds:
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

    def ended(self, chat: Chat, place: int, text: str, spans: Sequence[Span]) -> _Answer:
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
                return _Answer(text=text, spans=(*earlier, (start, max(stop, last))), turn=tokens[0][1], end=end)
            if opening := self._next_opening(kind, chat, place):
                text += opening
                return _Answer(text=text, spans=(*earlier, (start, len(text))), turn=len(text), end=opening.strip())
        if self._eos is None:
            raise DataError(
                f"The chat template of {self._name} writes no token at the end of an answer, and the tokenizer has no "
                "eos token, so the model would never learn to stop. Choose a model whose template ends its answers."
            )
        text = text.removesuffix(self._space_after_answers(chat)) + self._eos
        return _Answer(text=text, spans=(*earlier, (start, len(text))), turn=len(text), end=self._eos)

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
        try:
            answered, continued = (self._template.write(chat, messages[:number]).text for number in (2, 3))
        except DataError:
            return "", ""
        return answered, continued


def question_of(chat: Chat) -> Message:
    """A short question with a content of the type that the chat's messages have."""
    contents = [message["content"] for message in chat.messages if message["role"] == "user" and "content" in message]
    return with_text({"role": "user", "content": contents[0] if contents else ""}, PROBES[1])


def _missing_texts(message: Message, text: str) -> bool:
    """Whether a text of the message's content does not stand in `text` as it is."""
    return not all(content.strip() in text for content in texts_of(message))


def _restored(content: str, text: str, written: Span, start: int, prompt: str | None) -> tuple[str, int]:
    """The answer with the beginning of its content, the reasoning, if the template has left it out.

    Args:
        text: what the template writes.
        written: the part of `text` for the content.
        start: where the answer begins in `text`.
    """
    begin, end = written
    if not content.strip().endswith(text[begin:end].strip()):
        return text, start  # written in other words, such as JSON
    prompt = text[:start] if prompt is None else prompt
    openings = (content[:length].strip() for length in range(min(len(content), LONGEST_OPENING), 0, -1))
    begun = next((opening for opening in openings if opening and prompt.rstrip().endswith(opening)), None)
    rest = content if begun is None else content.lstrip().removeprefix(begun).lstrip()
    return f"{prompt}{rest}{text[max(begin, end) :]}", len(prompt)


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
