"""How the C library keeps freed memory, which decides whether each step has its tensors' pages made anew."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger("passingloop")

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of the settings in malloc.h of glibc."""

KEPT = 1 << 30
"""Bytes. Freed memory up to this much stays with the process, and tensors up to this size are taken from it."""

KEPT_BEFORE_2_35 = 1 << 25
"""The largest tensors that earlier versions of glibc take from it: half of their HEAP_MAX_SIZE."""


def keep_freed_memory() -> None:
    """Let the process keep the memory that a step frees for the next step.

    By default glibc returns large pieces to the kernel, which fills each page with zeros when it is used again. Other C
    libraries have no such setting; there nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # Either setting ends the adaptation of both to what is freed, so it is both or none.
    if not (mallopt(MMAP_THRESHOLD, KEPT) or mallopt(MMAP_THRESHOLD, KEPT_BEFORE_2_35)):
        log.info("The C library refuses to keep freed memory (mallopt); steps may be slower.")
    else:
        mallopt(TRIM_THRESHOLD, KEPT)
