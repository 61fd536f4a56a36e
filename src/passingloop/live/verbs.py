"""Other verbs of this program, run for the chosen run: in the terminal, or for what they print."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = [sys.executable, "-P", "-m", "passingloop.cli.main"]
TIMEOUT = 120.0
"""Seconds after which a verb that is to print something is given up."""


@dataclass(slots=True)
class Verbs:
    """Runs verbs with the environment that this command was started with."""

    run_root: Path
    environment: dict[str, str]
    """Textual takes NO_COLOR out of this process's own."""
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def output(self, verb: str, *words: str | Path, width: int) -> tuple[int, str]:
        """The exit code of a verb and what it has printed, first on standard output, for a page `width` wide."""
        environment = self.environment | {"COLUMNS": str(width), "NO_COLOR": "1"}
        try:
            done = subprocess.run(
                self._command(verb, *words),
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 1, f"passingloop {verb} has not ended within {TIMEOUT:.0f} s."
        said = [text for text in (done.stdout, done.stderr) if text.strip()]
        return done.returncode, b"\n".join(said).decode(errors="replace").rstrip()

    def in_terminal(self, verb: str, *words: str | Path) -> int:
        """Give the terminal to a verb until it ends, which Ctrl-C does. Returns its exit code."""
        before = signal.signal(signal.SIGINT, lambda *_: None)  # it is for the verb alone, which does not inherit this
        try:
            self._child = subprocess.Popen(self._command(verb, *words), env=self.environment)
            return self._child.wait()
        finally:
            self._child = None
            signal.signal(signal.SIGINT, before)

    def stop(self) -> None:
        """End the verb that has the terminal."""
        if self._child:
            self._child.terminate()

    def _command(self, verb: str, *words: str | Path) -> list[str]:
        return [*COMMAND, verb, "--run-root", str(self.run_root), *map(str, words)]
