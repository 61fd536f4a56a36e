"""The program under 120 users: `python bench/users.py [--users N] [--factor F] [--trace FILE] [--save]`. As root.

Replays the submissions of an hour of a trace on a cluster of scripts/dev-slurm of its own, the hour with about as many
jobs as there are users. Every job is a run that a user with a user id of their own submits with `python train.py`. They
look at it with status, logs, why and list, then every minute with status, at times with logs, and at its end with all.
A quarter of the runs really train (a tiny model) while somebody waits for them in a second terminal; the others queue
behind another's job until the time at which they end in the trace, and are cancelled then. One submission in ten is
made in two terminals at once. All commands are processes of their users.

Afterwards every run, the queue and Slurm's accounting are compared with what was submitted: the benchmark fails if a
command failed, or if a run was lost or is there twice. `--factor 4` lets the hour pass in a quarter of one.
The checkout must not be changed meanwhile, as the commands run from it. On two cores the hour asks for about half of
them; with less to be had, the commands queue up, and their times say nothing.
For a quick try: `--users 3 --factor 60`. The trace is `submit_s,duration_s,gpus,group`, a line for each job.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from people import FIRST_ID, GROUP, Command, User, folder_in_namespace, make_users
from record import ROOT, option, record

USERS = int(option("users", 120))
FACTOR = option("factor", 1.0)
"""How much faster than in the trace time passes."""
HOUR = 3600.0
FIRST_LOOK, LOOK = 10.0, 60.0
"""Seconds of the user's own time, which no factor shortens: a person does not look more often in a shorter hour."""
TRAINED, DOUBLED = 4, 10
"""One run in this many trains; one submission in this many is made twice at once."""
STEPS = 40
VERBS = ("status", "logs", "why", "list")
"""What is looked at, the most frequent first."""
DEV_SLURM = [sys.executable, str(ROOT / "scripts" / "dev-slurm")]
PASSINGLOOP = [sys.executable, "-P", "-m", "passingloop.cli.main"]
FIGURES = re.compile(r"^\s+(\S+)\s+\(\s*(\d+)\)\s+count:(\d+)\s+ave_time:\d+\s+total_time:(\d+)", re.MULTILINE)
"""The lines of sdiag about requests: kind or user, its number, how many, and microseconds of them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job of the trace, as its user submits it."""

    number: int
    begins: float
    """seconds since the hour began"""
    seconds: float

    @property
    def is_trained(self) -> bool:
        return self.number % TRAINED == 0

    @property
    def is_doubled(self) -> bool:
        return self.number % DOUBLED == 1


@dataclass
class Protocol:
    """What all users have done, and what went wrong with it."""

    commands: dict[str, list[Command]] = field(default_factory=lambda: defaultdict(list))
    late: list[float] = field(default_factory=list)
    """Seconds from the end of a run until `wait` said so."""
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, verb: str, command: Command, expected: int = 0) -> None:
        with self.lock:
            self.commands[verb].append(command)
            if command.code != expected or "Traceback" in command.errors:
                self.problems.append(f"{verb} ended with exit code {command.code}: {command.errors[-600:]}")

    def problem(self, sentence: str) -> None:
        with self.lock:
            self.problems.append(sentence)


