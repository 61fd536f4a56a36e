"""Resident memory as the data grow: `python bench/memory.py [--megabytes 200,500,1000,2000] [--save]`.

For each size a file of short texts is prepared and trained on, by `train.py` and a small Llama, with an empty cache;
what is told is the most any single process had resident, until the data were prepared and after. What a further GB adds
is the difference between the two largest, as buffers and the tokenizer's cache of words fill up in the first hundreds
of megabytes; what 20 GB would come to follows from that.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import tokenizers
import transformers
from record import ROOT, record
from texts import write_docstrings
from tokenizers import models, pre_tokenizers, trainers

LIMIT = 2048  # MiB per process
STEPS = 30
VOCABULARY = 4096
OVERRIDES = (
    "task=causal_lm",
    f"trainer.steps={STEPS}",
    "trainer.batch_size=8",
    "data=files",
    "data.validation_fraction=0.02",  # all of it is evaluated
    "data.test_fraction=0",
    "tracking=none",
)


def write_model(folder: Path, texts: Path) -> Path:
    """A Llama of two narrow layers with windows of 1,024 tokens, and a tokenizer that has learned from `texts`."""
    special = ["<pad>", "<eos>"]
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with texts.open() as lines:
        learned = [json.loads(line)["text"] for line in islice(lines, 5000)]
    inner.train_from_iterator(learned, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=1024, **sizes)
    tokenizer.save_pretrained(folder)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tree(root: int) -> list[int]:
    """The process `root` and all that come from it."""
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def resident(pid: int) -> int:
    """KiB now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def measured(megabytes: int) -> dict[str, int]:
    """The peaks of one run, MiB."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        texts = write_docstrings(folder / "texts.jsonl", megabytes * 10**6)
        places = {
            "model.path": write_model(folder / "model", texts),
            "data.train": texts,
            "run_root": folder / "runs",
            "cache_root": folder / "cache",
        }
        peaks = {"preparing": 0, "training": 0}
        overrides = [*OVERRIDES, *(f"{key}={place}" for key, place in places.items())]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(ROOT / "train.py"), *overrides]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr
        said = threading.Thread(target=process.stderr.read, daemon=True)
        said.start()
        while process.poll() is None:
            done = any(folder.glob("cache/tokens/*/meta.json"))
            phase = "training" if done else "preparing"
            peaks[phase] = max(peaks[phase], *map(resident, tree(process.pid)))
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"train.py ended with {process.returncode}")
        return {"MB": megabytes} | {phase: round(peak / 1024) for phase, peak in peaks.items()}


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listed = sys.argv[sys.argv.index("--megabytes") + 1] if "--megabytes" in sys.argv else "200,500,1000,2000"
    *smaller, before, largest = [measured(int(size)) for size in sorted(listed.split(","), key=int)]
    grows = {
        phase: max(0.0, 1000 * (largest[phase] - before[phase]) / (largest["MB"] - before["MB"]))
        for phase in ("preparing", "training")
    }
    record(
        "memory",
        {
            "what": "most resident memory of any process, MiB, by size of the text",
            "runs": [*smaller, before, largest],
            "MiB_per_further_GB": {phase: round(rate, 1) for phase, rate in grows.items()},
            "MiB_at_20_GB": {
                phase: round(largest[phase] + rate * (20 - largest["MB"] / 1000)) for phase, rate in grows.items()
            },
            "limit_MiB": LIMIT,
        },
    )


if __name__ == "__main__":
    main()
