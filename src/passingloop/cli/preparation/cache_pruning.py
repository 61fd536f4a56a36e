"""``passingloop prepare --prune``: make the cache smaller, and say what is gone and what is left."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.data.cache.prune import Entry, PruneReport, parse_size, prune_cache
from passingloop.text import size_text

KEEP = "100GB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prune",
        action="store_true",
        help="prepare nothing, but remove from the cache what was not used for longest, until it is small enough. "
        "What was used within a day stays, and snapshots of a database for 30 days: runs go on with them",
    )
    parser.add_argument(
        "--keep",
        metavar="SIZE",
        default=os.environ.get("PASSINGLOOP_CACHE_LIMIT") or KEEP,
        help=f"with --prune: how much may stay (default: $PASSINGLOOP_CACHE_LIMIT, else {KEEP})",
    )
    parser.add_argument("--snapshots", action="store_true", help="with --prune: snapshots, too, go after a day")
    parser.add_argument(
        "--cache-root",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("PASSINGLOOP_CACHE") or "~/.cache/passingloop"),
        help="with --prune: which cache (default: $PASSINGLOOP_CACHE, else ~/.cache/passingloop)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Prune; what was removed on stdout. Returns 0.

    Raises:
        ConfigError: `--keep` is no size.
    """
    cache_root = arguments.cache_root.expanduser().absolute()
    pruned = prune_cache(cache_root, parse_size(arguments.keep), snapshots_too=arguments.snapshots)
    if arguments.json:
        print(as_json(_row(cache_root, pruned)))
        return 0
    for entry in pruned.removed:
        print(entry.path)
    print(" ".join(_sentences(cache_root, pruned)), file=sys.stderr)
    return 0


def _sentences(cache_root: Path, pruned: PruneReport) -> Iterator[str]:
    yield f"Removed {_entries_text(pruned.removed)}."
    if pruned.debris:
        yield f"Removed {size_text(pruned.debris)} that killed processes had left."
    yield f"Left in {cache_root}: {_entries_text(pruned.left)}."
    if pruned.in_use:
        yield f"{_entries_text(pruned.in_use)} would have gone as well, but are in use, or were lately."
    if pruned.others:
        yield f"{_entries_text(pruned.others)} would have gone as well, but are other users', who can prune them."


def _row(cache_root: Path, pruned: PruneReport) -> dict[str, Any]:
    return {
        "cache_root": str(cache_root),
        "removed": [{"path": str(entry.path), "kind": entry.kind, "bytes": entry.bytes} for entry in pruned.removed],
        "debris_bytes": pruned.debris,
        "left_bytes": _bytes(pruned.left),
        "in_use_bytes": _bytes(pruned.in_use),
        "others_bytes": _bytes(pruned.others),
    }


def _entries_text(entries: tuple[Entry, ...]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'} ({size_text(_bytes(entries))})"


def _bytes(entries: tuple[Entry, ...]) -> int:
    return sum(entry.bytes for entry in entries)
