"""A million rows from PostgreSQL: `python bench/sql.py [--save]`.

Ours reads them through ODBC into a snapshot, and the examples back from that. Peer: `datasets.Dataset.from_sql`, with
SQLAlchemy and psycopg2, into its Arrow cache, in the same run. Each reading is a process of its own; they alternate,
and medians count. Memory is the most that a process has held, less what it holds when its imports are done. The
server, PostgreSQL, is started here. `--rounds 5`, `--rows 1000000`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import ROOT, option, record

sys.path.insert(0, str(ROOT))

from tests.data.sql import servers

QUERY = "SELECT id, text, label FROM questions"
TABLE = (
    "CREATE TABLE questions AS SELECT i AS id, 'How do I change the address of order ' || i || '? ' || "
    "substr(md5(i::text), 1, 12) AS text, 'label ' || i % 77 AS label FROM generate_series(1, {rows}) i"
)
GOAL, MEGABYTES = 1.5, 100
"""At least so many times the peer's rows per second; less than so much memory."""


def ours(connection: str, cache: Path) -> dict[str, Any]:
    """Seconds until the snapshot is there, and until the examples have been read from it."""
    import pyodbc  # noqa: F401  # counts as imported

    from passingloop.config.build import build
    from passingloop.data.sql.settings import SqlData
    from passingloop.data.sql.source import Sql

    nothing = dict.fromkeys(("validation", "test", "messages", "dsn", "limit", "max_length"))
    shares = {"validation_fraction": 0.1, "test_fraction": 0.1, "on_bad": "fail", "parameters": {}, "refresh": False}
    chosen = {"source": "sql", "train": QUERY, "text": "text", "label": "label", "connection": connection}
    config = build(SqlData, nothing | shares | chosen | {"password_env": servers.VARIABLE})
    before, began = memory("VmRSS"), time.perf_counter()
    source = Sql(config, "classification", cache, None)
    source.identity("train")
    snapshot = time.perf_counter() - began
    rows = sum(batch.num_rows for batch in source.read("train", print))
    return {"rows": rows, "snapshot": snapshot, "all": time.perf_counter() - began, "memory": grown(before)}


def peer(connection: str, cache: Path) -> dict[str, Any]:
    """Seconds until the dataset is there."""
    import psycopg2  # noqa: F401  # counts as imported
    import sqlalchemy
    from datasets import Dataset

    fields = dict(one.split("=") for one in connection.split(";"))
    url = sqlalchemy.URL.create(
        "postgresql+psycopg2",
        fields["UID"],
        servers.PASSWORD,
        fields["Server"],
        int(fields["Port"]),
        fields["Database"],
    )
    before, began = memory("VmRSS"), time.perf_counter()
    found = Dataset.from_sql(QUERY, url.render_as_string(hide_password=False), cache_dir=str(cache))
    return {"rows": len(found), "all": time.perf_counter() - began, "memory": grown(before)}


def main() -> None:
    rounds, rows = int(option("rounds", 5)), int(option("rows", 1_000_000))
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with servers.postgresql() as database:
        database.do(TABLE.format(rows=rows), "VACUUM ANALYZE questions")
        for _ in range(rounds):
            for name, results in found.items():
                results.append(in_a_process(name, database.connection))
    assert all(one["rows"] == rows for results in found.values() for one in results)
    per_second = {name: rows / median(results, "all") for name, results in found.items()}
    megabytes = {name: median(results, "memory") / 1e6 for name, results in found.items()}
    record(
        "sql",
        {
            "rows_per_second": {name: round(value) for name, value in per_second.items()},
            "over_from_sql": round(per_second["ours"] / per_second["peer"], 2),
            "goal": GOAL,
            "into_the_snapshot_rows_per_second": round(rows / median(found["ours"], "snapshot")),
            "megabytes_above_imports": {name: round(value) for name, value in megabytes.items()},
            "limit_megabytes": MEGABYTES,
            "seconds": {name: [round(one["all"], 2) for one in results] for name, results in found.items()},
            "conditions": {"rows": rows, "columns": ["id", "text", "label"], "server": "PostgreSQL on this machine"},
            "rounds": rounds,
        },
    )


def in_a_process(name: str, connection: str) -> dict[str, Any]:
    """What `name` finds, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, f"--only={name}", connection, cache],
            env=os.environ | {servers.VARIABLE: servers.PASSWORD, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def median(results: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(one[name] for one in results))


def memory(name: str) -> int:
    """VmRSS (now) or VmHWM (at most until now) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024


def grown(before: int) -> int:
    return memory("VmHWM") - before


if __name__ == "__main__":
    if sys.argv[1].startswith("--only=") if len(sys.argv) > 1 else False:
        print(json.dumps({"ours": ours, "peer": peer}[sys.argv[1][7:]](sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
