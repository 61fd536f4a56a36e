"""ssh into a session: keys made for it, the client's entry, the server's configuration, and a login on the node.

The server speaks over the standard streams of a job step, so no port is open on any machine.

    python -m passingloop.interactive.ssh SESSION      what the server runs for every login
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from passingloop.errors import MissingError
from passingloop.files import read_json, write_text
from passingloop.interactive.door import Door
from passingloop.interactive.environment import Shell, activated, python_folder
from passingloop.slurm.capacity.facts import user_name

HOST = "passingloop"

SFTP_SERVERS = ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec")
"""Folders in which distributions keep sftp-server."""

PASSED_ON = ("SLURM_CONF", "XDG_STATE_HOME")
"""Variables without which the entry's command would look elsewhere than this one."""

OF_THE_LOGIN = ("SSH_", "TERM", "LANG", "LC_", "DISPLAY", "XAUTHORITY", "HOME", "USER", "LOGNAME", "SHELL", "COLORTERM")
"""Prefixes of the variables that a login keeps from ssh; the others come from the job."""

NEEDED_BY_PYTHON = ("PYTHONPATH", "LD_LIBRARY_PATH")
"""Variables without which our Python may not start; the server gives its children none of its own."""

CONNECT_TIMEOUT = 86400
"""Seconds. The client counts the time in the queue as time to connect."""


class Keys:
    """The keys in a private folder: one of the servers in all sessions, one with which this user is let in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def host(self) -> Path:
        return self.folder / "host_key"

    @property
    def client(self) -> Path:
        return self.folder / "client_key"

    @property
    def authorized(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def host_line(self) -> str:
        """The server's public key, as known_hosts has it."""
        return f"{HOST} {' '.join(self.host.with_suffix('.pub').read_text().split()[:2])}"

    def make(self) -> None:
        """Make those that are missing.

        Raises:
            MissingError: there is no ssh-keygen.
        """
        for key in (self.host, self.client):
            if not (key.exists() and key.with_suffix(".pub").exists()):
                _make_key(key)
        write_text(self.authorized, self.client.with_suffix(".pub").read_text(), durable=False)
        write_text(self.known_hosts, f"{self.host_line}\n", durable=False)


def _make_key(key: Path) -> None:
    key.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", HOST, "-f", str(key)]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise MissingError(
            "There is no ssh-keygen here that makes keys, so nothing can be let in by ssh. Install OpenSSH's client."
        ) from None


def client_entry(keys: Keys, options: Sequence[str], via: str | None) -> str:
    """The entry for ~/.ssh/config.

    Args:
        options: of the session, as words.
        via: the login node as the user's own computer calls it, if the entry is for that computer; its own key is used
            there, which has to be one of the user's authorized keys on the cluster.
    """
    passed = [f"{name}={os.environ[name]}" for name in PASSED_ON if os.environ.get(name)]
    command = [
        *(["env", *passed] if passed else []),
        f"{python_folder()}/passingloop",
        "shell",
        "--ssh-proxy",
        *options,
    ]
    proxy = shlex.join(command).replace("%", "%%")
    if via:
        identity = [("KnownHostsCommand", f"/bin/echo {keys.host_line}"), ("UserKnownHostsFile", "none")]
        proxy = f"ssh {shlex.quote(via)} {shlex.quote(proxy)}"
    else:
        identity = [
            ("IdentityFile", _word(keys.client)),
            ("IdentitiesOnly", "yes"),
            ("UserKnownHostsFile", _word(keys.known_hosts)),
        ]
    lines = [
        ("User", user_name()),
        ("HostKeyAlias", HOST),
        ("ProxyCommand", proxy),
        *identity,
        ("GlobalKnownHostsFile", "none"),
        ("StrictHostKeyChecking", "yes"),
        ("ConnectTimeout", str(CONNECT_TIMEOUT)),
        ("ServerAliveInterval", "60"),
    ]
    return "\n".join([f"Host {HOST}", *(f"    {name} {value}" for name, value in lines)])


def _word(path: Path) -> str:
    return '"{}"'.format(str(path).replace("%", "%%"))


def server_command(keys: Keys, door: Door) -> list[str]:
    """The command of a server for one connection, on its standard streams; its settings are written.

    Raises:
        MissingError: this node has no sshd.
    """
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None:
        raise MissingError(
            f"There is no sshd on {os.uname().nodename}, so the session cannot be reached by ssh. Ask for "
            "OpenSSH's server to be installed on the nodes; it needs not run."
        )
    configuration = door.folder / "sshd_config"
    write_text(configuration, server_settings(keys, door.name), durable=False)
    return [sshd, "-i", "-e", "-f", str(configuration)]


def server_settings(keys: Keys, session: str) -> str:
    """The server's configuration: nobody but this user, with no password, by a key of their own."""
    needed = [f"{name}={os.environ[name]}" for name in NEEDED_BY_PYTHON if name in os.environ]
    login = shlex.join(["env", *needed, sys.executable, "-P", "-m", "passingloop.interactive.ssh", session])
    sftp = shutil.which("sftp-server", path=os.pathsep.join(SFTP_SERVERS))
    lines = [
        ("HostKey", f'"{keys.host}"'),
        ("AuthorizedKeysFile", " ".join(f'"{path}"' for path in (keys.authorized, *_own_keys(Path.home())))),
        ("StrictModes", "no"),  # sshd would refuse a folder below /tmp; the folders are checked here
        ("AllowUsers", user_name()),
        ("AuthenticationMethods", "publickey"),
        ("PasswordAuthentication", "no"),
        ("KbdInteractiveAuthentication", "no"),
        ("UsePAM", "no"),
        ("PidFile", "none"),
        ("LogLevel", "ERROR"),
        ("PrintMotd", "no"),
        ("X11Forwarding", "yes"),
        ("AcceptEnv", "LANG LC_* COLORTERM"),
        ("ForceCommand", f"exec {login}"),
        *([("Subsystem", f"sftp {sftp}")] if sftp else []),
    ]
    return "".join(f"{name} {value}\n" for name, value in lines)


def _own_keys(home: Path) -> list[Path]:
    """The file of the keys with which the user comes to the cluster, unless others could have written to it."""
    path = home / ".ssh" / "authorized_keys"
    try:
        found = [part.stat() for part in (path, path.parent, home)]
    except OSError:
        return []
    safe = all(part.st_uid in (0, os.getuid()) and not part.st_mode & 0o022 for part in found)
    return [path] if safe else []


def login(session: str) -> None:
    """Become what the client has asked for: a shell, or a command, with the variables of the session's job."""
    door = Door(session)
    kept = {name: value for name, value in os.environ.items() if name.startswith(OF_THE_LOGIN)}
    environment = activated(read_json(door.environment) | kept)
    shell = Shell.of_user(environment)
    asked = environment.pop("SSH_ORIGINAL_COMMAND", None)
    if asked is None:
        node = environment.get("SLURMD_NODENAME", os.uname().nodename)
        command = shell.interactive(door.folder, environment, f"job {environment['SLURM_JOB_ID']} on {node}")
    else:
        command = [shell.path, "-c", asked]
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is meant


if __name__ == "__main__":
    login(sys.argv[1])
