"""HTML from values: every text is escaped, unless it is `Markup` already."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

VOID = {"meta", "rect", "input", "col", "line", "circle"}
"""Elements without content; those of SVG are closed at once."""

_IN_A_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SCRIPT_TABLE = str.maketrans(_IN_A_SCRIPT)


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


Child = str | int | Iterable[Any] | None
"""What an element may contain: text, a number, markup, nothing, or several of these."""


def text(child: Child) -> Markup:
    """`child` as HTML."""
    match child:
        case None:
            return Markup()
        case Markup():
            return child
        case str() | int():
            return Markup(html.escape(str(child)))
        case _:
            return Markup("".join(text(part) for part in child))


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element of HTML or SVG.

    Args:
        attributes: ``class_`` is ``class``, ``data_value`` is ``data-value``. True gives an attribute without a value;
            None and False give none.
    """
    words = [name]
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(word)
        elif value is not None and value is not False:
            words.append(f'{word}="{html.escape(str(value))}"')
    head = " ".join(words)
    if name in VOID:
        return Markup(f"<{head}>" if name in {"meta", "input", "col"} else f"<{head}/>")
    return Markup(f"<{head}>{text(children)}</{name}>")


def data_block(identity: str, value: Any) -> Markup:
    """`value` as JSON in a script element that is not run. No text of it can end the element."""
    words = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_SCRIPT_TABLE)
    return Markup(f'<script type="application/json" id="{html.escape(identity)}">{words}</script>')
