"""The sessions of a user: a private folder for each, which the command that asks for it and the job share.

$XDG_STATE_HOME/passingloop/interactive/     (~/.local/state without the variable; mode 0700)
    lock                    held by a command that looks for a session, or asks for one
    ssh/                    keys of `passingloop shell --ssh`
    sessions/<name>/
        session.json        what was asked for
        keeper.sh           the batch script: by its path Slurm's jobs are told apart
        keeper.txt          what the batch script has printed
        state.json          what the job has reported: where it runs
        exits.txt           a letter for each shell that was left on purpose
        token               of Jupyter

Which job runs is Slurm's to say, so nothing here is wrong after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from passingloop.errors import ConfigError
from passingloop.files import check_version, read_json, write_json
from passingloop.interactive.idle import IdleLimits
from passingloop.vitals.idleness import NEVER, IdleRule

Kind = Literal["shell", "notebook"]

VERSION = 1

KEPT_SECONDS = 7 * 86400
"""How long the folder of a session that has ended stays, for its output to be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a session was asked for, in ``session.json``."""

    kind: Kind
    nodes: int
    gpus: int
    """Per node, as `cpus`."""
    cpus: int
    lasting: bool
    """Whether it stays when everybody has left."""
    folder: str
    """The working folder."""
    single: bool
    """Whether it is for a single command, and ends with it."""
    limits: IdleLimits
    """The site's, as the command found them: where nodes get slurm.conf from slurmctld, they have no other file."""
    gpu_rule: IdleRule = NEVER
    """The site's for GPUs that compute nothing, whatever else the session does."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session and its files."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "keeper.sh"

    @property
    def output(self) -> Path:
        return self.folder / "keeper.txt"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    @property
    def _asked(self) -> Path:
        return self.folder / "session.json"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    @property
    def _exits(self) -> Path:
        return self.folder / "exits.txt"

    def create(self, asked: Asked) -> None:
        """Make the folder, with access for its user only."""
        self.folder.mkdir(mode=0o700)
        write_json(self._asked, {"version": VERSION, **asdict(asked)})
        self._state.touch()
        self._exits.touch()
        if asked.kind == "notebook":
            descriptor = os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))

    def asked(self) -> Asked:
        """What `create` wrote.

        Raises:
            OtherVersion: another passingloop wrote it.
        """
        content = read_json(self._asked)
        check_version(str(self._asked), content.pop("version"), VERSION, "End that session: scancel its job.")
        rule = content.get("gpu_rule", {})
        gpu_rule = IdleRule(**rule | {"warnings": tuple(rule["warnings"])}) if rule else NEVER
        return Asked(**content | {"limits": IdleLimits(**content["limits"]), "gpu_rule": gpu_rule})

    def report(self, **state: str | int) -> None:
        """Write where the job runs. The file is there already and is written in place: a file that is opened is looked
        up anew by NFS, while one that is new may stay unseen for half a minute."""
        with self._state.open("w", encoding="utf-8") as file:
            file.write(json.dumps(state))

    def reported(self) -> Mapping[str, Any]:
        """What `report` wrote; empty before."""
        try:
            content = json.loads(self._state.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # it is being written
            return {}
        return content if isinstance(content, dict) else {}

    def note_exit(self) -> None:
        """Write that a shell was left on purpose; the session may have ended by then."""
        with contextlib.suppress(OSError), self._exits.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(b"x")

    def exits(self) -> int:
        """How many shells were left on purpose."""
        try:
            return len(self._exits.read_bytes())
        except OSError:
            return 0

    def output_tail(self) -> str:
        """The last lines that the batch script has printed."""
        try:
            return "\n".join(self.output.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a user's sessions."""

    path: Path

    @classmethod
    def of_user(cls) -> Home:
        """The one of this user, which is made if need be.

        Raises:
            ConfigError: others may look into it or write to it.
        """
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        home = cls(Path(base) / "passingloop" / "interactive")
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(home.path)
        for folder in (home.ssh, home.sessions):
            folder.mkdir(mode=0o700, exist_ok=True)
        return home

    @property
    def ssh(self) -> Path:
        return self.path / "ssh"

    @property
    def sessions(self) -> Path:
        return self.path / "sessions"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """A context in which no other command of this user looks for a session: two terminals get the same one."""
        with (self.path / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def new_session(self, asked: Asked) -> Session:
        """A new session with a unique name; its folder is made."""
        name = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
        session = Session(self.sessions / name)
        session.create(asked)
        return session

    def session_of(self, script: str) -> Session | None:
        """The session whose job has this batch script; None if it is another job, or its folder is gone."""
        folder = Path(script).parent
        return Session(folder) if folder.parent == self.sessions and folder.is_dir() else None

    def prune(self, kept: Collection[Session]) -> None:
        """Remove the folders of sessions that began more than `KEPT_SECONDS` ago, except those `kept`."""
        for folder in self.sessions.iterdir():
            if Session(folder) not in kept and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def check_private(folder: Path) -> None:
    """Check that the folder is this user's, and that nobody else may look into it.

    Raises:
        ConfigError: it is not.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{folder} holds keys and has to be a folder of your own that only you may use, but it is "
            f"{stat.filemode(found.st_mode)} and belongs to user {found.st_uid}. Do: chmod 700 {folder}"
        )