class Terminal:
    """Where one user submits one run and follows it."""

    def __init__(self, user: User, job: Job, protocol: Protocol, overrides: list[str]) -> None:
        self.user, self.job, self.protocol, self.overrides = user, job, protocol, overrides

    def follow(self, started: float) -> Path | None:
        """Submit at the job's time, look until its end, and bring that about. The run; None if there is none."""
        _sleep_until(started + self.job.begins / FACTOR)
        run = self.submit()
        if run is None:
            return None
        time.sleep(min(FIRST_LOOK, LOOK / FACTOR))
        if self.job.is_trained:
            with ThreadPoolExecutor(1) as second:
                waiting = second.submit(self.wait, run)
                self.look_until(waiting.done, run)
        else:
            end = started + min(self.job.begins + self.job.seconds, HOUR) / FACTOR
            self.look_until(lambda: time.monotonic() >= end, run)
            self.verb("cancel", run)
        self.look(run, VERBS)
        return run

    def look_until(self, is_over: Callable[[], bool], run: Path) -> None:
        """Look at the run once a minute: at first with all verbs, later with the first, or the first two."""
        for number in itertools.count():
            self.look(run, VERBS if number == 0 else VERBS[: 2 if number % 3 == 0 else 1])
            _sleep_until(time.monotonic() + LOOK, is_over)
            if is_over():
                return

    def submit(self) -> Path | None:
        node = ["cluster.partition=short"] if self.job.is_trained else ["+cluster.extra.nodelist=n2"]
        command = [sys.executable, str(ROOT / "train.py"), *self.overrides, *node, f"trainer.seed={self.job.number}"]
        with ThreadPoolExecutor(2) as terminals:
            begun = [terminals.submit(self.user.run, *command) for _ in range(2 if self.job.is_doubled else 1)]
        for done in begun:
            self.protocol.note("submit", done.result())
        runs = {line for done in begun for line in done.result().output.splitlines()}
        if len(runs) != 1:
            self.protocol.problem(f"{len(begun)} submissions of one run by {self.user.name} named {len(runs)} runs")
        return self.user.home / runs.pop() if runs else None

    def look(self, run: Path, verbs: Sequence[str]) -> None:
        for verb in verbs:
            self.verb(verb, run)

    def verb(self, verb: str, run: Path, *options: str, expected: int = 0) -> Command:
        about = [] if verb == "list" else [str(run)]
        done = self.user.run(*PASSINGLOOP, verb, *about, *options)
        self.protocol.note(verb, done, expected)
        return done

    def wait(self, run: Path) -> None:
        done = self.user.run(*PASSINGLOOP, "wait", str(run))
        self.protocol.note("wait", done)
        ends = [event["time"] for event in events(run) if event["event"] == "end"]
        if ends:
            ended = _seconds_since_epoch(ends[-1])
            with self.protocol.lock:
                self.protocol.late.append(done.begun + done.seconds - max(ended, done.begun))


def main() -> None:
    folder = folder_in_namespace()
    jobs = hour_of_trace(_trace_path(), USERS)
    users, overrides = made_ready(folder)
    with cluster(folder, users):
        protocol = Protocol()
        per_command = requests_of_one_command(users[0], overrides)
        output("sdiag", "--reset")
        started = time.monotonic()
        with ThreadPoolExecutor(len(jobs)) as terminals:
            begun = [
                terminals.submit(Terminal(users[job.number % len(users)], job, protocol, overrides).follow, started)
                for job in jobs
            ]
        minutes = (time.monotonic() - started) / 60
        requests = requests_of(output("sdiag"), minutes)
        runs = {job: run for job, done in zip(jobs, begun, strict=True) if (run := done.result())}
        protocol.problems += faults(runs, users)
        release = output("sbatch", "--version").strip()
    ended = [command for commands in protocol.commands.values() for command in commands]
    record(
        "users",
        {
            "users": len({job.number % USERS for job in jobs}),
            "runs": len(jobs),
            "trained": sum(job.is_trained for job in jobs),
            "submitted_twice_at_once": sum(job.is_doubled for job in jobs),
            "commands": len(ended),
            "most_commands_at_once": most_at_once(ended),
            "problems": protocol.problems,
            "verbs": {verb: figures(commands) for verb, commands in protocol.commands.items() if verb != "wait"},
            "wait_seconds_after_the_end": percentiles(protocol.late),
            "wait_megabytes": max((c.memory for c in protocol.commands["wait"]), default=0) // 2**20,
            "slurmctld": requests,
            "requests_per_command": per_command,
            "factor": FACTOR,
            "minutes": round(minutes, 1),
            "load": os.getloadavg()[1],
            "slurm": release,
        },
    )
    if protocol.problems:
        raise SystemExit(f"{len(protocol.problems)} problems; the first is: {protocol.problems[0]}")


