"""A password that was typed is refused before anything shows, logs or stores it. Its value is in no message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passingloop.config.build import leaves
from passingloop.errors import ConfigError

NAMES = r"(?:pwd|password|passwd|passphrase)"
KEY = re.compile(NAMES, re.IGNORECASE)
IN_TEXT = re.compile(rf"(?<!\w){NAMES}['\"]?\s*[=:]\s*[^\s;,}}]", re.IGNORECASE)
"""As in ``Driver=x;PWD=y`` or ``{password: y}``; `password_env=NAME` is none."""
IN_URL = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")
WEBHOOK = "webhook_env"
"""The setting that names a variable, where people may type the secret address itself."""
QUERIES = ("train", "validation", "test")
"""Where ``password='x'`` may be a condition."""

DO = (
    "Put it into an environment variable, and set data.password_env to the name of that. What was typed stands in "
    "your shell's history, and perhaps in a log: change it."
)


def refuse_passwords(words: Sequence[str]) -> None:
    """The words of a command line hold no password.

    Raises:
        ConfigError: one does; the message has its key only.
    """
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        _refuse(key, value)


def refuse_passwords_in(section: Mapping[str, Any]) -> None:
    """A composed configuration holds no password.

    Raises:
        ConfigError: it does; the message has its key only.
    """
    for key, value in _texts(section):
        _refuse(key, value)


def refuse_passwords_shown(text: str) -> None:
    """What is about to be printed, YAML for instance, holds no password.

    Raises:
        ConfigError: it does.
    """
    key = ""
    for line in text.splitlines():
        name, separator, value = line.lstrip(" -").partition(":")
        key, value = (name, value) if separator and re.fullmatch(r"\w+", name) else (key, line)
        _refuse(key, value.strip())


def _refuse(key: str, value: str) -> None:
    name = key.rpartition(".")[2]
    if name == WEBHOOK and not re.fullmatch(r"\w*", value.strip("'\"")):
        raise ConfigError(
            f"You set {key} to something else than the name of an environment variable. The address of a webhook is a "
            f"secret: put it into a variable, and set {key} to the name of that. What was typed stands in your shell's "
            "history: have a new address made."
        )
    if KEY.fullmatch(name) and value.strip("'\"") not in ("", "null"):
        raise ConfigError(f"You set {key} to a password, but settings are shown and stored. {DO}")
    if IN_URL.search(value) or (name not in QUERIES and IN_TEXT.search(value)):
        raise ConfigError(f"You set {key} to a text with a password in it, but settings are shown and stored. {DO}")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, part in leaves(value, f"{key}." if key else ""):
            yield from _texts(part, name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, key)
    elif value is not None:
        yield key, str(value)
