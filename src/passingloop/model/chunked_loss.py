"""The loss of a head over the vocabulary, computed chunk by chunk, so that the logits are never whole in memory.

The logits of a text are its largest tensor by far: 4,096 tokens with a vocabulary of 150,000 take 2.5 GB in fp32, and
the loss needs three of them. Here the head and the loss are computed for a chunk of tokens at a time, and the gradients
of the chunk at once, from the logits that are there: nothing is computed twice. Tokens that the loss does not count,
such as questions and padding, never reach the head.

The head's weights are used while the model's own forward pass runs, as its `loss_function`. So a sharded model has
gathered them once for all chunks, and the loss is one of its outputs, as FSDP needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from passingloop.model.attention import evaluating, plain_model
from passingloop.tasks.task import IGNORED

GPU_SHARE = 1 / 64
"""The share of a GPU's memory for the logits of a chunk: 2.2 GB of an H200, 1,900 tokens of a vocabulary of 150,000."""

CPU_CHUNK_BYTES = 256 * 2**20
"""For the logits of a chunk on a CPU, if `CPU_TOKENS` fit; larger chunks are not faster."""

CPU_TOKENS = 512
"""In a chunk on a CPU at least: with fewer, adding up the gradients of the weights takes its time."""

BYTES_PER_LOGIT = 8
"""In 16 bits, in fp32, and its gradient in 16 bits."""

FEWEST_TOKENS = 64
"""In a chunk, however large the vocabulary is: the head's weights are read once for each chunk."""

TOLERANCE = 1e-4
"""The largest difference of logits that is due to rounding, relative to the largest of them."""


