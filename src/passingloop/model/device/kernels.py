"""The kernels that compute: deterministic ones only, or ones that torch.compile makes for a model's blocks."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import transformers

from passingloop.model.device.blocks import Forward
from passingloop.model.packed_attention import compile_around_documents

OPTIONAL = ("liger-kernel", "flash-attn")
"""Packages whose kernels are used where they are installed."""


def choose_kernels(*, deterministic: bool) -> None:
    """With `deterministic`, allow deterministic kernels only; an operation without one raises an error."""
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA is initialised; cuBLAS documentation, 2.1.4
        torch.use_deterministic_algorithms(True)


def kernel_key(device: torch.device) -> dict[str, str | int]:
    """What the time and the memory of a computation depend on beside the model: the device, and the libraries."""
    versions: dict[str, str | int] = {"torch": str(torch.__version__), "transformers": str(transformers.__version__)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        versions |= {"device": properties.name, "memory": properties.total_memory}
        found = [name for name in OPTIONAL if importlib.util.find_spec(name.replace("-", "_"))]
        return versions | {name: metadata.version(name) for name in found}
    return versions | {"device": _cpu_name(), "threads": torch.get_num_threads()}


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile would need and is not here, in words; None if nothing is missing."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    variable, usual = ("CC", ("gcc", "clang", "cc")) if device.type == "cuda" else ("CXX", ("g++", "clang++"))
    chosen = os.environ.get(variable)
    if any(shutil.which(name) for name in ([chosen] if chosen else usual)):
        return None
    return f"there is no compiler ({chosen or ' or '.join(usual[:2])}; ${variable})"


class Compiler:
    """Compiles blocks with torch.compile, for rows of any number and length, and counts how often.

    Args:
        notice: is told of code that is compiled once training has begun, when nobody expects to wait for it.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self.count = 0
        """How often anything was compiled, or taken from the folder."""
        self.is_training = False

    def __call__(self, forward: Forward) -> Forward:
        import torch.fx.experimental._config as shapes  # which is loaded with the compiler

        compile_around_documents()
        # Else sizes that happen to be equal when code is compiled, as of rows and heads, must always be equal.
        shapes.use_duck_shape = False
        # In this process, as processes of its own would get signals that are not meant for them.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        compiled: Forward = torch.compile(forward, backend=self._compile, dynamic=True)
        return compiled

    def _compile(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        self.count += 1
        if self.is_training:
            self._notice(
                f"Compiling the model's blocks for another kind of batch (compilation {self.count} of this attempt)"
            )
        return torch._dynamo.lookup_backend("inductor")(graph, inputs)
