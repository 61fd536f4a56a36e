"""lightning without torchmetrics, which it imports and this program does not use.

torchmetrics takes scipy and all its signal processing with it where that is installed: a quarter of the time that a
training process takes to start (bench/restart.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType


@contextmanager
def without_torchmetrics() -> Iterator[None]:
    """Within it, lightning finds the names that it needs from torchmetrics and nothing behind them.

    Afterwards torchmetrics can be imported as ever. What is imported already stays.
    """
    name = "torchmetrics"
    if name in sys.modules:
        yield
        return
    stand_in = ModuleType(name)
    vars(stand_in).update(
        __version__=metadata.version(name),
        Metric=type("Metric", (), {}),
        MetricCollection=type("MetricCollection", (), {}),
    )
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]
