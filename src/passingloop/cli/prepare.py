"""``passingloop prepare``: keep the cache of prepared data small, with --prune."""

from __future__ import annotations

import argparse

from passingloop.cli import pruning
from passingloop.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pruning.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(arguments: argparse.Namespace) -> int:
    """Prune. Returns 0.

    Raises:
        ConfigError: `--prune` is missing, or `--keep` is no size.
    """
    if not arguments.prune:
        raise ConfigError("Give --prune: `passingloop prepare --help` says what it does.")
    return pruning.main(arguments)
