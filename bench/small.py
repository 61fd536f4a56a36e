"""Runs that are small enough to be interrupted a hundred times: a tiny untrained model on a file of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from record import ROOT

sys.path.insert(0, str(ROOT))

from tests.train.tiny import make_model, make_tokenizer  # bench/ is on the path, the root was not

ENVIRONMENT = {"HF_HUB_OFFLINE": "1"}


def words(task: str, folder: Path, steps: int) -> list[str]:
    """Overrides of such a run; what it needs is made in `folder`."""
    model = folder / task
    make_tokenizer().save_pretrained(model)
    make_model({"classification": "bert", "causal_lm": "llama"}[task]).save_pretrained(model)
    train = _texts(folder) if task == "classification" else _chats(folder)
    return [
        f"task={task}",
        f"model.path={model}",
        "data=files",
        f"data.train={train}",
        *(["data.max_length=24"] if task == "classification" else ["data.messages=messages"]),
        f"run_root={folder}/runs",
        f"cache_root={folder}/cache",
        "trainer.batch_size=8",
        f"trainer.steps={steps}",
        "trainer.log_every=1",
        "trainer.deterministic=true",
        "tracking=none",
    ]


def train(*overrides: str, log: Path) -> subprocess.Popen[bytes]:
    """``python train.py``, started in a process group of its own; what it says goes to the end of `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _texts(folder: Path) -> Path:
    path = folder / "texts.csv"
    pool = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track")
    rows = [f"{' '.join(pool[(i * k) % 8] for k in range(2, 3 + i % 9))} {i},{pool[i % 3]}" for i in range(400)]
    path.write_text("text,label\n" + "\n".join(rows))
    return path


def _chats(folder: Path) -> Path:
    path = folder / "chats.jsonl"
    turns = [[("user", f"{i}?"), ("assistant", "yes " * (i % 7 + 1))] for i in range(400)]
    chats = [{"messages": [{"role": role, "content": text} for role, text in chat]} for chat in turns]
    path.write_text("\n".join(map(json.dumps, chats)))
    return path
