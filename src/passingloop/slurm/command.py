"""Runs Slurm's commands: their environment, their output as text, and their failures as exceptions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from passingloop.errors import SlurmMissing, SlurmRefused, SlurmSilent

TIMEOUT = 20.0
"""Seconds. While slurmctld is down the commands wait for MessageTimeout, which some sites set to minutes."""

NO_ANSWER_MESSAGES = (
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
"""Messages of Slurm's commands when slurmctld does not answer or is overloaded."""

NO_CLUSTER_MESSAGES = ("process configuration file", "configuration source", "s_p_parse_file")
"""Their messages when they find no slurm.conf."""

OUTPUT_ENVIRONMENT = {"LC_ALL": "C", "SLURM_BITSTR_LEN": "0"}
"""Variables that make the output English, and keep lists of array tasks from being cut off after 64 characters."""

JOB_VARIABLE_PREFIXES = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_")

KEPT_VARIABLES = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
"""Variables by which a site or a user chooses the cluster and its authentication; Slurm sets none of them in a job.

SLURM_UMASK is not kept: sbatch uses it in place of the umask of the process.
"""


SILENCE = 5.0
"""Seconds after which a command that is still running is reported, again and again."""


def run_command(
    *argv: str,
    timeout: float = TIMEOUT,
    stdin: str = "",
    merged: bool = False,
    meanwhile: Callable[[str], None] | None = None,
) -> str:
    """Run a command and return its standard output.

    Args:
        timeout: seconds.
        stdin: text for its standard input.
        merged: return its standard error as well, where some commands print what they have found.
        meanwhile: is called every `SILENCE` seconds while the command runs, with the messages that it has written on
            standard error so far. An exception that it raises ends the command.

    Raises:
        SlurmMissing: the command is not installed here, or finds no cluster.
        SlurmSilent: slurmctld does not answer.
        SlurmRefused: the command failed with another error.
    """
    with _start_process(argv) as process:
        if meanwhile:
            timeout = _report_progress(process, timeout, meanwhile)
        return _answer(process, argv, timeout, stdin, merged=merged)


