"""Interrupted at random moments, does every run end as if it never had been? `python bench/interruptions.py [--save]`.

`--count 100` interruptions over runs of both tasks, two at a time, ten to a run: SIGKILL, SIGTERM and SIGINT, at random
steps, at random times since the start, and in the middle of saves. After some kills a byte of the newest checkpoint is
changed as well. Each run is compared with one that was left alone. `--seed` repeats the choices, `--keep` the folder.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import small
from record import option, record

from passingloop.report.drill_page import differences
from passingloop.rundir import ledger
from passingloop.rundir.directory import MANIFEST, RunDir
from passingloop.track.metrics_file import latest_rows, read_metrics

STEPS, INTERVAL, PER_RUN, AT_ONCE = 400, 5, 10, 2
TASKS = ("classification", "causal_lm")
PATIENCE = 120.0
DAMAGED = 0.15  # of the kills after which there are two checkpoints


@dataclass
class Blow:
    """One interruption, and what came of it."""

    how: str
    moment: str
    attempt: int
    reached: int
    half_written: bool
    damaged: bool = False
    went_on_from: int | None = None
    past_damage: bool = False
    """Whether the next attempt to do a step had to go back past a checkpoint that was damaged since."""

    @property
    def lost(self) -> int | None:
        return None if self.went_on_from is None else max(0, self.reached - self.went_on_from)


@dataclass
class Chaos:
    """One run, interrupted again and again."""

    name: str
    words: list[str]
    count: int
    chance: random.Random
    folder: Path
    blows: list[Blow] = field(default_factory=list)
    whole: dict[int, bool] = field(default_factory=dict)
    """The checkpoints that were there before the attempt: whether they are as their manifests say."""
    damaged_loaded: int = 0
    too_late: int = 0

    @property
    def run(self) -> RunDir | None:
        return next((RunDir(path.parent) for path in self.folder.glob(f"runs/{self.name}/*/run.json")), None)

    def suffer(self) -> None:
        """Interrupt it `count` times, then let it end."""
        while len(self.blows) < self.count and not (self.run and self.run.result.exists()):
            self._one_attempt()
        process = self._start()
        process.wait(PATIENCE * 2)
        self._note_start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.whole = {step(path): is_whole(path) for path in self.run.complete_checkpoints()} if self.run else {}
        return small.train(*self.words, f"name={self.name}", log=self.folder / f"{self.name}.log")

    def _one_attempt(self) -> None:
        before = ledger.read(self.run).next_attempt - 1 if self.run else 0
        process = self._start()
        moment = self.chance.choices(["in a save", "at a step", "at a time"], [35, 45, 20])[0]
        wait = {"in a save": self._in_a_save, "at a step": self._at_a_step, "at a time": self._at_a_time}[moment]
        wait(process, before + 1)
        how = self.chance.choices(["SIGKILL", "SIGTERM", "SIGINT"], [60, 20, 20])[0]
        if process.poll() is None:
            strike(process, signal.Signals[how], self.chance)
        process.wait(PATIENCE)
        self._note_start()
        run = self.run
        if run is None or ledger.read(run).next_attempt - 1 == before or run.result.exists():
            self.too_late += bool(run and run.result.exists())
            if run is None or not run.result.exists():  # it had not begun an attempt: nothing but the command died
                self.blows.append(Blow(how, moment, before, run.saved_step if run else 0, half_written=False))
            return
        blow = Blow(how, moment, before + 1, reached(run, before + 1), half_written=any(hidden(run)))
        if how == "SIGKILL" and len(run.complete_checkpoints()) > 1 and self.chance.random() < DAMAGED:
            blow.damaged = damage(run.complete_checkpoints()[0], self.chance)
        self.blows.append(blow)

    def _note_start(self) -> None:
        """From which step the newest attempt went on, if it has come so far as to make one."""
        rows = read_metrics(self.run.metrics) if self.run else []
        if not rows or not self.blows or rows[-1]["attempt"] <= self.blows[-1].attempt:
            return
        newest = rows[-1]["attempt"]
        first = next(row["step"] for row in rows if row["attempt"] == newest and row["split"] == "train") - 1
        self.damaged_loaded += first > 0 and not self.whole.get(first, False)
        waiting = [blow for blow in self.blows if blow.went_on_from is None]
        for blow in waiting:
            blow.went_on_from, blow.past_damage = first, any(other.damaged for other in waiting)

    def _in_a_save(self, process: subprocess.Popen[bytes], attempt: int) -> None:
        """A few saves on, within some milliseconds of the beginning of one."""
        self._at_a_step(process, attempt)
        wait_until(process, lambda: self.run is not None and any(hidden(self.run)), pause=0.0005)
        time.sleep(self.chance.choice([0.0, 0.0, 0.002, 0.005, 0.02]))

    def _at_a_step(self, process: subprocess.Popen[bytes], attempt: int) -> None:
        wanted = self.chance.randint(1, STEPS // (PER_RUN + 3))
        begun: list[int] = []

        def there() -> bool:
            rows = read_metrics(self.run.metrics) if self.run else []
            if not rows or rows[-1]["attempt"] != attempt:
                return False
            begun[:] = begun or [row["step"] for row in rows if row["attempt"] == attempt][:1]
            return bool(rows[-1]["step"] - begun[0] + 1 >= wanted)

        wait_until(process, there, pause=0.003)
        time.sleep(self.chance.uniform(0, 0.01))

    def _at_a_time(self, process: subprocess.Popen[bytes], attempt: int) -> None:
        deadline = time.monotonic() + self.chance.uniform(0.0, 10.0)
        wait_until(process, lambda: time.monotonic() > deadline, pause=0.01)


def wait_until(process: subprocess.Popen[bytes], happened: Callable[[], bool], pause: float) -> None:
    """Or until the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not happened():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(pause)


