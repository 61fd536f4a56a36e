"""What does not fit together is found before training, and said in a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, DataError
from passingloop.model import pretrained
from passingloop.train.ending.export import export
from passingloop.train.learner import Learner, make_learner
from passingloop.train.material import gather
from tests.train.tiny import ALONE, devices_of, make_tokenizer

Compose = Callable[..., RunConfig]
Configure = Callable[..., RunConfig]
Learn = Callable[..., Learner]


@pytest.fixture
def configure(compose: Compose, tmp_path: Path) -> Configure:
    """The settings of a run with a model's folder, and rows of text and label."""

    def make(model: Path, *overrides: str, rows: str = "") -> RunConfig:
        rows = rows or "".join(f"train {'waits ' * (i % 7)},{i % 2}\n" for i in range(40))
        (tmp_path / "train.csv").write_text(f"text,label\n{rows}")
        places = (f"data.train={tmp_path / 'train.csv'}", f"model.path={model}", f"cache_root={tmp_path / 'cache'}")
        return compose("data=files", *places, "data.max_length=32", *overrides)

    return make


@pytest.fixture
def learn(configure: Configure, fabric: Fabric) -> Learn:
    def make(*settings: Any, rows: str = "") -> Learner:
        config = configure(*settings, rows=rows)
        return make_learner(config, gather(config, lambda _: None), devices_of(fabric, config), bf16=False)

    return make


def with_end(tokenizer: Any) -> Any:
    """The tokenizer, adding its end token to a text."""
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    return tokenizer


@pytest.mark.parametrize("kind", ["xlnet", "bert", "gpt2"])
def test_a_text_in_a_batch_has_the_logits_that_it_has_alone(
    saved: Callable[..., Path], learn: Learn, kind: str
) -> None:
    learner = learn(saved(kind, task="classification"))
    layout, module = learner.layouts["train"], learner.module.eval()
    assert layout.pad_left is (kind == "xlnet")
    examples = np.arange(len(layout.tokens))
    (batch,) = layout.step(examples, ALONE)
    assert len(set(layout.tokens.lengths)) > 3 and len(batch["labels"]) == len(examples)
    with torch.no_grad():
        logits = module(batch)
        for place in map(int, examples):
            ids = torch.from_numpy(layout.tokens.ids(place).astype(np.int64))
            torch.testing.assert_close(module.model(input_ids=ids[None]).logits[0], logits[place], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("settings", [[], ["trainer.micro_batch=1"]])
def test_weights_that_are_no_numbers_are_refused_as_such(
    saved: Callable[..., Path], learn: Learn, settings: list[str]
) -> None:
    folder = saved("bert", task="classification")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.fill_(math.nan)
    model.save_pretrained(folder)
    with pytest.raises(ConfigError, match="its result for a text is NaN, which is no number"):
        learn(folder, *settings)


def test_the_export_pads_as_the_run_did(
    saved: Callable[..., Path], configure: Configure, fabric: Fabric, tmp_path: Path
) -> None:
    config = configure(saved("xlnet", task="classification"))
    material = gather(config, lambda _: None)
    learner = make_learner(config, material, devices_of(fabric, config), bf16=False)
    export(learner.finish(learner.module.model), material.tokenizer, tmp_path / "export")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "export").padding_side == "left"


def test_a_model_that_computes_padding_needs_rows_of_its_own(saved: Callable[..., Path], learn: Learn) -> None:
    """FNet mixes all tokens of a row by a Fourier transform."""
    folder = saved("fnet", task="classification")
    with pytest.raises(ConfigError, match=r"other results for a text beside padding.*Set trainer\.micro_batch=1"):
        learn(folder)
    layout = learn(folder, "trainer.micro_batch=1").layouts["train"]
    assert all("attention_mask" not in batch["inputs"] for batch in layout.step(np.arange(20), ALONE))


def test_a_model_that_reads_the_end_token_needs_one_in_each_text(saved: Callable[..., Path], learn: Learn) -> None:
    folder = saved("bart", task="classification")
    with pytest.raises(ConfigError, match=r"reads its result from the end token \(eos_token_id=1\), but its tokenizer"):
        learn(folder)
    with_end(make_tokenizer()).save_pretrained(folder)
    assert not learn(folder).layouts["train"].pad_left
    rows = "one train,0\ntwo <eos> trains,1\n" * 20
    with pytest.raises(DataError, match=r"train\.csv, line.* has 2 end tokens, not 1 as others"):
        learn(folder, rows=rows)


def test_tokens_without_an_embedding(saved: Callable[..., Path], learn: Learn) -> None:
    """They may be in the tokenizer, but not in the data."""
    folder = saved("gpt2", task="classification")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<video>", "<image>"])
    tokenizer.save_pretrained(folder)
    learn(folder)
    with pytest.raises(DataError, match=r"train\.csv, line .* has '<image>', the token 320\. The embedding of"):
        learn(folder, rows="a train,0\nan <image>,1\n" * 20)
    tokenizer.add_special_tokens({"pad_token": "<fill>"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"pads with <fill>, the token 321\. The embedding of .* has 320 tokens"):
        learn(folder)


def test_texts_without_a_token(saved: Callable[..., Path], learn: Learn) -> None:
    folder = saved("gpt2", task="classification")
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.Replace("%", "")
    tokenizer.save_pretrained(folder)
    with pytest.raises(DataError, match=r"makes no token of .* texts of the train data.*train\.csv, lines? "):
        learn(folder, rows="a train,0\n%%,1\n" * 20)


def test_more_tokens_than_positions(saved: Callable[..., Path], learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model whose configuration does not tell how many it has: the longest text is computed before training."""
    monkeypatch.setattr(pretrained, "POSITIONS", ())
    long = " ".join(["train"] * 70)
    with pytest.raises(ConfigError, match=r"it cannot compute texts of \d–\d+ tokens: .* Lower data\.max_length"):
        learn(saved("bert", task="classification"), "data.max_length=100", rows=f"a train,0\n{long},1\n" * 20)
