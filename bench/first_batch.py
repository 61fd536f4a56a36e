"""Seconds from a warm cache to the first batch: `python bench/first_batch.py [--examples 10_000_000] [--save]`.

Ours opens the tokens and lays out the step that a run continues with, at several places of the epoch. The peer is what
the Hugging Face Trainer does on resuming: `datasets.load_from_disk`, a shuffled sampler, and accelerate's
`skip_first_batches` to the same step. Each time in a fresh process, imports left out, alternating; medians of
`--rounds`.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from record import ROOT, option, record

PLACES = (0.0, 0.5, 0.99)
BATCH = 32

OURS = """
import sys, time
from pathlib import Path
from passingloop.data.examples.order import BatchOrder
from passingloop.data.examples.tokens import Tokens
from passingloop.train.layout import Layout
from passingloop.handoff import World
folder, place, batch = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
tokens = Tokens(folder)
order = BatchOrder(tokens.lengths, 1, batch_size=batch)
layout = Layout(tokens, "classification", 0, row_tokens=None, batch_tokens=16384)
[first] = layout.step(order.step(int(place * order.steps_per_epoch)), World(0, 1, 0, 1))
print(time.perf_counter() - began, tuple(first["inputs"]["input_ids"].shape))
"""

THEIRS = """
import sys, time, warnings
warnings.simplefilter("ignore")
import datasets, torch
from accelerate import skip_first_batches
from torch.utils.data import DataLoader, RandomSampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast
folder, place, batch = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])

def collate(rows):
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True), torch.tensor([row["label"] for row in rows])

began = time.perf_counter()
data = datasets.load_from_disk(folder)
sampler = RandomSampler(data, generator=torch.Generator().manual_seed(1))
loader = DataLoader(data, batch_size=batch, sampler=sampler, collate_fn=collate)
loader = skip_first_batches(loader, int(place * len(loader)))
first = next(iter(loader))
print(time.perf_counter() - began, tuple(first[0].shape))
"""


def prepared(folder: Path, examples: int) -> tuple[Path, Path]:
    """The same examples of 4 to 28 tokens, as ours and as a dataset on disk."""
    import pyarrow as pa
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    from passingloop.data.examples.tokens import TokenWriter

    random = np.random.default_rng(0)
    block = 100_000
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir()
    with TokenWriter(ours, 30_000) as writer, ArrowWriter(path=str(theirs / "data.arrow")) as arrow:
        for start in range(0, examples, block):
            count = min(block, examples - start)
            lengths = random.integers(4, 29, count)
            flat = random.integers(0, 30_000, int(lengths.sum()), np.int32)
            labels = random.integers(0, 8, count)
            writer.add(np.split(flat, np.cumsum(lengths)[:-1]), np.ones(count), np.arange(start, start + count), labels)
            ids = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), flat)
            arrow.write_table(pa.table({"input_ids": ids, "label": labels}))
        arrow.finalize()
    Dataset.from_file(str(theirs / "data.arrow")).save_to_disk(str(folder / "saved"), num_proc=None)
    return ours, folder / "saved"


def seconds(program: str, folder: Path, place: float) -> float:
    """To the first batch, in a fresh process."""
    words = [sys.executable, "-P", "-c", program, str(folder), str(place), str(BATCH)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def main() -> None:
    examples, rounds = int(option("examples", 10_000_000)), int(option("rounds", 5))
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = prepared(Path(scratch), examples)
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):
            for place in PLACES:
                taken.setdefault(f"ours at {place:.0%}", []).append(seconds(OURS, ours, place))
                taken.setdefault(f"skip_first_batches at {place:.0%}", []).append(seconds(THEIRS, theirs, place))
    medians = {name: round(statistics.median(each), 4) for name, each in taken.items()}
    record(
        "first_batch",
        {
            "what": "seconds from opening the prepared data to the first batch as tensors, page cache warm",
            "examples": examples,
            "seconds": medians,
            "ours_over_peer": {
                f"{place:.0%}": round(
                    medians[f"ours at {place:.0%}"] / medians[f"skip_first_batches at {place:.0%}"], 4
                )
                for place in PLACES
            },
            "limit_seconds": 1.0,
        },
    )


if __name__ == "__main__":
    main()
