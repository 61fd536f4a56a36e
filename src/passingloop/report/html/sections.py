"""Parts that all pages are made of: the head and foot of a page about one thing, sections, charts, figures in tiles."""

from __future__ import annotations

from collections.abc import Iterable

from passingloop import __version__
from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import SPACE
from passingloop.report.html.summary import figure_value

ABSENCE = "“–” means that a figure is not known."


def page_header() -> Markup:
    """Of a page without others beside it."""
    return element("header", element("span", "passingloop", class_="brand"), element("nav"), element("div", id="theme"))


def page_footer(sources: str) -> Markup:
    """What the page was made from, and whose charts these are."""
    return element(
        "footer",
        element("p", f"Made by passingloop {__version__} {sources} {ABSENCE}"),
        element("p", "Charts: Apache ECharts, under the Apache License 2.0; the licences stand in this file."),
    )


def section(identity: str, title: str, *children: Child) -> Markup:
    heading = element("h2", title, id=f"{identity}-title")
    return element("section", heading, children, id=identity, aria_labelledby=f"{identity}-title")


def chart(identity: str, about: str, kind: str = "") -> Markup:
    """Where a script draws a chart; `about` says in words what it shows, `kind` is a class of the style sheet."""
    return element("div", id=identity, class_=f"chart {kind}".strip(), role="img", aria_label=about)


def folded(summary: str, content: Child) -> Markup:
    return element("details", element("summary", summary), content)


def tiles(figures: Iterable[tuple[str, str, str]]) -> Markup:
    """Key figures, each with its title, its value and a note, which may be empty."""
    return element("dl", [_tile(*figure) for figure in figures], class_="tiles")


def _tile(title: str, value: str, note: str) -> Markup:
    return element(
        "div",
        element("dt", title),
        element("dd", figure_value(value.replace(" ", SPACE)), class_="value"),
        element("dd", note, class_="note") if note else None,
    )
