"""Which GPUs this process may use, found without loading CUDA."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
"""The driver lists a folder per GPU here."""

NAME = re.compile(r"\d+|(GPU|MIG)-.+")
"""A number, or the start of a UUID."""


def visible_gpus() -> list[str]:
    """Their names as CUDA_VISIBLE_DEVICES spells them: those the allocation gives, else all of the machine.

    CUDA takes the names up to the first that is none, such as -1 (CUDA C++ Programming Guide, environment variables).
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return list(takewhile(NAME.fullmatch, (name.strip() for name in allowed.split(","))))
    return [str(index) for index, _ in enumerate(NVIDIA_DRIVER.glob("*"))]
