"""`passingloop report` over a month of 50,000 jobs and 2,000 runs: `python bench/report.py [--save]`.

The jobs are lines of a file that a stand-in for sacct prints, as sacct would: of 120 users, 5 QOS, one to eight GPUs, a
tenth of them requeued. 2,000 of the jobs are runs, each with a directory: record, ledger with an attempt for each time
that the job ran, result, 500 lines of metrics, and samples; the HTML page has the curves of all of them. Each command
is a process of its own; its time and its peak of memory are those that the operating system counts for it (wait4).
sacct's own time is not in here: that depends on slurmdbd.
"""

import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hydra
from record import ROOT, record

from passingloop.config.build import to_plain
from passingloop.config.compose import config_folder, settings
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample
from passingloop.rundir.usage import Totals
from passingloop.slurm.job_records import FIELDS, SEPARATOR

JOBS, RUNS, DAYS, USERS = 50_000, 2_000, 30, 120
QOS = ("interactive", "production", "scavenger", "normal", "long")
SAMPLES, METRICS = 300, 500
Period = tuple[float, float, str]
"""Start and end of a time in which a job ran, and its state in Slurm."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = made_month(folder, time.time() - 600)
        (folder / "lines").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "bin").mkdir()
        sacct = folder / "bin" / "sacct"
        sacct.write_text(f"#!/bin/sh\nexec cat {folder}/lines\n")
        sacct.chmod(0o755)
        files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
        record(
            "report",
            {
                "figures": {
                    "table": measured(folder),
                    "json": measured(folder, "--json"),
                    "html": measured(folder, "--html", str(folder / "page.html")),
                    "without_accounting": measured(folder, "--no-accounting"),
                },
                "lines_of_sacct": len(lines),
                "runs": RUNS,
                "run_root_megabytes": round(sum(path.stat().st_size for path in files) / 1e6),
            },
        )


def measured(folder: Path, *words: str) -> dict[str, float]:
    """Seconds and peak of memory of the command."""
    command = [sys.executable, "-m", "passingloop.cli.main", "report", "--since", f"{DAYS}days", *words]
    command += ["--run-root", str(folder / "runs"), "--prices", str(ROOT / "examples" / "prices.toml")]
    env = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    env.pop("SLURM_CONF", None)
    started = time.monotonic()
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=env)
        _, code, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert code == 0, f"{command} failed"
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_megabytes": round(used.ru_maxrss * 1024 / 1e6),
        "output_bytes": (folder / "out").stat().st_size,
        "load_average": round(os.getloadavg()[0], 1),
    }


def made_month(folder: Path, until: float) -> list[str]:
    """The lines of sacct; the run directories are written under `folder`."""
    chance = random.Random(1)
    config = composed_settings(folder)
    lines, job, runs = [], 100, 0
    while len(lines) < JOBS:
        job += 1
        started = until - chance.random() * DAYS * 86400
        hours, gpus = chance.expovariate(1 / 3) + 0.05, chance.choice((1, 1, 1, 2, 4, 8))
        periods: list[Period] = []
        for left in range(chance.randrange(1, 4) if chance.random() < 0.1 else 1, 0, -1):
            ended = started + hours * 3600 / left
            state = "PREEMPTED" if left > 1 else chance.choice(("COMPLETED",) * 8 + ("FAILED", "CANCELLED by 1000"))
            periods.append((started, ended, state))
            started = ended + chance.expovariate(1 / 600) + 30
        is_run = runs < RUNS and job % (JOBS // RUNS // 2) == 0
        user = "root" if is_run else f"user{chance.randrange(USERS)}"
        name = f"exp{runs % 80}" if is_run else f"job | {job} ü"
        lines += [sacct_line(job, user, gpus, name, period, chance) for period in periods]
        if is_run:
            write_run(folder / "runs", config, runs, job, gpus, periods, chance)
            runs += 1
    assert runs == RUNS, f"{runs} runs"
    return lines


def sacct_line(job: int, user: str, gpus: int, name: str, period: Period, chance: random.Random) -> str:
    started, ended, state = period
    wait = chance.expovariate(1 / 900)
    values = {
        "JobIDRaw": job, "JobID": job, "User": user, "Account": f"group{hash(user) % 12}", "QOS": QOS[job % 5],
        "Partition": "gpu", "NodeList": f"n{job % 64:03}",
        "AllocTRES": f"billing=8,cpu={8 * gpus},gres/gpu:h200={gpus},gres/gpu={gpus},mem={64 * gpus}G,node=1",
        "Submit": int(started - wait), "Eligible": int(started - wait), "Start": int(started), "End": int(ended),
        "TimelimitRaw": 1440, "State": state, "Cluster": "big", "JobName": name,
    }  # fmt: skip
    return SEPARATOR.join(str(values[field]) for field in FIELDS)


def composed_settings(folder: Path) -> dict[str, object]:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        return to_plain(settings(hydra.compose("config", ["name=x"]), folder))


def write_run(
    root: Path,
    config: dict[str, object],
    number: int,
    job: int,
    gpus: int,
    periods: list[Period],
    chance: random.Random,
) -> None:
    """A run whose attempts are the times that its job ran."""
    run = RunDir(root / f"exp{number % 80}" / f"{number:012x}")
    for path in (run.path, run.samples, run.launch(1).parent):
        path.mkdir(parents=True, exist_ok=True)
    config = {**config, "name": f"exp{number % 80}", "optim": {**config["optim"], "lr": 10 ** -chance.uniform(3, 5)}}
    code = {"version": "0.1.0", "commit": "0" * 40, "changes": None}
    content = {"schema": 1, "signature": run.path.name, "created": iso(periods[0][0] - 600), "code": code,
               "config": config, "precision": "bf16", "data_fingerprint": {"train": {"a.csv": "0" * 64}},
               "model_fingerprint": None}  # fmt: skip
    run.record.write_text(json.dumps(content, indent=2))
    events: list[dict[str, object]] = [
        {
            "event": "queued",
            "submission": "s",
            "job_id": str(job),
            "after": None,
            "data": [],
            "time": content["created"],
        }
    ]
    for attempt, (started, ended, state) in enumerate(periods, start=1):
        cause = {"COMPLETED": "completed", "PREEMPTED": "preempted", "FAILED": "crash"}.get(state, "cancelled")
        run.launch(attempt).write_text(json.dumps(config))
        length = ended - started
        seconds = {"queued": 60.0, "starting": min(60.0, length / 3), "training": length / 2, "saving": length / 50,
                   "lost": 30.0 if cause == "crash" else 0.0, "evaluating": 20.0, "data_wait": 5.0}  # fmt: skip
        events += [
            {"event": "start", "attempt": attempt, "launcher": "slurm", "job_id": str(job),
             "nodes": [f"n{job % 64:03}"], "processes": gpus, "start_step": 100 * (attempt - 1), "code": code,
             "submission": "s", "token": "t",
             "gpus": gpus, "time": iso(started + 2)},
            {"event": "end", "attempt": attempt, "end_step": 100 * attempt, "cause": cause, "message": None,
             "memory": None, "tokens": None, "seconds": seconds, "time": iso(ended - 1)},
        ]  # fmt: skip
        write_samples(run, attempt, gpus, started, length)
    run.attempts.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    rows = ({"time": iso(periods[0][0]), "attempt": 1, "step": step, "split": "train", "loss": 2 / (step + 1),
             "grad_norm": 1.0, "lr": 1e-4, "samples_per_second": 900.0, "epoch": step / 100}
            for step in range(METRICS))  # fmt: skip
    run.metrics.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if periods[-1][2] == "COMPLETED":
        result = {"state": "completed", "steps": METRICS, "metrics": {"test/accuracy": chance.random()}}
        run.result.write_text(json.dumps(result))


def write_samples(run: RunDir, attempt: int, gpus: int, started: float, length: float) -> None:
    devices = tuple(Device(name="NVIDIA H200", uuid=f"GPU-{number}", memory=150_754_820_096) for number in range(gpus))
    header = NodeSamples(attempt=attempt, node="n001", devices=devices, cpus=8 * gpus, memory_limit=64 * gpus * 2**30)
    totals, lines = Totals(), [header.to_header()]
    for number in range(SAMPLES):
        gpu = GpuSample(busy=0.8, sm=0.5, tensor=0.3, memory=80_000_000_000, power=500.0, temperature=60.0)
        sample = Sample(
            time=started + number * length / SAMPLES, seconds=length / SAMPLES, gpus=(gpu,) * gpus, cpus=3.0
        )
        totals.add(sample)
        lines.append(sample.to_row())
    lines.append(totals.to_line())
    path = run.samples / f"attempt-{attempt:04d}-n001.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    main()
