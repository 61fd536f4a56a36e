from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.track import line_process
from passingloop.track.line_process import LineProcess

ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"
DEAF = "import time; time.sleep(60)"


@pytest.fixture
def start() -> Iterator[Callable[[str], LineProcess]]:
    started = []

    def run(source: str) -> LineProcess:
        started.append(LineProcess([sys.executable, "-c", source], os.environ))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def until_ended(process: LineProcess) -> None:
    deadline = time.monotonic() + 10
    while not process.has_ended and time.monotonic() < deadline:
        process.receive()
        time.sleep(0.01)


def test_messages_go_both_ways_in_order(start: Callable[[str], LineProcess]) -> None:
    process, sent = start(ECHO), [{"number": number, "text": "å" * 100} for number in range(1000)]
    heard = []
    for message in sent:
        process.send(message)
        heard += process.receive()
    deadline = time.monotonic() + 10
    while len(heard) < len(sent) and time.monotonic() < deadline:
        heard += process.remaining_messages(0.05)
    assert heard == sent
    assert not process.has_ended


def test_a_helper_that_does_not_listen_blocks_nothing(
    start: Callable[[str], LineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_process, "BACKLOG_BYTES", 2**20)
    process, begun = start(DEAF), time.monotonic()
    for _ in range(2000):
        process.send({"text": "x" * 500})
        assert process.receive() == []
    assert not process.is_stuck
    process.send({"text": "x" * 2**20})
    assert process.is_stuck
    assert time.monotonic() - begun < 2


def test_last_words_wait_no_longer_than_asked(start: Callable[[str], LineProcess]) -> None:
    process, begun = start(DEAF), time.monotonic()
    assert process.remaining_messages(0.3) == []
    assert 0.2 < time.monotonic() - begun < 1


def test_last_words_include_what_comes_before_the_end(start: Callable[[str], LineProcess]) -> None:
    process = start('import sys; sys.stdin.readline(); print(\'{"a": 1}\\n{"a": 2}\')')
    process.send({})
    assert process.remaining_messages(10) == [{"a": 1}, {"a": 2}]
    assert process.has_ended


def test_a_helper_that_dies_is_noticed_and_harms_no_one(start: Callable[[str], LineProcess]) -> None:
    process = start("raise SystemExit")
    until_ended(process)
    assert process.has_ended
    for _ in range(100):
        process.send({"text": "x" * 5000})
    assert not process.is_stuck
    assert process.remaining_messages(1) == []


def test_a_helper_sees_the_end_of_its_owner(tmp_path: Path) -> None:
    owner = (
        "import os, sys, time; from passingloop.track.line_process import LineProcess\n"
        'source = \'import sys; sys.stdin.read(); open(sys.argv[1], "w").write("seen")\'\n'
        "LineProcess([sys.executable, '-c', source, sys.argv[1]], os.environ)\n"
        "time.sleep(0.5); os.kill(os.getpid(), 9)"
    )
    mark = tmp_path / "mark"
    subprocess.run([sys.executable, "-c", owner, str(mark)], check=False, timeout=30)
    deadline = time.monotonic() + 10
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert mark.read_text() == "seen"
