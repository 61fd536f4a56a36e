"""Modules that are loaded when something in them is used; each test in a process of its own, that has imported none."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from passingloop.startup.postponed import EXCEPTIONS, MODULES, SUBSTITUTES

START = """
import sys
from passingloop.startup.imports import light_imports
with light_imports(alone=True):
    import torch, transformers.modeling_utils, passingloop.train.attempt
from passingloop.startup.postponed import MODULES, StandIn, load
waiting = lambda: {name for name in MODULES if isinstance(sys.modules.get(name), StandIn)}
"""

TRAIN = """
from tests.train.tiny import fine_tuner, make_model, optim
module = fine_tuner(make_model("bert", "classification"), "classification", optim())
ids = torch.ones(2, 8, dtype=torch.int64)
module.model(input_ids=ids).logits.sum().backward()
optimizer = module.configure_optimizers()
optimizer.step()
optimizer.zero_grad()
from passingloop.model.meta_tensors import MetaShortcuts
from passingloop.train.optim.optimizer import state_bytes
with torch.device("meta"), MetaShortcuts():
    torch.nn.Embedding(2, 2), torch.nn.Linear(2, 2), torch.nn.LayerNorm(2), torch.arange(2)
    torch.empty_like(torch.empty(2, 3), device="cpu").add(1)
state_bytes(optim(), [torch.nn.Parameter(torch.ones(2, 3))])
print(*sorted(waiting()), "sympy" in sys.modules)
import tempfile
with tempfile.TemporaryDirectory() as folder:
    module.model.save_pretrained(folder)
print("torch._dynamo" in waiting(), "sympy" in sys.modules)
"""

USE = """
import lightning.fabric.wrappers, transformers.distributed.fsdp
assert not isinstance(torch.nn.Linear(2, 2), lightning.fabric.wrappers.OptimizedModule)
from torch._dynamo.utils import counters  # below one that is not loaded
compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")
compiled(torch.ones(1, 2))
print(isinstance(compiled, lightning.fabric.wrappers.OptimizedModule), counters["frames"]["ok"])
import torch.distributed.fsdp
print(transformers.distributed.fsdp.MixedPrecisionPolicy(param_dtype=torch.bfloat16).param_dtype)
print(transformers.distributed.fsdp.MixedPrecisionPolicy is torch.distributed.fsdp.MixedPrecisionPolicy)
import torch.distributed.tensor._collective_utils as collectives
from torch.fx.experimental import symbolic_shapes
print(collectives.guard_or_false(True), collectives.guard_or_false is symbolic_shapes.guard_or_false)
print(*sorted(waiting()))
"""


def run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.process
def test_a_step_of_a_single_process_loads_none_of_them() -> None:
    trained, saved = run(START + TRAIN)
    assert trained == f"{' '.join(sorted(MODULES))} False"
    assert saved == "True False"


@pytest.mark.process
def test_what_is_used_is_the_real_thing_wherever_it_stands() -> None:
    assert run(START + USE) == [
        "True 1",
        "torch.bfloat16",
        "True",
        "True True",
        "torch.distributed._composable.fsdp torch.distributed.checkpoint torch.distributed.checkpoint.hf_storage",
    ]


@pytest.mark.process
def test_the_names_are_what_they_are_taken_for() -> None:
    """Functions and classes, and in `except` clauses exceptions; a new version may have made something else of them."""
    for module, names in MODULES.items():
        assert [name for name in names if not callable(getattr(import_module(module), name))] == []
    for module, names in EXCEPTIONS.items():
        assert [name for name in names if not issubclass(getattr(import_module(module), name), Exception)] == []
    for module, substitutes in SUBSTITUTES.items():
        assert [name for name in substitutes if not hasattr(import_module(module), name)] == []
    import torch._dynamo

    assert torch._dynamo.eval_frame.OptimizedModule is torch._dynamo.OptimizedModule
