"""A stand-in for NVIDIA's management library: the one thing that is not real where no machine has a GPU.

`nvml_stand_in.c` is compiled into a ``libnvidia-ml.so.1``, which nvidia-ml-py loads as it would the driver's. It
answers from a file that the test writes, and can change while a process uses the library.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")

UNITS = 16

GPU, PART = 1, 2

NOT_SUPPORTED, GPU_IS_LOST, VERSION_MISMATCH = 3, 15, 18
"""Error codes of nvml.h."""

MEMORY, UTILISATION, POWER, ENERGY, TEMPERATURE, THROTTLING, ECC, ROWS, TENSOR, FINITE = (1 << bit for bit in range(10))
"""What a unit can be told not to support."""

GIB = 2**30


class Unit(ctypes.Structure):
    """A GPU, or a part of one. Percents, bytes, milliwatts, millijoules, °C, bits of nvmlClocksEventReasons."""

    _fields_ = tuple(
        (name, ctypes.c_longlong)
        for name in (
            *("kind", "error", "parent", "instance", "mig", "gpm", "busy", "sm", "tensor", "used", "total"),
            *("milliwatts", "millijoules", "celsius", "reasons", "ecc", "uncorrected", "pending", "failed"),
            "unsupported",
        )
    )

    kind: int
    error: int
    gpm: int
    busy: int
    sm: int
    tensor: int
    used: int
    millijoules: int
    celsius: int
    reasons: int
    unsupported: int
    uncorrected: int
    pending: int
    failed: int


class State(ctypes.Structure):
    """What the file holds."""

    _fields_ = (("init", ctypes.c_longlong), ("opened", ctypes.c_longlong), ("units", Unit * UNITS))

    init: int
    """The error with which the library refuses to start; 0 for none."""
    opened: int
    """How often it was started and not shut down again, by all processes together."""
    units: ctypes.Array[Unit]


def compile_library(folder: Path) -> Path:
    """Compile the library into `folder`.

    Raises:
        FileNotFoundError: there is no C compiler.
    """
    library = folder / "libnvidia-ml.so.1"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


class NvmlStandIn:
    """What the compiled `library` answers. Changes are seen at once by those that use it.

    Args:
        path: the file that holds it, which is created.
    """

    def __init__(self, library: Path, path: Path) -> None:
        self.library, self._path = library, path
        path.write_bytes(bytes(ctypes.sizeof(State)))
        with path.open("r+b") as file:
            self.state = State.from_buffer(mmap.mmap(file.fileno(), 0))

    def add_gpu(self, **values: int) -> Unit:
        """One more GPU, of the kind that has everything, busy for 80 % of the time."""
        like = {"gpm": 1, "busy": 80, "sm": 60, "tensor": 30, "used": 40 * GIB, "total": 141 * GIB, "ecc": 1}
        return self._add({"kind": GPU, **like, "milliwatts": 500_000, "celsius": 55, **values})

    def add_part(self, parent: int, instance: int, **values: int) -> Unit:
        """A part of the GPU with the number `parent` among all units."""
        like = {"gpm": 1, "busy": 40, "sm": 20, "tensor": 10, "used": 4 * GIB, "total": 18 * GIB}
        return self._add({"kind": PART, "parent": parent, "instance": instance, **like, **values})

    @property
    def environment(self) -> Mapping[str, str]:
        """For a process that is to find the library."""
        folders = [str(self.library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
        return {"LD_LIBRARY_PATH": ":".join(filter(None, folders)), "STAND_IN_NVML": str(self._path)}

    def load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have nvidia-ml-py use the library in this process, until the test ends."""
        import pynvml

        monkeypatch.setenv("STAND_IN_NVML", str(self._path))
        monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(self.library)))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

    def _add(self, values: Mapping[str, int]) -> Unit:
        unit: Unit = next(unit for unit in self.state.units if not unit.kind)
        for name, value in values.items():
            setattr(unit, name, value)
        return unit
