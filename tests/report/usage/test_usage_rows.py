"""The report as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json

from passingloop.report.usage.usage_rows import as_csv, as_plain
from tests.report.usage.test_usage_tables import made


def test_json_has_the_figures_and_what_follows_from_them() -> None:
    plain = json.loads(json.dumps(as_plain(made()), allow_nan=False))
    totals = plain["totals"]
    assert (plain["since"], plain["cluster"]) == ("2026-11-29T12:00:00+00:00", "dev")
    assert (totals["gpu_hours"]["allocated"], totals["gpu_hours"]["lost_to_preemption"]) == (9.0, 0.333333)
    assert (totals["goodput"], totals["ettr"]["value"], totals["mfu"]) == (0.833333, 0.666667, None)
    assert [group["name"] for group in plain["groups"]["qos"]] == ["scavenger", "normal"]
    assert plain["groups"]["qos"][1]["busy_share"] is None
    assert plain["wasters"][0]["advice"][0]["sentence"].startswith("asked for 8 CPUs")
    assert plain["timeline"]["starts"][0] == "2026-11-29T12:00:00+00:00"
    assert len(plain["timeline"]["gpus"]["scavenger"]) == len(plain["timeline"]["starts"])
    assert plain["prices"]["currency"] == "EUR"


def test_csv_has_a_line_for_each_group() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(made(), "user"))))
    assert [row["user"] for row in rows] == ["anna", "a-user-with-quite-a-long-name@example.org"]
    assert rows[0]["gpu_hours.allocated"] == "8.0"
    assert (rows[0]["requeues.preempted"], rows[1]["requeues.preempted"]) == ("1", "")
    assert (rows[0]["busy_share"], rows[1]["busy_share"]) == ("0.75", "")
    assert rows[0]["money.on_premises.amount"] == "16.0"
