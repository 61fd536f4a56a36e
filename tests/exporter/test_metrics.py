from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from passingloop.exporter.collector import registry_of
from passingloop.exporter.metrics import Gauge, Metric, cluster_metrics, use_metrics
from tests.exporter.made import USE, all_metrics


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of an exposition, as prometheus_client's own parser reads them."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def value(name: str, **labels: str) -> float:
    return values(exposition())[name, frozenset(labels.items())]


def exposition(metrics: list[Metric] | None = None) -> str:
    return generate_latest(registry_of(lambda: metrics or all_metrics())).decode()


def test_units_are_those_of_prometheus() -> None:
    qos = "production"
    assert value("passingloop_use_gpu_seconds", qos=qos, use="training") == 6 * 3600
    assert value("passingloop_use_gpu_activity_seconds", qos=qos, activity="idle") == 3 * 3600
    assert value("passingloop_use_energy_joules", qos=qos) == 9e6
    assert value("passingloop_use_co2_grams", qos=qos) == 900
    assert value("passingloop_use_goodput_ratio", qos=qos) == 0.75
    assert value("passingloop_use_ettr_ratio", qos=qos) == 0.5
    assert value("passingloop_use_cost", qos=qos, price="spot", currency="EUR") == 9
    assert value("passingloop_use_requeues", qos=qos, cause="preempted") == 4


def test_the_uses_add_up_to_what_was_allocated() -> None:
    parts = [number for (name, _), number in values(exposition()).items() if name == "passingloop_use_gpu_seconds"]
    assert sum(parts) == 10 * 3600


def test_waits_are_counted_in_cumulative_buckets() -> None:
    bucket = "passingloop_use_wait_seconds_bucket"
    assert [value(bucket, qos="production", le=bound) for bound in ("60", "300", "604800", "+Inf")] == [2, 3, 3, 4]
    assert value("passingloop_use_wait_seconds_count", qos="production") == 4
    assert value("passingloop_use_wait_seconds_sum", qos="production") == 1e9 + 122


def test_what_is_not_known_is_absent_and_never_0() -> None:
    found = values(exposition())
    for name in ("goodput_ratio", "ettr_ratio", "busy_ratio", "mfu_ratio", "energy_joules", "co2_grams"):
        assert (f"passingloop_use_{name}", frozenset({("qos", "")})) not in found
    nothing = values(exposition([*cluster_metrics(None), *use_metrics(None)]))
    assert nothing == {}


def test_each_metric_says_what_it_is() -> None:
    metrics = all_metrics()
    text = exposition(metrics)
    for metric in metrics:
        kind = "gauge" if isinstance(metric, Gauge) else "histogram"
        assert f"# HELP {metric.name} {metric.meaning}\n# TYPE {metric.name} {kind}\n" in text
        assert re.fullmatch(r"passingloop_[a-z0-9_]+", metric.name)
    assert len({metric.name for metric in metrics}) == len(metrics)


def test_the_same_metrics_whatever_is_known() -> None:
    known = [metric.name for metric in use_metrics(USE)]
    assert [metric.name for metric in use_metrics(None)] == known


@pytest.mark.skipif(
    not shutil.which("promtool") and os.environ.get("CI") != "true",
    reason="promtool is not installed: scripts/test-prometheus",
)
def test_promtool_finds_nothing_to_criticise() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition(), capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
