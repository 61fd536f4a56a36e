"""``passingloop sync``: upload runs to W&B that were tracked offline, once they have ended.

A run is uploaded whole, from its metrics and samples: what W&B has of it is replaced. So all attempts of a run become
one W&B run in which each step appears once, and an upload that was interrupted is simply done again. A file in the run
directory, wandb/uploads.jsonl, keeps what W&B has, with checksums; runs that it has already are left out.

The key is the one of `wandb login`, or WANDB_API_KEY.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.cli.selection import add_runs, selected_runs
from passingloop.errors import MissingError, RunError
from passingloop.pending.wording import count_text
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.status.query import shown_states
from passingloop.status.state import State
from passingloop.text import say
from passingloop.track.upload_marks import missing_uploads
from passingloop.track.wandb_identity import identity_of
from passingloop.track.wandb_run import INSTALL, is_installed
from passingloop.track.wandb_upload import upload_run
from passingloop.usage.run_summary import run_summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument("--all", action="store_true", help="also runs that have not ended, as far as they have come")
    parser.add_argument("--dry-run", action="store_true", help="print which runs would be uploaded, and upload nothing")


def main(arguments: argparse.Namespace) -> int:
    """Upload the runs and print a line for each.

    Returns 0; 1 if one of them was left out because of its directory; 3 if there is no key, or W&B does not take a run.

    Raises:
        ConfigError: a word names no run.
        MissingError: wandb is not installed.
    """
    if not is_installed():
        raise MissingError(f"wandb is not installed, which uploads runs. Run: {INSTALL}")
    waiting = [run for run in selected_runs(arguments) if missing_uploads(run)]
    states = {state.run: state for state in shown_states(waiting)}
    due = [run for run in waiting if _is_due(states[run], everything=arguments.all)]
    if not arguments.all and len(due) < len(waiting):
        left = count_text(len(waiting) - len(due), "run")
        say(f"Left out: {left} that may go on. They are uploaded once they have ended, or with --all.")
    if not due:
        say("Nothing is to be uploaded.")
    rows = []
    damaged = False
    refusal: MissingError | None = None
    for run in due:
        try:
            done = None if arguments.dry_run else _upload(run)
        except MissingError as error:
            if refusal and str(error) == str(refusal):  # the next runs would be refused as well
                break
            refusal = error
            say(f"{run.path} is not uploaded: {error}")
            continue
        except (RunError, OSError, ValueError, KeyError, TypeError) as error:
            say(f"{run.path} is left out: {error}")
            damaged = True
            continue
        rows.append(_row(run, done))
        if not arguments.json:
            print(" ".join(str(value) for value in rows[-1].values() if value is not None), flush=True)
    if arguments.json:
        print(as_json(rows))
    if refusal:  # which has been said, with the run
        return refusal.exit_code
    return 1 if damaged else 0


def _is_due(state: State, *, everything: bool) -> bool:
    """Whether a run is to be uploaded now. One that W&B follows at this moment never is."""
    if not state.is_active:
        return True
    return everything and not _is_online(state.run)


def _is_online(run: RunDir) -> bool:
    """Whether the newest of W&B's folders is that of an attempt online."""
    return bool(names := missing_uploads(run)) and not names[-1].startswith("offline-")


def _upload(run: RunDir) -> Mapping[str, Any]:
    """Upload a run.

    Raises:
        MissingError: W&B does not take it.
        RunError, OSError, ValueError, KeyError, TypeError: its directory cannot be read, or not be written.
    """
    starts = ledger.read(run).events_of(Start)
    if not starts:
        raise ValueError(f"{run.attempts.name} has no attempt that could be uploaded.")
    config = record.attempt_config(run, starts[-1].attempt)
    done = upload_run(run, config.tracking, identity_of(run, config), run_summary(run, time.time()))
    return {"address": done.address, "rows": done.rows}


def _row(run: RunDir, done: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"run": str(run.path), "address": done["address"] if done else None, "rows": done["rows"] if done else None}
