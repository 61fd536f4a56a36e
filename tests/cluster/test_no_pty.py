"""A node without pseudo-terminals, as a container may be: what needs one says so, and the rest needs none."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import LIBRARY, Cluster, dev_slurm, until
from tests.cluster.desk import Desk
from tests.cluster.login import Login, events, first_run
from tests.cluster.test_interactive import allocate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a process file systems of its own"),
]

OWN_MOUNTS = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
WITHOUT_PTYS = [*OWN_MOUNTS, 'mount -t tmpfs none /dev/pts && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def cluster(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node, whose slurmd has an empty /dev/pts."""
    if subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode:
        pytest.skip("this machine lets not even root have file systems of its own")
    folder = tmp_path_factory.mktemp("no-pty") / "cluster"
    up = dev_slurm("up", folder, "--nodes", "1")
    assert up.returncode == 0, up.stderr
    cluster = Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
    slurmd = start_again(folder)
    try:
        until(lambda: cluster.says("sinfo", "--noheader", "--partition=main", "--format=%T") == "idle")
        yield cluster
    finally:
        assert dev_slurm("down", folder).returncode == 0
        slurmd.wait()


def start_again(folder: Path) -> subprocess.Popen[bytes]:
    """The node's slurmd, ended and started once more as it was, but without pseudo-terminals."""
    with pytest.MonkeyPatch.context() as here:
        here.syspath_prepend(LIBRARY)
        from dev_slurm import processes

        [pid] = [one.pid for one in processes.living(folder) if one.role == "slurmd-n1"]
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    env = dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
    with (folder / "log/slurmd-n1.out").open("ab") as log:
        return subprocess.Popen([*WITHOUT_PTYS, *argv], env=env, cwd=folder / "run", stdout=log, stderr=log)


def in_a_terminal(login: Login, *words: str, **env: str) -> tuple[int, str]:
    """``python train.py`` with stderr on a terminal. Its exit code, and what was shown."""
    shown, (controller, terminal) = bytearray(), pty.openpty()

    def read() -> None:
        while True:
            try:
                shown.extend(os.read(controller, 4096))
            except OSError:  # everybody has closed the terminal
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        code = subprocess.run(
            login.command(*words),
            env=login.env | env,
            cwd=login.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            timeout=120,
            check=False,
        ).returncode
    finally:
        os.close(terminal)
        reader.join()
        os.close(controller)
    return code, shown.decode()


def test_a_bar_needs_one_which_is_said_and_a_run_without_it_needs_none(login: Login) -> None:
    job = allocate(login, "--nodes=1", "--gpus-per-node=1", "--cpus-per-task=2")
    code, shown = in_a_terminal(login, "name=bar", SLURM_JOB_ID=job, TERM="xterm")
    assert code == 1
    assert "Slurmd could not connect IO" in shown
    assert "Set TERM=dumb for a run without the bar." in shown
    assert [end["cause"] for end in events(first_run(login, "bar"), "end")] == ["crash"]

    code, shown = in_a_terminal(login, "name=bar", SLURM_JOB_ID=job, TERM="dumb")
    assert code == 0, shown
    done = login.but(SLURM_JOB_ID=job, TERM="xterm").train("name=piped")
    assert done.returncode == 0, done.stderr


def test_a_shell_at_a_terminal_needs_one_and_says_so(desk: Desk) -> None:
    shell = desk.terminal("shell")
    shell.read_until(r"n1 has no pseudo-terminals \(/dev/pts\), of which a terminal needs one\.")
    assert shell.exit_code() == 3
