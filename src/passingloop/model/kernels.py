"""Which kernels compute: the fastest, or those that give the same bits every time."""

from __future__ import annotations

import os

import torch


def choose_kernels(*, deterministic: bool) -> None:
    """With `deterministic`, only kernels that give the same bits every time, or an error where there is none."""
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA starts; cuBLAS documentation, 2.1.4
        torch.use_deterministic_algorithms(True)
