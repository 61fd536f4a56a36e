"""From the start of the process to the first new step of a run that continues: `python bench/restart.py [--save]`.

Peer: bench/peers/lightning_plain.py, a plain Lightning script on the same model, texts and batch, which continues from
its ModelCheckpoint, with its tokens kept; started as a process, as submitit's job does. Both are killed after their
first new step, and continue from the same checkpoint every time. `--rounds 5`; rounds alternate, medians count. The
seconds of CPU, of the whole process group, say more than the others on a machine that is busy with something else.
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import small
from record import ROOT, option, record
from texts import minilm, write_texts

from passingloop.files import read_json
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.track.metrics_file import read_metrics

SAVED, STEPS = 20, 100_000  # the step that is continued from; the run never ends
PEER = ROOT / "bench" / "peers" / "lightning_plain.py"
PATIENCE = 300.0
PACKAGES = ("torch", "lightning", "transformers", "peft", "numpy", "pyarrow", "submitit", "hydra", "rich")
LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)")


class Ours:
    """``python train.py``: Hydra and the launcher, then the process that trains."""

    def __init__(self, folder: Path, texts: Path) -> None:
        self.folder = folder
        self.words = [
            f"model.path={minilm()}",
            "data=files",
            f"data.train={texts}",
            "data.max_length=64",
            "data.validation_fraction=0.01",
            "data.test_fraction=0.01",
            f"run_root={folder}/runs",
            f"cache_root={folder}/cache",
            "name=restart",
            f"trainer.steps={STEPS}",
            "trainer.log_every=1",
            "checkpoint.every=null",
            f"checkpoint.every_steps={SAVED}",
            "tracking=none",
        ]

    @property
    def run(self) -> RunDir | None:
        return next((RunDir(path.parent) for path in self.folder.glob("runs/restart/*/run.json")), None)

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        os.environ |= environment
        try:
            return small.train(*self.words, log=self.folder / "log.txt")
        finally:
            for name in environment:
                del os.environ[name]

    def has_saved(self) -> bool:
        return bool(self.run and self.run.complete_checkpoints())

    def first_step(self) -> tuple[float, int] | None:
        """When the newest attempt has done its first step, in seconds since the epoch, and which that is."""
        attempt = ledger.read(self.run).next_attempt - 1 if self.run else 0
        rows = [row for row in read_metrics(self.run.metrics) if row["attempt"] == attempt] if self.run else []
        return (timestamp(rows[0]["time"]), rows[0]["step"]) if rows else None

    def phases(self, began: float) -> dict[str, float]:
        """Of the newest attempt: the command until the attempt begins, its start, its first step."""
        assert self.run
        begins = ledger.read(self.run).events_of(Start)[-1].timestamp
        starting = read_starting(self.run)
        first = self.first_step()
        assert first
        rest = first[0] - began - (begins - began) - starting
        return {"command": begins - began, "training process": starting, "first step": rest}


class Peer:
    """The plain script."""

    def __init__(self, folder: Path, texts: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.command = [sys.executable, str(PEER), str(folder), str(texts), str(minilm()), str(STEPS), str(SAVED)]

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        (self.folder / "first_step").unlink(missing_ok=True)
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                self.command,
                env=os.environ | small.ENVIRONMENT | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def has_saved(self) -> bool:
        return (self.folder / "checkpoints" / "last.ckpt").exists()

    def first_step(self) -> tuple[float, int] | None:
        path = self.folder / "first_step"
        if not path.exists():
            return None
        when, step = path.read_text().split()
        return float(when), int(step)


def main(folder: Path) -> None:
    rounds = int(option("rounds", 5))
    texts = write_texts(folder / "texts.csv")
    ours, peer = Ours(folder / "ours", texts), Peer(folder / "peer", texts)
    ours.folder.mkdir()
    for one in (ours, peer):
        kill_when(one.start(), one.has_saved)
    seconds: dict[str, list[float]] = {"passingloop": [], "plain Lightning": []}
    cpu: dict[str, list[float]] = {name: [] for name in seconds}
    phases: list[dict[str, float]] = []
    for _ in range(rounds):
        for name, one in (("passingloop", ours), ("plain Lightning", peer)):
            took, used, began = restart(one)
            seconds[name].append(took)
            cpu[name].append(used)
            if one is ours:
                phases.append(ours.phases(began))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    cpu_medians = {name: statistics.median(values) for name, values in cpu.items()}
    record(
        "restart",
        {
            "median_seconds": {name: round(value, 2) for name, value in medians.items()},
            "over_plain_lightning": round(medians["passingloop"] / medians["plain Lightning"], 2),
            "median_cpu_seconds": {name: round(value, 2) for name, value in cpu_medians.items()},
            "cpu_over_plain_lightning": round(cpu_medians["passingloop"] / cpu_medians["plain Lightning"], 2),
            "phases": {name: round(statistics.median(one[name] for one in phases), 2) for name in phases[0]},
            "import_seconds": {"passingloop": imports(ours), "plain Lightning": imports(peer)},
            "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
            "conditions": {"model": "all-MiniLM-L6-v2", "batch": 32, "tokens": 64, "from_step": SAVED},
            "rounds": rounds,
        },
    )


def restart(one: Ours | Peer) -> tuple[float, float, float]:
    """Seconds until the first new step, seconds of CPU until then, and when the process was started."""
    before = one.first_step() if isinstance(one, Ours) else None
    began = time.time()
    process = one.start()
    used = 0.0

    def has_stepped() -> bool:
        nonlocal used
        if one.first_step() in (None, before):
            return False
        used = group_seconds(process.pid)
        return True

    kill_when(process, has_stepped)
    first = one.first_step()
    assert first
    assert first[1] == SAVED + 1, f"it went on from step {first[1] - 1}"
    return first[0] - began, used, began


def group_seconds(group: int) -> float:
    """Seconds of CPU that the processes of a process group have used, and those that they have waited for; proc(5)."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def kill_when(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    """SIGKILL to the process and all that it has started."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, "it has ended; see its log"
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.02)
    time.sleep(1.2)  # the pulse, which is written every second
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)


def imports(one: Ours | Peer) -> dict[str, float]:
    """Seconds that the imports of the largest packages take, each with all that it imports first; of one start."""
    log = one.folder / "log.txt"
    at = log.stat().st_size
    before = one.first_step() if isinstance(one, Ours) else None
    kill_when(one.start(PYTHONPROFILEIMPORTTIME="1"), lambda: one.first_step() not in (None, before))
    with log.open("rb") as file:
        file.seek(at)
        lines = LINE.findall(file.read().decode(errors="replace"))
    found: dict[str, float] = {}
    for _, cumulative, _, name in lines:
        if name in PACKAGES:
            found[name] = found.get(name, 0.0) + int(cumulative) / 1e6
    found["in all"] = sum(int(own) for own, _, _, _ in lines) / 1e6
    return {name: round(value, 2) for name, value in found.items() if value >= 0.05}


def read_starting(run: RunDir) -> float:
    """Seconds from the start of the training process to its first step: in its pulse, as it was killed."""
    return float(read_json(run.pulse)["seconds"]["starting"])


def timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Path(place))
