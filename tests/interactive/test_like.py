"""The notebook that begins with a run."""

from __future__ import annotations

import json

import pytest

from passingloop.interactive.like import notebook, notebook_name
from passingloop.rundir import record
from tests.cli.made import Runs
from tests.conftest import Compose


@pytest.mark.parametrize(
    ("overrides", "complete", "auto", "said"),
    [
        ((), True, "AutoModelForSequenceClassification", "is complete after 40 steps: test/accuracy 0.9"),
        ((), False, "AutoModelForSequenceClassification", "is not complete"),
        (("task=causal_lm", "adapter=lora"), False, "AutoModelForCausalLM", "is not complete"),
    ],
)
def test_it_names_the_run_and_loads_what_there_is(
    compose: Compose, overrides: tuple[str, ...], complete: bool, auto: str, said: str
) -> None:
    run = Runs(compose).new(*overrides)
    result = {"steps": 40, "metrics": {"test/accuracy": 0.9}} if complete else None
    page = json.loads(notebook(run, record.read(run), result))
    title, *code = [cell["source"] for cell in page["cells"]]
    assert said in title
    assert str(run.path) in title
    assert str(run.path) in code[0]
    assert f"{auto}.from_pretrained(run.export" in code[-1]
    assert code[-1].startswith("#") is not complete
    for source in code:
        compile(source, "cell", "exec")


def test_a_path_of_any_kind_stands_in_it_as_it_is(compose: Compose) -> None:
    run = Runs(compose).new("name=it.s")
    assert notebook_name(run) == f"like-it.s-{run.path.name}.ipynb"
