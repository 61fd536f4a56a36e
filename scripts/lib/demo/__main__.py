"""Records the demo and draws it: ``scripts/record-demo``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.cast import Cast, read_cast, shortened
from demo.terminal import Terminal
from demo.typed import LINES, STILLS

ROOT = Path(__file__).resolve().parents[3]
CAST, DRAWING = ROOT / "docs" / "demo" / "demo.cast", ROOT / "docs" / "demo" / "demo.svg"
PLACE = Path("/tmp/demo")  # a path that says nothing of this machine: runs print theirs
TITLE = "passingloop: from a GPU shell to the queue, a preemption, and on"


def main() -> int:
    """Record, unless only the drawings are wanted; then draw. Returns the exit code."""
    parser = argparse.ArgumentParser("record-demo", description="Record the terminal demo, and draw it.")
    parser.add_argument("--draw", action="store_true", help="only draw docs/demo/demo.cast again")
    arguments = parser.parse_args()
    try:
        import pyte  # noqa: F401  # before minutes are spent on recording
    except ImportError:
        print("error: The drawing needs pyte. Do: .venv/bin/pip install pyte", file=sys.stderr)
        return 3
    from demo.drawing import animation, moment, still

    if not arguments.draw:
        with _place() as environment, Terminal(environment, PLACE) as terminal:
            for line in LINES:
                print(f"$ {line.text}", file=sys.stderr)
                terminal.type_line(line)
        Cast(output=shortened(terminal.output, terminal.ends), title=TITLE).write(CAST)
    cast = read_cast(CAST)
    DRAWING.write_text(animation(cast), encoding="utf-8")
    for name, shown in STILLS.items():
        DRAWING.with_name(f"{name}.svg").write_text(still(cast, moment(cast, shown)), encoding="utf-8")
    seconds = cast.output[-1][0]
    print(f"{seconds:.0f} s; {CAST.stat().st_size:,} and {DRAWING.stat().st_size:,} bytes", file=sys.stderr)
    return 0


@contextmanager
def _place() -> Iterator[dict[str, str]]:
    """The environment of a terminal in an empty folder, beside a cluster of two GPUs. Both are removed afterwards."""
    PLACE.mkdir(mode=0o700)
    try:
        with tempfile.TemporaryDirectory() as folder:
            cluster = [
                str(ROOT / "scripts" / "dev-slurm"),
                "up",
                "--nodes",
                "1",
                "--gpus",
                "2",
                "--dir",
                f"{folder}/cluster",
            ]
            try:
                subprocess.run(cluster, check=True)
                yield _environment(Path(folder))
            finally:
                subprocess.run([cluster[0], "down", "--dir", f"{folder}/cluster"], check=True)
    finally:
        subprocess.run(["rm", "-r", str(PLACE)], check=True)


def _environment(folder: Path) -> dict[str, str]:
    dev_slurm = str(ROOT / "scripts" / "dev-slurm")
    lines = subprocess.run(
        [dev_slurm, "env", "--dir", f"{folder}/cluster"], check=True, capture_output=True, text=True
    ).stdout
    (folder / ".bashrc").write_text("PS1='$ '\nbind 'set enable-bracketed-paste off'\nunset PROMPT_COMMAND\n")
    command = f"{lines}\nenv -0"
    made = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    environment = dict(entry.split("=", 1) for entry in made.split("\0") if entry)
    return {name: text for name, text in environment.items() if name != "BASH_FUNC"} | {
        "HOME": str(folder),
        "PATH": f"{ROOT / '.venv' / 'bin'}:{environment['PATH']}",
        "PASSINGLOOP_RUN_ROOT": str(PLACE / "runs"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(folder),
        "SHELL": "/bin/bash",
    }


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
