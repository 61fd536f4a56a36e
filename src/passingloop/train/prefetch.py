"""The next step's tensors are laid out while the current one computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


def ahead(make: Callable[[int], Made], first: int, last: int) -> Iterator[Made]:
    """``make(first)`` … ``make(last - 1)`` in order, each made in a thread while its predecessor is used."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="layout") as thread:
        coming = thread.submit(make, first) if first < last else None
        for number in range(first + 1, last + 1):
            assert coming is not None
            made = coming.result()
            coming = thread.submit(make, number) if number < last else None
            yield made
