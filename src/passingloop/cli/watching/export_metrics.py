"""``passingloop export-metrics``: GPUs, queue, waits, goodput and cost for Prometheus.

Either once into a file that node_exporter reads, for a timer or cron, or over HTTP until it is ended:

    passingloop export-metrics --textfile /var/lib/prometheus/node-exporter
    passingloop export-metrics --listen 127.0.0.1:9840

The names stay the same from release to release. Labels are QOS, states and reason codes, so that there are tens of
series, not one for each job; --label adds accounts or users. However often it is scraped, Slurm is asked no more often
than the site's poll_seconds, and its accounting every --every seconds.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from pathlib import Path

from passingloop.cli.cluster.report import moment
from passingloop.cli.selection import add_root
from passingloop.errors import ConfigError, MissingError
from passingloop.exporter.collector import parse_address, serve, write_textfile
from passingloop.exporter.exporter import Exporter
from passingloop.text import print_path, say
from passingloop.usage.price_file import read_prices
from passingloop.usage.usage_report import Request

LEAST_SECONDS = 60.0
"""Accounting is not asked more often."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--textfile", metavar="DIR", help="write DIR/passingloop.prom once, for node_exporter")
    where.add_argument("--listen", metavar="ADDRESS:PORT", help="answer scrapes there, for example 127.0.0.1:9840")
    parser.add_argument(
        "--remote", action="store_true", help="with --listen: other machines may read the figures, without a password"
    )
    add_root(parser)
    parser.add_argument(
        "--since", default="7days", metavar="WHEN", help="the window of the figures on use (default: 7days)"
    )
    parser.add_argument(
        "--every", type=float, default=300.0, metavar="SECONDS", help="how often these are read anew (default: 300)"
    )
    parser.add_argument(
        "--label",
        action="append",
        choices=("account", "user"),
        default=[],
        help="also by account or by user: as many series more, so mind their number",
    )
    parser.add_argument(
        "--prices",
        metavar="FILE",
        type=Path,
        default=os.environ.get("PASSINGLOOP_PRICES"),
        help="as in `passingloop report` (default: $PASSINGLOOP_PRICES)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Write the file, or serve until SIGTERM. Returns 0.

    Raises:
        ConfigError: an argument cannot work.
        MissingError: neither Slurm nor runs can be read, or nothing can listen at the address.
    """
    exporter = _exporter(arguments)
    if arguments.textfile is not None:
        exporter.read_window()
        path = write_textfile(Path(arguments.textfile).expanduser(), exporter.collect)
        print_path(path)
        if exporter.is_blind:
            raise MissingError(f"Neither Slurm nor runs could be read, so {path} says no more than that.")
        return 0
    return _serve(arguments, exporter)


def _exporter(arguments: argparse.Namespace) -> Exporter:
    if arguments.every < LEAST_SECONDS:
        raise ConfigError(
            f"You set --every {arguments.every:g}, but reading Slurm's accounting loads its database. Set it to "
            f"{LEAST_SECONDS:g} or more; the metrics of the queue do not depend on it."
        )
    if arguments.textfile == "":
        raise ConfigError("You set --textfile to an empty text. Set the folder that node_exporter reads.")
    if arguments.remote and not arguments.listen:
        raise ConfigError("You set --remote, but nothing listens with --textfile. Leave --remote out.")
    moment(arguments.since, time.time())  # a mistake in it is reported now
    prices = read_prices(Path(arguments.prices).expanduser()) if arguments.prices else None
    root = arguments.run_root.expanduser().absolute()

    def request() -> Request:
        now = time.time()
        return Request(since=moment(arguments.since, now), until=now, run_root=root, prices=prices)

    return Exporter(request, arguments.label, say)


def _serve(arguments: argparse.Namespace, exporter: Exporter) -> int:
    address = parse_address(arguments.listen, remote=arguments.remote)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    url, end = serve(address, exporter.collect)
    say(f"Serving {url} until it is interrupted.")
    reader = threading.Thread(target=exporter.keep_reading, args=(arguments.every, stop), daemon=True)
    reader.start()
    try:
        stop.wait()
    finally:
        stop.set()
        end()
    return 0
