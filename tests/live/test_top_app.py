"""The application without a terminal; with one it is tested in tests/cli/cluster/test_top.py."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.live.drawing import ASCII
from passingloop.live.machine_reading import MachineReader
from passingloop.live.run_reading import RunReader
from passingloop.live.top_app import TopApp
from passingloop.live.verbs import Verbs
from passingloop.live.watch import Watch
from passingloop.rundir.directory import RunDir


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_file_system_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is made up: a file server that loses its handles is not to be had here."""
    monkeypatch.setenv("PATH", str(tmp_path))  # without Slurm

    def find() -> dict[RunDir, None]:
        raise OSError(errno.ESTALE, "Stale file handle", "/runs")

    app = TopApp(Watch(RunReader(find), MachineReader(), 1.0), Verbs(tmp_path, {}), ASCII, 1.0, "no runs")

    async def message() -> str:
        async with app.run_test() as pilot:
            while app._picture.message is None or app._next_ask is None:  # else its timer is left over
                await pilot.pause(0.02)
            return app._picture.message.text

    assert "Stale file handle" in asyncio.run(asyncio.wait_for(message(), 60))
