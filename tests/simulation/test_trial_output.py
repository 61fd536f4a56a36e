"""What a user gets of a trial: figures on stdout, what is missed on stderr, a page, and an exit code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.simulation.trial_output import add_output_options, show, wanted_prices
from tests.conftest import ROOT
from tests.simulation.made_replays import made_simulation


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_output_options(parser)
    return parser.parse_args(words)


def test_tables_and_what_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(made_simulation(tmp_path), options()) == 1
    out, err = capsys.readouterr()
    assert out.startswith("policy.yaml beside fifo.yaml\n")
    assert "\x1b" not in out
    first, *_ = err.splitlines()
    assert first.startswith(f"{tmp_path}/policy.yaml:10: interactive.wait_p95: 60s is missed: it is ")
    assert len(err.splitlines()) == 3


def test_json_alone_on_stdout_and_a_page_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert show(made_simulation(tmp_path), options("--json", "--html", str(page))) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["accepted"] is False
    assert f"The page is {page}." in err
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("name", "why"),
    [("-", "stdout is for the figures"), ("no/such/page.html", "cannot be written"), (".", "is no file")],
)
def test_a_page_that_cannot_be_written_is_refused_before_the_replay(
    name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options("--html", name)
    assert why in capsys.readouterr().err


def test_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSINGLOOP_PRICES", raising=False)
    assert wanted_prices(options()) is None
    prices = wanted_prices(options("--prices", str(ROOT / "examples" / "prices.toml")))
    assert prices is not None
    assert prices.money({"": 2.0})["on_premises"].amount == pytest.approx(3.82)
    with pytest.raises(ConfigError, match="cannot be read"):
        wanted_prices(options("--prices", "no-such.toml"))
