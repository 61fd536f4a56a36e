"""A run whose job waits, and that would finish sooner with another size: the job is replaced.

Slurm requeues a job with the size that it had, and nobody of ours is there to choose. So the same command does.
"""

from __future__ import annotations

from dataclasses import replace

from passingloop.config.settings import RunConfig
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued
from passingloop.slurm import control
from passingloop.submit.arrays import Submitter
from passingloop.submit.fitting import fit
from passingloop.submit.sizes import Size
from passingloop.text import say

OTHER_REASONS = ("Dependency", "JobHeld", "JobHold", "launch failed", "JobArrayTaskLimit", "Reservation", "Licenses")
"""How the reasons begin for which a job waits whatever its size is."""


def replace_waiting_job(run: RunDir, config: RunConfig, submitter: Submitter) -> bool:
    """Submit `run` with another size, and cancel the job with which it waits, if that is better. Returns whether it is.

    If that job starts meanwhile, it saves as it is cancelled; the run goes on in the new one.

    Raises:
        ConfigError, MissingError: as `passingloop.submit.arrays.Submitter.submit`; the old job is still there.
    """
    if not run.attempts.exists():
        return False
    from passingloop.status.query import states_of

    [state] = states_of([run])
    queued = next(reversed(ledger.read(run).events_of(Queued)), None)
    if state.kind != "pending" or state.job_id is None or queued is None or queued.request is None:
        return False
    if not state.confirmed or (state.reason or "").startswith(OTHER_REASONS):
        return False
    waits = Size(queued.request.nodes, queued.request.gpus)
    home = submitter.home
    fitted = fit(config, run, submitter.cluster, home, home.code, keep=waits)
    if fitted is None or fitted.size == waits:
        return False
    say(f"The run waits for {waits}. {fitted.sentence} So its job {state.job_id} is replaced.")
    replace(submitter, requests={config: fitted.request}).submit({run: config})
    control.cancel_jobs([state.job_id])
    return True
