"""`auto` is bf16 exactly where the hardware has it."""

from __future__ import annotations

import pytest
import torch

from passingloop.model.numerics import resolve_precision


@pytest.mark.parametrize("cuda", [False, True])
@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_is_what_is_used(wanted: str, cuda: bool) -> None:
    assert resolve_precision(wanted, cuda=cuda) == wanted


def test_auto_on_this_cpu() -> None:
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    has = bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))
    assert resolve_precision("auto", cuda=False) == ("bf16" if has else "fp32")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_auto_on_this_gpu() -> None:
    expected = "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp32"
    assert resolve_precision("auto", cuda=True) == expected
