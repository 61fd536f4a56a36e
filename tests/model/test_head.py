"""The head of a checkpoint is used class by class, as its classes and those of the data have names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from passingloop.model.head import match_classes
from tests.train.tiny import load, make_model, model_config, random_ids

IDS = torch.tensor(random_ids([9, 9]))
NEW = None


@pytest.mark.parametrize(
    ("own", "names", "sources"),
    [
        ("a b c", "a b c", [0, 1, 2]),
        ("c a b", "a b c", [1, 2, 0]),
        ("c a b", "a b", [1, 2]),
        ("c a", "a b c", [1, NEW, 0]),
        ("x y z", "a b c", [NEW, NEW, NEW]),
        ("x y", "a b c", [NEW, NEW, NEW]),
        ("POSITIVE NEGATIVE", "negative positive", [1, 0]),
        ("cafe\u0301 the\u0301", "caf\u00e9 th\u00e9", [0, 1]),
        ("us US", "US us", [1, 0]),
        ("us US", "Us x", [NEW, NEW]),
        ("it x", "IT It", [NEW, NEW]),
        ("LABEL_0 LABEL_1 LABEL_2", "a b c", [0, 1, 2]),
        ("LABEL_0 LABEL_1", "a b c", [NEW, NEW, NEW]),
        ("LABEL_0 LABEL_1 LABEL_2", "LABEL_0 LABEL_2", [0, 2]),
        ("no yes", "0 1", [0, 1]),
        ("no yes maybe", "0 1", [NEW, NEW]),
        ("2 1 0", "0 1 2", [2, 1, 0]),
    ],
)
def test_classes_are_matched_by_name(own: str, names: str, sources: Sequence[int | None]) -> None:
    assert match_classes(names.split(), own.split()).sources == sources


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "xlnet", "distilbert"])
@pytest.mark.parametrize(
    ("own", "names", "said"),
    [
        ("c a b", "a b c", "of the checkpoint for all 3 classes, by name"),
        ("c a b", "b a", "of the checkpoint for all 2 classes, by name"),
        ("c a", "a b c", "of the checkpoint for 2 of the 3 classes, by name; new for the others"),
        ("c d a", "a b c", "of the checkpoint for 2 of the 3 classes, by name; new for the others"),
        ("x y z", "a b c", "new: the checkpoint's head has other classes (x, y, z)"),
        ("LABEL_0 LABEL_1", "a b", "of the checkpoint, whose classes (LABEL_0, LABEL_1) are taken to be those of the"),
    ],
)
def test_the_logits_of_a_class_are_those_of_the_checkpoint(
    saved: Callable[..., Path], kind: str, own: str, names: str, said: str
) -> None:
    classes, chosen = dict(enumerate(own.split())), names.split()
    numbers = {name: number for number, name in classes.items()}
    settings = {"num_labels": len(classes), "id2label": classes, "label2id": numbers, "pad_token_id": 0}
    logits = make_model(kind, "classification", **settings)(input_ids=IDS).logits
    loaded = load(model_config(saved(kind, task="classification", **settings)), chosen)
    assert loaded.facts["head"].startswith(said)
    assert bool(loaded.new) is ("new" in said)
    assert loaded.kept == [name in numbers or own.startswith("LABEL") for name in chosen]
    assert loaded.model.config.id2label == dict(enumerate(chosen))
    found = loaded.model(input_ids=IDS).logits
    for place, name in enumerate(chosen):
        source = place if own.startswith("LABEL") else numbers.get(name)
        if source is not None:
            torch.testing.assert_close(found[:, place], logits[:, source])
        else:  # not the row of another class
            assert not any(torch.allclose(found[:, place], logits[:, other]) for other in range(len(classes)))


def test_a_configuration_that_lies_about_its_head(saved: Callable[..., Path]) -> None:
    """Its names are in the configuration, and the head has another number of classes."""
    folder = saved("bert", task="classification", num_labels=5)
    make_model("bert", "classification", id2label={0: "b", 1: "a"}).config.save_pretrained(folder)
    rows = make_model("bert", "classification", num_labels=5).classifier.weight
    for names in map(list, ("ab", "abc", "abcde", "vwxyz")):  # five fit it by chance
        loaded = load(model_config(folder), names)
        assert list(loaded.new) == ["classifier"] and not any(loaded.kept) and "head" not in loaded.facts
        assert float(loaded.model.classifier.weight.std().detach()) == pytest.approx(0.02, rel=0.5)
        assert not torch.isin(loaded.model.classifier.weight, rows).any()
