"""``passingloop prepare``: check the data of a configuration, show what is in them, and prepare them, without a GPU.

Takes the overrides of `passingloop train`; with -m a sweep, of which each set of data is prepared once. The tokens are
kept in the cache, where a run of the same configuration finds them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from passingloop.cli.people import has_colour
from passingloop.cli.rows import as_json
from passingloop.cli.train import configured_by
from passingloop.config.settings import RunConfig
from passingloop.report import prepare

if TYPE_CHECKING:
    from passingloop.data.prepare import Prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--multirun", action="store_true", help="overrides may have several values, as for train")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train, such as data.train=train.csv")


def main(arguments: argparse.Namespace) -> int:
    """Prepare, and print what was found. Returns 0.

    Raises:
        ConfigError: an override is wrong, or the model's tokenizer cannot be used.
        DataError: the data cannot be used.
        MissingError: something from outside is not there.
    """
    configs = configured_by(["-m"] * arguments.multirun + arguments.overrides)
    # What is learned from the data may differ, and has no part in preparing.
    distinct = {(config.data, config.task, config.model, config.cache_root): config for config in reversed(configs)}
    found = [_found(config) for config in reversed(distinct.values())]
    if arguments.json:
        print(as_json(found))
    else:
        print("\n\n".join(map(_page, found)))
    return 0


def _page(found: Mapping[str, Any]) -> str:
    colour = sys.stdout.isatty() and has_colour()
    return "\n".join(prepare.page(found, shutil.get_terminal_size().columns, colour=colour))


def _found(config: RunConfig) -> dict[str, Any]:
    """Prepare the data of `config`; what ``--json`` prints of them. Notes go to stderr."""
    from passingloop.data.order import BatchOrder
    from passingloop.track.terminal import make_console, say
    from passingloop.train.material import gather  # transformers brings torch; neither looks for a GPU

    console = make_console()
    began = time.monotonic()
    material = gather(config, lambda text: say(console, text))
    seconds = time.monotonic() - began
    sources = {config.data.source: material.data}
    for source in sources.values():
        for note in source.notes:
            say(console, note)
    trainer = config.trainer
    order = BatchOrder(material.data.parts["train"].lengths, trainer.seed, trainer.batch_size, trainer.batch_tokens)
    return {
        "task": config.task,
        "model": config.model.path,
        "max_length": material.max_length,
        "batch_size": trainer.batch_size,
        "batch_tokens": trainer.batch_tokens,
        "steps_per_epoch": order.steps_per_epoch,
        "sources": {
            name: _source(source, material.tokenizer) | {"seconds": round(seconds, 2)}
            for name, source in sources.items()
        },
    }


def _source(prepared: Prepared, tokenizer: Any) -> dict[str, Any]:
    return {
        "folder": str(prepared.folder),
        "reused": prepared.reused,
        "bytes": sum(path.stat().st_size for path in prepared.folder.rglob("*")),
        **prepared.meta,
        "samples": {part: list(_samples(prepared, part, tokenizer)) for part in prepared.meta["parts"]},
    }


def _samples(prepared: Prepared, part: Any, tokenizer: Any) -> Iterator[dict[str, Any]]:
    """A few examples in words: the row of the source, the label, and the pieces that the loss counts or does not."""
    tokens = prepared.parts[part]
    for example in prepared.meta["parts"][part]["samples"]:
        label = None if tokens.labels is None else prepared.label_names[tokens.labels[example]]
        yield {
            "row": int(tokens.rows[example]),
            "label": label,
            "pieces": list(_pieces(tokens.ids(example).tolist(), tokens.answers(example), tokenizer, label is None)),
        }


def _pieces(ids: list[int], answers: Any, tokenizer: Any, every: bool) -> Iterator[dict[str, Any]]:
    """The example in pieces; without `answers` it is one, which the loss counts if it counts `every` token."""
    from itertools import groupby

    counts = [every] * len(ids) if answers is None else [bool(answer) for answer in answers]
    for counted, group in groupby(zip(ids, counts, strict=True), key=lambda pair: pair[1]):
        yield {"text": tokenizer.decode([token for token, _ in group]), "counts": counted}
