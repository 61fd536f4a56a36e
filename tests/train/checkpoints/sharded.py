"""What each process of `test_shard` does: ``RANK=… python -m tests.train.checkpoints.sharded FOLDER``."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from passingloop.config.settings import OptimConfig, Task
from passingloop.errors import NotSaved
from passingloop.handoff import World
from passingloop.job import UNDESTROYED, leave
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.adapters.frozen import Held
from passingloop.model.chunked_loss import find_vocabulary_loss
from passingloop.model.sharding import gather_model, shard_model
from passingloop.model.strategy import unreduced_gradients
from passingloop.train.checkpoints import shards, tensors
from passingloop.train.ending.export import export
from passingloop.train.evaluation import evaluate
from passingloop.train.optimizer_step import randomness, total_norm
from passingloop.train.world import all_reduce, process_group
from tests.train.tiny import (
    VOCABULARY,
    adafactor,
    fine_tuner,
    layout,
    lora,
    make_model,
    make_tokenizer,
    optim,
    random_ids,
    write_tokens,
)

LENGTHS = [2, 3, 5, 5, 8, 9, 16]
"""Of which the first of two processes gets one micro-batch more than the second."""


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str
    task: Task = "causal_lm"
    adapter: bool = False
    held: Held = "fp32"
    dora: bool = False
    bf16: bool = False
    packed: bool = False
    chunk: int | None = None
    """Tokens whose logits are in memory at a time; None: all."""
    optim: OptimConfig = dataclasses.field(default_factory=optim)


CASES = {
    "full": Case("gpt2", chunk=5),  # whose head is tied
    "lora": Case("bert", "classification", adapter=True),  # with three classes for two processes
    "in 4 bits": Case("llama", adapter=True, held="nf4", dora=True, bf16=True),
    "bf16": Case("llama", bf16=True, packed=True, chunk=5),
    "adafactor": Case("gpt2", optim=adafactor()),
}


class Training:
    """A model in training: `how` is alone, ddp, fsdp, or "fsdp, each" (see `step`). Its data are in `folder`."""

    def __init__(self, case: Case, how: str, folder: Path, fabric: Fabric, world: World) -> None:
        self.fabric, self.world, self.how = fabric, world, how
        causal = case.task == "causal_lm"
        own = Path(tempfile.mkdtemp(dir=folder)) / "tokens"
        tokens = write_tokens(own, random_ids(LENGTHS), labels=None if causal else [0, 1, 2, 0, 1, 2, 0])
        row_tokens = 16 if case.packed else None
        self.layout = layout(tokens, case.task, batch_tokens=16, row_tokens=row_tokens, even=how.startswith("fsdp"))
        self.classes = 0 if causal else 3
        model = make_model(case.kind, case.task, **({} if causal else {"num_labels": 3}))
        if case.adapter:
            chosen = lora(dora=case.dora)
            model = add_adapter(model, chosen, 1, new=[], classifies=case.task == "classification", held=case.held)
        self.module = fine_tuner(model, case.task, case.optim, bf16=case.bf16)
        if case.chunk:
            self.module.vocabulary_loss = find_vocabulary_loss(model, VOCABULARY, case.chunk)
            assert self.module.vocabulary_loss is not None
        self.hollow = shard_model(model, fabric.device, world.size) if how.startswith("fsdp") else None
        self.module.to(fabric.device)
        if not case.adapter:  # after sharding, as what the loss does not depend on is frozen
            self.module.model.get_input_embeddings().weight.requires_grad_(case.kind != "llama")
        self.optimizer: Any = self.module.configure_optimizers()
        self.wrapped: Any = self.module
        if how == "ddp":
            self.wrapped, self.optimizer = fabric.setup(self.module, self.optimizer)
        if world.size > 1:
            UNDESTROYED.append(self)

    def step(self, k: int) -> tuple[float, float]:
        """Loss and norm of the gradient. Micro-batches whose gradients wait for the last one's are exchanged with them;
        of `fsdp, each` all are exchanged at once."""
        torch.manual_seed(randomness(1, k, self.world.rank))
        examples = np.arange(len(LENGTHS)) if k else np.arange(1)  # of one there is nothing for the second process
        batches = self.layout.step(examples, self.world)
        loss = torch.zeros(())
        for number, batch in enumerate(batches, start=1):
            with self._exchange(waits=number < len(batches)):
                part = self.wrapped.training_step(batch)
                self.fabric.backward(part)
            loss += part.detach()
        parameters = [p for p in self.module.parameters() if p.grad is not None]
        norm = total_norm([p.grad for p in parameters if p.grad is not None])
        torch.nn.utils.clip_grads_with_norm_(parameters, 0.5, norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(all_reduce(self.fabric, loss, "mean")), float(norm)

    def _exchange(self, waits: bool) -> AbstractContextManager[Any]:
        if waits and self.how == "ddp":
            return self.fabric.no_backward_sync(self.wrapped)
        return unreduced_gradients(self.module.model) if waits and self.how == "fsdp" else nullcontext()

    def held(self) -> dict[str, Tensor]:
        return tensors.weights(self.module) | tensors.optimizer_state(self.module, self.optimizer)

    def gathered(self) -> dict[str, Tensor]:
        """Copies of `held`, put together."""
        held = self.held()
        return {n: (t.full_tensor() if isinstance(t, DTensor) else t).clone() for n, t in held.items()}

    def load(self, folder: Path) -> None:
        weights, state = tensors.weights(self.module), tensors.blank_state(self.module, self.optimizer)
        for weight in weights.values():
            weight.zero_()
        shards.load(folder, weights | state)
        tensors.restore(self.module, self.optimizer, weights, state)

    def evaluate(self) -> dict[str, float]:
        return evaluate(self.module, self.layout, self.fabric, self.world, self.classes)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Reductions(TorchDispatchMode):
    """Counts how often gradients are reduced while it is entered."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "reduce_scatter" in str(func)
        return func(*args, **(kwargs or {}))


