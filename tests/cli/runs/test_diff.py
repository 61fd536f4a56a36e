"""``passingloop diff``."""

from __future__ import annotations

import json

import pytest

from passingloop.files import write_json
from tests.cli.conftest import Verb
from tests.cli.made import Runs


def test_what_differs(verb: Verb, runs: Runs) -> None:
    first, second = runs.new("name=a", "optim.lr=0.001"), runs.new("name=b", "optim.lr=0.0003", "data.limit=9")
    done = verb("diff", "a", "b")
    assert done.code == 0
    assert "optim.lr    0.001 -> 0.0003" in done.stdout
    assert "data.limit  null -> 9" in done.stdout
    found = json.loads(verb("diff", "a", second.path.name, "--json").stdout)
    assert (found["a"], found["b"]) == (str(first.path), str(second.path))
    assert found["config"] == {"data.limit": [None, 9], "name": ["a", "b"], "optim.lr": [0.001, 0.0003]}
    assert (found["code"], found["data"], found["model"]) == (False, None, None)
    for run, digest in ((first, "x"), (second, "y")):
        content = {"data_fingerprint": {"train": {"f": digest}}, "model_fingerprint": {"weights": {"f": digest}}}
        write_json(run.record, json.loads(run.record.read_text()) | content)
    found = json.loads(verb("diff", "a", "b", "--json").stdout)
    assert (found["data"], found["model"]) == (True, True)
    said = verb("diff", "a", "b").stdout
    assert "The content of the data differs." in said
    assert "The files of the model differ." in said
    assert "The settings are the same." in verb("diff", "a", "a").stdout
    runs.new("name=b")
    assert "names 2 runs" in verb("diff", "a", "b").stderr


@pytest.mark.parametrize("content", ["[]", "{", '{"config": 3, "code": {}}'])
def test_a_damaged_record_is_named(verb: Verb, runs: Runs, content: str) -> None:
    run, _ = runs.new("name=a"), runs.new("name=b")
    run.record.write_text(content)
    done = verb("diff", "a", "b")
    assert done.code == 1
    assert f"{run.record} is damaged" in done.stderr
