"""``launcher=shell`` for a search (`sweep.search`): its points are trained here one after another, rung by rung."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from passingloop.attempts.foreground import place_here
from passingloop.attempts.supervisor import carry_out
from passingloop.config.settings import RunConfig
from passingloop.errors import DataChanged, Interrupted, ModelChanged, RunBusy
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import make_cache_root
from passingloop.rundir.choice import choose_run
from passingloop.rundir.code import code_identity
from passingloop.rundir.submission import Home
from passingloop.search.decision_round import decide, retry_failed
from passingloop.search.enrolment import add_points, check_search, config_to_rung
from passingloop.search.outcome import outcome_lines, rung_name
from passingloop.text import say

COMMAND = "a command"
"""Who decides, in the ledger of the search."""


def search_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Train the points `configs` as far as they go, and go on with those that stand in the ledger of their search.

    Returns the exit code: 0 if nothing is left to do, 130 if interrupted, else 1.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here, or the points are not to be compared.
    """
    check_search(configs)
    allocation = Allocation.current()
    for config in configs:
        place_here(config, allocation)
        make_cache_root(config)
    home, identity, worst = Home.for_user(configs[0].run_root), code_identity(), 0
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
        if not owed:
            break
        run = choose_run(owed[0].config)
        to_rung = config_to_rung(run, owed[0].config)
        assert to_rung, "it is owed"
        say(f"\n[{rung_name(sweep.search, owed[0].rung)}, {len(owed)} to go] {run.path}")
        try:
            code = carry_out(run, to_rung, identity, place_here(to_rung, allocation))
        except (RunBusy, DataChanged, ModelChanged) as error:
            say(f"error: {error}")
            code = error.exit_code
        worst = max(worst, code)
        if code == Interrupted.exit_code:
            break
    for name, entry in sweep.entries.items():
        if entry.told:
            print_folder(str(file.run(name).path))
    for line in outcome_lines(sweep):
        say(line)
    return worst
