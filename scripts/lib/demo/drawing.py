"""A recording as an SVG that plays by itself: all pictures stand side by side, and a style moves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

import pyte

from demo.cast import Cast

SHORTEST_PICTURE = 0.4
"""Seconds. What changes more often, such as a progress bar, is drawn this often."""

STAYS = 4.0
"""Seconds that the last picture stays."""

CELL, LINE, EDGE = 8.4, 18.0, 16.0
BACKGROUND, FOREGROUND = "#16191d", "#d6dae0"
COLOURS = {
    "black": "#5c6370", "red": "#f07178", "green": "#8fce72", "brown": "#e5c07b", "blue": "#73b7f2",
    "magenta": "#d58be0", "cyan": "#62c8cf", "white": "#d6dae0",
}  # fmt: skip

Row = str
"""A row of the terminal, drawn."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the terminal shows from a moment on."""

    at: float
    rows: tuple[Row, ...]


def pictures(cast: Cast) -> list[Picture]:
    """The pictures of a recording."""
    made: list[Picture] = []
    screen = pyte.Screen(cast.width, cast.height)
    stream = pyte.Stream(screen)
    for (at, text), (following, _) in zip(cast.output, [*cast.output[1:], (float("inf"), "")], strict=True):
        stream.feed(text)
        since = at - made[-1].at if made else SHORTEST_PICTURE
        if since < SHORTEST_PICTURE and following - at < SHORTEST_PICTURE:
            continue
        rows = tuple(_row(screen, number) for number in range(cast.height))
        if not made or rows != made[-1].rows:
            made.append(Picture(at, rows))
    return made


def animation(cast: Cast) -> str:
    """The SVG that plays a recording again and again. Who prefers less motion sees the last picture."""
    shown = pictures(cast)
    end = shown[-1].at + STAYS
    width, height = _size(cast)
    frames = "".join(
        f"{100 * picture.at / end:.2f}%{{transform:translateX({-number * width}px)}}"
        for number, picture in enumerate(shown)
    )
    last = f"animation:none;transform:translateX({-(len(shown) - 1) * width}px)"
    style = (
        f"#film{{animation:film {end:.1f}s steps(1,end) infinite}}"
        f"@keyframes film{{0%{{transform:translateX(0px)}}{frames}}}"
        f"@media (prefers-reduced-motion:reduce){{#film{{{last}}}}}"
    )
    names = {row: f"r{number}" for number, row in enumerate(dict.fromkeys(_all_rows(shown)))}
    rows = "".join(f'<text id="{name}" y="0">{row}</text>' for row, name in names.items() if row)
    film = "".join(
        f'<g transform="translate({number * width},0)">{"".join(_placed(picture, names))}</g>'
        for number, picture in enumerate(shown)
    )
    inside = f'<defs>{rows}</defs><g id="film">{film}</g>'
    return _drawing(cast.title, width, height, style, inside)


def still(cast: Cast, at: float) -> str:
    """The SVG of what the terminal shows at a moment."""
    until = Cast(
        output=[(time, text) for time, text in cast.output if time <= at], width=cast.width, height=cast.height
    )
    picture = pictures(until)[-1]
    rows = "".join(
        f'<text transform="translate({EDGE:.0f},{_baseline(number):.0f})">{row}</text>'
        for number, row in enumerate(picture.rows)
        if row
    )
    return _drawing(cast.title, *_size(cast), "", rows)


def moment(cast: Cast, shown: str) -> float:
    """When the terminal shows a text for the first time. Typed text comes a key at a time.

    Raises:
        ValueError: it never does.
    """
    text = ""
    for at, part in cast.output:
        text += part
        if shown in text:
            return at
    raise ValueError(f"The recording never shows: {shown}")


def _drawing(title: str, width: int, height: int, style: str, inside: str) -> str:
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<title>{escape(title)}</title>"
        f"<style>text{{font:14px {font};fill:{FOREGROUND};white-space:pre}}{style}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>{inside}</svg>\n'
    )


def _size(cast: Cast) -> tuple[int, int]:
    return round(cast.width * CELL + 2 * EDGE), round(cast.height * LINE + 2 * EDGE)


def _baseline(number: int) -> float:
    return EDGE + LINE * number + 13


def _all_rows(shown: Iterable[Picture]) -> Iterator[Row]:
    return (row for picture in shown for row in picture.rows)


def _placed(picture: Picture, names: dict[Row, str]) -> Iterator[str]:
    for number, row in enumerate(picture.rows):
        if row:
            yield f'<use href="#{names[row]}" x="{EDGE:.0f}" y="{_baseline(number):.0f}"/>'


def _row(screen: pyte.Screen, number: int) -> Row:
    """A row as the inside of a text element. Cells of the same look are one span, at their exact place."""
    cells = [(column, screen.buffer[number][column]) for column in range(screen.columns)]
    parts = []
    for (colour, bold), group in groupby(cells, key=lambda cell: (cell[1].fg, cell[1].bold)):
        run = list(group)
        text = "".join(cell.data for _, cell in run)
        if not text.strip():
            continue
        look = f' fill="{COLOURS.get(colour) or "#" + colour}"' if colour != "default" else ""
        look += ' font-weight="bold"' if bold else ""
        start = run[0][0]
        shown = text.rstrip()
        parts.append(
            f'<tspan x="{start * CELL:.1f}" textLength="{len(shown) * CELL:.1f}"{look}>{escape(shown)}</tspan>'
        )
    return "".join(parts)
