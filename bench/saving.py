"""For how long a save holds up training: `python bench/saving.py [--save]`.

Peers: the same save done at once (`WholeStore.write`: safetensors, fsync, SHA-256, rename), and Lightning's own
ModelCheckpoint (torch.save). One run of Lightning's Trainer on all-MiniLM-L6-v2 with AdamW; the steps are divided into
blocks that begin with no save, ours in a thread, ours at once, or Lightning's, in turn. What a save costs is how much
longer its block takes than one without; the stall is what the step right after it waits for. `--rounds 7`, medians.
"""

import logging
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from peers.lightning_plain import Classifier, tokens
from record import option, record
from texts import minilm, write_texts
from torch.utils.data import DataLoader, TensorDataset

from passingloop.config.running import CheckpointConfig
from passingloop.rundir.directory import RunDir
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.interval import History
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.checkpoints.stores import WholeStore
from passingloop.train.meters.clock import Clock

BLOCK = 16  # steps; longer than a save takes to be written
BATCH, TOKENS = 8, 32  # short steps: a save does not get lost among them
LIMIT = 0.2
KINDS = ("none", "asynchronous", "synchronous", "ModelCheckpoint")
CONFIG = CheckpointConfig(every=None, every_steps=None, every_minutes=None, keep=2, keep_best=False, fail_after=60)


class Alternating(Callback):
    """Saves at the beginning of each block in its way, and takes the times. Called before ModelCheckpoint."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.began: list[float] = []
        """Of each block, seconds of the clock."""
        self.stalls: dict[str, list[float]] = {kind: [] for kind in KINDS}

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self.store = WholeStore(module, trainer.optimizers[0])
        clock = Clock(time.time())
        clock.begin_steps(0)
        self.saver = Saver(self.run, CONFIG, self.store, clock, History.of([], 1), print)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.saver.check_result()
        step = trainer.global_step
        if step % BLOCK:
            return
        self.saver.finish()  # has been for long; what is measured next must not wait for it
        self.began.append(time.perf_counter())
        kind = kind_of(step)
        if kind == "asynchronous":
            self.saver.begin(Progress(step))
        elif kind == "synchronous":
            self.store.write(self.run, Progress(step), self.store.tensors(), CONFIG)
        if kind != "ModelCheckpoint":
            self.stalls[kind].append(time.perf_counter() - self.began[-1])

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        step = trainer.global_step
        if step and step % BLOCK == 0 and kind_of(step) == "ModelCheckpoint":
            self.stalls["ModelCheckpoint"].append(time.perf_counter() - self.began[-1])


def kind_of(step: int) -> str:
    """Of the block that begins after that step. ModelCheckpoint saves at multiples of all blocks together."""
    return KINDS[(step // BLOCK - 1) % len(KINDS)]


def main(folder: Path, rounds: int) -> None:
    assert kind_of(BLOCK * len(KINDS)) == "ModelCheckpoint"
    texts = write_texts(folder / "texts.csv")
    ids, mask, labels = tokens(folder, texts, str(minilm())).tensors
    data = TensorDataset(ids[:, :TOKENS], mask[:, :TOKENS], labels)
    ours = Alternating(RunDir(folder / "run"))
    theirs = ModelCheckpoint(folder / "lightning", every_n_train_steps=BLOCK * len(KINDS), save_top_k=1)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_steps=BLOCK * (len(KINDS) * (rounds + 1) + 1),
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ours, theirs],
    )
    trainer.fit(Classifier(str(minilm()), 4), DataLoader(data, BATCH, shuffle=True))
    report(ours, folder, rounds)


def report(ours: Alternating, folder: Path, rounds: int) -> None:
    """The first round warms up."""
    lengths: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, (begun, ended) in enumerate(zip(ours.began, ours.began[1:], strict=False)):
        if number >= len(KINDS):
            lengths[KINDS[number % len(KINDS)]].append(ended - begun)
    without = statistics.median(lengths.pop("none"))
    costs = {kind: statistics.median(values) - without for kind, values in lengths.items()}
    stalls = {kind: statistics.median(values[1:]) for kind, values in ours.stalls.items() if kind != "none"}
    record(
        "saving",
        {
            "stall_seconds": rounded(stalls),
            "asynchronous_stall_over": over(stalls),
            "longer_by_seconds": rounded(costs),
            "asynchronous_longer_over": over(costs),
            "limit_stall_over_synchronous": LIMIT,
            "block_seconds": round(without, 3),
            "written_in_seconds": round(ours.saver.writing or 0.0, 3),
            "megabytes": {"passingloop": size(folder / "run"), "ModelCheckpoint": size(folder / "lightning")},
            "conditions": {"model": "all-MiniLM-L6-v2", "batch": BATCH, "tokens": TOKENS, "steps_in_a_block": BLOCK},
            "rounds": rounds,
        },
    )


def over(seconds: dict[str, float]) -> dict[str, float]:
    """The asynchronous one as a share of the others."""
    ours = seconds["asynchronous"]
    return {kind: round(ours / value, 3) for kind, value in seconds.items() if kind != "asynchronous"}


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {kind: round(value, 4) for kind, value in seconds.items()}


def size(folder: Path) -> float:
    """Of the newest checkpoint."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    newest = max(files, key=lambda path: path.stat().st_mtime)
    one = [newest] if newest.suffix == ".ckpt" else newest.parent.iterdir()
    return round(sum(path.stat().st_size for path in one) / 1e6, 1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    place = Path(tempfile.mkdtemp())
    try:
        main(place, int(option("rounds", 7)))
    finally:
        shutil.rmtree(place)
    sys.exit()
