"""A fault that is put into training processes from outside: one of them hangs at a step, once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Kind = Literal["waits", "holds the lock", "is stopped"]

PROGRAM = """
import ctypes, os, signal, sys, time
if "passingloop.job" in sys.orig_argv and "--prepare" not in sys.orig_argv:
    from passingloop.vitals.marks import Marks
    enter = Marks.enter
    by_srun = os.environ["PASSINGLOOP_RANKS"] == "srun"
    rank = int(os.environ["SLURM_PROCID" if by_srun else "RANK"])

    def hang():
        if {kind!r} == "waits":
            time.sleep(100000)
        if {kind!r} == "holds the lock":
            ctypes.PyDLL(None).pause()
        os.kill(os.getpid(), signal.SIGSTOP)

    def enter_or_hang(self, doing, evidence, step=None):
        if step == {step} and rank == {rank} and not os.path.exists({once!r}):
            open({once!r}, "w").close()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            hang()
        enter(self, doing, evidence, step)

    Marks.enter = enter_or_hang
"""


def hanging(folder: Path, kind: Kind, *, rank: int, step: int) -> dict[str, str]:
    """Environment variables with which process `rank` hangs, and ignores SIGTERM, before optimizer step `step`.

    A file in `folder` keeps it from doing so twice.
    """
    module = folder / "hang" / "sitecustomize.py"
    module.parent.mkdir()
    module.write_text(PROGRAM.format(kind=kind, step=step, rank=rank, once=str(folder / "hang" / "once")))
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(module.parent), os.environ.get("PYTHONPATH")]))}
