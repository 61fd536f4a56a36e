"""Lines in a terminal, of which only what has changed is sent to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from passingloop.live.drawing import Line, Style, changed_columns, visible

STYLES: dict[Style, RichStyle] = {
    "": RichStyle(),
    "dim": RichStyle(dim=True),
    "bold": RichStyle(bold=True),
    "good": RichStyle(color="green"),
    "busy": RichStyle(color="cyan"),
    "waits": RichStyle(color="yellow"),
    "bad": RichStyle(color="red"),
    "title": RichStyle(bold=True),
    "alarm": RichStyle(color="red", bold=True, reverse=True),
}
"""The terminal's own colours, which suit its background."""


def strip_of(line: Line, width: int) -> Strip:
    strip = Strip([Segment(visible(text), STYLES[style]) for text, style in line])
    return strip.adjust_cell_length(width, STYLES[""])


class Lines(Widget):
    """Some lines of text, one below the other."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []

    def show(self, lines: Sequence[Line]) -> None:
        """Show `lines`, as many as there are."""
        self.display = bool(lines)
        if len(lines) != len(self._lines):
            self._lines = list(lines)
            self.styles.height = len(lines)
            self.refresh(layout=True)
            return
        for number, (before, after) in enumerate(zip(self._lines, lines, strict=True)):
            if changed := changed_columns(before, after):
                self.refresh(Region(changed[0], number, changed[1] - changed[0], 1))
        self._lines = list(lines)

    def render_line(self, y: int) -> Strip:
        return strip_of(self._lines[y] if y < len(self._lines) else (), self.size.width)


class Rows(ScrollView):
    """Lines of which one may be chosen, made when they come into sight."""

    DEFAULT_CSS = "Rows { overflow-x: hidden; overflow-y: auto; scrollbar-size: 0 0; }"

    can_focus = False

    def __init__(self, make_line: Callable[[int, bool], Line]) -> None:
        super().__init__()
        self._make_line = make_line
        self._count = 0
        self._shown: dict[int, Line] = {}
        self.chosen = 0

    def update(self, count: int, chosen: int | None) -> None:
        """There are `count` lines now, `chosen` is chosen and brought into sight, and what they say may be new."""
        if count != self._count:
            self._count = count
            self.virtual_size = Size(self.size.width, count)
        if chosen is not None:
            self.chosen = chosen
            top, height = self._top, max(1, self.size.height)
            if not top <= chosen < top + height:
                self.scroll_to(y=chosen if chosen < top else chosen - height + 1, animate=False, immediate=True)
        top = self._top
        for number in range(top, top + self.size.height):
            if changed := changed_columns(self._shown.get(number, ()), self._line(number)):
                self.refresh(Region(changed[0], number - top, changed[1] - changed[0], 1))

    def scroll(self, lines: int) -> None:
        self.scroll_to(y=max(0, self._top + lines), animate=False, immediate=True)

    def in_sight(self) -> range:
        return range(self._top, min(self._count, self._top + self.size.height))

    @property
    def _top(self) -> int:
        return round(self.scroll_offset.y)

    def _line(self, number: int) -> Line:
        return self._make_line(number, number == self.chosen) if number < self._count else ()

    def render_line(self, y: int) -> Strip:
        number = y + self._top
        self._shown[number] = self._line(number)
        return strip_of(self._shown[number], self.size.width)
