"""``passingloop shell`` where there is no Slurm: what it prints, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from passingloop.cli.cluster.shell import arrival_text, command_words
from passingloop.interactive.idle import IdleLimits
from passingloop.interactive.session import Asked
from tests.cli.conftest import Verb


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "passingloop" / "interactive"


@pytest.mark.parametrize("words", [("shell",), ("shell", "--", "true"), ("shell", "--end")])
def test_without_slurm_it_says_so_and_leaves_no_session(verb: Verb, state: Path, words: tuple[str, ...]) -> None:
    done = verb(*words)
    assert (done.code, done.stdout) == (3, "")
    assert "so there is no Slurm to talk to" in done.stderr
    assert list((state / "sessions").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus=none",), "none is no number of at least 0"),
        (("--nodes=0",), "0 is no number of at least 1"),
        (("--mem=plenty",), "plenty is not a size such as 16G"),
        (("--time=1h",), "1h is not minutes, H:MM:SS or D-HH:MM:SS"),
        (("nvidia-smi", "a b"), "Write -- before the command: passingloop shell -- nvidia-smi 'a b'"),
        (("--via=login",), "Add --ssh."),
        (("--sssh",), "unrecognized arguments: --sssh"),
    ],
)
def test_what_is_typed_wrong_is_named(verb: Verb, words: tuple[str, ...], said: str) -> None:
    done = verb("shell", *words)
    assert done.code == 2
    assert said in done.stderr


def test_in_a_session_it_begins_no_other(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSINGLOOP_SESSION", "4711")
    for words in (("shell",), ("shell", "--", "true"), ("notebook",)):
        done = verb(*words)
        assert done.code == 2
        assert "You are in a session already, Slurm job 4711" in done.stderr


def test_the_entry_for_ssh_needs_no_slurm(verb: Verb, work: Path, state: Path) -> None:
    keygen = shutil.which("ssh-keygen", path="/usr/bin:/bin:/usr/local/bin")
    if keygen is None:
        pytest.skip("no ssh-keygen")
    (work / "bin" / "ssh-keygen").symlink_to(keygen)
    done = verb("shell", "--ssh", "--gpus=2", "--qos=interactive")
    assert done.code == 0, done.stderr
    assert done.stdout.startswith("Host passingloop\n")
    assert "shell --ssh-proxy --gpus=2 --qos=interactive\n" in done.stdout
    assert str(state / "ssh" / "client_key") in done.stdout
    assert "Append this to ~/.ssh/config on " in done.stderr
    for_home = verb("shell", "--ssh", "--via=me@login").stdout
    assert "ProxyCommand ssh me@login " in for_home
    assert "client_key" not in for_home


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["passingloop", "shell"], []),
        (["passingloop", "shell", "--gpus=1", "--", "a", "--", "b  c", ""], ["a", "--", "b  c", ""]),
        (["passingloop", "shell", "--"], []),
    ],
)
def test_the_words_of_the_command(argv: list[str], words: list[str]) -> None:
    assert command_words(argv) == words


@pytest.mark.parametrize(
    ("nodes", "gpus", "cpus", "said"),
    [(1, 1, 1, "on n1: 1 GPU, 1 CPU. `exit`"), (2, 4, 8, "on n1: 2 nodes, each with 4 GPUs, 8 CPUs. `exit`")],
)
def test_on_arrival_it_counts_what_the_job_has(nodes: int, gpus: int, cpus: int, said: str) -> None:
    asked = Asked(
        kind="shell",
        nodes=nodes,
        gpus=gpus,
        cpus=cpus,
        lasting=False,
        single=False,
        folder="/",
        limits=IdleLimits(warning=0, end=60),
    )
    assert said in arrival_text("7", asked, "n1", 0.0)
