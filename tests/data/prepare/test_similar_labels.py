"""Labels that look alike are shown before training, and are one class only if that is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from passingloop.config.settings import RunConfig
from passingloop.data.prepare.mix import mixed_data, single_source_data
from passingloop.data.prepare.similar_labels import label_key, similar_groups
from passingloop.errors import DataError
from tests.conftest import Compose
from tests.data.conftest import shown_labels
from tests.data.prepare.conftest import Preparing, Rows

NFC, NFD = "caf\u00e9", "cafe\u0301"
WHOLE = {"validation_fraction": 0, "test_fraction": 0}
FRUIT: Rows = [("a", "fruit"), ("b", "fruit "), ("c", NFD), ("d", NFC), ("e", NFC), ("f", "fruit"), ("g", "root")]


@pytest.mark.parametrize(
    "label", ["fruit ", " fruit", "Fruit", "FRUIT", "fruit\u00a0", "\ufb01g \t tree", "fr\u200buit", "\ufefffruit"]
)
def test_labels_look_alike(label: str) -> None:
    plain = {"\ufb01g \t tree": "fig tree"}.get(label, "fruit")
    assert label_key(label) == label_key(plain)
    assert similar_groups({label: 1, plain: 2, "root": 1}) == [[plain, label]]


@pytest.mark.parametrize(("one", "other"), [("fruit", "fruits"), ("7", "07"), ("a b", "ab"), ("caf\u00e9", "cafe")])
def test_other_labels_do_not(one: str, other: str) -> None:
    assert label_key(one) != label_key(other)


def test_they_are_named_with_counts_and_places(preparing: Preparing) -> None:
    with pytest.raises(DataError) as refused:
        preparing(FRUIT, **WHOLE)
    train = preparing.folder / "train.csv"
    assert str(refused.value).splitlines() == [
        "Labels that look alike would be classes of their own:",
        f"  '{NFC}' = 'caf\\xe9' (2 examples, such as {train}, line 5) and "
        f"'{NFD}' = 'cafe\\u0301' (1 example, such as {train}, line 4)",
        f"  'fruit' (2 examples, such as {train}, line 2) and 'fruit ' (1 example, such as {train}, line 3)",
        "Correct them, or set data.similar_labels=fold to make one class of each line, or data.similar_labels=keep if "
        "they are meant.",
    ]


def test_a_label_of_the_test_data_counts_too(preparing: Preparing) -> None:
    with pytest.raises(DataError, match=r"'fruit ' \(1 example, such as .*test\.csv, line 2\)"):
        preparing([("a", "fruit"), ("b", "root")], test=[("c", "fruit ")], validation_fraction=0)


def test_folded_they_are_one_class(preparing: Preparing) -> None:
    prepared = preparing(FRUIT, test=[("x", "Fruit"), ("y", "root")], validation_fraction=0, similar_labels="fold")
    assert prepared.label_names == [NFC, "fruit", "root"]
    labels = {part: tokens.labels.tolist() for part, tokens in prepared.parts.items() if tokens.labels is not None}
    assert labels == {"train": [1, 1, 0, 0, 0, 1, 2], "test": [1, 2]}
    assert prepared.meta["parts"]["train"]["labels"] == {NFC: 3, "fruit": 3, "root": 1}
    assert "Labels that look alike are folded into 'fruit': 'fruit' (2), 'Fruit' (1), 'fruit ' (1)." in prepared.notes


def test_kept_they_are_said(preparing: Preparing) -> None:
    with pytest.raises(DataError):
        preparing(FRUIT, **WHOLE)
    [folder] = preparing.kept()
    prepared = preparing.prepare(FRUIT, similar_labels="keep", **WHOLE)
    assert preparing.kept() == {folder}, "the tokens are those that were refused"
    data = single_source_data(prepared, similar_labels="keep")
    assert data.label_names == [NFD, NFC, "fruit", "fruit ", "root"]
    [note] = data.notes
    assert note.startswith("Labels that look alike are classes of their own: ")
    assert "'fruit' (2 examples, such as " in note


def test_a_text_with_two_spellings_has_one_label(prepare_for: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "label": ["Hot", "hot", "cold"]}\n{"text": "b", "label": ["hot"]}\n{"text": "c", "label": []}\n'
    )
    words = ("task=multilabel", "data=files", f"data.train={tmp_path}/a.jsonl", "data.similar_labels=fold")
    prepared = prepare_for(*words)
    assert prepared.label_names == ["cold", "hot"]
    assert shown_labels(prepared, "multilabel") == ["hot, cold", "hot", "no label"]
    assert prepared.meta["parts"]["train"]["labels"] == {"cold": 1, "hot": 2}


def test_labels_of_several_sources(preparing: Preparing) -> None:
    def sources(setting: str) -> dict[str, Any]:
        one = preparing.prepare([("a", "fruit"), ("b", "root")], similar_labels=setting, **WHOLE)
        return {
            "one": one,
            "other": preparing.prepare([("c", "Fruit "), ("d", "Leaf")], similar_labels=setting, **WHOLE),
        }

    with pytest.raises(DataError, match=r"'fruit' .*train\.csv, line 2.* and 'Fruit ' "):
        mixed_data(sources("refuse"), {})
    folded = mixed_data(sources("fold"), {}, similar_labels="fold")
    assert folded.label_names == ["Leaf", "fruit", "root"]
    labels = folded.parts["train"].labels
    assert labels is not None and labels.tolist() == [1, 2, 1, 0]


def test_the_setting_has_a_default_that_is_in_no_signature(compose: Compose) -> None:
    def learned(*words: str) -> dict[str, Any]:
        config: RunConfig = compose("data=files", "data.train=a.csv", *words)
        return config.data.learned()

    assert "similar_labels" not in learned()
    assert learned("data.similar_labels=fold")["similar_labels"] == "fold"
