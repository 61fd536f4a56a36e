"""Which checkpoints of a run directory count."""

from __future__ import annotations

from pathlib import Path

from passingloop.rundir.directory import RunDir, folder_names


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert (run.complete_checkpoints(), run.saved_step) == ([], 0)
    for name in ("step-00000002", "step-00000010", "step-00000030", "step-3", "step-00000040.part", "other"):
        (run.checkpoints / name).mkdir(parents=True)
        if name != "step-00000030":
            (run.checkpoints / name / "manifest.json").write_text("{}")
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000010", "step-00000002"]
    assert run.saved_step == 10
    assert run.checkpoint(10) == run.complete_checkpoints()[0]


def test_folders_of_the_program_are_left_out(tmp_path: Path) -> None:
    for name in ("b", "a", ".passingloop-0", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert folder_names(str(tmp_path)) == [".hidden", "a", "b"]
    assert folder_names(str(tmp_path / "absent")) == []
