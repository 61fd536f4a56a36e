"""Shows a trial as its user wants it, and says by exit code whether the policy is accepted."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from passingloop.files import write_output
from passingloop.report.html.simulation_page import simulation_page
from passingloop.report.simulation.policy_figures import Simulation
from passingloop.report.simulation.simulation_json import as_json
from passingloop.report.simulation.simulation_tables import page
from passingloop.report.usage.prices import Prices
from passingloop.simulation.policy_trial import verdict_code
from passingloop.text import data_exit_code, has_colour, say
from passingloop.usage.price_file import read_prices

WIDTH = 100
"""Characters of a line where the output is no terminal."""


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The options on what is shown: ``--json``, ``--html``, ``--prices``."""
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--html", metavar="FILE", type=_page_file, help="write a page with charts to FILE as well")
    parser.add_argument(
        "--prices",
        metavar="FILE",
        type=Path,
        default=os.environ.get("PASSINGLOOP_PRICES"),
        help="a TOML file of prices per GPU-hour, such as examples/prices.toml (default: $PASSINGLOOP_PRICES)",
    )


def _page_file(text: str) -> Path:
    """A file that can be written: a replay takes long, and it should not turn out at its end."""
    path = Path(text).expanduser()
    if text == "-":
        raise argparse.ArgumentTypeError("stdout is for the figures. Name a file such as simulation.html.")
    if not path.name or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no file. Name one such as simulation.html.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written. Name a file in a folder that is there, and yours.")
    return path


def wanted_prices(options: argparse.Namespace) -> Prices | None:
    """The prices of ``--prices``; to be read before anything takes long.

    Raises:
        ConfigError: they cannot be read.
    """
    return read_prices(Path(options.prices).expanduser()) if options.prices else None


def show(simulation: Simulation, options: argparse.Namespace) -> int:
    """Print the figures, or their JSON, and write the page; what is missed is said on stderr. Returns the exit code.

    Raises:
        ConfigError: the page cannot be written.
    """
    if options.json:
        print(json.dumps(as_json(simulation), indent=2, allow_nan=False))
    else:
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else WIDTH
        print("\n".join(page(simulation, width, colour=is_terminal and has_colour())))
    if options.html:
        write_output(simulation_page(simulation), options.html, "--html")
        say(f"The page is {options.html}.")
    for judgement in simulation.judgements:
        if judgement.sentence:
            say(judgement.sentence)
    return data_exit_code() or verdict_code(simulation)
