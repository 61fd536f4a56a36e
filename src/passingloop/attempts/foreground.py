"""``launcher=shell``: the run's processes are started here, in the allocation if this is one, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from passingloop.attempts.supervisor import carry_out
from passingloop.config.settings import RunConfig
from passingloop.errors import DataChanged, Interrupted, ModelChanged, RunBusy
from passingloop.inputs import InputCheck
from passingloop.launch.allocation import Allocation
from passingloop.launch.machine import Machine
from passingloop.launch.place import Place, make_cache_root
from passingloop.launch.step import Step
from passingloop.rundir.choice import choose_run
from passingloop.rundir.code import code_identity
from passingloop.text import say


def run_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Train each of `configs`, one after another. Runs that are done already are not trained again.

    Returns the exit code: 0 if all are done, 130 if interrupted (the rest is then not started), else 1.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here; nothing has been written or started.
    """
    allocation = Allocation.current()
    places = [place_here(config, allocation) for config in configs]
    for config in configs:
        make_cache_root(config)
    identity, inputs, worst = code_identity(), InputCheck(), 0
    for number, (config, place) in enumerate(zip(configs, places, strict=True), start=1):
        run = choose_run(config)
        if len(configs) > 1:
            say(f"\n[{number}/{len(configs)}] {run.path}")
        try:
            if run.result.exists():
                inputs.check(run, config)
            code = carry_out(run, config, identity, place)
        except (RunBusy, DataChanged, ModelChanged) as error:
            say(f"error: {error}")
            code = error.exit_code
        print_folder(str(run.path))
        worst = max(worst, code)
        if code == Interrupted.exit_code:
            break
    return worst


def place_here(config: RunConfig, allocation: Allocation | None) -> Place:
    """Where the processes of a run are started: in a step of the `allocation` that we are in, or on this machine."""
    if allocation and allocation.needs_step(config):
        return Step(config=config, allocation=allocation)
    return Machine.for_run(config, allocation)
