"""The lines of slurmctld's log that a replay follows its jobs by, as releases from 22.05 on write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.simulation.replay.controller_log import ControllerLog, events_in


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"[2026-11-30T01:01:44.218] sched: Allocate JobId=16 NodeList=n1 #CPUs=1", [("allocated", 16)]),
        (b"[2026-11-30T00:51:44.260] sched/backfill: _start_job: Started JobId=15 in main on n1", [("allocated", 15)]),
        (b"[2026-11-30T01:04:19.541] _job_complete: JobId=17 WEXITSTATUS 0", []),
        (b"[2026-11-30T01:04:19.542] _job_complete: JobId=17 done", [("over", 17)]),
        (b"[2026-11-29T23:28:24.379] Requeuing JobId=1", [("over", 1)]),
        (b"[2026-11-30T00:51:44.058] _slurm_rpc_submit_batch_job: JobId=15 InitPrio=36371 usec=3426", []),
        (
            b"[2026-11-29T22:57:20.295] preempted JobId=7 has been requeued to reclaim resources for JobId=9",
            [("over", 7)],
        ),
    ],
)
def test_what_a_line_says(line: bytes, found: list[tuple[str, int]]) -> None:
    assert list(events_in(line)) == found


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "slurmctld.log"
    path.write_bytes(b"sched: Allocate JobId=1 NodeList=n1\n")
    log = ControllerLog(path)
    assert list(log.events()) == []  # it was there before
    with path.open("ab") as file:
        file.write(b"sched: Allocate Job")
        file.flush()
        assert list(log.events()) == []
        file.write(b"Id=2 NodeList=n1\n_job_complete: JobId=2 done\n")
    assert list(log.events()) == [("allocated", 2), ("over", 2)]
    log.close()
