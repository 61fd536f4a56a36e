"""How long a submission takes on the login node: `python bench/login_node.py [--save]`.

Peers: `python -c "import hydra, submitit"` and one sbatch, which every program of this kind pays; and
hydra-submitit-launcher, which pip installs into a folder of its own, with our versions of Hydra and submitit.
Uses the cluster of scripts/dev-slurm that SLURM_CONF names, or starts one. Jobs are held back and cancelled.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from record import ROOT, record

ROUNDS = 15
SWEEPS, POINTS = 3, 1000
LIMITS = {"submit_over_peers": 1.5, "sweep_seconds": 10.0}

LATER = "now+1hour"
TRAIN = [sys.executable, str(ROOT / "train.py"), "launcher=slurm", "cluster=dev", f"+cluster.extra.begin={LATER}"]
GRID = ["-m", f"optim.lr={','.join(f'{n}e-5' for n in range(1, 11))}", f"trainer.seed=range({POINTS // 10})"]
SBATCH = ["sbatch", f"--begin={LATER}", "--output=/dev/null", "--wrap=true"]
PASSINGLOOP = str(Path(sys.executable).with_name("passingloop"))
IMPORTS = [sys.executable, "-c", "import hydra, submitit"]

PEER = """import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pass

main()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, slurm(Path(name)), cancelled():
        folder = Path(name)
        os.environ["PASSINGLOOP_RUN_ROOT"] = str(folder / "runs")
        seconds = one_run(folder)
        sweeps = [sweep(f"bench-sweep-{number}") for number in range(SWEEPS)]
        release = output("sbatch", "--version").strip()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    peers = medians["import hydra, submitit"] + medians["sbatch"]
    sweep_seconds = statistics.median(seconds for seconds, _ in sweeps)
    record(
        "login_node",
        {
            "median_seconds": {name: round(value, 3) for name, value in medians.items()},
            "submit_over_peers": round(medians["launcher=slurm"] / peers, 2),
            "submit_over_hydra_submitit": round(medians["launcher=slurm"] / medians["hydra-submitit: queued"], 2),
            "command_over_hydra_submitit": round(medians["launcher=slurm"] / medians["hydra-submitit: returned"], 2),
            "sweep": {"points": POINTS, "seconds": round(sweep_seconds, 2), "sweeps": SWEEPS},
            "sweep_over_limit": round(sweep_seconds / LIMITS["sweep_seconds"], 3),
            "status_seconds": round(statistics.median(seconds for _, seconds in sweeps), 2),
            "limits": LIMITS,
            "rounds": ROUNDS,
            "slurm": release,
        },
    )


def one_run(folder: Path) -> dict[str, list[float]]:
    """Seconds of every round for each command; those of the launcher until its job is queued, and until it returns."""
    python = peer(folder)
    commands: dict[str, Callable[[int], dict[str, float]]] = {
        "peers": lambda _: {"import hydra, submitit": timed(*IMPORTS), "sbatch": timed(*SBATCH)},
        "ours": lambda number: {"launcher=slurm": timed(*TRAIN, f"name=bench-{number}")},
        "launcher": lambda number: hydra_submitit(python, folder / f"peer-{number}"),
    }
    rounds = [
        {name: value for measure in commands.values() for name, value in measure(number).items()}
        for number in range(ROUNDS)
    ]
    return {name: [values[name] for values in rounds] for name in rounds[0]}


def sweep(name: str) -> tuple[float, float]:
    """Seconds to submit a sweep, which must become one array, and seconds of `passingloop status` on it."""
    submitting = timed(*TRAIN, *GRID, f"name={name}")
    tasks = output("squeue", "--noheader", "--array", f"--name={name}", "--format=%F").split()
    assert len(tasks) == POINTS, f"{len(tasks)} of {POINTS} tasks are queued"
    assert len(set(tasks)) == 1, f"{len(set(tasks))} arrays instead of one"
    return submitting, timed(PASSINGLOOP, "status", name)


def peer(folder: Path) -> Path:
    """A Python of its own for the launcher: of 2022, it would otherwise take a pre-release of Hydra."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    same = [f"{name}=={version(name)}" for name in ("hydra-core", "submitit")]
    subprocess.run([python, "-m", "pip", "install", "-qq", "hydra-submitit-launcher", *same], check=True)
    (folder / "peer.py").write_text(PEER)
    return python


def hydra_submitit(python: Path, folder: Path) -> dict[str, float]:
    """Its job does nothing. submitit names the batch script after the job as soon as sbatch has answered."""
    words = ["-m", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=main", f"hydra.sweep.dir={folder}"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [python, folder.parent / "peer.py", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not any(folder.glob(".submitit/[0-9]*/[0-9]*_submission.sh")):
        time.sleep(0.001)
    queued = time.perf_counter() - started
    assert process.wait() == 0
    return {"hydra-submitit: queued": queued, "hydra-submitit: returned": time.perf_counter() - started}


def timed(*command: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir(), check=False)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    return seconds


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A cluster to talk to, as ``eval "$(scripts/dev-slurm env)"`` makes it known."""
    if "SLURM_CONF" in os.environ:
        yield
        return
    dev_slurm, where = [sys.executable, str(ROOT / "scripts" / "dev-slurm")], ["--dir", str(folder / "slurm")]
    subprocess.run([*dev_slurm, "up", "--nodes", "2", *where], check=True)
    try:
        name, _, value = output(*dev_slurm, "env", *where).strip().removeprefix("export ").partition("=")
        os.environ[name] = value
        yield
    finally:
        subprocess.run([*dev_slurm, "down", *where], check=True)


@contextmanager
def cancelled() -> Iterator[None]:
    """Cancels afterwards what was queued meanwhile."""
    before = set(queued_arrays())
    try:
        yield
    finally:
        ours = sorted(set(queued_arrays()) - before)
        if ours:
            subprocess.run(["scancel", *ours], check=True)


def queued_arrays() -> list[str]:
    return output("squeue", "--noheader", "--me", "--format=%F").split()


main()
