"""The host queues steps and evaluations without waiting for the device, so that the device always has work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from passingloop.rundir.directory import RunDir
from passingloop.train import learner
from passingloop.train.loop import Fit
from passingloop.train.module import FineTuner
from tests.runs.host_waits import HostWaitsStandIn

QUICK = ("trainer.steps=4", "trainer.eval_every=2", "trainer.deterministic=false")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], AbstractContextManager[Any]], int], None]:
    """Makes training do its steps, and the forward passes of evaluations, within contexts that ``make_context()``
    gives; but not the first few, in which libraries allocate what they keep."""

    def begin(make_context: Callable[[], AbstractContextManager[Any]], first: int) -> None:
        calls = 0

        def within(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls <= first:
                    return method(*args, **kwargs)
                with make_context():
                    return method(*args, **kwargs)

            return call

        monkeypatch.setattr(Fit, "_step", within(Fit._step))
        monkeypatch.setattr(FineTuner, "validation_step", within(FineTuner.validation_step))

    return begin


@pytest.fixture
def settings(
    small: tuple[str, ...], chats: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> dict[str, tuple[str, ...]]:
    """Of the command, by the kind of the task."""
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("text,a,b\n" + "\n".join(f"{'train ' * (i % 7 + 1)}{i},{i},{i % 5}" for i in range(120)))
    regression = (*small, "task=regression", f"data.train={numbers}", "data.label=[a,b]", "optim=adafactor")
    packed = (
        *small,
        "task=causal_lm",
        f"data.train={chats}",
        "data.label=null",
        "data.text=null",
        "data.messages=messages",
    )
    return {
        "classes": (*small, "trainer.class_weights=balanced", "trainer.micro_batch=4"),
        "numbers": regression,
        "chats, packed": (*packed, f"model.path={tiny('llama')}", "trainer.precision=fp32"),
        "chats, padded": (*packed, f"model.path={tiny('lfm2')}"),
    }


each = pytest.mark.parametrize("kind", ["classes", "numbers", "chats, packed", "chats, padded"])


@each
def test_nothing_waits_as_far_as_a_cpu_shows(
    train_here: Callable[..., RunDir],
    settings: dict[str, tuple[str, ...]],
    watch: Callable[..., None],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is done on CPUs only reads tensors as it likes.
    monkeypatch.setattr(learner, "run_flat", lambda model: False)
    monkeypatch.setattr(learner, "replace_dropout", lambda model: None)
    waits = HostWaitsStandIn()
    watch(lambda: waits, 0)
    assert train_here(*settings[kind], *QUICK).saved_step == 4
    assert not waits.found


@NO_GPU
@each
def test_nothing_waits_for_a_gpu(
    train_here: Callable[..., RunDir], settings: dict[str, tuple[str, ...]], watch: Callable[..., None], kind: str
) -> None:
    watch(no_waits, 2)
    assert train_here(*settings[kind], *QUICK).saved_step == 4


@contextmanager
def no_waits() -> Iterator[None]:
    """While it is entered torch raises an error where it would wait, also in the thread that lays steps out."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "wait",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: bool((tensor > 0).all()),
        lambda tensor: tensor.tolist(),
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor[tensor > 1],
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor.unique(),
        lambda tensor: tensor.long().bincount(),
        lambda tensor: tensor + torch.tensor([1.0, 2.0], device=tensor.device),
    ],
)
def test_the_stand_in_sees(wait: Callable[[Tensor], Any]) -> None:
    waits = HostWaitsStandIn()
    with waits:
        wait(torch.arange(2.0))
    assert waits.found.total() > 0
    assert all(__file__ in found for found in waits.found)


def test_the_stand_in_lets_pass_what_is_only_queued() -> None:
    waits = HostWaitsStandIn()
    tensor = torch.arange(3.0)
    with waits:
        torch.where(tensor > 1, tensor, 0.0).sum() + tensor.new_full((), 2.0)
        tensor[torch.arange(2)] = tensor[1:].clone()
    assert not waits.found
