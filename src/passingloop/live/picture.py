"""What is on the screen: the newest board, and what the user has chosen of it. Without a terminal, so pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from passingloop.live import board as parts
from passingloop.live import key_bindings
from passingloop.live.board import Board
from passingloop.live.drawing import Glyphs, Line, Style, cut_line, wrapped
from passingloop.live.run_row import Arrangement, Curves, RunRow, arranged
from passingloop.live.table_layout import Columns, columns, header, run_line
from passingloop.rundir.directory import RunDir

MESSAGE_SECONDS = 10.0
"""How long it is told what a key has done."""


@dataclass(frozen=True, slots=True)
class Page:
    """Text that is shown in place of the runs."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is done only after a yes."""

    text: str
    action: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Message:
    """What a key has done."""

    text: str
    style: Style
    until: float
    """In seconds, by the clock that `Picture.foot` is given."""


@dataclass(slots=True)
class Picture:
    """The lines of the screen. `fit` is to be called after anything has changed."""

    glyphs: Glyphs
    nothing: str
    """What is said if there are no runs."""
    board: Board | None = None
    curves: dict[RunDir, Curves] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Arrangement)
    chosen: RunDir | None = None
    page: Page | None = None
    typing: bool = False
    """Whether keys are words of the filter."""
    question: Question | None = None
    message: Message | None = None
    shown: list[RunRow] = field(default_factory=list)
    width: int = 80
    height: int = 24
    _shape: Columns = field(default_factory=lambda: columns(80))
    _page_lines: list[str] = field(default_factory=list)
    _number: int = 0

    def fit(self, width: int, height: int) -> None:
        """Arrange the runs, or the page, for a screen of this size."""
        self.width, self.height = width, height
        if self.board is None:
            return
        self.shown = arranged(self.board.rows, self.arrangement, self.board.now)
        self._shape = columns(width, max((len(row.name) for row in self.shown), default=0))
        self._page_lines = wrapped(self.page.text, width) if self.page else []
        runs = [row.state.run for row in self.shown]
        # The chosen run, or if it is not shown any more, the one that has come into its place.
        self._number = runs.index(self.chosen) if self.chosen in runs else max(0, min(self._number, len(runs) - 1))
        self.chosen = runs[self._number] if runs else None

    @property
    def count(self) -> int:
        """Lines between head and detail."""
        return len(self._page_lines) if self.page else max(1, len(self.shown))

    @property
    def number(self) -> int | None:
        """That of the chosen one of them."""
        return None if self.page else self._number

    @property
    def chosen_row(self) -> RunRow | None:
        return self.shown[self._number] if self.shown else None

    def move(self, lines: int) -> None:
        """Choose the run that is so many lines below."""
        if self.shown:
            self.chosen = self.shown[max(0, min(len(self.shown) - 1, self._number + lines))].state.run

    def head(self) -> list[Line]:
        if self.page:
            return [self._cut(((self.page.title, "title"),)), ((self.glyphs.rule * self.width, "dim"),)]
        if self.board is None:
            return []
        reverse = self.arrangement.reverse
        lines = [parts.title_line(self.board, self.width, self.glyphs)]
        lines += parts.use_lines(self.board, self.width, self.glyphs)[: self._heights(self.board).use]
        lines.append(parts.rule_line(self.board, self.shown, self.arrangement, self.width, self.glyphs))
        return [*lines, header(self._shape, self.arrangement.sort, self.glyphs, reverse=reverse)]

    def line(self, number: int, chosen: bool) -> Line:
        """A line between head and detail."""
        if self.page:
            return ((self._page_lines[number], ""),) if number < len(self._page_lines) else ()
        if number < len(self.shown) and self.board:
            row = self.shown[number]
            curves = self.curves.get(row.state.run, Curves())
            return run_line(row, curves, self._shape, self.board.now, self.glyphs, chosen=chosen)
        if number:
            return ()
        words = self.nothing if self.board else "reading"
        words = "no run is like that; escape shows all" if self.board and self.board.rows else words
        return self._cut(((f"  {words}", "dim"),))

    def detail(self) -> list[Line]:
        """About the chosen run; always as high, so that nothing jumps."""
        row, board = self.chosen_row, self.board
        if self.page or row is None or board is None or not (height := self._heights(board).detail):
            return []
        curves = self.curves.get(row.state.run, Curves())
        lines = parts.detail_lines(row, curves, board.now, self.width, height, self.glyphs)
        return [*lines, *[()] * (height - len(lines))]

    def foot(self, clock: float) -> list[Line]:
        """The keys, or what is asked or told. Of a low screen only the latter."""
        if self.page:
            return [self._cut((("escape", "bold"), (" back  ", "dim"), ("up down", "bold"), (" scroll", "dim")))]
        if self.question:
            return [self._cut(key_bindings.question_line(self.question.text))]
        if self.typing:
            return [self._cut(key_bindings.filter_line(self.arrangement.words))]
        if self.message and clock < self.message.until:
            return [self._cut(((self.message.text, self.message.style),))]
        return [self._cut(key_bindings.hints_line(self.width))] if self.board and self._heights(self.board).keys else []

    def tell(self, text: str, style: Style, clock: float) -> None:
        self.message = Message(" ".join(text.split()), style, clock + MESSAGE_SECONDS)

    def type(self, key: str, character: str | None) -> None:
        """A key while a filter is typed."""
        words = self.arrangement.words
        match key:
            case "enter":
                self.typing = False
            case "escape":
                self.typing, words = False, ""
            case "backspace" | "ctrl+h":
                words = words[:-1]
            case "ctrl+u":
                words = ""
            case _ if character and character.isprintable():
                words += character
        self.arrangement = replace(self.arrangement, words=words)

    def lacks_curves(self, numbers: Sequence[int]) -> bool:
        """Whether a run that trains, among the lines with these numbers, has just come into sight."""
        rows = [] if self.page else [self.shown[number] for number in numbers if number < len(self.shown)]
        return any(row.state.kind == "running" and row.state.run not in self.curves for row in rows)

    def _heights(self, board: Board) -> parts.Heights:
        return parts.heights(self.height, board)

    def _cut(self, line: Line) -> Line:
        return cut_line(line, self.width, self.glyphs)
