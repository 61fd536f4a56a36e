"""How the jobs of a replay save and continue, and the script that they are."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What every job does when it has to stop, in seconds. `passingloop drill` measures these figures."""

    save_s: float = 10.0
    """To save, at a request to stop; the GPUs are held meanwhile."""
    restart_s: float = 60.0
    """From the start of a job that continues to the first new step."""
    every_s: float = 900.0
    """Between saves without a request: what is lost at most if the time is too short to save."""


SCRIPT = """\
#!/bin/sh
# One job of a replay: $1 its number, $2 the seconds that it computes, $3 its exit code.
job=$1 left=$2 code=$3 restart=0
file={folder}/$job
[ -s "$file" ] && read left <"$file" && restart={restart}
export {variables}
/bin/sleep $((restart + left)) &
sleeping=$!
begin=$(/bin/date +%s)
stop() {{
    trap '' USR2 TERM
    kill $sleeping 2>/dev/null
    now=$(/bin/date +%s)
    useful=$((now - begin - restart))
    [ $useful -lt 0 ] && useful=0
    if [ $useful -ge $left ]; then
        echo "end $job" >{reports}
        exit $code
    fi
    echo $((left - useful / {every} * {every})) >"$file"
    echo "stop $job ${{SLURM_RESTART_COUNT:-0}} $now $((useful / {every} * {every}))" >{reports}
    /bin/sleep {save}
    echo $((left - useful)) >"$file"
    echo "saved $job ${{SLURM_RESTART_COUNT:-0}} $useful" >{reports}
    trap - TERM
    env {commands} scontrol requeue $SLURM_JOB_ID 2>/dev/null
    /bin/sleep 1000000 &
    wait
}}
trap stop USR2 TERM
echo "begin $job $SLURM_JOB_ID $((restart + left))" >{reports}
wait $sleeping
echo "end $job" >{reports}
exit $code
"""


def job_script(
    saving: Saving, folder: Path, reports: Path, job_variables: Mapping[str, str], variables: Mapping[str, str]
) -> str:
    """The script of all jobs.

    It reports to a named pipe: ``begin NUMBER ID SECONDS``, ``stop NUMBER RESTARTS TIME USEFUL`` where USEFUL are the
    seconds that would remain if it were killed while it saves, ``saved NUMBER RESTARTS USEFUL``, and ``end NUMBER``.
    What is left to compute after a stop stands in a file of `folder`.
    """
    return SCRIPT.format(
        folder=folder,
        reports=reports,
        restart=round(saving.restart_s),
        save=round(saving.save_s),
        every=max(1, round(saving.every_s)),
        variables=_assignments(job_variables),
        commands=_assignments(variables),
    )


def _assignments(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