def hour_of_trace(path: Path, users: int) -> list[Job]:
    """The jobs of the hour of the trace with about as many jobs as there are users; the earliest if several have."""
    with path.open(newline="") as file:
        rows = [(float(row["submit_s"]), float(row["duration_s"])) for row in csv.DictReader(file)]
    hours = defaultdict(list)
    for begins, seconds in sorted(rows):
        hours[int(begins // HOUR)].append((begins % HOUR, seconds))
    hour = min(hours, key=lambda number: (abs(len(hours[number]) - users), number))
    return [Job(number=number, begins=begins, seconds=s) for number, (begins, s) in enumerate(hours[hour])]


def made_ready(folder: Path) -> tuple[list[User], list[str]]:
    """Users, and the overrides of a small run; model and data can be read by all, and the cache is their group's."""
    material, cache, answers = folder / "material", folder / "cache", folder / "answers"
    for path in (material, cache, answers):
        path.mkdir()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        made = pool.submit(material_in, material).result()
    small = [word for word in made if not word.startswith(("run_root", "cache_root"))]
    for path in (material, *material.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(cache, -1, GROUP)
    cache.chmod(0o2770)
    answers.chmod(0o1777)
    conf = folder / "slurm" / "etc" / "slurm.conf"
    os.environ["SLURM_CONF"] = str(conf)
    users = make_users(USERS, folder, SLURM_CONF=str(conf), PASSINGLOOP_CACHE=str(cache), HF_HUB_OFFLINE="1")
    fixed = ["launcher=slurm", "cluster=dev", "resources=gpu1", "run_mode=0770", "name=hour", "resources.time=1:00:00"]
    return users, [*small, *fixed]


def material_in(folder: Path) -> list[str]:
    """The overrides of a small run, whose model and data are made. In a process of its own: one that has imported torch
    gives its memory to the account of every command it starts."""
    from small import words

    return words("classification", folder, STEPS)


@contextmanager
def cluster(folder: Path, users: list[User]) -> Iterator[None]:
    """A cluster of two nodes for the users, where a job of root's has the second one, and one answer serves a node."""
    where = ["--dir", str(folder / "slurm")]
    subprocess.run([*DEV_SLURM, "up", "--nodes", "2", *where], check=True)
    try:
        site = Path(os.environ["SLURM_CONF"]).with_name("passingloop.toml")
        site.write_text(f'snapshot_folder = "{folder}/answers"\n')
        names = ",".join(user.name for user in users)
        output("sacctmgr", "--immediate", "add", "user", f"name={names}", "account=team-a")
        output("sbatch", "--nodelist=n2", "--exclusive", "--time=3-0", "--output=/dev/null", "--wrap=sleep infinity")
        yield
        output("scancel", "--user=root")
    finally:
        subprocess.run([*DEV_SLURM, "down", *where], check=True)


def requests_of_one_command(user: User, overrides: list[str]) -> dict[str, int]:
    """What slurmctld is asked by one command of a user whom nobody else shares an answer with."""
    protocol, counts = Protocol(), {}
    job = Job(number=10**6 + 1, begins=0, seconds=0)  # neither trained nor submitted twice
    terminal = Terminal(user, job, protocol, overrides)
    run: Path | None = None
    for verb in ("submit", "status", "why", "logs", "list", "cancel"):
        for answer in Path(os.environ["SLURM_CONF"]).parents[2].glob("answers/*"):
            answer.unlink()
        output("sdiag", "--reset")
        if run is None:
            run = terminal.submit()
        else:
            terminal.verb(verb, run)
        counts[verb] = sum(count for _, number, count, _ in said(output("sdiag")) if number == user.id)
        if run is None:
            break
    if protocol.problems:
        raise SystemExit(protocol.problems[0])
    return counts


def said(sdiag: str) -> list[tuple[str, int, int, int]]:
    return [(name, int(number), int(count), int(micro)) for name, number, count, micro in FIGURES.findall(sdiag)]


def requests_of(sdiag: str, minutes: float) -> dict[str, Any]:
    """Requests to slurmctld per minute: of all, and of the users."""
    kinds = [row for row in said(sdiag) if row[0].isupper()]
    people = [row for row in said(sdiag) if not row[0].isupper() and row[1] >= FIRST_ID]
    most = sorted(kinds, key=lambda row: -row[2])[:8]
    return {
        "requests_per_minute": round(sum(row[2] for row in kinds) / minutes, 1),
        "of_users_per_minute": round(sum(row[2] for row in people) / minutes, 1),
        "milliseconds_per_minute": round(sum(row[3] for row in kinds) / 1000 / minutes, 1),
        "by_kind_per_minute": {name: round(count / minutes, 1) for name, _, count, _ in most},
    }


def faults(runs: dict[Job, Path], users: list[User]) -> list[str]:
    """What is lost, doubled, or not as its user left it."""
    found = []
    for job, run in runs.items():
        kinds = [event["event"] for event in events(run)]
        causes = [event["cause"] for event in events(run) if event["event"] == "end"]
        jobs = {event["job_id"] for event in events(run) if event.get("job_id")}
        if len(jobs) != 1:  # that it is queued is not written if its job starts at once
            found.append(f"{run} has {len(jobs)} jobs: {sorted(jobs)}")
        if job.is_trained and (causes != ["completed"] or not (run / "result.json").exists()):
            found.append(f"{run} should have trained once; attempts: {causes or 'none'}; it said {batch_output(run)}")
        if not job.is_trained and ("start" in kinds or (run / "result.json").exists()):
            found.append(f"{run} was cancelled before its turn, but has trained")
    if len(set(runs.values())) != len(runs):
        found.append(f"{len(runs)} submissions made {len(set(runs.values()))} runs")
    names = ",".join(user.name for user in users)
    columns = ["sacct", "--allocations", "--duplicates", "--noheader", "--parsable2", "--format=JobID"]
    known = output(*columns, "--starttime=now-1days", f"--user={names}").split()
    if len(known) != len(runs) + 1:  # and the one of requests_of_one_command
        found.append(f"Slurm's accounting has {len(known)} jobs for {len(runs) + 1} runs")
    if left := output("squeue", "--noheader", "--format=%i", f"--user={names}").split():
        found.append(f"jobs are left in the queue: {left}")
    return found


def batch_output(run: Path) -> str:
    """What the batch scripts of the run's owner have printed, as far as it helps to see why a run failed."""
    files = run.parents[1].glob(".passingloop-*/submissions/*/*.txt")
    return "".join(path.read_text() for path in files)[-600:]


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "attempts.jsonl").read_text().splitlines()]


def figures(commands: list[Command]) -> dict[str, Any]:
    return {
        "count": len(commands),
        "seconds": percentiles([command.seconds for command in commands]),
        "cpu_seconds": percentiles([command.cpu for command in commands]),
        "megabytes": max(command.memory for command in commands) // 2**20,
    }


def percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"median": round(values[0], 2)} if values else {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"median": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2),
            "worst": round(max(values), 2)}  # fmt: skip


def most_at_once(commands: list[Command]) -> int:
    changes = sorted([(c.begun, 1) for c in commands] + [(c.begun + c.seconds, -1) for c in commands])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _sleep_until(moment: float, is_over: Callable[[], bool] = lambda: False) -> None:
    while (left := moment - time.monotonic()) > 0 and not is_over():
        time.sleep(min(left, 0.5))


def _seconds_since_epoch(time_text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(time_text).timestamp()


def _trace_path() -> Path:
    given = sys.argv[sys.argv.index("--trace") + 1] if "--trace" in sys.argv else ""
    path = Path(given) if given else ROOT.parent / "shared" / "data" / "philly-week" / "jobs.csv"
    if not path.exists():
        raise SystemExit(f"There is no trace at {path}. Name one with --trace FILE.")
    return path


if __name__ == "__main__":
    main()
