"""What it takes to build an image without a registry: a base of the distribution's packages, wheels, Apptainer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = "bookworm"
"""Debian's, whose Python is 3.11."""

PIVOT = """
set -e
tree=$1
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"; mount --rbind /dev "$tree/dev"; mount --rbind /sys "$tree/sys"
for folder in context wheels; do mount --bind "$2/$folder" "$tree/build/$folder"; done
cd "$tree"
pivot_root . old
all="--map-users=0:0:65536 --map-groups=0:0:65536"
exec chroot . unshare --user --mount --pid --fork --mount-proc $all bash -ec "$3"
"""
"""Runs a command in a tree as its root, in a user namespace: there Apptainer has all capabilities that it asks for."""


def need(*programs: str) -> None:
    """Skip the test unless these programs are here."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install {' '.join(missing)}")


def debian_tree(release: str, packages: str, target: Path) -> None:
    """Debian of a release with some packages, as a folder or as a tar file; skips the test where no mirror has it."""
    options = ["--variant=minbase", f"--include={packages}", '--aptopt=Acquire::Check-Valid-Until "false"']
    done = run(["mmdebstrap", *options, release, str(target), "http://deb.debian.org/debian"], check=False)
    if done.returncode:
        pytest.skip(f"Debian {release} could not be had from the mirror: {done.stderr.strip().splitlines()[-1]}")


def build_context(folder: Path) -> Path:
    """The files of the repository, as a fresh clone would have them."""
    names = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def locked_wheels(folder: Path) -> Path:
    """The locked packages as files, from wherever pip has them on this machine."""
    locks = ("lock-build", "lock", "torch")
    for lock in locks:
        listed = str(ROOT / "requirements" / f"{lock}.txt")
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "-r", listed])
    return folder


def run(command: list[str], *, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command, with what it printed."""
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
