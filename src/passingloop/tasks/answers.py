"""Which text of a chat is learned: the answers, as the model has to give them, and the token that ends each.

An answer is what follows the generation prompt that the template writes for it. If the template writes earlier answers
otherwise than the last one (without reasoning, or with another end), each of them gets a text of its own, which ends
with it, as at inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from passingloop.errors import DataError
from passingloop.tasks.answer_ends import Answer, AnswerEnds, common_length, question_of
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
    unprompted: int = 0
    """How many of its answers do not follow the generation prompt, which begins reasoning that they lack."""


class AnswerFinder:
    """Finds what is to be learned from chats.

    Raises:
        DataError: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._template = ChatTemplate(tokenizer)
        self._ends = AnswerEnds(tokenizer, self._template)
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

    def _answer(self, chat: Chat, checked: int, place: int, answered: Written) -> Answer | None:
        """The answer at `place`; None if a template with ``{% generation %}`` marks nothing of it.

        Args:
            checked: the number of messages whose contents are known to be written.
            answered: what the template writes for the chat up to this answer.
        """
        messages = chat.messages[: place + 1]
        # Templates refuse an empty chat, and some one without an answer.
        prompt = self._template.attempt(chat, messages[:-1], prompt=True) if place else None
        if prompt is not None:
            self._template.check_contents(chat, checked, place, prompt.text)
        text, spans = self._learned_spans(chat, messages, answered, prompt)
        unprompted = prompt is not None and not text.startswith(prompt.text)
        return replace(self._ends.ended(chat, place, text, spans), unprompted=unprompted) if spans else None

    def _learned_spans(
        self, chat: Chat, messages: Sequence[Message], answered: Written, prompt: Written | None
    ) -> tuple[str, Sequence[Span]]:
        """A text that ends with the last message, an answer, and what of it is learned."""
        blocks = answered.blocks[len(prompt.blocks) if prompt else 0 :]
        marked = self._template.is_marked(chat)
        if marked and not (blocks and _missing_texts(messages[-1], answered.text[blocks[0][0] :])):
            return answered.text, blocks
        text, start = self._located(chat, messages, answered.text, prompt.text if prompt else None)
        return text, blocks if marked and text == answered.text else ((start, len(text)),)

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
                return _prompted(text, start, prompt)
        end = len(text) - common_length(*(probe[::-1] for probe in probed))
        return _restored("\n".join(contents), text, (begin, end), start, prompt)

    def _completion(self, chat: Chat, message: Message, text: str) -> str | None:
        """What `message` adds to the generation prompt in a chat of one question, if `text` ends with it as well."""
        question = question_of(chat)
        # Templates may write tools for the last question only.
        without_tools = {name: value for name, value in chat.variables.items() if name not in ("tools", "documents")}
        for short in (chat, replace(chat, variables=without_tools)):
            prompt = self._template.attempt(short, [question], prompt=True)
            answered = self._template.attempt(short, [question, message])
            if prompt and answered and answered.text.startswith(prompt.text):
                completion = answered.text.removeprefix(prompt.text)
                if text.endswith(completion):
                    return completion
        return None

    def _merged(self, full: str, answers: Iterable[Answer]) -> list[LearnedText]:
        """The answers in as few texts as possible; in `full`, the text of the whole chat, where it has them."""
        texts = [LearnedText(text=full)]
        for answer in answers:
            for number, known in enumerate(texts):
                if known.text[: answer.turn] == answer.text[: answer.turn]:
                    texts[number] = self._with_answer(known, answer, known.text)
                    break
                needed = max((stop for _, stop in known.spans), default=0)
                if answer.text[:needed] == known.text[:needed]:
                    texts[number] = self._with_answer(known, answer, answer.text)
                    break
            else:
                texts.append(self._with_answer(LearnedText(text=answer.text), answer, answer.text))
        learned = sorted((text for text in texts if text.spans), key=lambda text: len(text.text))
        return learned or [LearnedText(text=full)]

    def _with_answer(self, known: LearnedText, answer: Answer, text: str) -> LearnedText:
        shared = self._ends.whole_tokens(answer.text, common_length(text, answer.text))
        spans = [(start, min(stop, shared)) for start, stop in answer.spans if start < shared]
        return LearnedText(
            text=text,
            spans=(*known.spans, *spans),
            ends=(*known.ends, answer.end),
            unprompted=known.unprompted + answer.unprompted,
        )


def _prompted(text: str, start: int, prompt: str | None) -> tuple[str, int]:
    """The answer that begins at `start`, after the generation prompt, if the prompt has more before the same header.

    Granite's has settings of the answer, which the template does not write into earlier turns.
    """
    if prompt is not None:
        shared = common_length(prompt, text[:start])
        header = text[shared:start]
        if header.strip() and prompt[shared:].endswith(header):
            return prompt + text[start:], len(prompt)
    return text, start


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
