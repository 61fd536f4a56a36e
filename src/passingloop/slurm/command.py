"""One call of a Slurm command: the environment it needs, and its answer as text, or why there is none."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from passingloop.errors import SlurmMissing, SlurmRefused, SlurmSilent

PATIENCE = 20.0
"""Seconds. Without slurmctld the commands wait for MessageTimeout, which sites set up to minutes."""

SILENT = (
    "Unable to contact slurm controller",
    "not responding",
    "Connection refused",
    "Connection timed out",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "in standby mode",
    "authentication error",  # munge does not run, or has another key than the daemons
    "temporarily unable to accept job",
)
"""How Slurm's commands say that slurmctld does not answer, or has no time for it."""

UNSET = ("process configuration file", "configuration source", "s_p_parse_file")
"""How they say that they have no slurm.conf, and know of none elsewhere."""

PLAIN = {"LC_ALL": "C", "SLURM_BITSTR_LEN": "0"}
"""Environment in which answers are English, and lists of an array's tasks are not cut off after 64 characters."""

PREFIXES = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_")

KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
"""By these a site or a person says which cluster is meant, and how to be let in; no job sets them for itself.

SLURM_UMASK is not among them: sbatch prefers one that it finds to the umask that it runs under.
"""


def ask(*argv: str, timeout: float = PATIENCE, stdin: str = "") -> str:
    """What the command prints.

    Args:
        timeout: seconds.
        stdin: what it reads.

    Raises:
        SlurmMissing: the command is not installed here, or belongs to no cluster.
        SlurmSilent: slurmctld does not answer.
        SlurmRefused: Slurm answered with an error.
    """
    with _start(argv) as process:
        return _answer(process, argv, timeout, stdin)


def asked(*questions: Sequence[str], timeout: float = PATIENCE) -> list[str | SlurmRefused]:
    """What several commands print that run at the same time; a refusal stands in the place of its answer.

    Args:
        timeout: seconds.

    Raises:
        SlurmMissing: a command is not installed here.
        SlurmSilent: slurmctld does not answer.
    """
    with ExitStack() as running:
        processes = []
        for question in questions:
            processes.append(running.enter_context(_start(question)))
            running.callback(processes[-1].kill)  # so that after an error none is waited for
        both = zip(processes, questions, strict=True)
        return [_answer_or_refusal(process, question, timeout) for process, question in both]


def _start(argv: Sequence[str]) -> subprocess.Popen[str]:
    settings = os.environ.get("SLURM_CONF")
    if settings and not Path(settings).exists():  # the commands would wait for it for a minute
        raise SlurmMissing(
            f"You set SLURM_CONF={settings}, but there is no such file. Set it to the settings of a cluster that is "
            "there, or unset it."
        )
    gone = set(foreign(os.environ))
    environment = {name: value for name, value in os.environ.items() if name not in gone} | PLAIN
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        why = "" if isinstance(error, FileNotFoundError) else f" that can be run ({error.strerror})"
        raise SlurmMissing(
            f"There is no {argv[0]} here{why}, so there is no Slurm to talk to. Use a login node of the cluster, or "
            "train here with launcher=shell. scripts/dev-slurm up starts a cluster to try things on."
        ) from None


def _answer(process: subprocess.Popen[str], argv: Sequence[str], timeout: float, stdin: str = "") -> str:
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        _, err = process.communicate()
        said = f" ({words})" if (words := _words(err)) else ""
        raise SlurmSilent(f"Slurm has not answered {argv[0]} within {timeout:g} s{said}. Try again later.") from None
    if process.returncode == 0:
        return out
    words = _words(err) or f"exit code {process.returncode}"
    if any(lack in err for lack in UNSET):
        raise SlurmMissing(f"{argv[0]} knows of no cluster here: {words}. Use a login node, or set SLURM_CONF.")
    if any(silence in err for silence in SILENT):
        raise SlurmSilent(f"Slurm does not answer: {words}. Try again later; running jobs go on.")
    raise SlurmRefused(f"{argv[0]}: {words}.", text=words)


def _answer_or_refusal(process: subprocess.Popen[str], argv: Sequence[str], timeout: float) -> str | SlurmRefused:
    try:
        return _answer(process, argv, timeout)
    except SlurmRefused as refusal:
        return refusal


def _words(err: str) -> str:
    """What the command said, without the parts that are about itself."""
    lines = [re.split("(?:error|fatal): ", line)[-1].strip().rstrip(".") for line in err.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))


def value(line: str, key: str) -> str:
    """The value of the first ``key=value`` in a line of ``scontrol --oneliner``, or empty.

    What people have written, such as Reason, comes last in a line. Searching by a regular expression took 200 ms for
    2,000 nodes; this takes 20 ms.
    """
    _, _, rest = f" {line}".partition(f" {key}=")
    return rest.partition(" ")[0]


def foreign(environ: Mapping[str, str]) -> list[str]:
    """The names to remove before a Slurm command is called.

    Inside an allocation they describe that one, and sbatch and srun take them for their options: an inherited
    SLURM_CPU_BIND, for one, puts all processes on the same CPU. SBATCH_PARTITION and its like go too: they override
    what a batch script says, and what a person wants is said in `cluster`.
    """
    return [name for name in environ if name.startswith(PREFIXES) and name not in KEPT]


def own_job(environ: Mapping[str, str]) -> str | None:
    """The job that this process is part of, for a task of an array as ``12_3``; None outside of jobs.

    The task that keeps the array's own number in SLURM_JOB_ID can only be asked for by this name: the number alone
    means all tasks.
    """
    if "SLURM_ARRAY_TASK_ID" in environ:
        return f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return environ.get("SLURM_JOB_ID")


def restarts(environ: Mapping[str, str]) -> int:
    """How often Slurm had requeued the job when it started this batch script."""
    return int(environ.get("SLURM_RESTART_COUNT", "0"))