def strike(process: subprocess.Popen[bytes], number: signal.Signals, chance: random.Random) -> None:
    """As it happens: SIGKILL to all processes or the one that trains, SIGINT to all, SIGTERM to the command."""
    try:
        if number == signal.SIGTERM:
            process.send_signal(number)
        elif number == signal.SIGINT or chance.random() < 0.5:
            os.killpg(process.pid, number)
        else:
            os.kill(trainer(process), number)
    except ProcessLookupError:  # it has ended meanwhile
        return


def trainer(process: subprocess.Popen[bytes]) -> int:
    """The process that trains, if it has been started yet, else the command itself."""
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        try:
            if b"passingloop.job" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        except OSError:
            continue
    return process.pid


def hidden(run: RunDir) -> list[Path]:
    """Checkpoints that are being written, or were."""
    return list(run.checkpoints.glob(".step-*"))


def step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def is_whole(checkpoint: Path) -> bool:
    """Whether all of it is as its manifest says; written without passingloop, which is what is tested."""
    files = json.loads((checkpoint / MANIFEST).read_text())["files"]
    there = all((checkpoint / name).exists() for name in files)  # not where its removal was cut off
    return there and all(
        hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == files[name]["sha256"] for name in files
    )


def damage(checkpoint: Path, chance: random.Random) -> bool:
    file = chance.choice(sorted(checkpoint.glob("*.safetensors")))
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 0xFF
    file.write_bytes(content)
    return True


def reached(run: RunDir, attempt: int) -> int:
    """The last step that the attempt has done; where it has done none, where it began."""
    steps = [row["step"] for row in read_metrics(run.metrics) if row["attempt"] == attempt]
    return max(steps, default=run.saved_step)


def baseline(task: str, folder: Path, words: list[str]) -> RunDir:
    """The run that is left alone."""
    process = small.train(*words, f"name=whole-{task}", log=folder / f"whole-{task}.log")
    assert process.wait(PATIENCE * 2) == 0, (folder / f"whole-{task}.log").read_text()
    return next(RunDir(path.parent) for path in folder.glob(f"runs/whole-{task}/*/result.json"))


