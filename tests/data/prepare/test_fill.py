"""How much memory preparing takes does not depend on how much text there is. bench/memory.py measures whole runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.conftest import DEFAULTS

pytestmark = pytest.mark.process

PREPARE = r"""
import json, re, sys
from pathlib import Path
import tokenizers, transformers
from passingloop.config.build import build
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.pipeline import prepare_source

train, cache, defaults = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
words = {str(number): number for number in range(1000)} | {"<unk>": 1000, "<eos>": 1001}
inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>"))
inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>")
config = build(FilesData, defaults | {"train": str(train)}, prefix="data.")
recipe = Recipe(task="causal_lm", config=config, tokenizer=tokenizer, max_length=256)
Path("/proc/self/clear_refs").write_text("5")  # the most so far, which the imports took, no longer counts: proc(5)
prepared, _ = prepare_source(recipe, Files(config, "causal_lm"), cache, lambda _: None)
[most] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([len(prepared.parts["train"]), int(most)]))
"""


def prepared(folder: Path, lines: int) -> tuple[int, int]:
    """Examples, and KiB resident at the most, of a process that prepares so many lines, none like another."""
    folder.mkdir()
    path = folder / "train.txt"
    with path.open("w") as file:
        for number in range(lines):
            file.write(" ".join(str(number * k % 997) for k in range(1, 40)) + f" {number}\n\n")
    command = [sys.executable, "-c", PREPARE, str(path), str(folder / "cache"), json.dumps(DEFAULTS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    path.unlink()  # pytest keeps its folders
    examples, peak = json.loads(done.stdout)
    return examples, peak


@pytest.mark.slow
def test_preparing_takes_as_much_memory_for_more_text(tmp_path: Path) -> None:
    """At 2 GiB for 20 GB a further 100 MB may take 10 MiB."""
    (few, little), (many, much) = prepared(tmp_path / "few", 500_000), prepared(tmp_path / "many", 1_200_000)
    assert many > 2 * few
    assert much - little < 10 << 10
