"""Keys, the client's entry and the server's settings, as OpenSSH itself reads them."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from passingloop.errors import MissingError
from passingloop.interactive.door import Door
from passingloop.interactive.environment import python_folder
from passingloop.interactive.ssh import Keys, client_entry, server_command, server_settings


def need(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {program}")
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    need("ssh-keygen")
    folder = tmp_path / "my keys"
    folder.mkdir(mode=0o700)
    keys = Keys(folder)
    keys.make()
    return keys


def client_settings(entry: str, folder: Path) -> dict[str, str]:
    """The entry as ssh understands it."""
    (folder / "config").write_text(entry)
    said = subprocess.run(
        [need("ssh"), "-G", "-F", folder / "config", "passingloop"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)


def test_keys_are_made_once_and_are_private(keys: Keys) -> None:
    before = {path.name: path.read_bytes() for path in keys.folder.iterdir()}
    keys.make()
    assert {path.name: path.read_bytes() for path in keys.folder.iterdir()} == before
    for key in (keys.host, keys.client):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert keys.authorized.read_text() == keys.client.with_suffix(".pub").read_text()


def test_a_key_that_was_left_half_made_is_made_again(keys: Keys) -> None:
    keys.client.with_suffix(".pub").unlink()
    keys.make()
    assert keys.authorized.read_text().startswith("ssh-ed25519 ")


def test_without_ssh_keygen_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="ssh-keygen"):
        Keys(tmp_path).make()


def test_the_entry_for_this_machine(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/a path/100%/slurm.conf")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    found = client_settings(client_entry(keys, ["--gpus=2"], via=None), tmp_path)
    assert shlex.split(found["proxycommand"].replace("%%", "%")) == [
        "env",
        "SLURM_CONF=/a path/100%/slurm.conf",
        f"{python_folder()}/passingloop",
        "shell",
        "--ssh-proxy",
        "--gpus=2",
    ]
    assert found["identityfile"] == str(keys.client)
    assert found["userknownhostsfile"] == str(keys.known_hosts)
    assert (found["stricthostkeychecking"], found["hostkeyalias"]) == ("true", "passingloop")
    assert int(found["connecttimeout"]) > 3600


def test_the_entry_for_ones_own_computer(keys: Keys, tmp_path: Path) -> None:
    found = client_settings(client_entry(keys, [], via="me@login.example"), tmp_path)
    program, login, remote = shlex.split(found["proxycommand"])
    assert (program, login) == ("ssh", "me@login.example")
    assert shlex.split(remote)[-2:] == ["shell", "--ssh-proxy"]
    assert str(keys.folder) not in str(found)
    echo = subprocess.run(shlex.split(found["knownhostscommand"]), capture_output=True, text=True, check=True)
    assert echo.stdout.strip() == keys.host_line


def test_the_server_takes_its_settings(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/my modules")
    (tmp_path / "sshd").write_text(server_settings(keys, "7"))
    command = [need("sshd"), "-T", "-f", str(tmp_path / "sshd"), "-C", "user=me,host=h,addr=127.0.0.1"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)
    assert (found["passwordauthentication"], found["usepam"], found["authenticationmethods"]) == (
        "no",
        "no",
        "publickey",
    )
    assert "PYTHONPATH=/my modules" in shlex.split(found["forcecommand"])
    assert str(keys.authorized) in found["authorizedkeysfile"]


@pytest.mark.parametrize(
    ("modes", "taken"),
    [
        ((0o755, 0o700, 0o600), True),
        ((0o775, 0o700, 0o600), False),
        ((0o755, 0o720, 0o600), False),
        ((0o755, 0o700, 0o602), False),
    ],
)
def test_own_keys_count_if_nobody_else_can_write_them(
    keys: Keys, tmp_path: Path, modes: tuple[int, int, int], taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    assert f"{home}/.ssh" not in server_settings(keys, "7")
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "authorized_keys").touch()
    for path, mode in zip((home, home / ".ssh", home / ".ssh" / "authorized_keys"), modes, strict=True):
        path.chmod(mode)
    assert (f'"{home}/.ssh/authorized_keys"' in server_settings(keys, "7")) is taken


def test_a_node_without_sshd_says_so(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)  # it is looked for in /usr/sbin, too
    with pytest.raises(MissingError, match="There is no sshd on"):
        server_command(keys, Door("7"))