@dataclass(frozen=True, slots=True)
class LogitRule:
    """What a model does with the products of its head: ``cap · tanh(scale · product / cap)``."""

    scale: float = 1.0
    cap: float | None = None
    """None: without tanh."""

    def apply(self, products: Tensor) -> Tensor:
        """The logits, in fp32."""
        logits = products.float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def backward(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """The gradient of the products from that of the `logits`; changes `gradient`."""
        if self.cap is not None:
            gradient *= 1 - (logits / self.cap).square()
        return gradient if self.scale == 1.0 else gradient.mul_(self.scale)


class VocabularyLoss:
    """Computes the loss of a causal language model from the inputs of its head.

    Args:
        model: as it is trained, with its adapter if it has one.
        rule: what it does with the products of its head.
        chunk: tokens whose logits are in memory at a time.
    """

    def __init__(self, model: Any, rule: LogitRule, chunk: int) -> None:
        self.model, self.rule, self.chunk = model, rule, chunk

    def sum(self, inputs: dict[str, Any], labels: Tensor, counted: Tensor) -> Tensor:
        """The sum of the losses, with gradients.

        Args:
            inputs: the model's arguments.
            labels: the token that follows each token, or `IGNORED`, shape (b, t).
            counted: the places of the tokens in the flattened `labels` that the loss counts, and others whose label is
                ignored, shape (n,).
        """

        def summed(hidden: Tensor) -> Tensor:
            head = _head(self.model)
            arguments = (hidden.flatten(0, -2), counted, head.weight, head.bias, labels.flatten()[counted])
            total: Tensor = _ChunkedSum.apply(  # type: ignore[no-untyped-call]
                *arguments, self.rule, self.chunk, _product_type(hidden)
            )
            return total

        return self._run(inputs, labels, summed)

    def each(self, inputs: dict[str, Any], labels: Tensor, counted: Tensor) -> Tensor:
        """The losses of the `counted` tokens, 0 for those whose label is ignored, without gradients; shape (n,)."""

        def separate(hidden: Tensor) -> Tensor:
            head, dtype = _head(self.model), _product_type(hidden)
            weight, bias = head.weight.to(dtype), None if head.bias is None else head.bias.to(dtype)
            rows, targets = hidden.flatten(0, -2)[counted].to(dtype), labels.flatten()[counted]
            with torch.autocast(hidden.device.type, enabled=False):
                return torch.cat(
                    [
                        F.cross_entropy(
                            self.rule.apply(F.linear(some, weight, bias)),
                            theirs,
                            ignore_index=IGNORED,
                            reduction="none",
                        )
                        for some, theirs in zip(
                            torch.split(rows, self.chunk), torch.split(targets, self.chunk), strict=True
                        )
                    ]
                )

        with torch.no_grad():
            return self._run(inputs, labels, separate)

    def logits(self, inputs: dict[str, Any]) -> Tensor:
        """The logits, shape (b, t, vocabulary): what the model gives without this, and nothing is added to its loss."""

        def whole(hidden: Tensor) -> Tensor:
            head = _head(self.model)
            return self.rule.apply(F.linear(hidden, head.weight, head.bias))

        return self._run(inputs, inputs["input_ids"], whole)

    @property
    def bytes(self) -> int:
        """Memory that the loss takes, whatever the number of tokens."""
        weight: Tensor = _head(self.model).weight
        gradient = 4 * weight.numel() if weight.requires_grad else 0
        return BYTES_PER_LOGIT * self.chunk * weight.shape[0] + 2 * weight.numel() + gradient

    def _run(self, inputs: dict[str, Any], labels: Tensor, loss: Any) -> Tensor:
        """What `loss` makes of the inputs of the head, as the model's loss."""
        with _diverted(self.model, loss):
            result: Tensor = self.model(**inputs, labels=labels, use_cache=False).loss
        return result


def find_vocabulary_loss(model: Any, vocabulary: int, chunk: int) -> VocabularyLoss | None:
    """The loss for `model`, after forward passes of few tokens have shown that its head is understood.

    None if it is not: then the logits are computed as a whole.
    """
    if not isinstance(_head(model), torch.nn.Linear):
        return None
    ids = (torch.arange(11, device=model.device) % (vocabulary - 1) + 1)[None]
    with torch.no_grad(), evaluating(model):
        logits = model(input_ids=ids, use_cache=False).logits.float()
        for rule in _rules(plain_model(model).config.get_text_config()):
            loss = VocabularyLoss(model, rule, chunk)
            try:
                found = loss.logits({"input_ids": ids})
            except (_NotDiverted, ValueError, RuntimeError):  # it computes its loss by itself
                return None
            if found.shape == logits.shape and (found - logits).abs().max() <= TOLERANCE * logits.abs().max():
                return loss
    return None


def chunk_tokens(vocabulary: int, gpu_memory: int | None) -> int:
    """How many tokens have logits in memory at a time.

    The same for every attempt, so that their sums are rounded in the same way: by the size of a GPU's memory, not by
    what is free of it; and on a CPU by the vocabulary alone, as nodes of one cluster differ in memory.

    Args:
        gpu_memory: bytes of the GPU; None on a CPU.
    """
    if gpu_memory is None:
        room = max(CPU_CHUNK_BYTES, CPU_TOKENS * BYTES_PER_LOGIT * vocabulary)
    else:
        room = int(GPU_SHARE * gpu_memory)
    tokens = max(FEWEST_TOKENS, room // (BYTES_PER_LOGIT * vocabulary))
    return tokens - tokens % FEWEST_TOKENS


class _ChunkedSum(torch.autograd.Function):
    """The sum of the losses. The gradients are computed with it; the backward pass only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        counted: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        rule: LogitRule,
        chunk: int,
        dtype: torch.dtype,
    ) -> Tensor:
        needs_hidden, _, needs_weight, needs_bias = ctx.needs_input_grad[:4]
        matrix, offset = weight.to(dtype), None if bias is None else bias.to(dtype)
        total = torch.zeros((), device=hidden.device)
        hidden_gradient = torch.zeros_like(hidden) if needs_hidden else None
        weight_gradient = torch.zeros_like(weight) if needs_weight else None
        bias_gradient = torch.zeros_like(bias) if bias is not None and needs_bias else None
        with torch.autocast(hidden.device.type, enabled=False):
            for places, following in zip(torch.split(counted, chunk), torch.split(labels, chunk), strict=True):
                rows = hidden[places].to(dtype)
                logits = rule.apply(F.linear(rows, matrix, offset))
                normalizers = logits.logsumexp(1)
                known = following != IGNORED
                targets = following.clamp(min=0)[:, None]
                losses = normalizers - logits.gather(1, targets)[:, 0]
                total += torch.where(known, losses, 0).sum()
                if not (needs_hidden or needs_weight or needs_bias):
                    continue
                gradient = (logits - normalizers[:, None]).exp_()
                gradient.scatter_add_(1, targets, gradient.new_full(targets.shape, -1.0))
                # Not a product: what is not finite must not spread from tokens that do not count.
                gradient.masked_fill_(~known[:, None], 0)
                gradient = rule.backward(gradient, logits).to(dtype)
                del logits
                if hidden_gradient is not None:
                    # A place that stands there twice has no label, and so a gradient of 0.
                    hidden_gradient.index_copy_(0, places, (gradient @ matrix).to(hidden.dtype))
                if weight_gradient is not None:
                    _add_product(weight_gradient, gradient.T, rows)
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(0)
        ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = (None if gradient is None else gradient.mul_(scale) for gradient in ctx.saved_tensors)
        return hidden, None, weight, bias, None, None, None, None


class _NotDiverted(Exception):
    """The model has not computed its loss from one call of its head."""


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


@contextmanager
def _diverted(model: Any, loss: Any) -> Iterator[None]:
    """Meanwhile the model's head gets no tokens, and its loss is `loss` of what the head would have got."""
    plain = plain_model(model)
    inputs: list[Tensor] = []

    def take(_: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs.append(arguments[0])
        return (arguments[0][:, :0], *arguments[1:])

    def compute(*_: Any, **__: Any) -> Tensor:
        if len(inputs) != 1:
            raise _NotDiverted
        result: Tensor = loss(inputs[0])
        return result

    def cut(_: torch.nn.Module, __: tuple[Tensor, ...], nothing: Tensor) -> Tensor:
        return nothing.detach()  # so that the backward pass does not come here

    head = _head(model)
    hooks = head.register_forward_pre_hook(take), head.register_forward_hook(cut)
    own = vars(plain).get("_loss_function")
    plain._loss_function = compute
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        del plain._loss_function
        if own is not None:
            plain._loss_function = own


def _head(model: Any) -> Any:
    return plain_model(model).get_output_embeddings()


def _product_type(hidden: Tensor) -> torch.dtype:
    """The type in which the head computes: that of autocast, where it is on."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def _rules(settings: Any) -> Iterator[LogitRule]:
    """The rules that a model may have, by its configuration."""
    scales = [
        1.0,
        getattr(settings, "logit_scale", None) or 1.0,
        1 / (getattr(settings, "logits_scaling", None) or 1.0),
    ]
    caps = [getattr(settings, name, None) for name in ("final_logit_softcapping", "logits_soft_cap")]
    for cap in dict.fromkeys([*caps, None]):
        for scale in dict.fromkeys(scales):
            yield LogitRule(scale, cap)
