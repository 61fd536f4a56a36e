"""What the source of a chat template tells of chats that it refuses, without running it: before the heavy imports.

Only what is certain is told; `passingloop.tasks.chat_template` runs the template and finds the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.errors import DataError

OTHER_TEMPLATES = ("tekken.json", "chat_template.json", "processor_config.json", "*.gguf")
"""Files that may hold a template, or stand for one, which are not looked into."""

WHOLE = re.compile(r"\b(?:tojson|items|values|keys|string|pprint|dictsort|map|list|join|format|xmlattr|selectattr)\b")
"""Words of a template that may write a message with fields that it does not name."""

LOOP = re.compile(r"\bfor\s+([\w\s,]+?)\s+in\b|\bset\s+(\w+)\s*=|\bmacro\s+\w+\(([^)]*)\)")
"""Names that a template gives to what it goes through, such as messages."""

NEVER_WRITTEN = frozenset({"role", "content", "weight", "train"})
"""Fields that are no other: they are checked by themselves, or not given to the template."""


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """The chat templates of a model."""

    model: str
    text: str
    """All of them, one after another."""

    def refusal(self, chat: Mapping[str, Any]) -> str | None:
        """Why the template certainly refuses a chat, an object as in the column `messages`; None if it may take it."""
        variables = chat.get("chat_template_kwargs", {}) | {
            name: value for name, value in chat.items() if name not in ("messages", "chat_template_kwargs")
        }
        unwritten = [name for name in variables if not self._names(name)]
        if not unwritten and not self._may_write_whole():
            unwritten = [
                f"{name} (message {number})"
                for number, message in enumerate(chat["messages"], 1)
                for name in self._unwritten_fields(message)
            ]
        if not unwritten:
            return None
        return (
            f"The chat template of {self.model} does not write {unwritten[0]}, so it would not be learned. Remove it "
            "from the data, or choose a model whose template does."
        )

    def _unwritten_fields(self, message: Mapping[str, Any]) -> Iterator[str]:
        """The fields that no template names, nor another field with the same value."""
        others = {name: value for name, value in message.items() if name not in NEVER_WRITTEN}
        if message["role"] == "tool":
            others = {name: value for name, value in others.items() if name not in ("name", "tool_call_id")}
        for name, value in others.items():
            same = [other for other in others if others[other] == value]
            if value not in ("", [], {}, None) and not any(map(self._names, same)):
                yield name

    def _names(self, word: str) -> bool:
        return re.search(rf"\b{re.escape(word)}\b", self.text) is not None

    def _may_write_whole(self) -> bool:
        """Whether the templates may write a message as it is, with all its fields."""
        own = {name for names in LOOP.findall(self.text) for name in re.findall(r"\w+", " ".join(names))}
        before, after = r"(?:\{\{-?|[~+(,=|])", r"(?:-?\}\}|[~+),|]|-?%\})"
        printed = rf"{before}\s*(?:{'|'.join(own | {'messages'})})\s*{after}"
        walked = rf"\bin\s+(?:{'|'.join(own)})\s*-?%\}}" if own else printed
        return any(re.search(sign, self.text) for sign in (WHOLE, printed, walked))


def template_source(model: str) -> TemplateSource | None:
    """The templates of the model in the folder `model`; None if they cannot be told from its files.

    Raises:
        DataError: it has none.
    """
    folder = Path(model)
    if not (folder / "tokenizer_config.json").is_file() or any(any(folder.glob(name)) for name in OTHER_TEMPLATES):
        return None
    files = [folder / "chat_template.jinja", *sorted(folder.glob("additional_chat_templates/*.jinja"))]
    texts = []
    with suppress(OSError, ValueError, AttributeError):  # transformers will report a damaged file
        texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
        texts += _strings(json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template"))
        if not texts:
            raise no_template(model)
        return TemplateSource(model, "\n".join(texts))
    return None


def no_template(model: str) -> DataError:
    """The error for chats that no template can write."""
    return DataError(
        f"You set data.messages, but the tokenizer of {model} has no chat template. Choose an instruction-tuned model, "
        "or write the chats as text and set data.text."
    )


def _strings(value: object) -> list[str]:
    """The templates of a tokenizer's settings: one, or a list of named ones."""
    if isinstance(value, list):
        return [str(item["template"]) for item in value]
    return [value] if isinstance(value, str) and value else []
