"""The imports of a training process: lightning and transformers, without what takes time and is not used."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from passingloop.startup.model_catalogue import kept_catalogue
from passingloop.startup.postponed import postponed_modules


@contextmanager
def light_imports(cache_root: Path | None = None, *, alone: bool = False) -> Iterator[None]:
    """Within it lightning and transformers are imported without what they import and this program does not use.

    lightning brings torchmetrics, and that all signal processing of scipy where it is installed; transformers brings
    scipy's optimization, for losses of object detection. Measured where a training process needs 8 s of CPU to start:
    2.5 s and 0.9 s more. Those modules have the names that are asked for and nothing behind them. Afterwards they can
    be imported as ever. What is imported already stays.

    Python's garbage collector rests meanwhile: imports make millions of objects that stay, which it would look through
    again and again, in a fifth of the time. It never looks at them afterwards either.

    Args:
        cache_root: where transformers' catalogue of models is kept; None: nowhere.
        alone: whether the process trains alone, and probably needs nothing of `postponed_modules`.
    """
    stand_ins = {name: made for name, made in _stand_ins() if name not in sys.modules}
    sys.modules.update(stand_ins)
    collects = gc.isenabled()
    gc.disable()
    try:
        with ExitStack() as stack:
            if cache_root:
                stack.enter_context(kept_catalogue(cache_root))
            if alone:
                stack.enter_context(postponed_modules())
            yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        gc.freeze()
        if collects:
            gc.enable()


def _stand_ins() -> Iterator[tuple[str, ModuleType]]:
    classes = {name: type(name, (), {}) for name in ("Metric", "MetricCollection")}
    yield "torchmetrics", _module("torchmetrics", __version__=metadata.version("torchmetrics"), **classes)
    yield "scipy.optimize", _module("scipy.optimize", linear_sum_assignment=None)


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module
