"""``python train.py [overrides]`` and ``passingloop train [overrides]``: Hydra composes, we check and launch."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from passingloop.config.command_line import command_line_configs
from passingloop.errors import ConfigError, MissingError
from passingloop.preempt.interrupt import not_swallowed
from passingloop.text import exit_code, say

if TYPE_CHECKING:
    from passingloop.config.data import AnySource
    from passingloop.config.settings import RunConfig


def main() -> int:
    """Train what the command line (``sys.argv``) says. Returns the exit code of docs/reference/exit-codes.md."""
    with _rare_garbage_collection():
        return exit_code(_train)


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
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
        configs = command_line_configs()
    if not configs:
        return 0  # --help, --cfg and --info have printed what was asked for
    _check_launchers(configs)
    sizes = _check_data(configs)
    if configs[0].launcher.kind == "slurm":
        from passingloop.submit.command import submit

        return submit(configs, lambda source: sizes.get(_as_named(source)))
    from passingloop.attempts.shell import run_here  # after the checks, so that mistakes are answered at once

    return run_here(configs, functools.partial(print, flush=True))


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
