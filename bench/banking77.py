"""Accuracy of experiment=banking77: `python bench/banking77.py FOLDER [--save]`, FOLDER with train.csv and test.csv.

The data are at https://github.com/PolyAI-LDN/task-specific-datasets (CC BY 4.0).
"""

import sys
import tempfile
from pathlib import Path

from record import record, train

LIMIT = 0.925

data = Path(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    result = train(
        "experiment=banking77", f"data.train={data}/train.csv", f"data.test={data}/test.csv", folder=Path(folder)
    )
accuracy = result["metrics"]["test/accuracy"]
record(
    "banking77",
    {
        "test_accuracy": accuracy,
        "accuracy_over_limit": round(accuracy / LIMIT, 4),
        "limit": LIMIT,
        "metrics": result["metrics"],
        "train_seconds": result["train_seconds"],
        "steps": result["steps"],
    },
)
