"""``passingloop report``: what GPUs were used for, what it cost, and what to do about it.

Joins Slurm's accounting with the run directories under the run root, and works with either alone. A figure that is not
known is absent, and every share says how many of the GPU-hours it covers.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import get_args

from passingloop.cli.rows import as_json
from passingloop.cli.selection import add_root
from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError
from passingloop.files import write_output
from passingloop.index.durations import duration_seconds
from passingloop.report.html.run_views import MAX_RUNS
from passingloop.report.html.usage_page import usage_page
from passingloop.report.usage import usage_rows, usage_tables
from passingloop.report.usage.content import By
from passingloop.rundir.directory import owner_name
from passingloop.text import has_colour, say
from passingloop.usage.price_file import read_prices
from passingloop.usage.usage_report import Request, usage_report

WIDTH = 80
"""Characters of a line where the output is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_root(parser)
    parser.add_argument(
        "--since", default="7days", metavar="WHEN", help="7d, 12h, 7days, or a date such as 2026-11-01 (default: 7days)"
    )
    parser.add_argument("--until", metavar="WHEN", help="likewise; a date means its end (default: now)")
    parser.add_argument("--by", choices=get_args(By), help="list only these groups, all of them")
    parser.add_argument("--user", metavar="NAME", help="what one user has used (default: all users that you may see)")
    parser.add_argument(
        "--prices",
        metavar="FILE",
        type=Path,
        default=os.environ.get("PASSINGLOOP_PRICES"),
        help="a TOML file of prices per GPU-hour, PUE and grid factor, such as examples/prices.toml (default: "
        "$PASSINGLOOP_PRICES)",
    )
    parser.add_argument("--no-accounting", action="store_true", help="read run directories only, and do not ask Slurm")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all of it as JSON")
    form.add_argument("--csv", action="store_true", help="print a line for each group as CSV (default: by run)")
    form.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="write a page with charts, and a page for each run and sweep, to FILE (- for stdout)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Print the report. Returns 0.

    Raises:
        ConfigError: a time or the user is none, the file of prices cannot be used, or the page cannot be written.
    """
    now = time.time()
    since, until = moment(arguments.since, now), now
    if arguments.until:
        until = min(now, moment(arguments.until, now, end=True))
    if since >= until:
        raise ConfigError(
            f"You set --until {arguments.until}, which is not after --since {arguments.since}. Set a later time, or an "
            "earlier --since."
            if arguments.until
            else f"You set --since {arguments.since}, which is not in the past. Set an earlier time."
        )
    prices = read_prices(Path(arguments.prices).expanduser()) if arguments.prices else None
    request = Request(
        since=since,
        until=until,
        run_root=arguments.run_root.expanduser().absolute(),
        user=None if arguments.user is None else known_user(arguments.user),
        prices=prices,
        with_accounting=not arguments.no_accounting,
        runs_with_curves=MAX_RUNS if arguments.html else 0,
    )
    report = usage_report(request)
    for note in report.notes:
        say(note)
    if arguments.json:
        print(as_json(usage_rows.as_plain(report)))
    elif arguments.html:
        offset = datetime.fromtimestamp(report.until).astimezone().utcoffset()
        path = arguments.html.expanduser()
        write_output(usage_page(report, offset or timedelta()), path, "--html")
        if str(path) != "-":
            print(path)
    elif arguments.csv:
        print(usage_rows.as_csv(report, arguments.by or "run"), end="")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
        print("\n".join(usage_tables.page(report, width, arguments.by, colour=sys.stdout.isatty() and has_colour())))
    return 0


def known_user(text: str) -> str:
    """The name of a user of this machine, by it or by the user's number.

    Raises:
        ConfigError: there is none.
    """
    if text.isascii() and text.isdigit():
        return owner_name(int(text))
    try:
        return pwd.getpwnam(text).pw_name
    except KeyError:
        nearest = did_you_mean(text, [user.pw_name for user in pwd.getpwall()])
        raise ConfigError(f"You set --user {text!r}, but there is no such user here.{nearest}") from None


def moment(text: str, now: float, *, end: bool = False) -> float:
    """The time that `text` says, in seconds since the epoch: so long ago, or a day, or a day and an hour, local time.

    Args:
        end: a day means its end.

    Raises:
        ConfigError: it says no time.
    """
    ago = duration_seconds(text.strip().lower().removesuffix("ago").strip())
    if ago is not None:
        return max(0.0, now - ago)  # before 1970 there is no Slurm, and no time for it
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            return datetime.combine(day, datetime.min.time()).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time. Write for example 7days, 12h, 2026-11-01 or 2026-11-01T09:30."
        ) from None
