"""How the jobs of a replay save and continue: as a drill has measured it, as options say, or as is usual."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from passingloop.errors import ConfigError
from passingloop.report.simulation.policy_figures import SavingFigure, SavingName
from passingloop.simulation.replay.saving import Saving

FIGURES: dict[SavingName, tuple[str, str]] = {
    "save_s": ("save", "seconds that a preempted job takes to save"),
    "restart_s": ("restart", "seconds from the start of a continued job to its first new step"),
    "save_every_s": ("save-every", "seconds between saves of a job that is not preempted"),
}
"""By the key under `measured` in the output of ``passingloop drill --json``: the option, and what it is."""

USUAL: dict[SavingName, float] = {
    "save_s": Saving().save_s,
    "restart_s": Saving().restart_s,
    "save_every_s": Saving().every_s,
}

LONGEST = 1e6


def add_saving_options(parser: argparse.ArgumentParser) -> None:
    """``--drill``, and an option for each figure."""
    parser.add_argument(
        "--drill",
        metavar="FILE",
        type=Path,
        help="the output of `passingloop drill --json`: take the next three from it",
    )
    for key, (name, words) in FIGURES.items():
        help_text = f"{words}; as the drill has measured, or {USUAL[key]:g}, unless given"
        parser.add_argument(f"--{name}", dest=key, type=positive_number, metavar="X", help=help_text)


def positive_number(word: str) -> float:
    """A number above 0, for argparse."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < LONGEST:
        raise argparse.ArgumentTypeError(f"{word} is no number above 0")
    return value


def chosen_figures(options: argparse.Namespace) -> tuple[SavingFigure, ...]:
    """The figures, each with where it comes from.

    Raises:
        ConfigError: the drill cannot be read, or lacks one that no option gives.
    """
    return tuple(_figures(options, _measured(options.drill) if options.drill else None))


def saving_of(figures: tuple[SavingFigure, ...]) -> Saving:
    """What the jobs of the replay do."""
    seconds = {one.name: one.seconds for one in figures}
    return Saving(save_s=seconds["save_s"], restart_s=seconds["restart_s"], every_s=seconds["save_every_s"])


def _figures(options: argparse.Namespace, drill: dict[str, Any] | None) -> Iterator[SavingFigure]:
    for key, (name, _) in FIGURES.items():
        given = getattr(options, key)
        if given is not None:
            yield SavingFigure(name=key, seconds=given, source=f"--{name}")
        elif drill is None:
            yield SavingFigure(name=key, seconds=USUAL[key], source="assumed")
        elif isinstance(seconds := drill.get(key), int | float) and 0 < seconds < LONGEST:
            yield SavingFigure(name=key, seconds=float(math.ceil(seconds)), source=options.drill.name)
        else:
            raise ConfigError(
                f"You set --drill {options.drill}, but it does not say {key}: {_why_not(key)} Set --{name} as well."
            )


def _why_not(key: SavingName) -> str:
    """Why a drill may lack a figure."""
    if key == "restart_s":
        return "no interrupted run has come to its next step; more --interruptions may show it."
    if key == "save_every_s":
        return "the run saves at no interval, or none of its saves was measured."
    return "no run was asked to stop and saved all that it had computed; more --interruptions may show it."


def _measured(path: Path) -> dict[str, Any]:
    """What a drill has measured."""
    try:
        said = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"You set --drill {path}, but it cannot be read: {reason}.") from error
    except ValueError:
        said = None
    found = said.get("measured") if isinstance(said, dict) else None
    if not isinstance(found, dict):
        raise ConfigError(
            f"You set --drill {path}, but it is not what `passingloop drill --json` prints, or an earlier version has "
            f"printed it. Do the drill again: passingloop drill --json … > {path}"
        )
    return found
