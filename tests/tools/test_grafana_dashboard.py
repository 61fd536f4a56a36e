"""A real Prometheus that scrapes the metrics, and the queries of the Grafana dashboard asked of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passingloop.exporter.collector import serve
from passingloop.exporter.metrics import Histogram
from tests.exporter.made import all_metrics

DASHBOARD = Path(__file__).parents[2] / "slurm" / "grafana-dashboard.json"
PANELS = {"row", "stat", "timeseries", "bargauge"}
WORD = re.compile(r"\bpassingloop_\w+")


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def queries() -> list[str]:
    panels = dashboard()["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_every_metric_in_the_dashboard_exists() -> None:
    names = set()
    for metric in all_metrics():
        names |= {metric.name} if not isinstance(metric, Histogram) else {f"{metric.name}_bucket"}
    asked = {name for query in queries() for name in WORD.findall(query)}
    asked |= {name for each in dashboard()["templating"]["list"] for name in WORD.findall(json.dumps(each))}
    assert asked
    assert asked <= names


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """What Grafana's model of a dashboard requires: https://grafana.com/docs/grafana/latest/reference/dashboard-json."""
    found = dashboard()
    assert found["uid"]
    assert found["title"]
    assert isinstance(found["schemaVersion"], int)
    identities = [panel["id"] for panel in found["panels"]]
    assert len(set(identities)) == len(identities)
    cells: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        assert panel["type"] in PANELS
        place = panel["gridPos"]
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not mine & cells, f"{panel['title']} lies on another panel"
        cells |= mine
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    variables = {each["name"] for each in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(found))) <= variables


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped all metrics."""
    if not shutil.which("prometheus"):
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent("Prometheus is not installed: scripts/test-prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    url, stop = serve(("127.0.0.1", 0), all_metrics)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = urllib.parse.urlsplit(url).netloc
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "passingloop", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _is_scraped(address):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        stop()


def _is_scraped(address: str) -> bool:
    try:
        return bool(ask(address, "passingloop_build_info"))
    except OSError:
        return False


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers to a query."""
    with urllib.request.urlopen(
        f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10
    ) as got:
        answer = json.load(got)
    assert answer["status"] == "success"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


@pytest.mark.process
def test_prometheus_takes_every_metric(prometheus: str) -> None:
    [up] = ask(prometheus, "up")
    assert up["value"][1] == "1"
    idle = {row["metric"]["state"]: row["value"][1] for row in ask(prometheus, "passingloop_gpus")}
    assert idle == {"allocated": "6", "idle": "10", "unavailable": "18"}
    url = f"{prometheus}/api/v1/metadata"
    with urllib.request.urlopen(url, timeout=10) as got:
        known = json.load(got)["data"]
    assert {metric.name for metric in all_metrics()} <= set(known)


@pytest.mark.process
@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_dashboard_has_an_answer(prometheus: str, query: str) -> None:
    assert ask(prometheus, query.replace("$instance", ".*"))
