"""The chunked loss is the plain one, in less memory."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from passingloop.data.examples.tokens import Tokens
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.chunked_loss import LogitRule, VocabularyLoss, chunk_tokens, find_vocabulary_loss
from passingloop.tasks.task import IGNORED
from passingloop.train.layout import _counted
from tests.model.causal_models import FAMILIES, causal_model
from tests.train.tiny import ALONE, VOCABULARY, fine_tuner, layout, lora, make_model, optim, random_ids, write_tokens

LENGTHS = [9, 13, 7, 11]


@pytest.fixture
def chats(tmp_path: Any) -> Tokens:
    """Texts of which the loss counts a part."""
    answers = [[int(place > length // 3) for place in range(length)] for length in LENGTHS]
    return write_tokens(tmp_path / "chats", random_ids(LENGTHS), answers=answers)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_loss_and_gradients_are_those_of_whole_logits(family: str, bf16: bool, chats: Tokens) -> None:
    model = causal_model(family).float() if bf16 else causal_model(family)
    module = fine_tuner(model, "causal_lm", optim(), bf16=bf16).eval()
    (batch,) = layout(chats, "causal_lm", row_tokens=40).step(torch.arange(4).numpy(), ALONE)
    found: list[Any] = []
    for loss in (None, find_vocabulary_loss(model, VOCABULARY, chunk=5)):
        module.vocabulary_loss = loss
        module.zero_grad()
        total = module.training_step(batch)
        total.backward()
        outcome = module.validation_step(batch)
        found.append(
            (
                total.detach(),
                outcome.losses.detach().sum(),
                outcome.counts,
                {name: p.grad for name, p in module.named_parameters() if p.grad is not None},
            )
        )
    assert module.vocabulary_loss is not None, family
    (whole, whole_sum, whole_count, expected), (chunked, chunked_sum, chunked_count, gradients) = found
    near = 3e-2 if bf16 else 1e-4  # logits are fp32 in any case
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert float(chunked) == pytest.approx(float(whole), rel=near / 10)
    assert float(chunked_sum) == pytest.approx(float(whole_sum), rel=near / 10)
    assert chunked_count.tolist() == whole_count.tolist()
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).abs().max() <= near * largest, name


def test_with_an_adapter_only_its_factors_have_gradients(chats: Tokens) -> None:
    model = add_adapter(make_model("llama"), lora(), 1, new=(), classifies=False)
    module = fine_tuner(model, "causal_lm", optim()).eval()
    module.vocabulary_loss = find_vocabulary_loss(model, VOCABULARY, chunk=5)
    assert module.vocabulary_loss is not None
    (batch,) = layout(chats, "causal_lm").step(torch.arange(4).numpy(), ALONE)
    module.training_step(batch).backward()
    assert {("lora" in name, p.grad is not None) for name, p in module.named_parameters()} == {
        (True, True),
        (False, False),
    }


def test_a_model_that_adds_to_its_loss_keeps_whole_logits() -> None:
    """Experts are balanced by a term of the loss, where the configuration says so."""
    model = causal_model("mixtral")
    assert find_vocabulary_loss(model, VOCABULARY, 8) is not None
    model.config.output_router_logits = True
    assert find_vocabulary_loss(model, VOCABULARY, 8) is None


@pytest.mark.parametrize("kind", ["bert", "bart"])
def test_a_head_that_is_not_understood_keeps_whole_logits(kind: str) -> None:
    """BERT's is computed by a module around it, BART's has a bias beside it."""
    model = make_model(kind)
    found = find_vocabulary_loss(model, VOCABULARY, 8)
    if found is not None:
        ids = torch.arange(1, 9)[None]
        assert torch.allclose(found.logits({"input_ids": ids}), model(input_ids=ids).logits, atol=1e-5)


def test_the_rule_of_logits_has_the_gradient_of_its_formula() -> None:
    rule = LogitRule(0.25, 3.0)
    products = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    logits = rule.cap * torch.tanh(products * rule.scale / rule.cap)
    weights = torch.randn(6, 9, dtype=torch.float64)
    (expected,) = torch.autograd.grad((logits * weights).sum(), products)
    assert torch.allclose(rule.apply(products.detach()), logits.float(), atol=1e-6)
    assert torch.allclose(rule.backward(weights.clone(), logits.detach()), expected)


def test_tokens_that_do_not_count_never_reach_the_head(chats: Tokens) -> None:
    (batch,) = layout(chats, "causal_lm").step(torch.arange(4).numpy(), ALONE)
    counted, flat = batch["counted"], batch["labels"].flatten()
    known = int((flat != IGNORED).sum())
    assert (flat[counted[:known]] != IGNORED).all() and (flat[counted[known:]] == IGNORED).all()
    assert len(counted) < 0.6 * flat.numel()
    assert len({len(_counted(torch.tensor([[*range(n), IGNORED]]))) for n in range(1, 500)}) < 60


def test_what_is_not_finite_where_nothing_counts_does_not_spread() -> None:
    model = make_model("llama")
    loss = find_vocabulary_loss(model, VOCABULARY, 8)
    assert loss is not None
    labels = torch.full((1, 8), IGNORED)
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(float("nan"))
    total = loss.sum({"input_ids": torch.arange(1, 9)[None]}, labels, torch.tensor([7] * 8))
    assert float(total.detach()) == 0


def test_the_chunk_follows_from_the_vocabulary_and_a_gpu_not_from_the_memory_of_a_node() -> None:
    assert chunk_tokens(151_936, None) == chunk_tokens(1_000_000, None) == 512
    assert chunk_tokens(32_000, None) == 1024
    assert chunk_tokens(320, None) > 50_000
    assert chunk_tokens(151_936, 141 * 2**30) == 1920
    assert chunk_tokens(1_000_000, 8 * 2**30) == 64


MEMORY = """
import resource, torch, transformers
from passingloop.model.chunked_loss import find_vocabulary_loss
vocabulary, tokens = 50_000, 2048
config = transformers.LlamaConfig(vocab_size=vocabulary, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                                  intermediate_size=32, max_position_embeddings=tokens)
model = transformers.AutoModelForCausalLM.from_config(config)
ids = torch.arange(tokens)[None] % vocabulary
labels = torch.cat([ids[:, 1:], torch.full((1, 1), -100)], 1)
loss = find_vocabulary_loss(model, vocabulary, 128)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loss.sum({"input_ids": ids}, labels, torch.arange(tokens)).backward()
print("MiB", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.process
def test_the_memory_of_the_loss_does_not_grow_with_the_text() -> None:
    """The peak of a process of its own. Whole logits of 2,048 tokens would take 390 MiB, and the loss three of them."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=300)
    found = re.search(r"MiB ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) < 200


def test_a_loss_of_many_chunks_is_exact() -> None:
    model = make_model("llama").double()
    loss = VocabularyLoss(model, LogitRule(), 3)
    ids = torch.arange(1, 31)[None]
    labels = ids.roll(-1, 1)
    logits = model(input_ids=ids).logits
    expected = F.cross_entropy(logits[0], labels[0], reduction="none")
    found = loss.each({"input_ids": ids}, labels, torch.arange(30)).double()
    assert torch.allclose(found, expected, rtol=1e-6)