def stream_command(*argv: str, timeout: float, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a command and yield the lines of its standard output while it writes them, without their line ends.

    Args:
        timeout: seconds until its end.
        variables: further variables of its environment.

    Raises:
        SlurmMissing, SlurmSilent, SlurmRefused: as `run_command`, after the lines that it has written before.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        with _start_process(argv, stderr=messages, variables=variables) as process:
            assert process.stdout and process.stdin, "they are pipes"
            process.stdin.close()
            deadline = time.monotonic() + timeout
            alarm = threading.Timer(timeout, process.kill)
            alarm.start()
            try:
                for line in process.stdout:
                    yield line.rstrip("\n")
                process.wait()
            finally:
                alarm.cancel()
                process.kill()  # the reader may have lost interest; after its end this does nothing
        messages.seek(0)
        late = process.returncode == -signal.SIGKILL and time.monotonic() >= deadline
        _check_end(process.returncode, argv, messages.read(), late=timeout if late else None)


def run_commands(*questions: Sequence[str], timeout: float = TIMEOUT, merged: bool = False) -> list[str | SlurmRefused]:
    """Run several commands at the same time and return their outputs, in their order.

    For a command that failed because Slurm refuses, its SlurmRefused takes the place of the output.

    Args:
        timeout: seconds.
        merged: whether the outputs include standard error, on which ``sbatch --test-only`` answers.

    Raises:
        SlurmMissing: a command is not installed here.
        SlurmSilent: slurmctld does not answer.
    """
    with ExitStack() as running:
        processes = []
        for question in questions:
            processes.append(running.enter_context(_start_process(question)))
            running.callback(processes[-1].kill)  # so that after an error nothing waits for the others
        pairs = zip(processes, questions, strict=True)
        return [_answer_or_refusal(process, question, timeout, merged=merged) for process, question in pairs]


def _start_process(
    argv: Sequence[str], stderr: IO[str] | int = subprocess.PIPE, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    settings = os.environ.get("SLURM_CONF")
    if settings and not Path(settings).exists():  # the commands would wait for it for a minute
        raise SlurmMissing(
            f"You set SLURM_CONF={settings}, but there is no such file. Set it to the settings of a cluster that is "
            "there, or unset it."
        )
    removed = set(inherited_variables(os.environ))
    environment = {name: value for name, value in os.environ.items() if name not in removed} | OUTPUT_ENVIRONMENT
    environment |= variables or {}
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        why = "" if isinstance(error, FileNotFoundError) else f" that can be run ({error.strerror})"
        remedy = "Use a login node of the cluster"
        if argv[0] != "sacct":  # which is only asked about the past
            remedy += ", or train here with launcher=shell. scripts/dev-slurm up starts a cluster to try things on"
        raise SlurmMissing(f"There is no {argv[0]} here{why}, so there is no Slurm to talk to. {remedy}.") from None


def _report_progress(process: subprocess.Popen[str], timeout: float, meanwhile: Callable[[str], None]) -> float:
    """Call `meanwhile` every `SILENCE` seconds until the process ends, or `timeout` is over. Returns what is left."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > SILENCE:
        try:
            process.communicate(timeout=SILENCE)
            break
        except subprocess.TimeoutExpired as running:
            written = running.stderr or b""
            try:
                meanwhile(_error_text(written.decode("utf-8", "replace") if isinstance(written, bytes) else written))
            except BaseException:
                process.kill()
                raise
    return left


def _answer(
    process: subprocess.Popen[str], argv: Sequence[str], timeout: float, stdin: str = "", *, merged: bool = False
) -> str:
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        _, err = process.communicate()
        _check_end(process.returncode, argv, err, late=timeout)
    _check_end(process.returncode, argv, err)
    return out + err if merged else out


def _check_end(code: int, argv: Sequence[str], err: str, late: float | None = None) -> None:
    """Raise the exception for a command that ended with `code`, if it failed.

    Args:
        err: its messages.
        late: the seconds after which it was killed, if it was.
    """
    if late is not None:
        said = f" ({words})" if (words := _error_text(err)) else ""
        raise SlurmSilent(f"Slurm has not answered {argv[0]} within {late:g} s{said}. Try again later.") from None
    if code == 0:
        return
    if code < 0:  # Slurm sends SIGTERM twice at a preemption, where it reaches all processes of a job: the second time
        # the command as well by which the job asks why it was sent.
        raise SlurmSilent(f"{argv[0]} was killed by signal {-code} before Slurm had answered. Try again later.")
    words = _error_text(err) or f"exit code {code}"
    if any(lack in err for lack in NO_CLUSTER_MESSAGES):
        raise SlurmMissing(f"{argv[0]} knows of no cluster here: {words}. Use a login node, or set SLURM_CONF.")
    if any(silence in err for silence in NO_ANSWER_MESSAGES):
        raise SlurmSilent(f"Slurm does not answer: {words}. Try again later; running jobs go on.")
    raise SlurmRefused(f"{argv[0]}: {words}.", text=words)


def _answer_or_refusal(
    process: subprocess.Popen[str], argv: Sequence[str], timeout: float, *, merged: bool
) -> str | SlurmRefused:
    try:
        return _answer(process, argv, timeout, merged=merged)
    except SlurmRefused as refusal:
        return refusal


def _error_text(err: str) -> str:
    """The messages on standard error, without prefixes such as ``sbatch: error:``."""
    lines = [re.split("(?:error|fatal): ", line)[-1].strip().rstrip(".") for line in err.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))


def field_value(line: str, key: str) -> str:
    """The value of the first ``key=value`` in a line of ``scontrol --oneliner``, or empty.

    Free text, such as Reason, comes last in a line. Searching with a regular expression took 200 ms for 2,000 nodes;
    this takes 20 ms.
    """
    _, _, rest = f" {line}".partition(f" {key}=")
    return rest.partition(" ")[0]


def inherited_variables(environ: Mapping[str, str]) -> list[str]:
    """The names to remove before a Slurm command is called.

    Inside an allocation Slurm sets them to describe it, and sbatch and srun read them as options: an inherited
    SLURM_CPU_BIND, for example, puts all processes on the same CPU. SBATCH_PARTITION and the like are removed too,
    because they override the batch script; users set these options in `cluster`.
    """
    return [name for name in environ if name.startswith(JOB_VARIABLE_PREFIXES) and name not in KEPT_VARIABLES]


def own_job_id(environ: Mapping[str, str]) -> str | None:
    """The id of the job that this process belongs to, ``12_3`` for an array task; None outside of a job.

    One task of an array has the array's own number in SLURM_JOB_ID. That number alone would mean all tasks.
    """
    if "SLURM_ARRAY_TASK_ID" in environ:
        return f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return environ.get("SLURM_JOB_ID")


def restart_count(environ: Mapping[str, str]) -> int:
    """How many times Slurm had requeued the job before it started this batch script."""
    return int(environ.get("SLURM_RESTART_COUNT", "0"))
