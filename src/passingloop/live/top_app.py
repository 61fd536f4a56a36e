"""The live view in a terminal: reads, draws, and does what keys say. What is drawn is made by pure modules."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.timer import Timer

from passingloop.errors import PassingloopError
from passingloop.live import key_bindings
from passingloop.live.board import Board
from passingloop.live.drawing import Glyphs, Style
from passingloop.live.picture import Page, Picture, Question
from passingloop.live.run_row import Curves, RunRow, arranged
from passingloop.live.top_widgets import Lines, Rows
from passingloop.live.verbs import Verbs
from passingloop.live.watch import Watch
from passingloop.rundir.directory import RunDir
from passingloop.slurm.capacity.facts import user_name

FIRST_ANSWER = 1.0
"""Seconds for which the first picture waits for Slurm."""

INTERRUPTED = 130
"""The exit code of a verb that Ctrl-C ended."""

SOON = 0.2
"""Seconds until what has just come into sight is read."""


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
        self._watch, self._verbs, self._interval = watch, verbs, interval
        self._picture = Picture(glyphs, nothing)
        self._head, self._rows, self._detail, self._foot = (
            Lines("head"),
            Rows(self._picture.line),
            Lines("detail"),
            Lines("foot"),
        )
        self._touched = time.monotonic()
        self._is_reading = False
        self._next_ask: Timer | None = None
        """None while Slurm is being asked."""

    def compose(self) -> ComposeResult:
        yield from (self._head, self._rows, self._detail, self._foot)

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end_by_signal)
        self._ask_slurm()
        self.set_timer(FIRST_ANSWER, self._read)
        self.set_interval(self._interval, self._read)

    def _end_by_signal(self, number: int, frame: FrameType | None) -> None:
        self._verbs.stop()
        if self._loop:
            self._loop.call_soon_threadsafe(self.exit, number)

    # Reading

    def _ask(self) -> None:
        """Ask Slurm; it answers again only after the site's poll_seconds."""
        if self._next_ask is not None:
            self._next_ask.stop()
            self._next_ask = None
            self._ask_slurm()

    @work(thread=True, group="ask")
    def _ask_slurm(self) -> None:
        """Ask Slurm, which may take long, and plan to do it again."""
        with self._told():
            self._watch.ask()
        self.call_from_thread(self._plan_to_ask, self._watch.pause(time.monotonic() - self._touched))

    def _plan_to_ask(self, pause: float) -> None:
        self._read()
        self._next_ask = self.set_timer(pause, self._ask)

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
                picture = self._picture
                shown = arranged(board.rows, picture.arrangement, board.now)
                in_sight = [shown[number] for number in self._rows.in_sight() if number < len(shown)]
                in_sight += [row for row in shown if row.state.run == picture.chosen]
                curves = {row.state.run: self._watch.curves(row) for row in in_sight}
                self.call_from_thread(self._take, board, curves)
        finally:
            self._is_reading = False

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A context in which an error that users may meet, or one of the file system, is shown, and ends nothing."""
        try:
            yield
        except (PassingloopError, OSError) as error:
            self.call_from_thread(self._tell, str(error), "bad")

    def _take(self, board: Board, curves: dict[RunDir, Curves]) -> None:
        self._picture.board, self._picture.curves = board, curves
        self._draw()

    # Drawing

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        """Bring what is shown up to date; what has not changed is not sent to the terminal."""
        picture = self._picture
        if picture.board is None:
            return
        picture.fit(*self.size)
        self._head.show(picture.head())
        self._rows.update(picture.count, picture.number)
        self._detail.show(picture.detail())
        self._foot.show(picture.foot(time.monotonic()))
        if picture.lacks_curves(self._rows.in_sight()):
            self.set_timer(SOON, self._read)

    def _tell(self, text: str, style: Style = "") -> None:
        self._picture.tell(text, style, time.monotonic())
        self._draw()

    # Keys

    def on_key(self, event: events.Key) -> None:
        self._touched = time.monotonic()
        picture = self._picture
        if picture.question:
            question, picture.question = picture.question, None
            if event.key == "y":
                question.action()
        elif picture.typing:
            picture.type(event.key, event.character)
        elif not self._move(event.key):
            self._do(event.key)
        self._draw()

    def action_leave(self) -> None:
        self.exit()

    def _move(self, key: str) -> bool:
        """Choose another run, or scroll; whether the key was for that."""
        lines = key_bindings.lines_moved(key, max(1, self._rows.size.height - 1))
        if self._picture.page:
            self._rows.scroll(lines)
        else:
            self._picture.move(lines)
        return bool(lines)

    def _do(self, key: str) -> None:
        picture = self._picture
        if picture.page:
            if key in key_bindings.LEAVE_PAGE:
                picture.page = None
                self._rows.scroll(-key_bindings.FAR)
            return
        match key:
            case "q":
                self.exit()
            case "question_mark" | "h" | "f1":
                self._open("Keys and columns", key_bindings.HELP)
            case "slash":
                picture.typing = True
            case "u" | "ctrl+l":
                self.refresh(layout=True)
                self._read(all_anew=True)
                self._ask()
            case _ if (row := picture.chosen_row) and key in key_bindings.ABOUT_A_RUN:
                self._do_with(row, key)
            case _:
                picture.arrangement = key_bindings.rearranged(picture.arrangement, key)

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
                self._picture.question = Question(text, lambda: self._cancel(row.state.run))
            case _:
                self._follow_log(row)

    def _open(self, title: str, text: str) -> None:
        self._picture.page = Page(title, text)
        self._rows.scroll(-key_bindings.FAR)
        self._draw()

    @work(thread=True, group="verb")
    def _show_output(self, title: str, commands: Sequence[tuple[str | Path, ...]]) -> None:
        """Show what verbs print, one below the other."""
        texts = []
        for verb, *words in commands:
            self.call_from_thread(self._tell, f"passingloop {verb} …", "dim")
            texts.append(self._verbs.output(str(verb), *words, width=self.size.width)[1])
        self._picture.message = None
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
        self.call_from_thread(self._ask)

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
