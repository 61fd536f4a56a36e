"""A step of LoRA here and as PEFT computes it, in one process: `python bench/adapters.py [--save] [--rounds 5]`.

Peers: PEFT's own layers on the same model, beside frozen weights in fp32, as transformers' `from_pretrained(dtype=…)`
for master weights gives them, and in bf16; and PEFT's layer on bitsandbytes' Linear4bit. A Llama of 4 layers of width
1,024 with random weights that bf16 holds exactly, bf16 autocast, rank 16, forward and backward pass, the ways in turn.
Time is that of the CPU with one thread, so that other processes disturb little (`--device cuda`: of the device). "Kept"
is what the forward pass keeps for the backward pass, parameters left out; frozen weights are counted by themselves.
`--tokens 512` sets the length of the one row, `--layers 4` the depth.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import peft
import torch
import transformers
from record import record

from passingloop.config.settings import AdapterConfig
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.adapters.frozen import quiet_quantizer

RANK = 16
VOCABULARY = 2000


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--save", action="store_true")
    return parser.parse_args()


def base(options: argparse.Namespace) -> Any:
    """The pretrained model."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=16,
        num_key_value_heads=8,
        intermediate_size=3 * options.width,
        vocab_size=VOCABULARY,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    return model


def ours(options: argparse.Namespace, held: Any, **chosen: Any) -> torch.nn.Module:
    adapter = AdapterConfig(kind="lora", rank=RANK, alpha=2.0 * RANK, dropout=0.0, **chosen)
    device = torch.device(options.device)
    return add_adapter(base(options), adapter, 1, new=[], classifies=False, held=held, device=device)


def with_peft(options: argparse.Namespace, change: Callable[[Any], None], **chosen: Any) -> torch.nn.Module:
    model = base(options)
    change(model)
    settings = {"r": RANK, "lora_alpha": 2 * RANK, "task_type": "CAUSAL_LM", "target_modules": "all-linear"}
    adapted: torch.nn.Module = peft.get_peft_model(model, peft.LoraConfig(**settings, **chosen))
    return adapted


def unchanged(model: Any) -> None:
    """The frozen weights stay in fp32."""


def in_bf16(model: Any) -> None:
    """The linear layers in bf16; embeddings and norms stay in fp32, as here."""
    for layer in model.model.layers.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.to(torch.bfloat16)


def in_four_bits(model: Any) -> None:
    import bitsandbytes

    def quantize(parent: Any) -> None:
        for name, layer in parent.named_children():
            if isinstance(layer, torch.nn.Linear):
                new = bitsandbytes.nn.Linear4bit(
                    layer.in_features, layer.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
                )
                new.weight = bitsandbytes.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
                setattr(parent, name, new.to(layer.weight.device))
            else:
                quantize(layer)

    model.to("cuda" if torch.cuda.is_available() else "cpu")
    quantize(model.model.layers)
    model.is_loaded_in_4bit = True  # where PEFT looks for it


@dataclass
class Way:
    """A way to train, and what its steps took."""

    model: torch.nn.Module
    milliseconds: list[float] = field(default_factory=list)
    kept: float = 0.0

    def step(self, ids: torch.Tensor, *, count: bool) -> None:
        kept: dict[int, int] = {}
        parameters = {parameter.untyped_storage().data_ptr() for parameter in self.model.parameters()}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        begun = clock(ids.device)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            with torch.autocast(ids.device.type, torch.bfloat16):
                logits = self.model(input_ids=ids).logits
            loss = logits.float().square().mean()
        loss.backward()
        took = clock(ids.device) - begun
        self.model.zero_grad()
        self.kept = sum(kept.values()) / 1e6
        if count:
            self.milliseconds.append(1000 * took)

    @property
    def figures(self) -> dict[str, float]:
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        return {
            "ms": round(statistics.median(self.milliseconds), 1),
            "kept_mb": round(self.kept, 1),
            "frozen_mb": round(sum(p.numel() * p.element_size() for p in frozen) / 1e6, 1),
        }


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def ways(options: argparse.Namespace) -> dict[str, torch.nn.Module]:
    return {
        "LoRA, PEFT, fp32 weights": with_peft(options, unchanged),
        "LoRA, PEFT, bf16 weights": with_peft(options, in_bf16),
        "LoRA, here": ours(options, "bf16"),
        "DoRA, PEFT, bf16 weights": with_peft(options, in_bf16, use_dora=True),
        "DoRA, here": ours(options, "bf16", dora=True),
        "QLoRA, PEFT": with_peft(options, in_four_bits),
        "QLoRA, here": ours(options, "nf4"),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    options = parse()
    quiet_quantizer()
    torch.set_num_threads(1)
    measured = {name: Way(model.to(options.device).train()) for name, model in ways(options).items()}
    ids = torch.randint(VOCABULARY, (1, options.tokens), device=options.device)
    for number in range(options.rounds + 1):
        for way in measured.values():
            way.step(ids, count=number > 0)  # the first one prepares
    figures = {name: way.figures for name, way in measured.items()}
    ratios = {
        f"{kind}, {quantity}, here / PEFT": round(figures[f"{kind}, here"][quantity] / figures[peer][quantity], 3)
        for kind, peer in (
            ("LoRA", "LoRA, PEFT, fp32 weights"),
            ("DoRA", "DoRA, PEFT, bf16 weights"),
            ("QLoRA", "QLoRA, PEFT"),
        )
        for quantity in ("ms", "kept_mb", "frozen_mb")
    }
    shape = {"tokens": options.tokens, "layers": options.layers, "width": options.width, "device": options.device}
    record("adapters", {**shape, "rounds": options.rounds, "ways": figures, "ratios": ratios})


if __name__ == "__main__":
    main()
