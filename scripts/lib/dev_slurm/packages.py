"""Slurm, munge and MariaDB from the distribution: what is missing, and installing it where that is allowed."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from .words import Stop, say

# A program that is called here, and the package it comes in on Debian and Ubuntu.
PROGRAMS = {
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "slurmdbd": "slurmdbd",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-client",
    "sacctmgr": "slurm-client",
}
PACKAGES = ("slurm-wlm", "slurmdbd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "mariadb-server")

# policy-rc.d keeps apt from starting the system's own daemons, which nobody asked for. The trap takes it away again
# whatever happens; where the machine has one already, that one decides.
INSTALL = """
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\\nexit 101\\n' >$policy
    chmod 755 $policy
fi
apt="apt-get -y -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
$apt install --no-install-recommends "$@" || { $apt update && $apt install --no-install-recommends "$@"; }
"""


def program(name: str, place: Path | None = None) -> str:
    """Its path: of the release that the cluster in `place` runs, if that has one of its own, else the machine's."""
    own = place / "bin" / name if place else None
    return str(own) if own and own.exists() else find(name) or name


def find(name: str) -> str | None:
    """The machine's. Daemons live in sbin folders, which are in few people's PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")


def missing() -> list[str]:
    """The packages whose programs are not there."""
    return sorted({package for name, package in PROGRAMS.items() if find(name) is None})


def install_missing() -> None:
    """Say what is missing and install it, or stop with the line that would."""
    install(PACKAGES, missing)


def install(packages: Sequence[str], missing: Callable[[], list[str]]) -> None:
    """Install `packages` if any of them is `missing`. Stops where that is not allowed, or does not help."""
    lacking = missing()
    if not lacking:
        return
    line = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.environ.get("PASSINGLOOP_NO_SYSTEM", "0") not in ("", "0"):
        raise Stop(f"You set PASSINGLOOP_NO_SYSTEM, but {', '.join(lacking)} are missing. Do: {line}")
    as_root = prefix_for_root()
    if as_root is None or find("apt-get") is None:
        raise Stop(f"You have no {', '.join(lacking)}, and installing needs root and apt. Do: {line}")
    say(f"installing {' '.join(packages)} from the distribution, without starting their services")
    command = [*as_root, "sh", "-c", INSTALL, "sh", *packages]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode:
        raise Stop(f"apt could not install them: see above. Do: {line}")
    if missing():
        raise Stop(f"apt installed them, but {', '.join(missing())} brought nothing that is needed.")


def prefix_for_root() -> list[str] | None:
    """What to write before a command so that root runs it; None if that takes a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None
