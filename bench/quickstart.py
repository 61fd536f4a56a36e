"""Accuracy and training time of the quickstart: `python bench/quickstart.py [--save]`."""

import tempfile
from pathlib import Path

from record import record, train

LEAST_ACCURACY, MOST_SECONDS = 0.78, 150.0

with tempfile.TemporaryDirectory() as folder:
    result = train(folder=Path(folder))
accuracy, seconds = result["metrics"]["test/accuracy"], result["train_seconds"]
record(
    "quickstart",
    {
        "test_accuracy": accuracy,
        "accuracy_over_limit": round(accuracy / LEAST_ACCURACY, 3),
        "train_seconds": seconds,
        "seconds_over_limit": round(seconds / MOST_SECONDS, 3),
        "command_seconds": result["command_seconds"],
        "limits": {"test_accuracy": LEAST_ACCURACY, "train_seconds": MOST_SECONDS},
    },
)
