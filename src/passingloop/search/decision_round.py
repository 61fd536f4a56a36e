"""A round of decisions of a search: what its runs have reached is taken down, and what follows is decided and written.

Whoever holds the lock of the user's submissions may hold a round, at any time: the command, or the job of a run that
has come to a rung. What was decided and not carried out, because its decider was killed, is carried out by the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from passingloop.config.settings import RunConfig
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.search.drawing_points import next_points
from passingloop.search.findings import CANCELLED, is_launched, may_have_news, new_reports, newest_pause
from passingloop.search.rungs import Move, moves
from passingloop.search.sweep_ledger import Entry, SweepFile, SweepLedger
from passingloop.status.query import states_of
from passingloop.status.state import State


@dataclass(frozen=True, slots=True)
class Owed:
    """A run that is to be trained to a rung, and that nobody is at work on."""

    run: RunDir
    config: RunConfig
    rung: int


def decide(file: SweepFile, by: str, without: RunDir | None = None) -> list[Owed]:
    """Take down what the runs have reached, and decide what follows. Returns what is to be carried out.

    The caller holds the lock of the user's submissions; what others have written before is read first.

    Args:
        by: who decides.
        without: the run of the job that decides, which sees for itself whether it trains on.

    Raises:
        OtherVersion: the ledger has another format version.
        MissingError: a point is to be drawn by optuna, which is not installed here.
    """
    states: dict[str, State] = {}
    while True:
        sweep = file.read()
        assert sweep, "it has begun"
        watched = [entry for entry in sweep.entries.values() if entry.newest and not entry.has_arrived]
        unknown = [file.run(entry.run) for entry in watched if entry.run not in states]
        states |= {state.run.path.name: state for state in states_of(unknown)}
        found = {
            Move(entry.run, rung): new
            for entry in sweep.entries.values()
            if may_have_news(entry)
            for rung, new in new_reports(file.run(entry.run), sweep.search, entry, states.get(entry.run)).items()
        }
        if found:
            file.write_values(found)
        elif decided := moves(sweep.search, sweep.points):
            promoted = [move for move in decided if move.rung]
            if cancelled := [move for move in promoted if ledger.read(file.run(move.run)).is_cancel_requested]:
                file.write_values({Move(move.run, move.rung - 1): CANCELLED for move in cancelled})
            else:
                _write_told(file, sweep, decided, by)
        elif drawn := next_points(sweep):
            file.write_points(drawn)
        else:
            break
    owed = [entry for entry in watched if _is_owed(file, entry, states[entry.run]) and file.run(entry.run) != without]
    return [Owed(file.run(entry.run), entry.config, entry.newest.rung) for entry in owed if entry.newest]


def retry_failed(file: SweepFile, by: str) -> None:
    """Give another chance to the points that have failed on their way to a rung, or were cancelled."""
    sweep = file.read()
    assert sweep, "it has begun"
    ways = ((entry, entry.newest.rung) for entry in sweep.entries.values() if entry.newest)
    failed = (Move(entry.run, rung) for entry, rung in ways if rung in entry.reported and not entry.reported[rung].step)
    _write_told(file, sweep, failed, by)


def _write_told(file: SweepFile, sweep: SweepLedger, decided: Iterable[Move], by: str) -> None:
    file.write_told(sweep.search, {move: len(ledger.read(file.run(move.run)).events) for move in decided}, by)


def _is_owed(file: SweepFile, entry: Entry, state: State) -> bool:
    """Whether a decision about a point has not been carried out, and nobody will do so.

    A job that has trained its run to the rung before looks by itself whether it is to train on, until it has left; it
    may be there as long as Slurm does not answer.
    """
    told = entry.newest
    if told is None or not entry.point.is_open:
        return False
    events = ledger.read(file.run(entry.run)).events
    if is_launched(events, told):
        return False
    has_left = told.rung - 1 in entry.left and newest_pause(events) is not None
    return has_left or (state.confirmed and not state.is_active)