def reductions(training: Training) -> int:
    """How often gradients are reduced in a step."""
    with Reductions() as found:
        training.step(4)
    return found.count


def share(tensors: dict[str, Tensor]) -> float:
    """How much of all their elements this process holds."""
    return sum(t.numel() for t in shards.local_parts(tensors).values()) / sum(t.numel() for t in tensors.values())


# What each process does


def act(folder: Path) -> dict[str, Any]:
    """Two processes save, three load."""
    torch.use_deterministic_algorithms(True)
    world = World.from_environment(os.environ)
    with process_group(world, 0) as fabric:
        act_case = act_of_two if world.size == 2 else act_of_three
        return {name: act_case(case, folder / name, fabric, world) for name, case in CASES.items()}


def act_of_two(case: Case, folder: Path, fabric: Fabric, world: World) -> dict[str, Any]:
    def begin(how: str) -> Training:
        return Training(case, how, folder, fabric, world)

    sharded, copied = begin("fsdp"), begin("ddp")
    found: dict[str, Any] = {"metrics": sharded.evaluate()}  # before any training, as at the end of a finished run
    sharded.module.eval()
    copied.module.eval()
    found["fsdp"], found["ddp"] = [sharded.step(k) for k in range(4)], [copied.step(k) for k in range(4)]
    each = begin("fsdp, each")
    each.module.eval()
    found["fsdp, each"] = [each.step(k) for k in range(4)]
    found["reductions"] = reductions(sharded), reductions(each)

    sharded = begin("fsdp")
    sharded.load(folder / "whole")
    saved = load_file(folder / "whole" / "weights.safetensors") | load_file(folder / "whole" / "optimizer.safetensors")
    loaded = sharded.gathered()
    found["from whole"] = same(loaded, saved)
    found["share"] = share(tensors.weights(sharded.module)), share(sharded.held())
    sharded.module.train()
    group = shards.make_group()
    held = sharded.held()
    copies = shards.with_placements({n: part.clone() for n, part in shards.local_parts(held).items()}, held)
    if world.leads:
        save_file(loaded, folder / "gathered.safetensors")
    saver = threading.Thread(target=shards.save, args=(folder / "sharded", copies, group))
    saver.start()
    uninterrupted = [sharded.step(k) for k in range(4, 7)]
    saver.join()
    final = sharded.gathered()

    again = begin("fsdp")
    again.load(folder / "sharded")
    again.module.train()
    found["resumed"] = [again.step(k) for k in range(4, 7)] == uninterrupted and same(again.gathered(), final)
    again.evaluate()
    found["sharded after evaluation"] = same(again.gathered(), final) and share(again.held()) == found["share"][1]
    again.optimizer.skip_updates(torch.ones(()))
    again.step(7)
    found["left out"] = same(again.gathered(), final)
    (folder / "broken" / "shard-00002-model-00001-of-00001.safetensors").mkdir(parents=True, exist_ok=True)
    try:
        shards.save(folder / "broken", copies, group)
    except NotSaved as error:
        found["failure"] = str(error)
    assert again.hollow is not None
    model = gather_model(again.module.model, again.hollow, keep=world.leads)
    if world.leads:
        save_file(final, folder / "final.safetensors")
        export(model, make_tokenizer(), folder / "export")
    found["the other has none"] = world.leads or model is None
    return found


def act_of_three(case: Case, folder: Path, fabric: Fabric, world: World) -> dict[str, Any]:
    training = Training(case, "fsdp", folder, fabric, world)
    training.load(folder / "sharded")
    equal = same(training.gathered(), load_file(folder / "gathered.safetensors"))
    return {"loaded": equal, "metrics": training.evaluate()}


if __name__ == "__main__":
    print(json.dumps(act(Path(sys.argv[1]))))
    leave(0)
