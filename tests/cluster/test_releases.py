"""Other releases of Slurm than the installed one: their daemons run beside it, and a preempted run goes on exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import (
    LIBRARY,
    PATIENCE,
    ROOT,
    Cluster,
    Finished,
    dev_slurm,
    finished,
    own_environment,
    until,
)
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.conftest import Disk

NEWEST = "26.05"
STEPS = ("trainer.steps=200", "checkpoint.every_steps=50", "resources.cpus=1")
"""A few seconds of training: long enough to interrupt."""

KEPT = Path.home() / ".cache" / "passingloop-slurm"
"""The tester's own folder, also for root: the programs, 110 MB of each release, serve later runs of the tests."""


@pytest.fixture(scope="module", params=[NEWEST, pytest.param("24.11", marks=pytest.mark.slow)])
def cluster(
    request: pytest.FixtureRequest, packages: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One node of a cluster of that release; skipped where Debian's packages of it cannot be had.

    The programs are the machine's where it has some. Else they are fetched into `KEPT`, and stay there.
    """
    with pytest.MonkeyPatch.context() as here:
        here.syspath_prepend(LIBRARY)
        from dev_slurm import trees

        if not trees.Tree(trees.SHARED / request.param, request.param).works:
            here.setenv(trees.PLACE, str(KEPT))
        made = install(request.param)
        if made.returncode:
            pytest.skip(f"no Slurm {request.param}: {made.stderr.strip().splitlines()[-1]}")
        folder = tmp_path_factory.mktemp("release") / "cluster"
        up = dev_slurm("up", folder, "--nodes", "1", "--release", request.param)
        assert up.returncode == 0, up.stderr
        cluster = Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
        assert cluster.says("sbatch", "--version").startswith(f"slurm-wlm {request.param}.")
        yield cluster
        assert dev_slurm("down", folder).returncode == 0


def test_a_preempted_run_goes_on_exactly_and_its_job_ends_once(login: Login) -> None:
    [run] = login.submit("name=makes-way", "cluster.qos=scavenger", *STEPS)
    wait_for_step(run, 60)
    login.cluster.submit("sleep 1", "--qos=production", "--gpus-per-node=2", "--time=1")
    assert wait_for(run)["cause"] == "preempted"
    done = login.train("name=uninterrupted", *STEPS)
    assert done.returncode == 0, done.stderr
    assert wait_for(run, 2)["cause"] == "completed"
    assert weights(run) == weights(RunDir(Path(done.stdout.strip())))

    job = str(events(run, "queued")[-1]["job_id"])
    until(lambda: login.cluster.state(job) in ("COMPLETED", "PREEMPTED"))
    assert " Restarts=1 " in login.cluster.says("scontrol", "show", "job", job)
    assert [event["cause"] for event in events(run, "end")] == ["preempted", "completed"]


def weights(run: RunDir) -> str:
    return str((run.read_result() or {})["weights_sha256"])


# --- making a tree ---------------------------------------------------------------------------------------------


NOWHERE = "http://127.0.0.1:9/debian"


@pytest.fixture
def other(packages: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A release that is not the installed one."""
    monkeypatch.syspath_prepend(LIBRARY)
    from dev_slurm import trees

    return next(release for release in trees.DEBIAN if release != trees.installed())


def install(release: str, **env: str) -> Finished:
    argv = [sys.executable, str(ROOT / "scripts/dev-slurm"), "install", "--release", release]
    return finished(argv, own_environment() | env)


def test_where_debian_cannot_be_reached_it_is_said_so(other: str, tmp_path: Path) -> None:
    left = tmp_path / f"{other}.new-killed/cache"  # by a command that was killed
    left.mkdir(parents=True)
    done = install(other, PASSINGLOOP_SLURM_RELEASES=str(tmp_path), PASSINGLOOP_DEBIAN_MIRROR=NOWHERE)
    assert done.returncode == 3
    assert f"You asked for Slurm {other}, but Debian " in done.stderr
    assert f"could not be had from {NOWHERE}: " in done.stderr
    assert "Do: check the network, or set PASSINGLOOP_DEBIAN_MIRROR" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"{other}.lock"]


def test_where_there_is_no_room_nothing_is_fetched(other: str, disk: Disk) -> None:
    done = install(other, PASSINGLOOP_SLURM_RELEASES=str(disk.folder))
    assert done.returncode == 3
    assert "MB left, and 400 are needed. Do: make room, or set PASSINGLOOP_SLURM_RELEASES" in done.stderr


