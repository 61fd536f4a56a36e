"""``passingloop prepare``: what it finds in real files, as people and programs see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.conftest import ROOT
from tests.train.tiny import make_model, make_tokenizer

TRAIN = "text,label\n" + "".join(f"{'word ' * (n % 9 + 1)}{n},{'ab'[n % 3 == 0]}\n" for n in range(60))
TEST = "text,label\nWORD  0,a\nsomething else,b\n,b\nx\n"


@pytest.fixture
def prepare(verb: Verb, work: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    """The verb on `train.csv` and `test.csv`; nothing is split off for validation."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PASSINGLOOP_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "80")
    (work / "train.csv").write_text(TRAIN)
    (work / "test.csv").write_text(TEST)
    files = ["data=files", "data.train=train.csv", "data.test=test.csv", "data.validation_fraction=0"]
    return lambda *words: verb("prepare", *files, *words)


PAGE = """\

                                       train  test
rows read                                 60     4
  that cannot be parsed, left out          0     1
  without text, left out                   0     1
texts                                     60     2
  cut at 8 tokens                         25     0
  that stand in the training data too      0     1
examples                                  60     2
tokens                                   410     8

label  train          test
a      ██████████ 40  ███████▌   1
b      █████      20  ███████▌   1

tokens a text  p0  p5  p25  p50  p75  p95  p99  p100
train           4   4    6    8   10   12   12    12
test            4   4    4    4    4    4    4     4
train     █████│█▇▇▇
test      █    │
       1       │ 8 … 12

examples, as the model reads them
train train.csv, line 2 [b]  [CLS] word 0 [SEP]
train train.csv, line 31 [a]  [CLS] word word word 29 [SEP]
train train.csv, line 61 [a]  [CLS] word word word word word word [SEP]
test test.csv, line 2 [a]  [CLS] word 0 [SEP]
test test.csv, line 3 [b]  [CLS] something else [SEP]
"""


def test_the_page(prepare: Verb, cache: Path) -> None:
    done = prepare("data.on_bad=drop", "data.max_length=8", "trainer.batch_size=10")
    assert done.code == 0, done.stderr
    data, tokens, rest = done.stdout.split("\n", 2)
    assert data.split() == ["data", "files"]
    assert tokens.startswith(f"tokens     {cache}/tokens/") and tokens.endswith(" kB, made now")
    tokenizer, steps, took, rest = rest.split("\n", 3)
    assert tokenizer == "tokenizer  sentence-transformers/all-MiniLM-L6-v2, at most 8 tokens an example"
    assert steps == "steps      6 an epoch with trainer.batch_size=10"
    assert took.startswith("took       ")
    assert rest == PAGE
    assert "test: 1 of 2 test texts also stand in the training data" in done.stderr
    assert "test: 1 line that cannot be parsed dropped." in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, rest.splitlines())) <= 80


def test_the_second_time_it_says_that_they_are_there(prepare: Verb) -> None:
    words = ("data.on_bad=drop", "data.max_length=9", "--json")
    (first,), (second,) = (json.loads(prepare(*words).stdout) for _ in range(2))
    assert [one["sources"]["files"].pop("reused") for one in (first, second)] == [False, True]
    for one in (first, second):
        assert one.pop("seconds") >= 0
    assert first == second


def test_what_is_bad_stops_it_before_anything_is_kept(prepare: Verb) -> None:
    done = prepare()
    assert (done.code, done.stdout) == (2, "")
    assert "error: 2 of 64 examples cannot be used. test: 1 line cannot be parsed." in done.stderr
    assert "test.csv, line 5: 1 field, but the header has 2." in done.stderr
    assert "test.csv, line 4: no text, label 'b'" in done.stderr
    assert "set data.on_bad=drop" in done.stderr


def test_json(prepare: Verb) -> None:
    (found,) = json.loads(prepare("data.on_bad=drop", "data.max_length=8", "--json").stdout)
    assert (found["task"], found["max_length"], found["steps_per_epoch"]) == ("classification", 8, 2)
    files = found["sources"]["files"]
    counts = {"read": 4, "unparsable": 1, "empty": 1, "unlabelled": 0, "used": 2, "leaked_from_train": 1, "examples": 2}
    assert {name: files["parts"]["test"][name] for name in counts} == counts
    assert files["parts"]["train"]["labels"] == {"a": 40, "b": 20}
    assert files["parts"]["train"]["lengths"]["p100"] == 12
    sample = dict(files["samples"]["test"][0])
    assert sample.pop("place").endswith("/test.csv, line 2")
    assert sample == {"row": 0, "label": "a", "pieces": [{"text": "[CLS] word 0 [SEP]", "counts": False}]}


def test_samples_name_their_file_and_original_line(prepare: Verb, work: Path) -> None:
    (work / "more.csv").write_text('text,label\nx\n"two\nlines",a\nthe last,b\n')
    words = ("data.train=[train.csv,more.csv]", "data.on_bad=drop", "data.limit=null", "--json")
    (report,) = json.loads(prepare(*words).stdout)
    last = report["sources"]["files"]["samples"]["train"][-1]
    assert (last["label"], last["place"]) == ("b", f"{work}/more.csv, line 5")


