"""Runs a script of this folder in a process of its own, and reads the figures that it writes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import ROOT

BENCH = ROOT / "bench"
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(BENCH), os.environ.get("PYTHONPATH")])),
    "TOKENIZERS_PARALLELISM": "true",
    # As our launcher sets it, for all that are compared: else two programs on the same cores take 4.5 times as long.
    # It costs a program that is alone 2 %.
    "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000"),
}


def figures_of(script: str, settings: dict[str, Any], limit: float) -> dict[str, Any]:
    """The figures of ``python bench/SCRIPT SETTINGS.json``, or ``{"absent": why}``: nothing is made up in their place.

    Args:
        settings: of the script; its figures go where `out` in it, or in its `wanted`, says.
        limit: seconds after which it is killed.
    """
    out = Path(settings.get("out") or settings.get("prepare") or settings["wanted"]["out"])
    out.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w+", suffix=".json") as given, tempfile.TemporaryFile("w+") as said:
        json.dump(settings, given)
        given.flush()
        process = subprocess.Popen(
            [sys.executable, str(BENCH / script), given.name],
            env=os.environ | ENVIRONMENT,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return {"absent": f"it took longer than {limit:.0f} s"}
        if out.exists():
            figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            return figures
        said.seek(0)
        return {"absent": reason(said.read(), process.returncode)}


def reason(said: str, code: int) -> str:
    """Why a script has written no figures."""
    if "OutOfMemoryError" in said or "out of memory" in said:
        return "out of memory"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {code}")[:300]
