"""Data from several sources at once: by weight, with metrics for each, and continued bitwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop import files
from passingloop.rundir.directory import RunDir
from tests.runs.test_resume import learned

pytestmark = pytest.mark.process

Train = Callable[..., RunDir]


@pytest.fixture
def two(small: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    """`small` with a second source, of other classes, beside its own."""
    rows = [f"a signal is {'red' if i % 2 else 'green'} {i},{'stop' if i % 2 else 'go'}" for i in range(60)]
    (tmp_path / "signals.csv").write_text("text,label\n" + "\n".join(rows))
    [first] = [word.partition("=")[2] for word in small if word.startswith("data.train=")]
    rest = [word for word in small if not word.startswith("data")]
    sources = {"loops": first, "signals": str(tmp_path / "signals.csv")}
    return (
        *rest,
        "data=mix",
        *(f"+data@data.sources.{name}=files" for name in sources),
        *(f"data.sources.{name}.train={path}" for name, path in sources.items()),
        "+data.weights.signals=1.5",
    )


def test_a_mix_has_metrics_of_each_source_and_continues_bitwise(train_here: Train, two: tuple[str, ...]) -> None:
    whole = train_here(*two, "name=whole")
    parts = train_here(*two, "name=parts", stop_after=5)
    assert parts.read_result() is None and 0 < parts.saved_step < 12
    train_here(*two, "name=parts")
    assert learned(parts) == learned(whole)
    result = whole.read_result()
    assert result is not None
    each = {f"{source}/{metric}" for source in ("loops", "signals") for metric in ("loss", "accuracy", "macro_f1")}
    expected = {f"{part}/{name}" for part in ("validation", "test") for name in each | {"loss", "accuracy", "macro_f1"}}
    assert set(result["metrics"]) == expected


def test_the_fingerprint_names_the_source(train_here: Train, two: tuple[str, ...]) -> None:
    run = train_here(*two)
    assert set(files.read_json(run.record)["data_fingerprint"]) == {"loops/train", "signals/train"}
