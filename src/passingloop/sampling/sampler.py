"""The process that records what a node does during an attempt, from its start to the end of its parent.

    python -m passingloop.sampling.sampler RUN ATTEMPT SECONDS ROOT < pipe of the parent

One such process runs on each node of an attempt; the first training process there starts it. It has a process of its
own because drivers and file systems may block, and the training is not to wait for them. Whatever goes wrong in it,
samples are missing then, and nothing else.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import BYTES_PER_SECOND, NodeSamples, Sample, SamplesFile
from passingloop.rundir.usage import Totals
from passingloop.sampling.gpu_meter import GpuMeter
from passingloop.sampling.host_meter import HostMeter
from passingloop.sampling.nvml import gpu_names
from passingloop.vitals import beats

TOTALS_EVERY = 600.0
"""Seconds after which the totals are written, so that readers need the end of the file only."""


LARGEST_SHARE = 0.004
"""Of a core: where a driver takes long to answer, samples are taken less often."""


class Sampler:
    """Samples this node every `seconds` into the run directory, or less often if that would cost too much: see
    `BYTES_PER_SECOND` and `LARGEST_SHARE`.

    Args:
        root: the process whose children train, where no control group tells them.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, run: RunDir, attempt: int, seconds: float, root: int) -> None:
        self._period = self._seconds = seconds
        self._gpus = GpuMeter(gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES", "")))
        self._host = HostMeter(root)
        node = beats.own_node()
        header = NodeSamples(
            attempt=attempt,
            node=node,
            devices=self._gpus.devices,
            cpus=self._host.cpus(os.environ),
            memory_limit=self._host.memory_limit(os.environ),
        )
        run.samples.mkdir(exist_ok=True)
        self._file = SamplesFile(run.samples_of(attempt, node), header)
        self._totals = Totals()
        self._sampled = self._summed = time.monotonic()

    def close(self) -> None:
        """Let go of the library and the file."""
        self._gpus.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, end: int) -> None:
        """Sample until the descriptor `end` can be read, which it can when the other end of its pipe is closed.

        What was done after the last sample before that cannot be seen any more, and is left out.
        """
        parent = os.getppid()
        while os.getppid() == parent and not select.select([end], [], [], self._rest())[0]:
            self.sample()
        if self._totals.seconds:
            self._file.append(self._totals.to_line())

    def _rest(self) -> float:
        """Seconds until the next sample."""
        return max(0.0, self._sampled + self._period - time.monotonic())

    def sample(self) -> None:
        """Take one sample and append it."""
        now, used = time.monotonic(), time.process_time()
        seconds, self._sampled = min(now - self._sampled, 2 * self._period), now  # more if the job was suspended
        host = self._host.sample()
        sample = Sample(
            time=time.time(),
            seconds=seconds,
            gpus=self._gpus.sample(),
            cpus=host.cpus,
            memory=host.memory,
            read=host.read,
            written=host.written,
        )
        self._totals.add(sample)
        size = self._file.append(sample.to_row())
        used = time.process_time() - used
        self._period = max(self._seconds, size / BYTES_PER_SECOND, used / LARGEST_SHARE)
        if now - self._summed >= TOTALS_EVERY:
            self._summed = now
            self._file.append(self._totals.to_line())


def start_sampler(run: RunDir, attempt: int, seconds: float) -> subprocess.Popen[bytes] | None:
    """Start the process that samples this node until ours ends, or closes its stdin.

    Its session is its own, so that Ctrl-C does not reach it. Returns None if it cannot be started.
    """
    siblings = os.getppid() if os.getppid() > 1 else os.getpid()
    arguments = [str(run.path), str(attempt), str(seconds), str(siblings)]
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "passingloop.sampling.sampler", *arguments],
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
    except OSError:
        return None


def main(arguments: Sequence[str]) -> None:
    """Sample until stdin ends, with the lowest priority. Signals are for the training processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    os.nice(19)
    run, attempt, seconds, root = arguments
    with Sampler(RunDir(Path(run)), int(attempt), float(seconds), int(root)) as sampler:
        sampler.run(sys.stdin.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
