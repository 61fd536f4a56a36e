"""lightning and transformers without what they import and this program does not use.

lightning brings torchmetrics, and that all signal processing of scipy where it is installed; transformers brings
scipy's optimization, for losses of object detection. Measured where a training process needs 8 s of CPU to start: 2.5 s
and 0.9 s more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any


@contextmanager
def lightly() -> Iterator[None]:
    """Within it, these modules have the names that are asked for and nothing behind them.

    Afterwards they can be imported as ever. What is imported already stays.
    """
    stand_ins = {name: made for name, made in _stand_ins() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _stand_ins() -> Iterator[tuple[str, ModuleType]]:
    classes = {name: type(name, (), {}) for name in ("Metric", "MetricCollection")}
    yield "torchmetrics", _module("torchmetrics", __version__=metadata.version("torchmetrics"), **classes)
    yield "scipy.optimize", _module("scipy.optimize", linear_sum_assignment=None)


def _module(name: str, **names: Any) -> ModuleType:
    found = ModuleType(name)
    vars(found).update(names)
    return found
