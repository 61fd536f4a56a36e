"""From a JSONL file to tokens on disk, in tokens/s, on one core and on two: `python bench/tokenise.py [--save]`.

Peer: datasets, `load_dataset("json")` and `.map(batched=True)` with the same tokenizer and truncation, without the
masks that it would add; on two cores also with `num_proc=2`, and the faster counts. Ours checks, counts, splits and
hashes all texts as well. Each in a fresh process, bound to its cores, caches empty; imports do not count.
`--rounds 5`; rounds alternate, medians count, also of the ratios within a round. `--megabytes 20` of text: docstrings
of the standard library, each with a number, so that no two are the same.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from record import option, record
from texts import minilm, write_docstrings

Measured = dict[str, float]
LENGTH = 256
CONFIG = {
    "source": "files",
    "validation": None,
    "test": None,
    "text": "text",
    "label": "label",
    "messages": None,
    "format": "auto",
    "limit": None,
    "max_length": None,
    "validation_fraction": 0.0,
    "test_fraction": 0.0,
    "on_bad": "fail",
}
WAYS = {1: ("passingloop", "datasets"), 2: ("passingloop", "datasets", "datasets num_proc=2")}
"""By the number of cores."""


def main(folder: Path) -> None:
    rounds, megabytes = int(option("rounds", 5)), int(option("megabytes", 20))
    texts = write_docstrings(folder / "texts.jsonl", megabytes * 10**6)
    found: dict[str, dict[str, list[Measured]]] = {
        f"{cores} cores": {way: [] for way in ways} for cores, ways in WAYS.items()
    }
    for _ in range(rounds):
        for cores, ways in WAYS.items():
            for way in ways:
                found[f"{cores} cores"][way].append(measured(way, cores, texts))
    tokens = {one["tokens"] for ways in found.values() for runs in ways.values() for one in runs}
    assert len(tokens) == 1, f"they do not make the same tokens: {tokens}"
    record(
        "tokenise",
        {
            "tokens_per_second": {cores: medians(ways, rate) for cores, ways in found.items()},
            "over_datasets": {cores: round(statistics.median(ratios(ways)), 2) for cores, ways in found.items()},
            "processor_seconds": {cores: medians(ways, lambda one: one["cpu"]) for cores, ways in found.items()},
            "conditions": {
                "tokens": int(tokens.pop()),
                "texts": sum(1 for _ in texts.open()),
                "tokenizer": "all-MiniLM-L6-v2",
                "max_length": LENGTH,
            },
            "rounds": rounds,
        },
    )


def rate(one: Measured) -> float:
    return one["tokens"] / one["seconds"]


def medians(ways: dict[str, list[Measured]], of: Callable[[Measured], float]) -> dict[str, float]:
    return {way: round(statistics.median(map(of, runs)), 1) for way, runs in ways.items()}


def ratios(ways: dict[str, list[Measured]]) -> Iterator[float]:
    """Of each round: our rate to that of the fastest other way."""
    ours, *others = (map(rate, runs) for runs in ways.values())
    return (own / max(rest) for own, *rest in zip(ours, *others, strict=True))


def measured(way: str, cores: int, texts: Path) -> Measured:
    """Seconds, processor seconds and tokens of one process."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            ["taskset", "-c", ",".join(map(str, chosen)), sys.executable, __file__, way, str(texts), place],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": place, "RAYON_NUM_THREADS": str(cores)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    print(way, cores, found, file=sys.stderr, flush=True)
    return found


def prepare(way: str, texts: Path, folder: Path) -> Measured:
    """What the process that is measured does."""
    import datasets
    import transformers

    from passingloop.config.build import build
    from passingloop.data.files.settings import FilesData
    from passingloop.data.files.source import Files
    from passingloop.data.prepare.fill import Recipe
    from passingloop.data.prepare.pipeline import prepare_source

    datasets.disable_progress_bars()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm())
    config = build(FilesData, CONFIG | {"train": str(texts)}, prefix="data.")

    def tokenised(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found: dict[str, list[list[int]]] = tokenizer(
            batch["text"],
            truncation=True,
            max_length=LENGTH,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return found

    spent, began = processor(), time.perf_counter()
    if way == "passingloop":
        source = Files(config, "classification")
        recipe = Recipe(task="classification", config=config, tokenizer=tokenizer, max_length=LENGTH)
        prepared, _ = prepare_source(recipe, source, folder, lambda _: None)
    else:
        read = datasets.load_dataset("json", data_files=str(texts), split="train", cache_dir=str(folder))
        workers = 2 if way.endswith("2") else None
        mapped = read.map(tokenised, batched=True, remove_columns=["text"], num_proc=workers)
    seconds, spent = time.perf_counter() - began, processor() - spent
    if way == "passingloop":
        tokens = int(prepared.parts["train"].lengths.sum())
    else:
        tokens = sum(len(one.values) for one in mapped.data["input_ids"].chunks)
    return {"seconds": seconds, "cpu": spent, "tokens": tokens}


def processor() -> float:
    """Seconds of this process and of those that it has started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    if len(sys.argv) > 3 and not sys.argv[1].startswith("--"):
        print(json.dumps(prepare(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
