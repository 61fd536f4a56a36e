"""Real files become tokens on disk: once, whole, and with every mistake in the data named."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passingloop.data.cache.index import FORMAT
from passingloop.errors import ConfigError, DataError, OtherVersion
from tests.data.conftest import DEFAULTS
from tests.data.prepare.conftest import Preparing, Rows, rows, write_csv
from tests.train.tiny import CHATML, make_tokenizer


def test_rows_lead_back_to_the_file(preparing: Preparing) -> None:
    examples = rows(50)
    examples[3] = ("", "label 1")
    prepared = preparing(examples)
    for part, tokens in prepared.parts.items():
        assert [examples[row][0] for row in tokens.rows] == preparing.texts(prepared, part)


# What cannot be used


def test_drops_and_cuts_are_counted(preparing: Preparing) -> None:
    long = " ".join(["word"] * 40)
    examples = [*rows(10), ("", "label 0"), (" \n\t", "label 1"), ("no label", ""), (long, "label 0")]
    prepared = preparing(examples, validation_fraction=0, test_fraction=0)
    assert len(prepared.parts["train"]) == 11
    assert prepared.notes == [
        "train: 2 empty examples dropped.",
        "train: 1 text without a label dropped.",
        "train: 1 example cut at data.max_length.",
    ]
    assert prepared.parts["train"].lengths.max() == 16
    assert preparing(examples, validation_fraction=0, test_fraction=0).notes == prepared.notes


@pytest.mark.parametrize(
    ("train", "chosen", "message"),
    [
        ([("", "a"), (" ", "b")], {}, "The train data have no usable example. train: 2 empty examples dropped."),
        ([("a", ""), ("b", "")], {}, "The train data have no usable example. train: 2 texts without a label dropped."),
        (rows(20), {"test": [("", "label 1")]}, "The test data have no usable example. test: 1 empty example"),
        (rows(20), {"label": "lable"}, "train.csv has no column lable. It has: text, label. Did you mean label?"),
        (rows(20), {"text": "body"}, "You set data.text=body, but "),
    ],
)
def test_mistakes_are_named(preparing: Preparing, train: Rows, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        preparing(train, **chosen)
    assert message in str(error.value)
    assert not preparing.kept()


def test_empty_and_null_chats_are_dropped(preparing: Preparing, chat_tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
    lines = [{"messages": chat}, {"messages": None}, {"messages": chat[:1]}]
    path = preparing.folder / "chats.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    preparing.tokenizer = chat_tokenizer
    settings = {"messages": "messages", "validation_fraction": 0, "test_fraction": 0}
    prepared = preparing(str(path), task="causal_lm", max_length=64, **settings)
    assert len(prepared.parts["train"]) == 1
    assert prepared.notes == [
        "train: 1 empty example dropped.",
        "train: 1 example with nothing to predict dropped.",
    ]


# Once


def test_the_second_time_the_tokens_are_there(preparing: Preparing) -> None:
    first = preparing(rows(20))
    assert not first.reused and preparing.notices == ["Preparing train data"]
    second = preparing(rows(20))
    assert second.reused and second.folder == first.folder and second.label_names == first.label_names
    assert len(preparing.notices) == 1


def test_tokens_of_another_version_are_refused(preparing: Preparing) -> None:
    meta = preparing(rows(40)).folder / "meta.json"
    content = json.loads(meta.read_text())
    assert content.pop("format") == FORMAT
    meta.write_text(json.dumps(content))
    assert preparing(rows(40)).reused, "without a version they are of the first that wrote none, which is this one"
    meta.write_text(json.dumps(content | {"format": FORMAT + 1}))
    with pytest.raises(OtherVersion) as refused:
        preparing(rows(40))
    assert str(refused.value) == (
        f"The prepared data in {meta.parent} has format version {FORMAT + 1}, but this passingloop reads version "
        f"{FORMAT}. Use the version of passingloop that wrote it, or remove {meta.parent}."
    )


def test_moved_files_are_the_same_data(preparing: Preparing) -> None:
    first = preparing(rows(20))
    moved = (preparing.folder / "train.csv").rename(preparing.folder / "other name.csv")
    assert preparing(str(moved)).folder == first.folder


@pytest.mark.parametrize("change", ["content", "max_length", "fraction", "tokenizer", "format", "part"])
def test_what_the_tokens_depend_on_makes_new_ones(preparing: Preparing, chat_tokenizer: Any, change: str) -> None:
    first = preparing(rows(20))
    match change:
        case "content":
            second = preparing([*rows(19), ("text number 19", "label 0")])
        case "max_length":
            second = preparing(rows(20), max_length=17)
        case "fraction":
            second = preparing(rows(20), test_fraction=0.2)
        case "tokenizer":
            preparing.tokenizer = chat_tokenizer
            second = preparing(rows(20))
        case "format":
            second = preparing(rows(20), format="csv")
        case "part":
            second = preparing(rows(20), test=rows(20))
    assert not second.reused and second.folder != first.folder


def test_a_chat_template_is_part_of_the_tokenizer(preparing: Preparing) -> None:
    preparing.tokenizer = make_tokenizer()
    first = preparing(rows(20))
    preparing.tokenizer = make_tokenizer(CHATML.replace("|>\n", "|>"))
    assert preparing(rows(20)).folder != first.folder


def test_small_vocabularies_take_two_bytes_a_token(preparing: Preparing) -> None:
    tokens = preparing(rows(20), validation_fraction=0, test_fraction=0).parts["train"]
    assert len(preparing.tokenizer) <= 2**16
    assert (tokens.folder / "tokens.bin").stat().st_size == 2 * tokens.lengths.sum()
    wide = make_tokenizer()
    wide.add_tokens([f"<{i}>" for i in range(2**16)])
    preparing.tokenizer = wide
    last = f"<{2**16 - 1}>"
    tokens = preparing([(last, "a"), ("b", "b")], validation_fraction=0, test_fraction=0).parts["train"]
    assert tokens.ids(0).tolist() == [wide.convert_tokens_to_ids(last)]
    assert tokens.ids(0)[0] >= 2**16


def test_a_cache_that_cannot_be_written_is_named(preparing: Preparing) -> None:
    (preparing.folder / "cache").write_text("a file, where a folder should be")
    with pytest.raises(ConfigError, match=r"You set cache_root=.*cache, but prepared data cannot be written there"):
        preparing(rows(20))


# Many processes

BUILDER = """
    import sys, time
    from pathlib import Path
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast
    from passingloop.config.build import build
    from passingloop.data.files.settings import FilesData
    from passingloop.data.files.source import Files
    from passingloop.data.prepare.fill import Recipe
    from passingloop.data.prepare.pipeline import prepare_source

    path, cache, wait = sys.argv[1:]
    config = build(FilesData, {defaults} | {{"train": path}})

    class Slow(Files):
        def read(self, part, reject):
            for number, batch in enumerate(super().read(part, reject)):
                yield batch
                if number == 0:
                    print("reading", flush=True)
                    time.sleep(float(wait))

    tokenizer = PreTrainedTokenizerFast.from_pretrained({tokenizer!r})
    print("ready", flush=True)
    sys.stdin.readline()
    recipe = Recipe(task="classification", config=config, tokenizer=tokenizer, max_length=16)
    prepared, _ = prepare_source(recipe, Slow(config, "classification"), Path(cache), lambda _: None)
    print("reused" if prepared.reused else "built", prepared.folder, len(prepared.parts["train"]), flush=True)
