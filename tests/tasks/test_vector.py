"""Regression and multi-label: loss and metrics are those of transformers, scipy and scikit-learn; rows get labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lightning.fabric import Fabric
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error, root_mean_squared_error
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from passingloop.config.build import build
from passingloop.data.examples.tokens import Tokens, TokenWriter
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.mix import mixed_data
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.errors import ConfigError, DataError
from passingloop.tasks.multilabel import mean_average_precision
from passingloop.tasks.regression import regression_scores
from passingloop.tasks.task import learning_task
from passingloop.train.evaluation import evaluate
from passingloop.train.world import World, make_fabric
from tests.conftest import composed
from tests.data.conftest import DEFAULTS
from tests.train.tiny import (
    ALONE,
    VOCABULARY,
    fine_tuner,
    layout,
    make_model,
    make_tokenizer,
    optim,
    random_ids,
)

LENGTHS = [2, 3, 5, 5, 8, 9, 13, 16]
EVERY = np.arange(8)
NUMBERS = np.random.default_rng(0).normal(3e5, 1e4, (8, 2))
CLASSES = [[0], [1, 2], [], [2], [0, 1, 2], [1], [0], []]
TOKENIZER = make_tokenizer()
FILES = ("data=files", "data.train=a.csv")


def written(folder: Path, **labels: Any) -> Tokens:
    with TokenWriter(folder, VOCABULARY - 1) as writer:
        writer.add([np.array(ids) for ids in random_ids(LENGTHS)], np.ones(8), EVERY, **labels)
    return Tokens(folder)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return make_fabric(ALONE, gpus=0)


@pytest.fixture
def numbers(tmp_path: Path) -> Tokens:
    return written(tmp_path / "numbers", numbers=NUMBERS)


@pytest.fixture
def tagged(tmp_path: Path) -> Tokens:
    flat = np.array([label for labels in CLASSES for label in labels])
    return written(tmp_path / "tagged", labels=flat, label_counts=np.array([len(labels) for labels in CLASSES]))


def module(task: str, tokens: Tokens, names: list[str]) -> Any:
    model = make_model("bert", task, num_labels=len(names))
    chosen = composed(Path("/"), "task=regression", *FILES, "data.label=[x,y]")
    statistics = learning_task(task).statistics(chosen, model, tokens, names)
    return fine_tuner(model, task, optim(), statistics=statistics).eval()


def expected(task: str, model: Any, tokens: Tokens) -> torch.Tensor:
    """The loss that transformers computes for the whole part, of labels written down here anew."""
    if task == "regression":
        labels = torch.from_numpy((NUMBERS - NUMBERS.mean(0)) / NUMBERS.std(0)).float()
    else:
        labels = torch.tensor([[float(label in labels) for label in range(3)] for labels in CLASSES])
    model.config.problem_type = "regression" if task == "regression" else "multi_label_classification"
    losses = [
        model(input_ids=torch.from_numpy(tokens.ids(i).astype(np.int64))[None], labels=labels[i][None]).loss
        for i in range(8)
    ]
    return torch.stack(losses).mean()


@pytest.mark.parametrize(("task", "names"), [("regression", ["x", "y"]), ("multilabel", ["a", "b", "c"])])
def test_loss_and_gradient_are_those_of_transformers_however_divided(
    request: pytest.FixtureRequest, task: str, names: list[str]
) -> None:
    tokens = request.getfixturevalue("numbers" if task == "regression" else "tagged")
    tuner = module(task, tokens, names)
    whole = expected(task, tuner.model, tokens)
    whole.backward()
    gradients = {name: p.grad.clone() for name, p in tuner.model.named_parameters() if p.grad is not None}
    for size, batch_tokens in ((1, 10**6), (1, 16), (3, 16), (11, 10**6)):  # eleven processes: some have no share
        tuner.zero_grad()
        laid_out = layout(tokens, task, batch_tokens=batch_tokens, classes=len(names))
        losses = [
            tuner.training_step(batch) / size
            for rank in range(size)
            for batch in laid_out.step(EVERY, World(rank, size, 0, 1))
        ]
        sum(losses).backward()
        torch.testing.assert_close(sum(losses), whole)
        for name, p in tuner.model.named_parameters():
            if name in gradients:
                torch.testing.assert_close(p.grad, gradients[name], atol=1e-6, rtol=1e-4)


def test_metrics_of_numbers(numbers: Tokens, fabric: Fabric) -> None:
    tuner = module("regression", numbers, ["x", "y"])
    standard = torch.cat(
        [tuner.model(input_ids=torch.from_numpy(numbers.ids(i).astype(np.int64))[None]).logits for i in range(8)]
    )
    predicted = standard.detach().double().numpy() * NUMBERS.std(0) + NUMBERS.mean(0)
    loss = float(expected("regression", tuner.model, numbers).detach())
    for chosen in ({}, {"batch_tokens": 1}, {"batch_examples": 3}):
        found = evaluate(tuner, layout(numbers, "regression", classes=2, **chosen), fabric, ALONE, ["x", "y"])
        assert found["loss"] == pytest.approx(loss, rel=1e-5)
        assert found["mae"] == pytest.approx(mean_absolute_error(NUMBERS, predicted))
        assert found["y/rmse"] == pytest.approx(root_mean_squared_error(NUMBERS[:, 1], predicted[:, 1]))
        assert found["x/spearman"] == pytest.approx(spearmanr(NUMBERS[:, 0], predicted[:, 0]).statistic)


def test_metrics_of_labels(tagged: Tokens, fabric: Fabric) -> None:
    tuner = module("multilabel", tagged, ["a", "b", "c"])
    logits = torch.cat(
        [tuner.model(input_ids=torch.from_numpy(tagged.ids(i).astype(np.int64))[None]).logits for i in range(8)]
    ).detach()
    labels = np.array([[label in labels for label in range(3)] for labels in CLASSES])
    found = evaluate(tuner, layout(tagged, "multilabel", classes=3), fabric, ALONE, ["a", "b", "c"])
    assert found["loss"] == pytest.approx(
        float(F.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels).float())), rel=1e-5
    )
    assert found["micro_f1"] == pytest.approx(f1_score(labels, logits > 0, average="micro", zero_division=0))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, logits > 0, average="macro", zero_division=0))
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(labels, logits), rel=1e-5)


SMALL = st.integers(-3, 3).map(float)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 9), st.just(2)), elements=SMALL))
def test_scores_are_those_of_scipy_also_with_ties(pairs: Any) -> None:
    labels, predictions = pairs.T
    found = regression_scores(labels, predictions)
    assert found["mae"] == pytest.approx(mean_absolute_error(labels, predictions))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(labels, predictions))
    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        assert (found["pearson"], found["spearman"]) == (0.0, 0.0)
        return
    assert found["pearson"] == pytest.approx(pearsonr(labels, predictions).statistic, abs=1e-9)
    assert found["spearman"] == pytest.approx(spearmanr(labels, predictions).statistic, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_average_precision_is_that_of_scikit_learn_also_with_ties(data: Any) -> None:
    shape = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 4)))
    labels = data.draw(arrays(bool, shape))
    values = data.draw(arrays(np.float32, shape, elements=st.integers(-2, 2).map(float)))
    occurring = labels.any(0)
    each = [average_precision_score(labels[:, i], values[:, i]) for i in np.flatnonzero(occurring)]
    assert mean_average_precision(labels, values) == pytest.approx(np.mean(each) if each else 0.0)


# The exported model


@pytest.mark.parametrize("kind", ["bert", "gpt2"])  # a head with a bias, and one without
def test_the_finished_model_predicts_the_numbers_themselves(numbers: Tokens, tmp_path: Path, kind: str) -> None:
    model = make_model(kind, "regression", num_labels=2, problem_type="regression")
    task, chosen = learning_task("regression"), composed(Path("/"), "task=regression", *FILES, "data.label=[x,y]")
    statistics = task.statistics(chosen, model, numbers, ["x", "y"])
    ids = torch.tensor(random_ids([6])[:1])
    before = task.predictions(model(input_ids=ids).logits, statistics)
    task.finish(model, statistics)
    model.save_pretrained(tmp_path / "export")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export").eval()
    torch.testing.assert_close(loaded(input_ids=ids).logits.double(), before, rtol=1e-4, atol=1e-2)
    assert loaded.config.problem_type == "regression"
    assert float(statistics[0].abs().max()) == (0.0 if kind == "gpt2" else pytest.approx(NUMBERS.mean(0).max()))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("kept", [[True, True], [True, False], [False, False]])
def test_a_model_that_predicts_numbers_learns_on_from_them(numbers: Tokens, kind: str, kept: list[bool]) -> None:
    """Before the first step the logits of those that it predicts are its predictions, standardised."""
    model = make_model(kind, "regression", num_labels=2, problem_type="regression")
    task, chosen = learning_task("regression"), composed(Path("/"), "task=regression", *FILES, "data.label=[x,y]")
    statistics = task.statistics(chosen, model, numbers, ["x", "y"])
    ids = torch.tensor(random_ids([6])[:1])
    predicted = model(input_ids=ids).logits.double()
    task.start(model, statistics, kept)
    logits = model(input_ids=ids).logits
    standardised = (predicted - statistics[0]) / statistics[1]
    for place, is_kept in enumerate(kept):
        expected = standardised if is_kept else predicted
        torch.testing.assert_close(logits[:, place].double(), expected[:, place], rtol=1e-4, atol=1e-5)


# From rows to labels


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    def make(task: str, name: str, content: str | bytes, **chosen: Any) -> Prepared:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        none = {"validation_fraction": 0, "test_fraction": 0}
        config = build(FilesData, DEFAULTS | {"train": str(tmp_path / name)} | none | chosen, prefix="data.")
        recipe = Recipe(task=task, config=config, tokenizer=TOKENIZER, max_length=16)
        return prepare_source(recipe, Files(config, task), tmp_path / "cache", lambda _: None)[0]

    return make


def parquet(folder: Path, **columns: Any) -> bytes:
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def test_numbers_of_every_format(prepared: Callable[..., Prepared], tmp_path: Path) -> None:
    wanted = [[1.5, -2.0], [0.1, 1e9], [3.0, 7.0]]
    lines = "".join(json.dumps({"text": f"t{i}", "x": x, "y": y}) + "\n" for i, (x, y) in enumerate(wanted))
    made = (
        prepared("regression", "a.csv", "text,x,y\nt0,1.5,-2\nt1,0.1, 1e9\nt2,3,7\n", label=["x", "y"]),
        prepared("regression", "a.jsonl", lines, label=["x", "y"]),
        prepared(
            "regression",
            "a.parquet",
            parquet(tmp_path, text=["t0", "t1", "t2"], x=[1.5, 0.1, 3.0], y=pa.array([-2, 10**9, 7])),
            label=["x", "y"],
        ),
    )
    for each in made:
        assert each.parts["train"].labels.tolist() == wanted
        assert each.label_names == []


def test_labels_of_every_format(prepared: Callable[..., Prepared], tmp_path: Path) -> None:
    lists = [["b", "a"], [], ["a"], ["c", "b", "b"]]
    lines = "".join(json.dumps({"text": f"t{i}", "label": labels}) + "\n" for i, labels in enumerate(lists))
    made = (
        prepared("multilabel", "a.csv", 'text,label\nt0,b; a\nt1,""\nt2,a\nt3,c;b;;b\n', label_separator=";"),
        prepared("multilabel", "a.jsonl", lines),
        prepared("multilabel", "a.parquet", parquet(tmp_path, text=["t0", "t1", "t2", "t3"], label=lists)),
    )
    for each in made:
        task, tokens = learning_task("multilabel"), each.parts["train"]
        assert each.label_names == ["a", "b", "c"]
        assert [task.label_text(tokens, i, each.label_names) for i in range(4)] == ["b, a", "no label", "a", "c, b"]
        assert each.meta["parts"]["train"]["labels"] == {"a": 2, "b": 2, "c": 1}
        laid_out = layout(tokens, "multilabel", classes=3).batch([[0], [1], [3]], 1.0)
        assert laid_out["labels"].tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]


def test_sources_of_a_mix_share_their_labels(prepared: Callable[..., Prepared]) -> None:
    one = prepared("multilabel", "a.csv", "text,label\nx,b;c\ny,c\n", label_separator=";")
    other = prepared("multilabel", "b.csv", "text,label\nz,a;c\n", label_separator=";")
    data = mixed_data({"one": one, "other": other}, {}, fewest_classes=1)
    shown = [learning_task("multilabel").label_text(data.parts["train"], i, data.label_names) for i in range(3)]
    assert shown == ["b, c", "c", "a, c"]


def test_the_same_text_with_other_labels_is_a_conflict(prepared: Callable[..., Prepared]) -> None:
    found = prepared("multilabel", "a.csv", "text,label\nx,a;b\nx,b;a\ny,a\ny,b\n", label_separator=";")
    assert found.meta["parts"]["train"]["conflicting"] == 2


@pytest.mark.parametrize(
    ("task", "name", "content", "chosen", "message"),
    [
        ("regression", "a.csv", "text,x\nt,1\nu,dear\n", {"label": "x"}, r"line 3: x \(data.label=x\) is 'dear', but"),
        ("regression", "a.csv", "text,x\nt,1\nu,nan\n", {"label": "x"}, "is 'nan', but must be a number"),
        ("regression", "a.csv", "text,x\nt,1\nu,\n", {"label": "x"}, "no label for 'u'"),
        ("regression", "a.jsonl", '{"text": "t", "x": true}\n', {"label": "x"}, "line 1: .*x.* is true or false, but"),
        ("multilabel", "a.csv", "text,label\nt,a\n", {}, "is csv and holds no lists. Set data.label_separator"),
        ("multilabel", "a.csv", "text,label\nt,a\nu,\n", {"label_separator": ";"}, "line 3: no label for 'u'"),
        ("multilabel", "a.jsonl", '{"text": "t", "label": "a;b"}\n', {}, "line 1: .* is text, but must be a list"),
        ("multilabel", "a.jsonl", '{"text": "t", "label": ["a", " "]}\n', {}, r"is \['a', ' '\], but must hold"),
    ],
)
def test_bad_labels_are_named(
    prepared: Callable[..., Prepared], task: str, name: str, content: str, chosen: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepared(task, name, content, on_bad="fail", **chosen)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("task=regression",), "data=stdlib_docs has no numbers"),
        (("task=multilabel",), "data=stdlib_docs has one label per text"),
        ((*FILES, "data.label=[a,b]"), r"label=\[a,b\], but task=classification takes one column"),
        ((*FILES, "data.label_separator=;"), "but task=classification has one label per text"),
        ((*FILES, "task=regression", "data.label=[]"), "must name one or several columns"),
        ((*FILES, "task=regression", "trainer.class_weights=balanced"), "task=regression has no classes"),
    ],
)
def test_what_does_not_go_with_a_task(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed(Path("/work"), *words)
