"""``passingloop top`` in real terminals of several kinds, and printed; for Slurm see tests/cluster/test_top.py."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Seconds
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse
from tests.cli.conftest import Hold, Verb
from tests.live.screen import COLOUR, Screen
from tests.live.shown import Made

Open = Callable[..., Screen]
SLOW = pytest.mark.slow

BROKEN = (
    "-c",
    "from passingloop.live.watch import Watch\n"
    "from passingloop.cli.main import main\n"
    "def fail(*_, **__): raise RuntimeError('a mistake of ours')\n"
    "Watch.look = fail\n"
    "raise SystemExit(main())",
)
"""The program with a mistake in it."""


@pytest.fixture
def made(work: Path) -> Made:
    return Made(work / "runs")


@pytest.fixture
def run(made: Made, hold: Hold) -> RunDir:
    """One that trains on this machine and is half done."""
    run = made.started(made.new(steps=1000), nodes=["here"])
    hold(run)
    with run.metrics.open("w") as file:
        for step in range(100, 501, 100):
            row = {"time": "2026-11-29T10:00:00Z", "attempt": 1, "step": step, "split": "train", "loss": 100 / step}
            file.write(json.dumps(row) + "\n")
    pulse.write(run, Pulse(attempt=1, step=500, saved_step=400, seconds=Seconds(training=100, saving=0)))
    return run


@pytest.fixture
def terminal(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens ``passingloop top`` in a terminal; `program` is another program of Python, the rest its environment."""
    (work / "empty").mkdir()
    opened: list[Screen] = []

    def terminal(*words: str, size: tuple[int, int] = (80, 24), program: Any = None, **environment: str) -> Screen:
        env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM")}
        env |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": str(work / "empty")} | environment
        special = {"program": program} if program else {}
        opened.append(Screen.of(["top", *words], env, work, *size, **special))
        return opened[-1]

    yield terminal
    for screen in opened:
        screen.close()


def test_runs_at_80_columns_and_the_keys(terminal: Open, run: RunDir, made: Made) -> None:
    made.ended(made.started(made.new("old", "5e5e5e5e5e")), "oom", message="The GPU ran out of memory.")
    screen = terminal()
    text = screen.until("q quit")
    assert "passingloop top  no Slurm here" in text
    assert re.search(r"CPU   [━─]+ +\d+% of \d+ core", text)
    assert re.search(r"▸ sweep/3fa94c\w* +running +━━━━──── +50% .* 0\.2 ", text)
    assert "old/5e5e5e5e5e" in text
    assert "oom: The GPU ran out of memory" in text
    assert "step 500 of 1,000 · saved at 400 · 5 steps/s" in text
    assert max(map(len, screen.shown)) <= 80
    screen.type("j")
    screen.until("── old/5e5e5e5e5e failed")
    screen.type("?")
    assert "Keys and columns" in screen.until("follow its log")
    screen.type("\x1b")
    screen.until("── old/5e5e5e5e5e failed")
    screen.type("/sweep\r")
    assert "old/5e5e5e5e5e" not in screen.until("1 with 'sweep'")
    screen.type("\x1b")
    screen.until("old/5e5e5e5e5e")
    screen.type("o")
    screen.until("sorted by name")
    screen.type("a")
    screen.until("active only")
    screen.type("q")
    assert screen.exit_code() == 0
    assert screen.is_as_before()


@pytest.mark.parametrize("size", [(30, 7), *(pytest.param(size, marks=SLOW) for size in ((50, 14), (12, 3), (1, 1)))])
def test_a_terminal_may_be_small_and_may_change_its_size(terminal: Open, run: RunDir, size: tuple[int, int]) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.resize(*size)
    screen.until(lambda text: "step 500" not in text and max(map(len, screen.shown)) <= size[0])
    screen.resize(120, 40)
    screen.until("step 500 of 1,000")
    screen.type("q")
    assert screen.exit_code() == 0


def test_without_colour_nothing_is_coloured_and_all_is_said(terminal: Open, run: RunDir) -> None:
    plain = terminal(NO_COLOR="1")
    plain.until("step 500 of 1,000")
    plain.type("c")
    plain.until("Cancel sweep/")
    assert COLOUR.findall(plain.raw) == []
    coloured = terminal()
    coloured.until("step 500 of 1,000")
    assert COLOUR.findall(coloured.raw)