"""


@pytest.fixture
def start(tmp_path: Path, chat_tokenizer: Any) -> Callable[..., subprocess.Popen[str]]:
    """Starts a process that prepares the same file as all others once it is sent a line. Reading lasts `wait` s."""
    chat_tokenizer.save_pretrained(tmp_path / "tokenizer")
    script = textwrap.dedent(BUILDER).format(defaults=DEFAULTS, tokenizer=str(tmp_path / "tokenizer"))
    path = write_csv(tmp_path / "train.csv", rows(60))

    def start(wait: float = 0.0, umask: int | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, str(path), str(tmp_path / "cache"), str(wait)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            umask=-1 if umask is None else umask,
        )

    return start


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def says(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(word), line
    return line


@pytest.mark.process
def test_of_five_processes_at_once_one_builds(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    processes = [start(wait=0.5) for _ in range(5)]
    for process in processes:
        says(process, "ready")
    for process in processes:
        begin(process)
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    builders = [answer for answer in answers if "built" in answer]
    assert len(builders) == 1 and builders[0][0] == "reading"
    assert sum("reading" in answer for answer in answers) == 1
    assert len({answer[-2] for answer in answers}) == 1


@pytest.mark.process
def test_a_killed_builder_leaves_nothing_that_counts(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    killed, waiting = start(wait=60), start()
    says(killed, "ready")
    says(waiting, "ready")
    begin(killed)
    says(killed, "reading")
    begin(waiting)
    time.sleep(0.2)  # it waits by now, most likely: the outcome is the same if not
    assert all(path.suffix for path in (tmp_path / "cache" / "tokens").iterdir())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    says(waiting, "reading")
    line = says(waiting, "built")
    waiting.communicate(timeout=60)
    assert {path.suffix for path in (tmp_path / "cache" / "tokens").iterdir()} == {""}
    assert (Path(line.split()[1]) / "meta.json").exists()


@pytest.mark.process
@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_permissions_follow_the_umask(start: Callable[..., subprocess.Popen[str]], tmp_path: Path, umask: int) -> None:
    process = start(wait=60, umask=umask)
    begin(process)
    says(process, "ready")
    says(process, "reading")
    modes = _modes(tmp_path / "cache")
    assert any(path.suffix == ".lease-1" for path in modes)
    process.kill()
    process.communicate()
    process = start(umask=umask)
    begin(process)
    process.communicate(timeout=60)
    modes |= _modes(tmp_path / "cache")
    assert any(path.name == "tokens.bin" for path in modes)
    for path, mode in modes.items():
        full = 0o777 if stat.S_ISDIR(mode) else 0o666
        assert stat.S_IMODE(mode) == full & ~umask, path


def _modes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}


@pytest.mark.process
def test_the_folder_appears_whole(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """Whenever the final name exists, everything is in it."""
    process = start(wait=0.3)
    begin(process)
    while process.poll() is None:
        for folder in (tmp_path / "cache" / "tokens").glob("*"):
            if not folder.suffix:
                names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
                assert {"meta.json", "train/tokens.bin", "train/labels.bin", "test/lengths.bin"} <= names
        time.sleep(0.001)
    process.communicate()
    assert process.returncode == 0
