from __future__ import annotations

import stat
import urllib.request
from pathlib import Path

import pytest

from passingloop.errors import ConfigError, MissingError
from passingloop.exporter.collector import FILE, parse_address, serve, write_textfile
from passingloop.exporter.metrics import Metric
from tests.exporter.made import all_metrics


def test_the_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = write_textfile(tmp_path, all_metrics)
    before = path.read_bytes()
    assert b'passingloop_gpus{state="idle"} 10.0\n' in before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def fail() -> list[Metric]:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_textfile(tmp_path, fail)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        write_textfile(tmp_path / "none", all_metrics)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9840", ("127.0.0.1", 9840)),
        (":9840", ("127.0.0.1", 9840)),
        ("9840", ("127.0.0.1", 9840)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:9840", ("::1", 9840)),
        ("127.9.9.9:1", ("127.9.9.9", 1)),
    ],
)
def test_addresses_of_this_machine(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, remote=False) == address


@pytest.mark.parametrize("text", ["0.0.0.0:9840", "192.168.1.2:9840", "[::]:9840"])
def test_other_machines_read_only_where_that_is_meant(text: str) -> None:
    with pytest.raises(ConfigError, match=r"without a password.*--remote"):
        parse_address(text, remote=False)
    assert parse_address(text, remote=True)[1] == 9840


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", "login.example.org:9840"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="You set --listen"):
        parse_address(text, remote=True)


def test_a_port_that_is_taken_is_named() -> None:
    url, stop = serve(("127.0.0.1", 0), all_metrics)
    try:
        port = int(url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(MissingError, match=f"port {port}"):
            serve(("127.0.0.1", port), all_metrics)
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert b"passingloop_gpus_allocated" in answer.read()
    finally:
        stop()
