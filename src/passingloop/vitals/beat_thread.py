"""A thread of a training process that tells where the process stands, and has its stacks written if it is hung.

The stacks come from `faulthandler`, in one of two ways. Usually the supervisor asks for them, and this thread writes
them. If something holds Python's lock (the GIL), this thread cannot run either: so it keeps winding up a timer of
`faulthandler`, a thread in C that needs no lock, which goes off when it has not been wound up for too long. A process
that is stopped (SIGSTOP) writes nothing.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from pathlib import Path

from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import current_time
from passingloop.vitals import beats
from passingloop.vitals.beats import Beat
from passingloop.vitals.marks import Marks

IO = Path("/proc/self/io")

LEAST_BYTES = 1 << 18
"""Read or written in a period, from which on that counts as progress. This thread's own are a few hundred."""

LEAST_CPU = 0.02
"""Of one CPU in a period. This thread's own are less than a thousandth."""


class BeatThread:
    """Tells where a process stands, as long as the process lives.

    Args:
        stuck_seconds: without any progress, after which an attempt counts as hung.
    """

    def __init__(self, run: RunDir, attempt: int, rank: int, stuck_seconds: float, marks: Marks) -> None:
        self._run, self._attempt, self._rank, self._marks = run, attempt, rank, marks
        self._node = beats.own_node()
        self._stuck = stuck_seconds
        self._log = run.log(attempt, rank)
        self._bytes, self._cpu, self._at = 0, 0.0, time.monotonic()
        self._period = beats.period(stuck_seconds)
        self._count = 0
        self._stacks = False

    def start(self) -> None:
        """Begin; the first beat is written at once."""
        self._stacks_file = self._log.open("a", encoding="utf-8")
        self._bytes, self._cpu = transferred_bytes(), time.process_time()
        self._beat()
        threading.Thread(target=self._run_on, daemon=True, name="beats").start()

    def _run_on(self) -> None:
        while True:
            time.sleep(self._period)
            self.look_at_work()
            if not self._stacks and (reason := beats.requested_stacks(self._run, self._attempt)):
                self._write_stacks(reason)
            self._beat()

    def _beat(self) -> None:
        faulthandler.dump_traceback_later(self._stuck, file=self._stacks_file)
        marks, self._count = self._marks, self._count + 1
        beat = Beat(
            rank=self._rank,
            node=self._node,
            process=os.getpid(),
            doing=marks.doing,
            step=marks.step,
            place=marks.place,
            signs=marks.signs,
            count=self._count,
            stacks=self._stacks,
        )
        beats.write(self._run, self._attempt, beat)

    def look_at_work(self) -> None:
        """Take work and bytes since the last look for a sign of life, where that counts."""
        transferred, cpu, now = transferred_bytes(), time.process_time(), time.monotonic()
        has_transferred = transferred - self._bytes >= LEAST_BYTES
        has_worked = cpu - self._cpu >= LEAST_CPU * (now - self._at)
        self._bytes, self._cpu, self._at = transferred, cpu, now
        evidence = self._marks.evidence
        if (has_transferred and evidence != "marks") or (has_worked and evidence == "work"):
            self._marks.sign()

    def _write_stacks(self, reason: str) -> None:
        self._stacks = True
        head = f"{current_time()} {reason} The stacks of process {self._rank} on {self._node}:\n"
        self._stacks_file.write(head)
        self._stacks_file.flush()
        faulthandler.dump_traceback(file=self._stacks_file)


def transferred_bytes() -> int:
    """What this process has read and written, also of files that it maps into memory; proc(5)."""
    try:
        fields = dict(line.split(": ") for line in IO.read_text(encoding="ascii").splitlines())
    except OSError:  # not on this machine
        return 0
    return sum(int(fields.get(name, 0)) for name in ("rchar", "wchar", "read_bytes"))