def test_a_sweep_prepares_each_set_of_data_once(prepare: Verb) -> None:
    found = json.loads(prepare("-m", "--json", "data.on_bad=drop", "data.max_length=5,6", "optim.lr=1e-3,1e-4").stdout)
    assert [one["max_length"] for one in found] == [5, 6]


def test_mistakes_are_those_of_train(prepare: Verb) -> None:
    done = prepare("data.text=body")
    assert (done.code, done.stdout) == (2, "")
    assert "You set data.text=body, but " in done.stderr
    done = prepare("data.max_lenght=8")
    assert done.code == 2
    assert "Did you mean data.max_length?" in done.stderr


CHAT = [
    {"role": "user", "content": "which\ttrain\x1b[31m?"},
    {"role": "assistant", "content": "the slow one"},
    {"role": "user", "content": "why?"},
    {"role": "assistant", "content": "it waits"},
]


def test_of_chats_it_shows_what_the_loss_counts_and_terminals_obey_nothing(
    verb: Verb, work: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSINGLOOP_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    make_model("llama").config.save_pretrained(work / "model")
    make_tokenizer().save_pretrained(work / "model")  # and no weights
    (work / "chats.jsonl").write_text(json.dumps({"chat": CHAT}) + "\n")
    words = ["task=causal_lm", "model.path=model", "data=files", "data.train=chats.jsonl", "data.messages=chat"]
    done = verb("prepare", *words, "data.validation_fraction=0", "data.test_fraction=0", "data.max_length=64")
    assert done.code == 0, done.stderr
    assert "The loss counts within ⟦ ⟧." in done.stdout
    text = " ".join(done.stdout.partition("train chats.jsonl, line 1  ")[2].split())
    assert (
        r"<|im_start|>user\nwhich\ttrain\x1b[31m?<|im_end|>\n<|im_start|>assistant\n⟦the slow one<|im_end|>\n⟧" in text
    )
    assert "label" not in done.stdout
    assert "\x1b" not in done.stdout


def test_of_a_mix_each_source_is_shown_and_what_leaks_between_them(
    verb: Verb, work: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PASSINGLOOP_CACHE", str(cache))
    (work / "one.csv").write_text(TRAIN)
    (work / "two.csv").write_text("text,label\na,a\nb,b\n")
    (work / "test.csv").write_text("text,label\nWord  0,a\nB,b\nnew,a\n")
    words = [f"+data@data.sources.{name}=files" for name in ("one", "two")]
    words += [f"data.sources.{name}.train={name}.csv" for name in ("one", "two")]
    fractions = [f"data.sources.{name}.{part}_fraction=0" for name in ("one", "two") for part in ("validation", "test")]
    done = verb("prepare", "data=mix", *words, *fractions, "data.sources.two.test=test.csv", "--json")
    assert done.code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    test = found["sources"]["two"]["parts"]["test"]
    assert (test["leaked_from_train"], test["leaked_from_others"]) == (1, 1)
    assert found["sources"]["one"]["parts"]["train"]["leaked_from_others"] == 0
    assert found["steps_per_epoch"] == 2
    assert "two: test: 1 of 3 test texts also stand in the training data of other sources." in done.stderr


WITHOUT_GPU = """
import sys
from passingloop.cli.main import main
assert main() == 0
import torch
print(torch.cuda.is_initialized(), [name for name in ("lightning", "peft", "wandb", "datasets") if name in sys.modules])
"""


@pytest.mark.process
def test_it_looks_for_no_gpu_and_loads_no_weights(work: Path, tmp_path: Path) -> None:
    make_model("bert").config.save_pretrained(work / "model")
    make_tokenizer().save_pretrained(work / "model")
    (work / "train.csv").write_text(TRAIN)
    words = ["prepare", "--json", "model.path=model", "data=files", "data.train=train.csv", "tracking=none"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GPU, *words, f"cache_root={tmp_path}/cache"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False []"
    assert [path.name for path in work.iterdir() if path.name not in ("bin", "model", "train.csv")] == []


def test_python_without_docstrings_changes_nothing(work: Path, cache: Path) -> None:
    """transformers reads docstrings when it loads a model, as that of which the positions are asked."""
    make_model("roberta", max_position_embeddings=34).save_pretrained(work / "model")
    make_tokenizer().save_pretrained(work / "model")
    (work / "train.csv").write_text(TRAIN)
    command = "import sys; from passingloop.cli.main import main; sys.exit(main())"
    settings = ["data=files", "data.train=train.csv", "model.path=model", f"cache_root={cache}"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", command, "prepare", *settings],
        cwd=work,
        env=os.environ | {"PYTHONOPTIMIZE": "2", "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "examples" in done.stdout
