"""``passingloop prepare``: check the data of a configuration, show what is in them, and prepare them, without a GPU.

Takes the overrides of `passingloop train`; with -m a sweep, of which each set of data is prepared once. The tokens are
kept in the cache, where a run of the same configuration finds them. With --prune nothing is prepared, and the cache
made smaller.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from passingloop.cli.preparation import cache_pruning
from passingloop.cli.rows import as_json
from passingloop.config.command_line import configs_of
from passingloop.config.settings import RunConfig
from passingloop.handoff import restart_with_docstrings
from passingloop.report import data_page
from passingloop.tasks.task import LearningTask, learning_task
from passingloop.text import has_colour

if TYPE_CHECKING:
    from passingloop.data.prepare.pipeline import Prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cache_pruning.add_arguments(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="overrides may have several values, as for train")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train, such as data.train=train.csv")


def main(arguments: argparse.Namespace) -> int:
    """Prepare, and print what was found; with `--prune` make the cache smaller instead. Returns 0.

    Raises:
        ConfigError: an override is wrong, the model's tokenizer cannot be used, or `--keep` is no size.
        DataError: the data cannot be used.
        MissingError: something from outside is not there.
    """
    if arguments.prune:
        return cache_pruning.main(arguments)
    restart_with_docstrings(sys.argv[1:])
    configs = configs_of(["-m"] * arguments.multirun + arguments.overrides)
    # What is learned from the data may differ, and has no part in preparing.
    distinct = {(config.data, config.task, config.model, config.cache_root): config for config in reversed(configs)}
    reports = [_report(config) for config in reversed(distinct.values())]
    if arguments.json:
        print(as_json(reports))
    else:
        print("\n\n".join(map(_page, reports)))
    return 0


def _page(report: Mapping[str, Any]) -> str:
    colour = sys.stdout.isatty() and has_colour()
    return "\n".join(data_page.page(report, shutil.get_terminal_size().columns, colour=colour))


def _report(config: RunConfig) -> dict[str, Any]:
    """Prepare the data of `config`; what ``--json`` prints of them. Notes go to stderr."""
    from passingloop.data.examples.order import BatchOrder
    from passingloop.data.examples.packed_order import PackedOrder
    from passingloop.track.console import make_console, say
    from passingloop.train.material import gather  # transformers brings torch; neither looks for a GPU

    console = make_console()
    began = time.monotonic()
    material = gather(config, lambda text: say(console, text))
    seconds = time.monotonic() - began
    for note in material.data.notes:
        say(console, note)
    task = learning_task(config.task)
    sources = {name: _source(name, material.prepared, material.tokenizer, task) for name in material.prepared}
    for note in _leak_sentences(sources):
        say(console, note)
    trainer, data = config.trainer, material.data
    settings = (data.parts["train"].lengths, trainer.seed, trainer.batch_size, trainer.batch_tokens, data.shares)
    order = PackedOrder(*settings, row_tokens=material.max_length) if task.causal else BatchOrder(*settings)
    return {
        "task": config.task,
        "model": config.model.path,
        "max_length": material.max_length,
        "batch_size": trainer.batch_size,
        "batch_tokens": trainer.batch_tokens,
        "steps_per_epoch": order.steps_per_epoch,
        "seconds": round(seconds, 2),
        "sources": {name or config.data.source: source for name, source in sources.items()},
    }


def _source(name: str, prepared: Mapping[str, Prepared], tokenizer: Any, task: LearningTask) -> dict[str, Any]:
    """One of the sources; what its validation and test data share with the training data of the others is counted."""
    from passingloop.data.prepare.repeats import count_repeats

    own = prepared[name]
    others = [other.folder / "train" for key, other in prepared.items() if key != name]
    parts = {
        part: counts
        | {"leaked_from_others": count_repeats(own.folder / part, others if part != "train" else []).leaked_from_train}
        for part, counts in own.meta["parts"].items()
    }
    return {
        "folder": str(own.folder),
        "reused": own.reused,
        "bytes": sum(path.stat().st_size for path in own.folder.rglob("*")),
        **own.meta,
        "parts": parts,
        "samples": {part: list(_samples(own, part, tokenizer, task)) for part in own.meta["parts"]},
    }


def _leak_sentences(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Sentences on what leaks from one source into another; the notes of each know of that source only."""
    for name, source in sources.items():
        for part, counts in source["parts"].items():
            if counts["leaked_from_others"]:
                yield (
                    f"{name}: {part}: {counts['leaked_from_others']:,} of {counts['used']:,} {part} texts also stand "
                    "in the training data of other sources."
                )


def _samples(prepared: Prepared, part: Any, tokenizer: Any, task: LearningTask) -> Iterator[dict[str, Any]]:
    """A few examples in words: where each comes from, its label, and the pieces that the loss counts or does not."""
    tokens = prepared.parts[part]
    for example in prepared.meta["parts"][part]["samples"]:
        answers = tokens.answers(example)
        yield {
            "row": int(tokens.rows[example]),
            "place": str(tokens.place(example)),
            "label": task.label_text(tokens, example, prepared.label_names),
            "pieces": list(_pieces(tokens.ids(example).tolist(), answers, tokenizer, task.label is None)),
        }


def _pieces(ids: list[int], answers: Any, tokenizer: Any, every: bool) -> Iterator[dict[str, Any]]:
    """The example in pieces; without `answers` it is one, which the loss counts if it counts `every` token."""
    from itertools import groupby

    counts = [every] * len(ids) if answers is None else [bool(answer) for answer in answers]
    for counted, group in groupby(zip(ids, counts, strict=True), key=lambda pair: pair[1]):
        yield {"text": tokenizer.decode([token for token, _ in group]), "counts": counted}
