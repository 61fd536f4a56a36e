"""The words of a command line: Hydra composes them, and the settings of every run they ask for are checked."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from passingloop.config.points import CollectedSweep
    from passingloop.config.settings import RunConfig

NAMELESS = re.compile(r"[+~]*(@[^=]*)?=")
"""An override without a name, for some of which Hydra fails an assertion."""

WHOLE_TEXT = re.compile(
    r"([+]{0,2}data\.(?:sources\.\w+\.)?(?:(?:train|validation|test)=(?=\s*(?:SELECT|WITH)\b)|connection=(?=[^'\"\[])))"
    r"(.*)",
    re.IGNORECASE | re.DOTALL,
)
"""A word whose value is a query, or a connection string."""


def command_line_configs(is_complete: Callable[[RunConfig], bool] | None = None) -> list[RunConfig]:
    """The checked settings of every run that the command line (``sys.argv``) asks for; none if it asks for help.

    Args:
        is_complete: see `passingloop.config.compose.settle`.

    Raises:
        ConfigError: a mistake on the command line, or a password.
    """
    from passingloop.config.passwords import refuse_passwords

    refuse_passwords(sys.argv[1:])
    for word in sys.argv[1:]:
        if NAMELESS.match(word):
            from passingloop.config.explain import QUOTES

            raise ConfigError(f"'{word}' has no key. {QUOTES}")
    return _single_config(is_complete) or _configs_by_hydra(is_complete)


def configs_of(words: Sequence[str]) -> list[RunConfig]:
    """The same for a command line that consists of `words`, such as the overrides of another verb.

    Raises:
        ConfigError: a mistake in `words`.
    """
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        return command_line_configs()
    finally:
        sys.argv = before


def _single_config(is_complete: Callable[[RunConfig], bool] | None = None) -> list[RunConfig]:
    """The configuration of the run that the command line asks for; none if that is for Hydra's `main` to read."""
    from passingloop.config.compose import compose, settings  # brings Hydra: from here on Ctrl-C gets a sentence
    from passingloop.config.values import keep_secrets_as_references, keep_texts_as_typed

    keep_secrets_as_references()
    keep_texts_as_typed()
    words = [hydra_word(word) for word in sys.argv[1:]]
    if any(word.startswith("-") or "hydra" in word for word in words):
        return []
    composed = compose(words)
    return [] if composed is None else [_alone(settings(composed, Path.cwd(), is_complete))]


def _alone(config: RunConfig) -> RunConfig:
    """The settings of a command that asks for one run.

    Raises:
        ConfigError: they are of a search, which one run is not.
    """
    if config.sweep.search != "grid":
        raise ConfigError(
            f"You set sweep.search={config.sweep.search}, which trains several points, but without -m there is one. "
            "Add -m, or set sweep.search=grid for one run."
        )
    return config


def _configs_by_hydra(is_complete: Callable[[RunConfig], bool] | None = None) -> list[RunConfig]:
    """What the command line asks for, where that is a sweep, a mistake, or Hydra's own options (then nothing)."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from passingloop.config.compose import config_folder, settings
    from passingloop.config.explain import explain
    from passingloop.config.points import CollectedSweep
    from passingloop.config.space import drawn_points, ends_of, split_distributions

    found: list[DictConfig | CollectedSweep] = []
    typed, space = split_distributions(sys.argv[1:])
    sweep = [word for word in typed if word in ("-m", "--multirun")]  # argparse does not take it among the overrides
    typed = sweep + [hydra_word(word) for word in typed if word not in sweep]
    sys.argv[1:] = typed
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them itself
    try:
        with _checked_output():
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="main")(found.append)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, typed) from error
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
    collected = next((one for one in found if isinstance(one, CollectedSweep)), None)
    points = [one for one in found if not isinstance(one, CollectedSweep)]
    if collected:
        points, space = collected.points, {**collected.space, **space}
    if not points:
        return []
    for end in ends_of(points, space):
        settings(end, Path.cwd())
    if not (sweep or collected):
        return [_alone(settings(point, Path.cwd(), is_complete)) for point in points]
    return [settings(point, Path.cwd(), is_complete) for point in drawn_points(points, space)]


@contextlib.contextmanager
def _checked_output() -> Iterator[None]:
    """What is printed meanwhile (`--cfg job`, say) appears at the end, unless a file had a password in it.

    Raises:
        ConfigError: it has.
    """
    from passingloop.config.passwords import refuse_passwords_shown

    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            yield
    finally:
        refuse_passwords_shown(shown.getvalue())
        sys.stdout.write(shown.getvalue())


def hydra_word(word: str) -> str:
    """A word as Hydra's grammar has it, which takes ~, = or ü in a value for mistakes unless it stands in quotes.

    So it does with the brackets in ``train[:10%]`` or ``part[0-9].csv``. A query, and an ODBC connection string, is one
    text whatever is in it. Elsewhere, where a comma, a bracket at the beginning or a quote leaves more than one way to
    read it, the word stays as it was typed. What looks like a number stays text where a text is wanted.
    """
    from passingloop.config.values import quote_texts

    if setting := WHOLE_TEXT.match(word):
        escaped = re.sub(r'(\\*)("|$)', lambda end: end[1] * 2 + ('\\"' if end[2] else ""), setting[2])
        return f'{setting[1]}"{escaped}"'
    word = re.sub(r"""^([\w.+@/]+=)(?=.*[^ -}]|.*[~=#&;!<>^`\[\]])((?!\[)[^,'"(){}\\]+)$""", r'\1"\2"', word)
    return quote_texts(word)
