"""The live view in a terminal: reads, draws, and does what keys say. What is drawn is made by pure modules."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding

from passingloop.errors import PassingloopError
from passingloop.live import board as parts
from passingloop.live import keys
from passingloop.live.board import Board
from passingloop.live.drawing import Glyphs, Line, Style, cut_line, wrapped
from passingloop.live.run_row import Arrangement, Curves, RunRow, arranged
from passingloop.live.table_layout import Columns, columns, header, run_line
from passingloop.live.top_widgets import Lines, Rows
from passingloop.live.verbs import Verbs
from passingloop.live.watch import Watch
from passingloop.rundir.directory import RunDir
from passingloop.slurm.capacity.facts import user_name

MESSAGE_SECONDS = 10.0
"""How long it is told what a key has done."""

FIRST_ANSWER = 1.0
"""Seconds for which the first picture waits for Slurm."""

INTERRUPTED = 130
"""The exit code of a verb that Ctrl-C ended."""

SOON = 0.2
"""Seconds until what has just come into sight is read."""


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


class TopApp(App[int]):
    """Shows the cluster and the runs until the user quits. Its result is the number of the signal that ended it."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; background: ansi_default; color: ansi_default; }
    Lines { width: 100%; height: 0; }
    Rows { height: 1fr; }
    """
    BINDINGS = [  # noqa: RUF012  # as Textual declares it
        Binding("ctrl+c,ctrl+q", "leave", priority=True),
        Binding("ctrl+z", "suspend_process", priority=True),
    ]

    def __init__(self, watch: Watch, verbs: Verbs, glyphs: Glyphs, interval: float, nothing: str) -> None:
        super().__init__(ansi_color=True)
        self._watch, self._verbs, self._glyphs, self._interval = watch, verbs, glyphs, interval
        self._nothing = nothing
        """What is said if there are no runs."""
        self._head, self._rows, self._detail, self._foot = (
            Lines("head"),
            Rows(self._line),
            Lines("detail"),
            Lines("foot"),
        )
        self._board: Board | None = None
        self._shown: list[RunRow] = []
        self._curves: dict[RunDir, Curves] = {}
        self._shape: Columns = columns(80)
        self._arrangement = Arrangement()
        self._chosen: RunDir | None = None
        self._page: Page | None = None
        self._page_lines: list[str] = []
        self._typing = False
        self._question: Question | None = None
        self._message: tuple[str, Style, float] | None = None
        self._touched = time.monotonic()
        self._is_reading = False

    def compose(self) -> ComposeResult:
        yield from (self._head, self._rows, self._detail, self._foot)

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end_by_signal)
        self._ask()
        self.set_timer(FIRST_ANSWER, self._read)
        self.set_interval(self._interval, self._read)

    def _end_by_signal(self, number: int, frame: FrameType | None) -> None:
        self._verbs.stop()
        if self._loop:
            self._loop.call_soon_threadsafe(self.exit, number)

    # Reading

    @work(thread=True, group="ask")
    def _ask(self) -> None:
        """Ask Slurm, which may take long, and plan to do it again."""
        with self._told():
            self._watch.ask()
        self.call_from_thread(self._read)
        pause = self._watch.pause(time.monotonic() - self._touched)
        self.call_from_thread(self.set_timer, pause, self._ask)

    def _read(self, *, all_anew: bool = False) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._read_runs(all_anew)

    @work(thread=True, group="read")
    def _read_runs(self, all_anew: bool) -> None:
        """Read the runs, whose file system may be slow."""
        try:
            with self._told():
                board = self._watch.look(all_anew=all_anew)
                shown = arranged(board.rows, self._arrangement, board.now)
                in_sight = [shown[number] for number in self._rows.in_sight() if number < len(shown)]
                in_sight += [row for row in shown if row.state.run == self._chosen]
                curves = {row.state.run: self._watch.curves(row) for row in in_sight}
                self.call_from_thread(self._take, board, curves)
        finally:
            self._is_reading = False

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A context in which an error that users may meet is shown, and ends nothing."""
        try:
            yield
        except PassingloopError as error:
            self.call_from_thread(self._tell, str(error), "bad")

    def _take(self, board: Board, curves: dict[RunDir, Curves]) -> None:
        self._board, self._curves = board, curves
        self._draw()

    # Drawing

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        """Bring what is shown up to date; what has not changed is not sent to the terminal."""
        if self._board is None:
            return
        width, height = self.size
        self._shown = arranged(self._board.rows, self._arrangement, self._board.now)
        self._shape = columns(width, max((len(row.name) for row in self._shown), default=0))
        if self._page:
            self._draw_page(self._page, width)
            return
        heights = parts.heights(height, self._board)
        head = [parts.title_line(self._board, width, self._glyphs)]
        head += parts.use_lines(self._board, width, self._glyphs)[: heights.use]
        head.append(parts.rule_line(self._board, self._shown, self._arrangement, width, self._glyphs))
        head.append(header(self._shape, self._arrangement.sort, self._glyphs, reverse=self._arrangement.reverse))
        self._head.show(head)
        number = self._chosen_number()
        self._rows.update(max(1, len(self._shown)), number)
        if self._shown and self._chosen is None:
            self._chosen = self._shown[0].state.run
        self._detail.show(self._detail_lines(heights.detail, width))
        self._foot.show([self._foot_line(width)] if heights.keys or self._is_asking() else [])
        if any(self._lacks_curves(self._shown[line]) for line in self._rows.in_sight() if line < len(self._shown)):
            self.set_timer(SOON, self._read)

    def _draw_page(self, page: Page, width: int) -> None:
        self._page_lines = wrapped(page.text, width)
        self._head.show(
            [cut_line(((page.title, "title"),), width, self._glyphs), ((self._glyphs.rule * width, "dim"),)]
        )
        self._rows.update(len(self._page_lines), None)
        self._detail.show([])
        self._foot.show([(("escape", "bold"), (" back  ", "dim"), ("up down", "bold"), (" scroll", "dim"))])

    def _line(self, number: int, chosen: bool) -> Line:
        """A line between head and detail."""
        if self._page:
            return ((self._page_lines[number], ""),) if number < len(self._page_lines) else ()
        if self._board is None:
            return (("  reading", "dim"),) if number == 0 else ()
        if number >= len(self._shown):
            words = "no run is like that; escape shows all" if self._board.rows else self._nothing
            return cut_line(((f"  {words}", "dim"),), self.size.width, self._glyphs) if number == 0 else ()
        row = self._shown[number]
        curves = self._curves.get(row.state.run, Curves())
        return run_line(row, curves, self._shape, self._board.now, self._glyphs, chosen=chosen)

    def _detail_lines(self, height: int, width: int) -> list[Line]:
        row = self._chosen_row()
        if row is None or self._board is None or not height:
            return []
        curves = self._curves.get(row.state.run, Curves())
        lines = parts.detail_lines(row, curves, self._board.now, width, height, self._glyphs)
        return [*lines, *[()] * (height - len(lines))]

    def _foot_line(self, width: int) -> Line:
        if self._question:
            line = keys.question_line(self._question.text)
        elif self._typing:
            line = keys.filter_line(self._arrangement.words)
        elif self._message and time.monotonic() < self._message[2]:
            line = ((self._message[0], self._message[1]),)
        else:
            line = keys.hints_line(width)
        return cut_line(line, width, self._glyphs)

    def _is_asking(self) -> bool:
        return bool(self._question or self._typing or (self._message and time.monotonic() < self._message[2]))

    def _chosen_number(self) -> int:
        """The line of the chosen run; if it is not shown any more, that of its successor."""
        runs = [row.state.run for row in self._shown]
        if self._chosen in runs:
            return runs.index(self._chosen)
        number = min(self._rows.chosen, max(0, len(runs) - 1))
        self._chosen = runs[number] if runs else None
        return number

    def _chosen_row(self) -> RunRow | None:
        return next((row for row in self._shown if row.state.run == self._chosen), None)

    def _lacks_curves(self, row: RunRow) -> bool:
        return row.state.kind == "running" and row.state.run not in self._curves

    def _tell(self, text: str, style: Style = "") -> None:
        self._message = (" ".join(text.split()), style, time.monotonic() + MESSAGE_SECONDS)
        self._draw()

    # Keys

    def on_key(self, event: events.Key) -> None:
        self._touched = time.monotonic()
        if self._question:
            self._answer(event.key)
        elif self._typing:
            self._type(event)
        elif not self._move(event.key):
            self._do(event.key)
        self._draw()

    def action_leave(self) -> None:
        self.exit()

    def _answer(self, key: str) -> None:
        question, self._question = self._question, None
        if question and key == "y":
            question.action()

    def _type(self, event: events.Key) -> None:
        words = self._arrangement.words
        if event.key == "enter":
            self._typing = False
        elif event.key == "escape":
            self._typing, words = False, ""
        elif event.key in ("backspace", "ctrl+h"):
            words = words[:-1]
        elif event.key == "ctrl+u":
            words = ""
        elif event.character and event.is_printable:
            words += event.character
        self._arrangement = replace(self._arrangement, words=words)

    def _move(self, key: str) -> bool:
        """Choose another run, or scroll; whether the key was for that."""
        height = max(1, self._rows.size.height - 1)
        steps = {
            "pagedown": height,
            "pageup": -height,
            "space": height,
            "home": -keys.FAR,
            "end": keys.FAR,
            "g": -keys.FAR,
        }
        lines = (steps | keys.MOVES | {"G": keys.FAR}).get(key, 0)
        if lines and self._page:
            self._rows.scroll(lines)
        elif lines and self._shown:
            number = max(0, min(len(self._shown) - 1, self._chosen_number() + lines))
            self._chosen = self._shown[number].state.run
        return bool(lines)

    def _do(self, key: str) -> None:
        if self._page:
            if key in ("escape", "q", "enter", "left", "question_mark", "h"):
                self._page = None
                self._rows.scroll(-keys.FAR)
            return
        match key:
            case "q":
                self.exit()
            case "question_mark" | "h" | "f1":
                self._open("Keys and columns", keys.HELP)
            case "slash":
                self._typing = True
            case "escape":
                self._arrangement = replace(self._arrangement, words="", active_only=False)
            case "a":
                self._arrangement = replace(self._arrangement, active_only=not self._arrangement.active_only)
            case "o":
                self._arrangement = self._arrangement.next_sort()
            case "r":
                self._arrangement = replace(self._arrangement, reverse=not self._arrangement.reverse)
            case "u" | "ctrl+l":
                self.refresh(layout=True)
                self._read(all_anew=True)
            case "l" | "enter" | "f" | "w" | "p" | "c":
                if row := self._chosen_row():
                    self._do_with(row, key)

    def _do_with(self, row: RunRow, key: str) -> None:
        match key:
            case "w":
                self._show_output(f"Why {row.name} waits", [("why", row.state.run.path)])
            case "p":
                report = ("report", "--user", user_name())
                self._show_output(f"{row.name}, and your last 7 days", [("status", row.state.run.path), report])
            case "c" if not row.state.is_active:
                self._tell(f"{row.name} is {row.state.kind}: there is nothing to cancel.")
            case "c":
                saves = "It saves first." if row.state.attempt_start else "It is taken from the queue."
                text = f"Cancel {row.name}, {row.state.kind}? {saves}"
                self._question = Question(text, lambda: self._cancel(row.state.run))
            case _:
                self._follow_log(row)

    def _open(self, title: str, text: str) -> None:
        self._page = Page(title, text)
        self._rows.scroll(-keys.FAR)
        self._draw()

    @work(thread=True, group="verb")
    def _show_output(self, title: str, commands: Sequence[tuple[str | Path, ...]]) -> None:
        """Show what verbs print, one below the other."""
        texts = []
        for verb, *words in commands:
            self.call_from_thread(self._tell, f"passingloop {verb} …", "dim")
            texts.append(self._verbs.output(str(verb), *words, width=self.size.width)[1])
        self._message = None
        self.call_from_thread(
            self._open, title, "\n\n".join(filter(None, texts)) or "There is nothing to say about it."
        )

    @work(thread=True, group="verb")
    def _cancel(self, run: RunDir) -> None:
        self.call_from_thread(self._tell, f"passingloop cancel {run.path.name} …", "dim")
        code, text = self._verbs.output("cancel", run.path, width=self.size.width)
        said = [line for line in text.splitlines() if line != str(run.path)]
        self.call_from_thread(self._tell, " ".join(said) or "It is cancelled.", "bad" if code else "good")
        self.call_from_thread(self._read, all_anew=True)

    def _follow_log(self, row: RunRow) -> None:
        """Give the terminal to ``passingloop logs``."""
        follow = ("-f",) if row.state.is_active else ()
        with self.suspend():
            print(f"\n{row.name}: passingloop logs {' '.join(follow)}; Ctrl-C comes back\n", flush=True)
            code = self._verbs.in_terminal("logs", *follow, row.state.run.path)
            if code >= 0 and code != INTERRUPTED:
                with contextlib.suppress(EOFError, KeyboardInterrupt):
                    input("\nEnter comes back to passingloop top ")
        self.refresh(layout=True)
