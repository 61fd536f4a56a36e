"""Files are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import errno
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from passingloop import files

WRITER = """
import sys
from pathlib import Path
from passingloop.files import write_json
path = Path(sys.argv[1], "state.json")
content = [{"version": n, "filling": [n] * 20_000} for n in (0, 1)]
write_json(path, content[0])
print("ready", flush=True)
while True:
    for version in content:
        write_json(path, version)
"""


@pytest.mark.process
def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    seen = set()
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            until = time.monotonic() + random.uniform(0.001, 0.08)
            while time.monotonic() < until:
                seen.add(_whole(tmp_path / "state.json"))
            process.kill()
        seen.add(_whole(tmp_path / "state.json"))
    assert seen == {0, 1}


def _whole(path: Path) -> int:
    content = files.read_json(path)
    version: int = content["version"]
    assert content["filling"] == [version] * 20_000
    return version


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    files.write_json(path, "old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from passingloop.files import write_json\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_json(Path(sys.argv[1]), 'new' * 9999)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert files.read_json(path) == "old"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\n\u2028\r"), inner, max_size=3),
    max_leaves=5,
)


OBJECT = st.dictionaries(st.text("ab\n\u2028\r"), JSON, max_size=3)


@given(rows=st.lists(OBJECT, min_size=1, max_size=4), more=OBJECT, data=st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_torn_last_line_costs_that_line_only(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], more: Any, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    for row in rows:
        files.append_json_line(path, row)
    assert files.read_json_lines(path) == rows
    last = json.dumps({"torn": rows[-1]}, ensure_ascii=False).encode()
    cut = data.draw(st.integers(1, len(last) - 1))
    with path.open("ab") as file:
        file.write(last[:cut])
    assert files.read_json_lines(path) == rows
    files.append_json_line(path, more)
    assert files.read_json_lines(path) == [*rows, more]


def test_lines_that_are_not_there(tmp_path: Path) -> None:
    assert files.read_json_lines(tmp_path / "none.jsonl") == []


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "report.html", "page", durable=False)
    assert not list(tmp_path.iterdir())
