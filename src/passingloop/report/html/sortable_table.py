"""Tables that sort: a heading is a button where scripts run, and every cell says what it sorts by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import ABSENT, number, share

LONG_TEXT = 40
"""Characters from which on the text of a cell may have several lines."""

FEW_ROWS = 12
"""Rows that are shown at first where scripts run; a button shows the rest."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and what it sorts by."""

    content: Child
    value: float | str | None = None
    """None if the figure is not known: such cells come last, whichever way a table is sorted."""
    bar: float | None = None
    """A share of 1 that is drawn as a small bar beside the text."""


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    unit: str = ""
    is_text: bool = False
    """Aligned to the left, and sorted from A to Z at first; numbers begin with the largest."""


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    identity: str,
    sorted_by: int | None = None,
    ascending: bool = False,
    all_rows: bool = False,
) -> Markup:
    """A table whose first column names its rows.

    Args:
        identity: an id that no other table of the page has.
        sorted_by: the column by which the rows are sorted already, the largest first unless `ascending`.
        all_rows: no rows are folded away.
    """
    heads = [
        element(
            "th",
            column.title,
            column.unit and element("span", column.unit, class_="unit"),
            scope="col",
            class_="text" if column.is_text else None,
            aria_sort=("ascending" if ascending else "descending") if index == sorted_by else None,
        )
        for index, column in enumerate(columns)
    ]
    body = [element("tr", [_cell(*pair, columns) for pair in zip(count(), row)]) for row in rows]
    content = element(
        "table",
        element("caption", caption, id=f"{identity}-caption"),
        element("thead", element("tr", heads)),
        element("tbody", body),
        class_="sortable",
        data_few=None if all_rows else FEW_ROWS,
    )
    return element(
        "div", content, class_="scroll", role="region", tabindex="0", aria_labelledby=f"{identity}-caption", id=identity
    )


def _cell(index: int, cell: Cell, columns: Sequence[Column]) -> Markup:
    content = cell.content
    if content == ABSENT:
        content = element("span", ABSENT, class_="absent", title="not known", aria_label="not known", role="img")
    if cell.bar is not None:
        content = [_bar(cell.bar), content]
    kind = "text" if columns[index].is_text else None
    if isinstance(content, str) and not isinstance(content, Markup) and len(content) > LONG_TEXT:
        kind = "text long"
    value = cell.value if cell.value is None else str(cell.value)
    if index == 0:
        return element("th", content, scope="row", class_=kind, data_value=value)
    return element("td", content, class_=kind, data_value=value)


def _bar(part: float) -> Markup:
    """A bar of the width of its share; the text beside it says the same."""
    width = f"{100 * min(max(part, 0), 1):.0f}%"
    lines = (
        element("rect", class_="bar-whole", width="100%", height="100%"),
        element("rect", class_="bar-part", width=width, height="100%"),
    )
    return element("svg", lines, class_="bar", aria_hidden="true", width="48", height="6")


def number_cell(value: float | None, unit: str = "") -> Cell:
    return Cell(number(value, unit), value)


def share_cell(value: float | None, *, bar: bool = False) -> Cell:
    return Cell(share(value), value, value if bar else None)


def text_cell(text: str | None) -> Cell:
    return Cell(text or ABSENT, text.lower() if text else None)