def inexact(run: RunDir, whole: RunDir) -> list[str]:
    expected, found = whole.read_result(), run.read_result()
    assert expected
    assert found
    return differences(
        expected, found, latest_rows(read_metrics(whole.metrics)), latest_rows(read_metrics(run.metrics))
    )


def main(folder: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # two runs share what there is
    count, seed = int(option("count", 100)), int(option("seed", random.randrange(10**6)))
    words = {task: [*small.words(task, folder, STEPS), f"checkpoint.every_steps={INTERVAL}"] for task in TASKS}
    for task in TASKS:
        words[task] += ["checkpoint.every=null", "resources.cpus=1"]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wholes = dict(zip(TASKS, pool.map(lambda task: baseline(task, folder, words[task]), TASKS), strict=True))
        runs: list[tuple[str, Chaos]] = []
        while (missing := count - sum(len(one.blows) for _, one in runs)) > 0:  # a run may be done before its share
            shares = [min(PER_RUN, missing - done) for done in range(0, missing, PER_RUN)]
            batch = [(task_of(number), number, share) for number, share in enumerate(shares, start=len(runs))]
            new = [(task, chaos(f"chaos-{number}", words[task], folder, seed, share)) for task, number, share in batch]
            list(pool.map(Chaos.suffer, [one for _, one in new]))
            runs += new
    report(runs, wholes, seed, time.monotonic() - started)


def limit(blow: Blow) -> int:
    """Steps. When a kill comes while a save is being written, the steps done meanwhile are lost as well."""
    return INTERVAL if blow.how == "SIGKILL" else 1


def task_of(number: int) -> str:
    return TASKS[number % len(TASKS)]


def chaos(name: str, words: list[str], folder: Path, seed: int, count: int) -> Chaos:
    return Chaos(name, words, count, random.Random(f"{seed} {name}"), folder)


def report(runs: list[tuple[str, Chaos]], wholes: dict[str, RunDir], seed: int, seconds: float) -> None:
    blows = [blow for _, one in runs for blow in one.blows]
    lost = [one.name for _, one in runs if not (one.run and one.run.read_result())]
    differing = {
        one.name: found
        for task, one in runs
        if one.run and one.run.read_result() and (found := inexact(one.run, wholes[task]))
    }
    known = [blow for blow in blows if blow.lost is not None and not blow.past_damage]
    record(
        "interruptions",
        {
            "interruptions": len(blows),
            "by_signal": Counter(blow.how for blow in blows),
            "by_moment": Counter(blow.moment for blow in blows),
            "killed_with_a_half_written_checkpoint": sum(blow.half_written for blow in blows),
            "checkpoints_damaged_on_purpose": sum(blow.damaged for blow in blows),
            "came_too_late": sum(one.too_late for _, one in runs),
            "runs": len(runs),
            "runs_lost": lost,
            "runs_inexact": differing,
            "damaged_checkpoints_loaded": sum(one.damaged_loaded for _, one in runs),
            "most_steps_lost": {
                "when told to stop": max((b.lost or 0 for b in known if b.how != "SIGKILL"), default=None),
                "when killed": max((b.lost or 0 for b in known if b.how == "SIGKILL"), default=None),
            },
            "lost_more_than_the_limit": [asdict(b) for b in known if (b.lost or 0) > limit(b)],
            "limits": {"when told to stop": 1, "when killed": INTERVAL},
            "conditions": {"steps": STEPS, "saved_every": INTERVAL, "at_once": AT_ONCE, "tasks": TASKS, "seed": seed},
            "seconds": round(seconds, 1),
        },
    )


if "--keep" in sys.argv:
    main(Path(tempfile.mkdtemp()))
else:
    with tempfile.TemporaryDirectory() as place:
        main(Path(place))
