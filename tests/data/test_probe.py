"""The data of runs are checked before these start: each source once, and with what is wrong in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.data import probe
from passingloop.errors import ConfigError, DataError, MissingError
from tests.conftest import Compose, Finished
from tests.data.hub.made import NEWS, write
from tests.train.tiny import CONFIGURATIONS, make_tokenizer

Command = Callable[..., Finished]


def test_a_sweep_looks_at_the_same_files_once(main_here: Command, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "good.csv").write_text("text,label\nhello,a\nbye,b\n")
    opened: list[object] = []
    open_source = probe.open_source
    monkeypatch.setattr(probe, "open_source", lambda *asked: opened.append(asked) or open_source(*asked))
    line = "-m data=files data.train=good.csv data.limit=range(1,20) data.max_length=32,64 trainer.seed=1,2"
    assert main_here(*line.split()).code == 3
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ("x,a\ny,a", "", "The training data have a single class, 'a'."),
        ("x,\ny,", "", "train: 2 texts have no label."),
        ("x,\ny,", "data.on_bad=drop", "The train data have no usable example. train: 2 texts without a label"),
        (",a\n,b", "", "train: 2 examples have no text."),
        ("x,1\ny,b", "task=regression", "line 3: label (data.label=label) is 'b', but must be a number"),
        ("x,a\ny,b", "data.validation=other.csv", "The validation data have 'c' as label, which the training"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_told_before_anything_heavy_is_imported(
    main_here: Command, work: Path, rows: str, words: str, said: str
) -> None:
    (work / "rows.csv").write_text(f"text,label\n{rows}\n")
    (work / "other.csv").write_text("text,label\nz,c\n")
    done = main_here("data=files", "data.train=rows.csv", *words.split())
    assert done.code == 2
    assert said in done.stderr
    assert list(work.glob("runs")) == []


CHATS: dict[str, tuple[str, str]] = {
    "no answer": ('[{"role": "user", "content": "a"}]', "No chat of the train data has an answer to learn"),
    "a role": ('[{"role": "user", "content": "a"}, {"role": "npc", "content": "b"}]', "The roles are: 'user', 'npc'."),
    "a weight": ('[{"role": "assistant", "content": "b", "weight": 0}]', "No chat of the train data has an answer"),
    "no role": (
        '[{"from": "human", "value": "a"}]',
        "chats.jsonl, line 1: message 1 has no role. It has: from, value.",
    ),
    "a field": (
        '[{"role": "user", "content": "a", "mood": 1}, {"role": "assistant", "content": "b"}]',
        "chats.jsonl, line 1: The chat template of {}/model does not write mood (message 1)",
    ),
}


@pytest.mark.parametrize("case", CHATS)
def test_so_are_chats(main_here: Command, work: Path, case: str) -> None:
    make_tokenizer().save_pretrained(work / "model")
    CONFIGURATIONS["llama"]().save_pretrained(work / "model")
    chat, said = CHATS[case]
    (work / "chats.jsonl").write_text(f'{{"messages": {chat}}}\n')
    words = ("task=causal_lm", "data=files", "data.train=chats.jsonl", "data.messages=messages", "model.path=model")
    done = main_here(*words)
    assert done.code == 2
    assert said.format(work) in done.stderr
    good = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'
    with (work / "chats.jsonl").open("a") as file:
        file.write(f'{{"messages": {good}}}\n')
    assert main_here(*words, "data.on_bad=drop").code == 3, "some can be learned from"
    (work / "model" / "chat_template.jinja").unlink()
    none = main_here(*words, "data.on_bad=drop")
    assert none.code == 2
    assert f"the tokenizer of {work}/model has no chat template" in none.stderr


def test_large_files_are_left_to_the_run(main_here: Command, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SMALL_BYTES", 10)
    (work / "rows.csv").write_text("text,label\nx,a\ny,a\n")
    assert main_here("data=files", "data.train=rows.csv").code == 3


# Sources that are checked in a process of their own: here folders in the form of the hub, which need no server.


def hub_words(folder: Path, key: str = "data") -> tuple[str, ...]:
    choice = "data=hub" if key == "data" else f"+data@{key}=hub"
    return choice, f"{key}.path={folder}", f"{key}.train=train"


@pytest.mark.process
def test_the_size_of_a_source_comes_from_its_process(compose: Compose, tmp_path: Path) -> None:
    words = hub_words(write(tmp_path / "news", NEWS))
    configs = [compose(*words, f"data.limit={limit}") for limit in (1, 2)]
    bytes_read = sum(len(content) for content in NEWS.values())
    sizes = probe.check_data(configs)
    assert list(sizes) == [configs[0].data.unlimited()], "sources that differ in their limit are looked at once"
    assert 0 < (sizes[configs[1].data.unlimited()] or 0) <= bytes_read


@pytest.mark.process
def test_an_error_of_that_process_is_raised_here_and_names_the_source(compose: Compose, tmp_path: Path) -> None:
    words = hub_words(write(tmp_path / "news", NEWS), "data.sources.news")
    with pytest.raises(DataError, match=r"^data\.sources\.news: .* has no column txt\. It has: text, label\. Did"):
        probe.check_data([compose("data=mix", *words, "data.sources.news.text=txt")])
    with pytest.raises(ConfigError, match=r"^You set data\.train=train\[:x\]"):
        probe.check_data([compose(*hub_words(tmp_path / "news"), "data.train=train[:x]")])


def test_a_process_that_does_not_answer_is_given_up(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "SECONDS_PER_SOURCE", 0.01)
    with pytest.raises(MissingError, match=r"^data=hub: no answer within 0 s\. Is the server reachable from here\?$"):
        probe.check_data([compose(*hub_words(write(tmp_path / "news", NEWS)))])


def test_a_process_that_crashes_is_an_error_with_its_last_line(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers do so, but none can be made to: the process ends as it starts."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text("import os; os.write(2, b'x\\ndriver lost\\n'); os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with pytest.raises(
        MissingError, match=r"^data=hub: the process that looks at the data ended with code 7\. driver lost$"
    ):
        probe.check_data([compose(*hub_words(write(tmp_path / "news", NEWS)))])
