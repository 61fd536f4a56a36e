"""The ``passingloop`` command: ``passingloop <verb> …``."""

from __future__ import annotations

import argparse
import sys

from passingloop import __version__


def main() -> int:
    """Run the verb that the command line names. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="passingloop", description=sys.modules["passingloop"].__doc__)
    parser.add_argument("--version", action="version", version=f"passingloop {__version__}")
    parser.add_argument("verb", choices=["train"], help="train: the same as `python train.py`")
    chosen = parser.parse_args(sys.argv[1:2] or ["--help"])
    assert chosen.verb == "train"
    from passingloop.cli.train import main as train

    del sys.argv[1]  # Hydra reads the rest
    return train()