@SLOW
def test_a_terminal_without_unicode(terminal: Open, run: RunDir) -> None:
    screen = terminal(LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    text = screen.until("step 500 of 1,000")
    assert text.isascii()
    assert re.search(r"> sweep/3fa94c\w* +running +####---- +50%", text)


def test_a_slow_line_gets_little(terminal: Open, run: RunDir) -> None:
    """About what the clock takes, if nothing else has changed."""
    screen = terminal("--interval", "0.5", size=(100, 30))
    screen.until("step 500 of 1,000")
    screen.until(lambda _: screen.raw.count("0.2") >= 2)  # the curves have come
    clock = re.compile(r"\d\d:\d\d:\d\d")
    seen, before = clock.findall(screen.raw)[-1], len(screen.raw)
    times: set[str] = set()

    def three_more(_: str) -> bool:
        times.update(clock.findall(screen.raw[before:]))
        return len(times - {seen}) > 3

    screen.until(three_more)
    assert len(screen.raw) - before < 6 * 500, screen.raw[before:]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_the_terminal_as_it_was(terminal: Open, run: RunDir, number: int) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    os.kill(screen.process, number)
    assert screen.exit_code() == -number
    assert screen.is_as_before()


@SLOW
def test_ctrl_c_ends_it(terminal: Open, run: RunDir) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.type("\x03")
    assert screen.exit_code() == 0
    assert screen.is_as_before()


def test_a_mistake_of_ours_leaves_the_terminal_as_it_was(terminal: Open, run: RunDir) -> None:
    screen = terminal(program=BROKEN)
    assert screen.exit_code() == 1
    assert screen.is_as_before()
    assert "a mistake of ours" in screen.raw


@SLOW
def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(terminal: Open, run: RunDir) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.type("\x1a")
    screen.until(lambda _: screen.is_as_before())
    assert os.waitpid(screen.process, os.WUNTRACED)[1] & 0xFF == 0x7F, "it is stopped"
    os.kill(screen.process, signal.SIGCONT)
    screen.until("step 500 of 1,000")
    screen.type("q")
    assert screen.exit_code() == 0


def test_cancel_asks_first(terminal: Open, run: RunDir) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.type("c")
    screen.until("Cancel sweep/3fa94c21be, running? It saves first.")
    screen.type("n")
    screen.until("q quit")
    assert not ledger.read(run).is_cancel_requested
    screen.type("c")
    screen.until("Cancel sweep/3fa94c21be, running? It saves first.")
    screen.type("y")
    screen.until(lambda text: "to stop" in text or "cancelled" in text)
    assert ledger.read(run).events_of(Cancel)
    screen.until(" cancelled ")
    screen.type("c")
    screen.until("there is nothing to cancel")


def test_the_log_has_the_terminal_until_ctrl_c(terminal: Open, run: RunDir) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.type("l")
    screen.until("this is attempt 1")
    assert screen.is_as_before(), "its lines are kept in the terminal's own history"
    with run.log(1, 0).open("a") as file:
        file.write("and it goes on\n")
    screen.until("and it goes on")
    screen.type("\x03")
    screen.until("step 500 of 1,000")
    screen.type("l")
    screen.until("this is attempt 1")
    os.kill(screen.process, signal.SIGTERM)
    assert screen.exit_code() == -signal.SIGTERM
    assert screen.is_as_before()


def test_what_another_verb_says_is_shown_in_its_place(terminal: Open, run: RunDir) -> None:
    screen = terminal()
    screen.until("step 500 of 1,000")
    screen.type("w")
    assert "Why sweep/3fa94c21be waits" in screen.until("It does not wait: attempt 1 is running.")
    screen.type("q")
    screen.until("step 500 of 1,000")
    screen.type("p")
    text = screen.until("left out, as their directories cannot be read")  # the report, of a run that is made by hand
    assert "sweep/3fa94c21be, and your last 7 days" in text
    assert re.search(r"sweep/3fa94c21be +running", text)


def test_into_a_pipe_it_is_printed_once(verb: Verb, run: RunDir) -> None:
    done = verb("top")
    assert done.code == 0
    assert re.search(r"^  sweep/3fa94c21be +running +━+─+ +50%", done.stdout, re.MULTILINE)
    assert "your runs: 1 running" in done.stdout
    assert "\x1b" not in done.stdout


def test_in_the_locale_c_it_is_printed_without_unicode(
    verb: Verb, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    done = verb("top", "--once")
    assert "sweep/3fa94c21be" in done.stdout
    assert done.stdout.isascii()


@SLOW
def test_a_dumb_terminal_gets_the_same(terminal: Open, run: RunDir) -> None:
    screen = terminal(TERM="dumb")
    assert screen.exit_code() == 0
    assert "your runs: 1 running" in screen.text
    assert "\x1b" not in screen.raw


def test_as_json(verb: Verb, run: RunDir, made: Made) -> None:
    made.completed("c0ffee0123")
    shown = json.loads(verb("top", "--json").stdout)
    assert shown["slurm"] == {"is_there": False, "answered": None, "silent_since": None, "problem": None}
    assert shown["cluster"] is None
    assert shown["machine"]["cpus"] >= 1
    training, done = shown["runs"]
    assert (training["run"], training["share"], training["steps_per_second"]) == (str(run.path), 0.5, 5.0)
    assert 0 < training["seconds_left"] <= 100
    assert (training["loss"], training["saved_step"], training["place"]) == (0.2, 400, None)
    assert (done["state"], done["metrics"]["test/accuracy"]) == ("completed", 0.91239)
    assert set(training) == set(done)


def test_only_runs_that_are_named(verb: Verb, run: RunDir, made: Made) -> None:
    made.completed("c0ffee0123")
    assert "c0ffee" in verb("top", "--once").stdout
    assert "c0ffee" not in verb("top", "--once", run.path.name).stdout


def test_with_nothing_to_show(verb: Verb, terminal: Open) -> None:
    assert "You have no runs under" in verb("top").stderr
    screen = terminal()
    screen.until("You have no runs under")
    screen.type("lcw?")
    screen.until("Keys and columns")
    screen.type("qq")
    assert screen.exit_code() == 0


@pytest.mark.parametrize(("words", "said"), [(["--interval", "0"], "0.5 seconds at least"), (["nix"], "nix is no run")])
def test_mistakes(verb: Verb, words: list[str], said: str) -> None:
    done = verb("top", *words)
    assert (done.code, said in done.stderr) == (2, True)


@SLOW
def test_a_thousand_runs(terminal: Open, run: RunDir, made: Made) -> None:
    for number in range(1000):
        made.completed(f"{number:010x}")
    screen = terminal()
    screen.until("1 running, 1,000 ended")
    screen.type("G")
    screen.until(lambda text: "running" not in text.split("── sweep")[0].split("left")[-1])
    screen.type("/3fa94\r")
    screen.until("1 with '3fa94'")
    screen.type("q")
    assert screen.exit_code() == 0
