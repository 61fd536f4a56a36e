"""Liger's kernels are used only if they change nothing. Here a stand-in for the package replaces what Liger does, as
Liger's need a GPU; `test_liger_itself` runs where there are both."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from types import MethodType, ModuleType
from typing import Any

import pytest
import torch
from transformers.models.llama import modeling_llama

from passingloop.model.liger import replace_by_liger, use_liger
from tests.train.tiny import VOCABULARY, make_model


def stand_in(factor: float) -> Any:
    """Replaces the norms by ones of its own, times `factor`, and a function of transformers' module."""

    def norm(self: Any, hidden: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(hidden.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return factor * self.weight * hidden * scale

    def apply(*, model: Any, cross_entropy: bool, fused_linear_cross_entropy: bool, **_: Any) -> None:
        assert not cross_entropy and not fused_linear_cross_entropy
        for part in model.modules():
            if isinstance(part, modeling_llama.LlamaRMSNorm):
                part.forward = MethodType(norm, part)
        original = modeling_llama.rotate_half
        modeling_llama.rotate_half = partial(original)

    return apply


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package = ModuleType("liger_kernel.transformers")
    monkeypatch.setitem(sys.modules, "liger_kernel", ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", package)
    monkeypatch.setattr(modeling_llama, "rotate_half", modeling_llama.rotate_half)
    return package


@pytest.mark.parametrize(("factor", "used"), [(1.0, True), (1.5, False)])
def test_kernels_are_used_if_they_give_the_same(factor: float, used: bool, package: Any) -> None:
    package._apply_liger_kernel_to_instance = stand_in(factor)
    model, ids = make_model("llama"), torch.arange(1, 9)[None]
    before, rotate = model(input_ids=ids).logits.detach(), modeling_llama.rotate_half
    assert replace_by_liger(model, VOCABULARY) is used
    after = model(input_ids=ids).logits.detach()
    assert torch.allclose(after, before, atol=1e-5) if used else torch.equal(after, before)
    assert ("forward" in vars(model.model.norm)) is used
    assert (modeling_llama.rotate_half is not rotate) is used


def test_kernels_that_fail_are_put_back_and_it_is_said(package: Any, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*, model: Any, **_: Any) -> None:
        model.model.norm.forward = None
        raise RuntimeError("no compiler")

    package._apply_liger_kernel_to_instance = broken
    model = make_model("llama")
    with caplog.at_level("INFO", "passingloop"):
        assert not replace_by_liger(model, VOCABULARY)
    assert caplog.messages == ["Liger's kernels are left out: RuntimeError: no compiler"]
    assert model(input_ids=torch.arange(1, 9)[None]).logits.isfinite().all()


def test_a_package_of_another_release_is_left_out(package: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "passingloop"):
        assert not replace_by_liger(make_model("llama"), VOCABULARY)
    assert "ImportError" in caplog.text


def test_an_error_of_ours_is_not_taken_for_one_of_liger(package: Any) -> None:
    def wrong(**_: Any) -> None:
        raise AssertionError

    package._apply_liger_kernel_to_instance = wrong
    with pytest.raises(AssertionError):
        replace_by_liger(make_model("llama"), VOCABULARY)


def test_a_cpu_has_none(package: Any) -> None:
    assert not use_liger(make_model("llama"), VOCABULARY)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.skipif(importlib.util.find_spec("liger_kernel") is None, reason="liger-kernel is not installed")
def test_liger_itself() -> None:
    model, ids = make_model("llama").cuda(), torch.arange(1, 9).cuda()[None]
    expected: list[Any] = []
    for _ in range(2):
        model.zero_grad()
        logits = model(input_ids=ids).logits
        logits.square().sum().backward()
        expected.append([logits.detach(), *(p.grad.clone() for p in model.parameters())])
        replace_by_liger(model, VOCABULARY)
    assert all(torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4) for ours, theirs in zip(*expected, strict=True))
