"""Which GPUs this process may use, found without loading CUDA."""

from __future__ import annotations

import os
from pathlib import Path

NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
"""The driver lists a folder per GPU here."""


def visible_gpus() -> list[str]:
    """Their names as CUDA_VISIBLE_DEVICES spells them: those the allocation gives, else all of the machine."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name.strip()]
    return [str(index) for index, _ in enumerate(NVIDIA_DRIVER.glob("*"))]
