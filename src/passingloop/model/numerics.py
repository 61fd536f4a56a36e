"""Which number format the matrix products use, and which kernels compute them."""

from __future__ import annotations

import os

import torch

from passingloop.config.settings import Precision


def resolve_precision(wanted: Precision, *, cuda: bool) -> str:
    """`auto` becomes bf16 where the hardware multiplies bf16 matrices itself, else fp32."""
    if wanted != "auto":
        return wanted
    return "bf16" if (_cuda_has_bf16() if cuda else _cpu_has_bf16()) else "fp32"


def _cuda_has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bf16() -> bool:
    """AVX-512 BF16 or AMX. Without them autocast emulates bf16 and is slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def choose_kernels(*, deterministic: bool) -> None:
    """With `deterministic`, only kernels that give the same bits every time, or an error where there is none."""
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA starts; cuBLAS documentation, 2.1.4
        torch.use_deterministic_algorithms(True)
