"""The data of runs are checked before these start: each source once, and with what is wrong in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.data import probe
from tests.conftest import Finished

Command = Callable[..., Finished]


def test_a_sweep_looks_at_the_same_files_once(main_here: Command, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "good.csv").write_text("text,label\nhello,a\n")
    opened: list[object] = []
    open_source = probe.open_source
    monkeypatch.setattr(probe, "open_source", lambda *asked: opened.append(asked) or open_source(*asked))
    line = "-m data=files data.train=good.csv data.limit=range(1,20) data.max_length=32,64 trainer.seed=1,2"
    assert main_here(*line.split()).code == 3
    assert len(opened) == 1
