"""The one folder a cluster lives in: whose it is, whose turn it is, and taking it away again."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from .words import Stop

LOCK = "dev-slurm.lock"  # also the sign that a folder is ours
PARTS = ("etc", "run", "log", "state", "spool", "mysql", "gpu", "bin", "cluster.json", "cluster.json.new")

# Slurm's files know no quoting, and a socket's path ends at 107 bytes.
PLAIN = re.compile(r"[\w/.+@-]{1,70}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a cluster was made with."""

    nodes: int
    gpus: int
    """per node"""
    cpus: int
    """per node; nodes may claim more than the machine has"""
    release: str
    """of Slurm, such as 24.11"""
    port: int
    """the first of `nodes` + 2: slurmctld, slurmdbd, then the slurmd"""


@dataclass(frozen=True)
class Folder:
    """A cluster's folder. `place` is the path that is written into Slurm's files."""

    path: Path

    @classmethod
    def at(cls, given: str | None) -> "Folder":
        """The folder that was asked for, or this user's own: always the same one, so that every shell finds it."""
        return cls(Path(given or f"/tmp/passingloop-dev-slurm-{os.geteuid()}").resolve())

    @cached_property
    def place(self) -> Path:
        if PLAIN.fullmatch(str(self.path)):
            return self.path
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path(f"/tmp/passingloop-dev-slurm-{name}")

    @property
    def exists(self) -> bool:
        return (self.path / LOCK).exists()

    # --- making and removing -------------------------------------------------------------------------------

    def claim(self) -> None:
        """Make the folder, or stop if it is someone's or something else's."""
        # Root's cluster is for all users of the machine, as a site's is; anyone else's runs jobs as its owner only.
        try:
            self.path.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        except OSError as why:
            raise Stop(f"{self.path} cannot be made: {why.strerror}. Do: give --dir another folder.", 2) from None
        if self.path.stat().st_uid != os.geteuid():
            raise Stop(f"{self.path} belongs to another user. Do: give --dir a folder of your own.", 2)
        if any(self.path.iterdir()) and not self.exists:
            raise Stop(f"{self.path} holds something else than a dev-slurm cluster. Do: give --dir a new folder.", 2)
        if self.place != self.path:
            self._link()

    def _link(self) -> None:
        """A short plain name for a path that is too long or too odd for Slurm."""
        with contextlib.suppress(FileExistsError):
            self.place.symlink_to(self.path)
        if self.place.lstat().st_uid != os.geteuid() or not self.place.samefile(self.path):
            raise Stop(f"{self.place} is in the way: a link with that name is needed for {self.path}.")

    def forget_link(self) -> None:
        if self.place != self.path and self.place.is_symlink():
            self.place.unlink()

    def empty(self) -> None:
        """Remove what was made, and nothing that others put there."""
        for name in PARTS:
            part = self.path / name
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)

    def remove(self) -> bool:
        """Remove the folder too; False if something of others is left in it."""
        self.empty()
        self.forget_link()
        (self.path / LOCK).unlink(missing_ok=True)
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True

    # --- turns -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One command at a time changes a cluster; the folder is claimed meanwhile."""
        while True:
            self.claim()
            try:
                lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            except FileNotFoundError:
                continue  # `down` was quicker
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.fstat(lock).st_nlink:  # else it was removed while we waited
                    yield
                    return
            finally:
                os.close(lock)

    # --- what it was made with ---------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape | None:
        """None until accounting is set up, the part that cannot be done twice."""
        try:
            return Shape(**json.loads((self.path / "cluster.json").read_text()))
        except FileNotFoundError:
            return None
        except TypeError:
            raise Stop(f"The cluster in {self.path} is of another version of this program. Do: take it down.") from None

    def keep(self, shape: Shape) -> None:
        new = self.path / "cluster.json.new"
        new.write_text(json.dumps(asdict(shape)) + "\n")
        new.replace(self.path / "cluster.json")
