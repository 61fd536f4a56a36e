"""Metrics as prometheus_client has them: families for its registry, its file for node_exporter, and its server."""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.errors import ConfigError, MissingError
from passingloop.exporter.metrics import Gauge, Metric

if TYPE_CHECKING:  # prometheus_client takes 0.1 s to load, and only this verb needs it
    from prometheus_client.core import Metric as Family
    from prometheus_client.registry import CollectorRegistry

FILE = "passingloop.prom"
"""node_exporter reads files in its folder that end in .prom."""

Collect = Callable[[], Iterable[Metric]]


class Families:
    """A collector: asked for its metrics at each scrape, by one thread at a time."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._lock = threading.Lock()

    def describe(self) -> list[Family]:
        """Nothing: to know the families beforehand would mean to ask Slurm before the first scrape."""
        return []

    def collect(self) -> list[Family]:
        with self._lock:
            return [family(metric) for metric in self._collect()]


def family(metric: Metric) -> Family:
    """`metric` as prometheus_client has it."""
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    if isinstance(metric, Gauge):
        gauge = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for key, value in sorted(metric.values.items()):
            gauge.add_metric(key, value)
        return gauge
    histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for key, observations in sorted(metric.observations.items()):
        buckets = [("+Inf" if bound == float("inf") else f"{bound:g}", count) for bound, count in metric.counts(key)]
        histogram.add_metric(key, buckets, sum(observations))
    return histogram


def registry_of(collect: Collect) -> CollectorRegistry:
    """A registry with these metrics alone, not those of this process."""
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(collect))
    return registry


def write_textfile(folder: Path, collect: Collect) -> Path:
    """Write the metrics to a file in `folder`, complete or not at all, readable for all. Returns its path.

    Raises:
        ConfigError: `folder` is no folder in which this user may write.
    """
    from prometheus_client import write_to_textfile

    path = folder / FILE
    if not folder.is_dir():
        raise ConfigError(f"You set --textfile {folder}, but there is no such folder. Make it, or name another.")
    before = os.umask(0o022)  # node_exporter is another user
    try:
        write_to_textfile(str(path), registry_of(collect))
    except PermissionError:
        raise ConfigError(f"You set --textfile {folder}, but you may not write there. Name another folder.") from None
    finally:
        os.umask(before)
    return path


def parse_address(text: str, *, remote: bool) -> tuple[str, int]:
    """Address and port of ``127.0.0.1:9840``, ``[::1]:9840`` or ``:9840``.

    Args:
        remote: whether other machines may read the metrics.

    Raises:
        ConfigError: it is no address with a port, or other machines could read it and `remote` is not set.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise ConfigError(f"You set --listen {text}, but that is no ADDRESS:PORT. Write, for example, 127.0.0.1:9840.")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ConfigError(
            f"You set --listen {text}, but {host} is no IP address. Write the address to listen on, for example "
            "127.0.0.1:9840."
        ) from None
    if not address.is_loopback and not remote:
        raise ConfigError(
            f"You set --listen {text}, but there whoever reaches this machine reads the figures, without a password "
            "and in plain text. Use 127.0.0.1, or add --remote if that is meant."
        )
    return str(address), int(port)


def serve(address: tuple[str, int], collect: Collect) -> tuple[str, Callable[[], None]]:
    """Serve the metrics over HTTP in threads of this process. Returns the URL, and what ends it.

    Raises:
        MissingError: nothing can listen there.
    """
    from prometheus_client.exposition import start_wsgi_server

    host, port = address
    try:
        server, thread = start_wsgi_server(port, host, registry_of(collect))
    except OSError as error:
        raise MissingError(
            f"Nothing can listen on {host}, port {port}: {error.strerror}. Another exporter may run there; name "
            "another port."
        ) from None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.server_port}/metrics", stop
