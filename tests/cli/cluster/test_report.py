"""``passingloop report``, without Slurm."""

from __future__ import annotations

import csv
import fcntl
import getpass
import io
import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from passingloop.cli.cluster.report import moment
from passingloop.errors import ConfigError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from tests.cli.conftest import Verb
from tests.cli.made import Runs
from tests.conftest import ROOT

NOW = datetime(2026, 11, 29, 12).timestamp()


def completed(runs: Runs) -> RunDir:
    """A run that took a minute: one that took no time held nothing."""
    return runs.completed("name=done", time=iso_time(time.time() - 60))


def test_the_report_as_table_json_and_csv(verb: Verb, runs: Runs) -> None:
    done = completed(runs)
    table = verb("report")
    assert table.code == 0
    assert "done " in table.stdout
    assert "accounting could not be read" in table.stderr
    assert "There is no sacct here, so there is no Slurm to talk to. Use a login node of the cluster.\n" in table.stderr
    report = json.loads(verb("report", "--json", "--no-accounting").stdout)
    assert [page["name"] for page in report["runs"]] == [f"done/{done.path.name}"]
    assert report["runs"][0]["metrics"] == {"validation/loss": 0.3, "test/accuracy": 0.91239}
    rows = list(csv.DictReader(io.StringIO(verb("report", "--csv", "--by", "experiment", "--no-accounting").stdout)))
    assert [row["experiment"] for row in rows] == ["done"]


def test_the_report_as_a_page(verb: Verb, runs: Runs, work: Path) -> None:
    done = completed(runs)
    told = verb("report", "--no-accounting", "--html", "report.html")
    assert (told.code, told.stdout) == (0, "report.html\n")
    page = Path("report.html").read_text()
    assert f'<a href="#run/1">done/{done.path.name}</a>' in page
    refused = verb("report", "--no-accounting", "--html", "no/such/folder.html")
    assert refused.code == 2
    assert "You set --html no/such/folder.html, which cannot be written: No such file or directory." in refused.stderr


def test_the_page_goes_to_stdout(verb: Verb, runs: Runs, work: Path) -> None:
    done = completed(runs)
    told = verb("report", "--no-accounting", "--html", "-")
    assert told.stdout.startswith("<!DOCTYPE html>")
    assert f"done/{done.path.name}</a>" in told.stdout
    assert not Path("-").exists()


def test_the_page_replaces_no_device_and_no_folder(verb: Verb, runs: Runs, work: Path) -> None:
    completed(runs)
    os.mkfifo("pipe")
    with os.fdopen(os.open("pipe", os.O_RDWR | os.O_NONBLOCK), "rb") as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 2**20)
        assert verb("report", "--no-accounting", "--html", "pipe").code == 0
        assert Path("pipe").is_fifo()
        assert reader.read(15) == b"<!DOCTYPE html>"
    for name in ("", ".", "/"):
        refused = verb("report", "--no-accounting", "--html", name)
        assert (refused.code, "You set --html" in refused.stderr) == (2, True)


def test_a_run_with_damaged_files_does_not_hide_the_others(verb: Verb, runs: Runs, work: Path) -> None:
    sound, damaged = completed(runs), runs.completed("name=bad", time=iso_time(time.time() - 60))
    damaged.result.write_text('{"metrics": 3}')
    damaged.metrics.unlink(missing_ok=True)
    damaged.metrics.mkdir()
    assert verb("report", "--no-accounting", "--html", "report.html").code == 0
    assert f"done/{sound.path.name}" in Path("report.html").read_text()


def test_prices(verb: Verb, runs: Runs, work: Path) -> None:
    runs.completed("name=done")
    done = verb("report", "--json", "--no-accounting", "--prices", str(ROOT / "examples" / "prices.toml"))
    assert json.loads(done.stdout)["prices"]["here"] == "on_premises"
    done = verb("report", "--prices", str(work / "none.toml"))
    assert done.code == 2
    assert "none.toml cannot be read: No such file or directory" in done.stderr


def test_nothing_to_report(verb: Verb, work: Path) -> None:
    done = verb("report", "--no-accounting")
    assert done.code == 0
    assert "No job and no run held resources in this time." in done.stdout
    assert verb("report", "--since", "yesterday").code == 2
    done = verb("report", "--since", "2026-11-02", "--until", "2026-11-01")
    assert done.code == 2
    assert "You set --until 2026-11-01, which is not after --since 2026-11-02. Set a later time" in done.stderr
    assert "You set --until 1960-01-01, which is" in verb("report", "--until", "1960-01-01").stderr
    assert "You set --since 2222-01-01, which is not in the past." in verb("report", "--since", "2222-01-01").stderr


def test_a_user_or_a_folder_that_is_not_there_is_said(verb: Verb, runs: Runs) -> None:
    done = completed(runs)
    name, number = getpass.getuser(), str(os.getuid())
    for known in (name, number):
        report = json.loads(verb("report", "--json", "--no-accounting", "--user", known).stdout)
        assert [page["name"] for page in report["runs"]] == [f"done/{done.path.name}"]
    refused = verb("report", "--user", f"{name}x")
    assert refused.code == 2
    assert f"You set --user '{name}x', but there is no such user here. Did you mean {name}?" in refused.stderr
    assert verb("report", "--user", "").code == 2
    noted = verb("report", "--no-accounting", "--run-root", "/no/such")
    assert (noted.code, "runs /no/such cannot be read (No such file" in noted.stderr) == (0, True)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("7days", 7 * 86400),
        ("1 day", 86400),
        ("12hours", 12 * 3600),
        ("2weeks ago", 14 * 86400),
        ("90minutes", 5400),
        ("7d", 7 * 86400),
        ("1.5h", 5400),
        ("30m", 1800),
        ("10s", 10),
        ("10 seconds", 10),
        ("1w", 7 * 86400),
    ],
)
def test_so_long_ago(text: str, ago: float) -> None:
    assert moment(text, NOW) == NOW - ago


def test_too_long_ago_is_everything() -> None:
    assert moment("9999999days", NOW) == moment(f"{10**30}weeks", NOW) == 0.0


def test_dates() -> None:
    first = time.mktime((2026, 11, 1, 0, 0, 0, 0, 0, -1))
    assert moment("2026-11-01", NOW) == first
    assert moment("2026-11-01", NOW, end=True) == first + 86400
    assert moment("2026-11-01T09:30", NOW) == first + 9.5 * 3600
    for text in ("november", "7", "7y", "7 sec", "days", ""):
        with pytest.raises(ConfigError, match="is no time"):
            moment(text, NOW)
