"""An HTML file that needs nothing else: no network, no server. Nothing but its own scripts and styles may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from passingloop import __version__
from passingloop.report.html.markup import Child, Markup, element, text

_FOLDER = files("passingloop.report.html")

STYLES = ("page.css", "tables.css", "charts.css")
FIRST_SCRIPT = "first.js"
"""Runs before anything is shown."""

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath d='M1 22h30M5 22c5 0 5"
    "-11 10-11h2c5 0 5 11 10 11' fill='none' stroke='%230b5cad' stroke-width='3.5'/%3E%3C/svg%3E"
)


def document(title: str, body: Child, scripts: Sequence[str]) -> str:
    """The whole file.

    Args:
        body: the content, with the blocks of data that the scripts read.
        scripts: names of files in `assets`; they run in this order, as one script, after the library of charts.
    """
    style = Markup("\n".join(_asset(name) for name in STYLES))
    first = Markup(_asset(FIRST_SCRIPT))
    library = Markup((_FOLDER / "vendored" / "echarts.js").read_text(encoding="utf-8"))
    script = Markup('"use strict";(() => {\n' + "\n".join(_asset(name) for name in scripts) + "\n})();\n")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy([first, library, script], style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"passingloop {__version__}"),
        Markup(f'<link rel="icon" href="{ICON}">'),
        element("title", title),
        element("style", style),
        element("script", first),
    )
    content = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        body,
        element("script", library),
        element("script", script),
    )
    page = f"<!DOCTYPE html>\n{element('html', head, content, lang='en')}\n"
    return page.encode(errors="replace").decode()  # names of folders, and damaged texts, may be no Unicode


def _asset(name: str) -> str:
    return (_FOLDER / "assets" / name).read_text(encoding="utf-8")


def _policy(scripts: list[Markup], style: Markup) -> str:
    """Nothing may be loaded, and no script and no style but these may run, whatever a text of the report contains."""
    allowed = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; style-src-attr 'none'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(content: Markup) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text(content).encode()).digest()).decode()}'"
