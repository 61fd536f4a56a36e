"""``launcher=shell``: the run's processes are started here, in the allocation if this is one, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from passingloop.attempts.supervisor import carry_out
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, DataChanged, Interrupted, ModelChanged, RunBusy
from passingloop.inputs import InputCheck
from passingloop.launch.allocation import Allocation
from passingloop.launch.machine import Machine
from passingloop.launch.place import Place, make_cache_root
from passingloop.launch.step import Step
from passingloop.rundir.choice import choose_run, make_directory
from passingloop.rundir.code import code_identity
from passingloop.rundir.submission import Home
from passingloop.text import say


def run_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Train each of `configs`, one after another. Runs that are done already are not trained again.

    Returns the exit code: 0 if all are done, 130 if interrupted (the rest is then not started), else 1.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here; nothing has been written or started.
    """
    allocation = _checked_allocation(configs)
    identity, inputs, worst = code_identity(), InputCheck(), 0
    for number, config in enumerate(configs, start=1):
        run = choose_run(config)
        if len(configs) > 1:
            say(f"\n[{number}/{len(configs)}] {run.path}")
        try:
            if run.result.exists():
                inputs.check(run, config)
            code = carry_out(run, config, identity, _place(config, allocation))
        except (RunBusy, DataChanged, ModelChanged) as error:
            say(f"error: {error}")
            code = error.exit_code
        print_folder(str(run.path))
        worst = max(worst, code)
        if code == Interrupted.exit_code:
            break
    return worst


def search_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Add `configs` to their search (`sweep.search`), and train its points one after another, rung by rung.

    Returns the exit code: 0 if nothing is left to do, 130 if interrupted, 2 if the runs do not measure what they are to
    be compared by, else 1.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here, or the points are not to be compared; nothing
            has been written or started.
    """
    from passingloop.search.decision_round import (
        decide,
        retry_failed,
    )  # late, as the next: most commands need no status
    from passingloop.search.enrolment import add_points, check_search, paused_config
    from passingloop.search.outcome import metric_mistake, outcome_lines, rung_name
    from passingloop.search.sweep_ledger import COMMAND

    check_search(configs)
    allocation, identity, codes = _checked_allocation(configs), code_identity(), [0]
    home = Home.for_user(configs[0].run_root)
    home.create()
    with home.lock():
        file = add_points(configs, one_by_one=True)
        decide(file, COMMAND)
        retry_failed(file, COMMAND)
    while True:
        with home.lock():
            owed = decide(file, COMMAND)
        sweep = file.read()
        assert sweep, "it has points"
        if metric_mistake(sweep):
            codes.append(ConfigError.exit_code)
            break
        if not owed or codes[-1] == Interrupted.exit_code:
            break
        run, config = make_directory(owed[0].run, owed[0].config), paused_config(owed[0].config, sweep, owed[0].rung)
        say(f"\n[{rung_name(sweep.search, owed[0].rung)}; {len(owed)} to go] {run.path}")
        try:
            codes.append(carry_out(run, config, identity, _place(config, allocation)))
        except (RunBusy, DataChanged, ModelChanged) as error:
            say(f"error: {error}")
            codes.append(error.exit_code)
    for name, entry in sweep.entries.items():
        if entry.told:
            print_folder(str(file.run(name).path))
    for line in outcome_lines(sweep):
        say(line)
    return codes[-1] if codes[-1] == Interrupted.exit_code else max(codes)


def _checked_allocation(configs: Sequence[RunConfig]) -> Allocation | None:
    """The allocation that we are in, if any.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here.
    """
    allocation = Allocation.current()
    for config in configs:
        _place(config, allocation)
    for config in configs:
        make_cache_root(config)
    return allocation


def _place(config: RunConfig, allocation: Allocation | None) -> Place:
    """Where the processes of a run are started: in a step of the `allocation` that we are in, or on this machine."""
    if allocation and allocation.needs_step(config):
        return Step(config=config, allocation=allocation)
    return Machine.for_run(config, allocation)
