"""Memory that a step frees is there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import torch
from passingloop.model.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def mapped():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0])
tensors = [torch.zeros(1 << 20) for _ in range(64)]
before = mapped()
del tensors
print(before - mapped())
"""


def returned_pages(mode: str) -> int:
    """Pages that the process gives back to the kernel when tensors of 256 MiB are freed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_stays_with_the_process() -> None:
    assert returned_pages("return") > 50_000
    assert returned_pages("keep") == 0