def test_a_folder_that_cannot_be_written_is_named(other: str, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    done = install(other, PASSINGLOOP_SLURM_RELEASES=str(tmp_path / "cache/slurm"))
    assert done.returncode == 3
    assert f"{tmp_path}/cache/slurm cannot be written: Not a directory." in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("way", ["owner", "mode", "link"])
def test_root_runs_no_programs_that_others_may_have_put_there(other: str, tmp_path: Path, way: str) -> None:
    folder, why = tmp_path / "folder", "belongs to user 4242, who"
    folder.mkdir()
    if way == "mode":
        folder.chmod(0o777)
        why = "can be written by others, who"
    else:
        os.chown(folder, 4242, 4242)
    place = folder
    if way == "link":
        place = tmp_path / "link"
        place.symlink_to(folder)
    program = folder / "slurm" / other / "bin/slurmctld"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    done = install(other, PASSINGLOOP_SLURM_RELEASES=str(place / "slurm"), PASSINGLOOP_DEBIAN_MIRROR=NOWHERE)
    assert done.returncode == 3
    assert f"but {folder} {why} could put other programs there. Do: set PASSINGLOOP_SLURM_RELEASES" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_lock_is_no_link_to_another_file(other: str, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / f"slurm/{other}.lock").symlink_to(tmp_path / "another")
    done = install(other, PASSINGLOOP_SLURM_RELEASES=str(tmp_path / "slurm"), PASSINGLOOP_DEBIAN_MIRROR=NOWHERE)
    assert done.returncode == 3
    assert f"{tmp_path}/slurm cannot be written: Too many levels of symbolic links." in done.stderr
    assert not (tmp_path / "another").exists()


def test_of_two_that_need_a_tree_the_second_uses_what_the_first_has_made(other: str, tmp_path: Path) -> None:
    """The first is this process; the second could fetch nothing."""
    from dev_slurm import trees

    shared = trees.Tree(tmp_path / other, other)
    env = own_environment() | {trees.PLACE: str(tmp_path), "PASSINGLOOP_DEBIAN_MIRROR": NOWHERE}
    argv = [sys.executable, str(ROOT / "scripts/dev-slurm"), "install", "--release", other]
    with trees.alone(shared.path):
        second = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
        assert second.stderr
        assert second.stderr.readline().endswith(f"waiting for another command that makes {shared.path}\n")
        programs_that_say(other, shared.bin)
        before = shared.path.stat().st_ino
    assert second.communicate(timeout=PATIENCE)[1] == ""
    assert (second.returncode, shared.path.stat().st_ino) == (0, before)


def programs_that_say(release: str, folder: Path) -> None:
    """What a tree is known by."""
    folder.mkdir(parents=True)
    for name in ("slurmctld", "slurmd"):
        (folder / name).write_text(f"#!/bin/sh\necho slurm-wlm {release}.1\n")
        (folder / name).chmod(0o755)


def test_a_program_that_is_slow_to_answer_is_kept(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dev_slurm import trees, words

    program = tmp_path / other / "bin/slurmctld"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(trees, "PATIENCE_S", 0.1)
    monkeypatch.setenv(trees.PLACE, str(tmp_path))
    monkeypatch.setenv("PASSINGLOOP_DEBIAN_MIRROR", NOWHERE)
    with pytest.raises(words.Stop, match=f"{program} -V has not answered"):
        trees.tree(other)
    assert program.exists()


def test_a_tree_that_does_not_work_is_set_aside_with_all_that_daemons_may_need(other: str, tmp_path: Path) -> None:
    from dev_slurm import trees

    plugin = tmp_path / other / "lib/plugin.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    trees.set_aside(plugin.parents[1])
    [aside] = tmp_path.iterdir()
    assert aside.name.startswith(f"{other}.old-")
    assert (aside / "lib/plugin.so").exists()


def test_the_commands_of_a_cluster_are_there_while_their_tree_is_made(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dev_slurm import trees, words

    commands = tmp_path / "bin"
    commands.symlink_to(tmp_path / "earlier")
    monkeypatch.setenv(trees.PLACE, str(tmp_path / "releases"))
    monkeypatch.setenv("PASSINGLOOP_DEBIAN_MIRROR", NOWHERE)
    with pytest.raises(words.Stop, match="could not be had"):
        trees.link(other, commands)
    assert commands.readlink() == tmp_path / "earlier"


def test_a_link_that_is_right_stays_and_another_is_replaced(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dev_slurm import trees

    tree = trees.Tree(tmp_path / "releases" / other, other)
    programs_that_say(other, tree.bin)
    monkeypatch.setenv(trees.PLACE, str(tmp_path / "releases"))
    commands = tmp_path / "bin"
    commands.symlink_to(tmp_path / "earlier")
    trees.link(other, commands)
    assert commands.readlink() == tree.bin
    os.utime(commands, (7, 7), follow_symlinks=False)
    trees.link(other, commands)
    assert commands.lstat().st_mtime == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "releases"]


def test_a_release_that_debian_has_not_is_refused() -> None:
    done = install("23.02")
    assert done.returncode == 2
    assert "23.02" in done.stderr and "26.05" in done.stderr


def test_path_has_the_commands_of_one_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(LIBRARY)
    from dev_slurm import processes

    mine, another = tmp_path / "mine", tmp_path / "another"
    for folder in (mine, another):
        (folder / "bin").mkdir(parents=True)
        (folder / "dev-slurm.lock").touch()
    monkeypatch.setenv("PATH", f"{another}/bin:/opt/bin:{mine}/bin:/usr/bin")
    assert processes.search_path(mine) == f"{mine}/bin:/opt/bin:/usr/bin"
    (another / "bin").rmdir()  # of the installed release
    assert processes.search_path(another) == "/opt/bin:/usr/bin"
