"""``python train.py [overrides]`` and ``passingloop train [overrides]``: Hydra composes, we check and launch."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from passingloop.config.command_line import command_line_configs
from passingloop.errors import ConfigError, MissingError
from passingloop.handoff import clean_environment
from passingloop.preempt.signals import lasting_interrupt
from passingloop.text import data_exit_code, exit_code, print_path, say

if TYPE_CHECKING:
    from passingloop.config.data import DataConfig
    from passingloop.config.settings import RunConfig


def main() -> int:
    """Train what the command line (``sys.argv``) says. Returns the exit code of docs/reference/exit-codes.md."""
    clean_environment()
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
    from passingloop.rundir.choice import is_complete  # late: modules that it brings are found by the cleaned path

    with lasting_interrupt():
        configs = command_line_configs(is_complete)
    if not configs:
        return data_exit_code()  # --help, --cfg and --info have printed what was asked for
    _check_launchers(configs)
    missing = [config for config in configs if not is_complete(config)]
    _check_receivers(missing)
    sizes = check_data_here(missing)
    _check_models(missing)
    if configs[0].launcher.kind == "slurm":
        from passingloop.submit.runs import submit

        return submit(configs, lambda source: sizes.get(source.unlimited()))
    from passingloop.search.enrolment import is_search

    if is_search(configs):
        from passingloop.attempts.foreground import search_here

        return search_here(configs, print_path)
    from passingloop.attempts.foreground import run_here  # after the checks, so that mistakes are answered at once

    return run_here(configs, print_path)


def _check_launchers(configs: Sequence[RunConfig]) -> None:
    """Refuse what no launcher can do.

    Raises:
        ConfigError: a sweep over launchers, or a dry run or an estimate of what is not submitted.
    """
    kinds = sorted({config.launcher.kind for config in configs})
    if len(kinds) > 1:
        raise ConfigError(f"You set launcher={','.join(kinds)}, but a sweep runs in one place. Choose one of them.")
    if kinds == ["shell"] and any(config.dry_run for config in configs):
        raise ConfigError(
            "You set dry_run=true, but that shows what would be submitted, and launcher=shell submits nothing. Add "
            "launcher=slurm; `--cfg job` shows the configuration."
        )
    if kinds == ["shell"] and any(config.estimate for config in configs):
        raise ConfigError(
            "You set estimate=true, but that compares when Slurm would start a job, and launcher=shell submits none. "
            "Add launcher=slurm."
        )


def _check_models(configs: Sequence[RunConfig]) -> None:
    """Refuse a folder that holds no model at once, rather than after the imports of a training process.

    Raises:
        ConfigError: `model.path` is a folder without a configuration.
    """
    for path in dict.fromkeys(config.model.path for config in configs):
        # Not with Path, which raises where it may not look.
        if os.path.isdir(path) and not os.path.exists(f"{path}/config.json"):  # noqa: PTH110, PTH112
            raise ConfigError(
                f"You set model.path={path}, but that folder has no config.json, so it holds no model. Give a folder "
                "with a model in Hugging Face format, or a Hugging Face model id."
            )


def _check_receivers(configs: Sequence[RunConfig]) -> None:
    """Check who is to be told of runs that are to be trained. For a job it is said only, as its node may differ.

    Raises:
        ConfigError: a receiver cannot be reached, and the runs are to train here.
    """
    receivers = {config.notify: config.launcher.kind for config in configs if config.notify.has_receiver}
    if not receivers:
        return
    from passingloop.notify.readiness import problems_here, problems_in_a_job

    for notify, kind in receivers.items():
        for problem in problems_here(notify) if kind == "shell" else problems_in_a_job(notify):
            if kind == "shell":
                raise ConfigError(problem)
            say(f"Notice: {problem}")


def check_data_here(configs: Sequence[RunConfig]) -> Mapping[DataConfig, int | None]:
    """Check the data of runs that are to be trained, so that a wrong name is known before the first one starts.

    Returns about how many bytes databases, buckets and hubs have, as `passingloop.data.probe.check_data`.

    Raises:
        ConfigError, DataError: something that the configuration names is not there.
        MissingError: a driver or a server is not there, and the runs are to train here.
    """
    from passingloop.config.data import named_sources

    sources = [source for config in configs for source in named_sources(config.data).values()]
    if all(source.CHECKED == "never" for source in sources):
        return {}
    from passingloop.data.probe import check_data  # takes 70 ms

    try:
        return check_data(configs)
    except MissingError as problem:
        if configs[0].launcher.kind == "shell":
            raise
        say(f"The data could not be looked at from here; the job will try again. {problem}")
        return {}
