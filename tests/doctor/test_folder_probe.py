"""Folders are tried for real, and left as they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.doctor import folder_probe
from passingloop.doctor.folder_probe import Mark, answer, look_at, mark_in, mount_of, read_mounts
from passingloop.doctor.node_checks import MarkEvidence
from passingloop.index.catalogue import run_paths
from tests.conftest import Disk

MOUNTS = [
    "/dev/sda1 / ext4 rw,relatime 0 0",
    "server:/home /home nfs4 rw,hard,local_lock=none 0 0",
    "server:/my\\040lab /home/my\\040lab nfs rw,nolock 0 0",
    "none /home tmpfs rw 0 0",
]


@pytest.mark.parametrize(
    ("path", "kind", "options"),
    [
        ("/etc", "ext4", ("rw", "relatime")),
        ("/homes/ann", "ext4", ("rw", "relatime")),
        ("/home/ann/runs", "tmpfs", ("rw",)),  # mounted over the other
        ("/home/my lab/runs", "nfs", ("rw", "nolock")),
    ],
)
def test_the_mount_of_a_path(path: str, kind: str, options: tuple[str, ...]) -> None:
    assert read_mounts(MOUNTS, Path(path)) == (kind, options)


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    seen = look_at(tmp_path)
    assert (seen.error, seen.lock_error, seen.rename_error) == ("", "", "")
    assert (seen.probed, seen.mode, seen.foreign) == (str(tmp_path), 0o750, False)
    assert (seen.kind, seen.options) == mount_of(tmp_path)
    assert seen.kind
    assert seen.free_bytes
    assert seen.sync_seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_is_judged_by_where_it_will_be(tmp_path: Path) -> None:
    seen = look_at(tmp_path / "runs" / "of" / "ann")
    assert (seen.path, seen.probed, seen.error) == (str(tmp_path / "runs/of/ann"), str(tmp_path), "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_says_why() -> None:
    """/proc takes none of anybody, and root may write everywhere else."""
    seen = look_at(Path("/proc"))
    assert seen.error
    assert seen.free_bytes is None


def test_a_full_disk_is_an_error(disk: Disk) -> None:
    disk.fill()
    assert look_at(disk.folder).error == "No space left on device"


def test_another_process_sees_the_mark_and_answers(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom passingloop.doctor.folder_probe import Mark, answer\n"
        "print(answer(Mark(Path(sys.argv[1]), sys.argv[2])))"
    )
    with mark_in(tmp_path / "runs") as mark:
        assert not mark.is_answered()
        command = [sys.executable, "-c", program, str(mark.folder), mark.token]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(MarkEvidence(found=True, same=True, lock="held"))
        assert mark.is_answered()
    assert list(tmp_path.iterdir()) == []


def test_a_mark_that_is_not_there_has_other_content_or_no_lock(tmp_path: Path) -> None:
    assert answer(Mark(tmp_path / "gone", "x")) == MarkEvidence(found=False)
    (tmp_path / folder_probe.TOKEN).write_text("y")
    assert answer(Mark(tmp_path, "x")) == MarkEvidence(found=True, same=False, lock="free")


def test_an_answer_of_somebody_else_is_none(tmp_path: Path) -> None:
    with mark_in(tmp_path) as mark:
        (mark.folder / folder_probe.ANSWER).write_text("something else")
        assert not mark.is_answered()


def test_the_marks_are_no_runs(tmp_path: Path) -> None:
    """No verb takes a folder with the beginning of ours for an experiment."""
    with mark_in(tmp_path) as mark:
        (mark.folder / "0123456789ab").mkdir()
        (mark.folder / "0123456789ab/run.json").write_text("{}")
        assert list(run_paths(tmp_path)) == []
