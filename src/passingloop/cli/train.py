"""``python train.py [overrides]`` and ``passingloop train [overrides]``: Hydra composes, we check and launch."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import gc
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.cli.exit import exit_code
from passingloop.errors import ConfigError, MissingError
from passingloop.preempt.interrupt import not_swallowed
from passingloop.text import say

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from passingloop.config.data import AnySource
    from passingloop.config.settings import RunConfig


AS_ONE = re.compile(
    r"([+]{0,2}data\.(?:sources\.\w+\.)?(?:(?:train|validation|test)=(?=\s*(?:SELECT|WITH)\b)|connection=(?=[^'\"\[])))"
    r"(.*)",
    re.IGNORECASE | re.DOTALL,
)
"""A word whose value is a query, or a connection string."""


def main() -> int:
    """Train what the command line (``sys.argv``) says. Returns the exit code of docs/reference/exit-codes.md."""
    with _little_garbage_collection():
        return exit_code(_train)


@contextlib.contextmanager
def _little_garbage_collection() -> Iterator[None]:
    """Look for garbage rarely, and not at exit: among what Hydra brings, which stays, that takes 70 of 340 ms."""
    usual = gc.get_threshold()
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _train() -> int:
    with not_swallowed():
        configs = configured()
    if not configs:
        return 0  # --help, --cfg and --info have printed what was asked for
    _check_launchers(configs)
    sizes = _check_data(configs)
    if configs[0].launcher.kind == "slurm":
        from passingloop.submit.command import submit

        return submit(configs, lambda source: sizes.get(_as_named(source)))
    from passingloop.attempts.shell import run_here  # after the checks, so that mistakes are answered at once

    return run_here(configs, functools.partial(print, flush=True))


def configured() -> list[RunConfig]:
    """The checked settings of every run that the command line (``sys.argv``) asks for; none if it asks for help.

    Raises:
        ConfigError: a mistake on the command line, or a password.
    """
    from passingloop.config.passwords import refuse_passwords

    refuse_passwords(sys.argv[1:])
    return _one_run() or _in_hydras_main()


def configured_by(words: Sequence[str]) -> list[RunConfig]:
    """The same for a command line that consists of `words`, such as the overrides of another verb.

    Raises:
        ConfigError: a mistake in `words`.
    """
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        return configured()
    finally:
        sys.argv = before


def _one_run() -> list[RunConfig]:
    """The configuration of the run that the command line asks for; none if that is for Hydra's `main` to read."""
    from passingloop.config.compose import compose, settings  # brings Hydra: from here on Ctrl-C gets a sentence
    from passingloop.config.secrets import keep_secrets_as_references
    from passingloop.config.times import keep_times_as_typed

    keep_secrets_as_references()
    keep_times_as_typed()
    words = [in_quotes(word) for word in sys.argv[1:]]
    if any(word.startswith("-") or "hydra" in word for word in words):
        return []
    composed = compose(words)
    return [] if composed is None else [settings(composed, Path.cwd())]


def _in_hydras_main() -> list[RunConfig]:
    """What the command line asks for, where that is a sweep, a mistake, or Hydra's own options (then nothing)."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from passingloop.config.compose import config_folder, settings
    from passingloop.config.explain import explain

    points: list[DictConfig] = []
    typed = sys.argv[1:]
    sweep = [word for word in typed if word in ("-m", "--multirun")]  # argparse does not take it among the overrides
    typed = sweep + [in_quotes(word) for word in typed if word not in sweep]
    sys.argv[1:] = typed
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them itself
    try:
        with _without_passwords():
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="main")(points.append)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, typed) from error
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
    return [settings(point, Path.cwd()) for point in points]


@contextlib.contextmanager
def _without_passwords() -> Iterator[None]:
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


def in_quotes(word: str) -> str:
    """A word as Hydra's grammar has it, which takes ~, = or ü in a value for mistakes unless it stands in quotes.

    So it does with the brackets in ``train[:10%]`` or ``part[0-9].csv``. A query, and an ODBC connection string, is one
    text whatever is in it. Elsewhere, where a comma, a bracket at the beginning or a quote leaves more than one way to
    read it, the word stays as it was typed.
    """
    if found := AS_ONE.match(word):
        escaped = re.sub(r'(\\*)("|$)', lambda end: end[1] * 2 + ('\\"' if end[2] else ""), found[2])
        return f'{found[1]}"{escaped}"'
    return re.sub(r"""^([\w.+@/]+=)(?=.*[^ -}]|.*[~=#&;!<>^`\[\]])((?!\[)[^,'"(){}\\]+)$""", r'\1"\2"', word)


def _check_launchers(configs: Sequence[RunConfig]) -> None:
    """Refuse what no launcher can do.

    Raises:
        ConfigError: a sweep over launchers, or a dry run of what is not submitted.
    """
    kinds = sorted({config.launcher.kind for config in configs})
    if len(kinds) > 1:
        raise ConfigError(f"You set launcher={','.join(kinds)}, but a sweep runs in one place. Choose one of them.")
    if kinds == ["shell"] and any(config.dry_run for config in configs):
        raise ConfigError(
            "You set dry_run=true, but that shows what would be submitted, and launcher=shell submits nothing. Add "
            "launcher=slurm; `--cfg job` shows the configuration."
        )


def _check_data(configs: Sequence[RunConfig]) -> Mapping[AnySource, int | None]:
    """Find the files, tables and columns, so that a wrong name is known before the first run starts.

    Returns about how many bytes databases, buckets and hubs have for them, where that can be told.

    Raises:
        ConfigError, DataError: something that the configuration names is not there.
        MissingError: a driver or a server is not there, and the runs are to train here.
    """
    from passingloop.config.data import FilesData, StdlibData, named_sources

    sources = [(name, data, config) for config in configs for name, data in named_sources(config.data).items()]
    if all(isinstance(data, StdlibData) for _, data, _ in sources):
        return {}
    from passingloop.data.probe import Asked, glance  # takes 70 ms
    from passingloop.data.registry import naming, open_source

    asked = dict.fromkeys(
        Asked(name, _as_named(data), config.task, config.cache_root)
        for name, data, config in sources
        if not isinstance(data, StdlibData)
    )
    elsewhere = []
    for one in asked:
        if isinstance(one.data, FilesData):
            with naming(one.name):
                open_source(one.data, one.task, one.cache_root).look()
        else:
            elsewhere.append(one)
    try:
        return {one.data: size for one, size in zip(elsewhere, glance(elsewhere), strict=True)}
    except MissingError as problem:
        if configs[0].launcher.kind == "shell":
            raise
        say(f"The data could not be looked at from here; the job will try again. {problem}")
        return {}


def _as_named(data: AnySource) -> AnySource:
    """`data` without what says how much of it is used: a sweep over that looks at the files once."""
    return dataclasses.replace(data, limit=None, max_length=None, validation_fraction=0.0, test_fraction=0.0)
