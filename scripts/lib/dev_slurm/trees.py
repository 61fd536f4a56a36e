"""Slurm of other releases: programs from Debian's packages, in a folder beside what the machine has installed.

No chroot and no root: the packages are unpacked, and their programs told to load the libraries that came with them,
by their interpreter and RPATH. So the daemons are Debian's own, and jobs see the machine as it is. munge and MariaDB
are the machine's; MariaDB's protocol is stable, and slurmdbd 24.11 fails with the MariaDB of its own Debian.
"""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .packages import find
from .words import Stop, say

DEBIAN = {"22.05": "bookworm", "24.11": "trixie", "26.05": "forky"}
"""Which Debian has a release of Slurm."""

SHARED = Path("/var/cache/passingloop-slurm")
"""Root's trees are for everybody, as root's cluster is."""

PLACE = "PASSINGLOOP_SLURM_RELEASES"
"""The variable that names another folder for all trees: then neither the shared one nor one's own is looked at."""

MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("slurmctld", "slurmd", "slurmdbd", "slurm-client", "slurm-wlm-basic-plugins", "patchelf")
ROOM = 400 * 1024**2
"""Bytes that making a tree takes; 110 MB of them stay."""

PATIENCE_S = 30.0
"""How long a program may take to say its version."""

FOLDERS = ("etc", "state/lists/partial", "cache/archives/partial", "slurm", "rest")
UNPACK = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --no-same-owner'

# What the machine's apt does after its own work, such as emptying its cache, is not for this one.
APT = """\
Dir::Etc::sourcelist "{place}/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{place}/state";
Dir::State::status "{place}/state/status";
Dir::Cache "{place}/cache";
Dir::Log "{place}/state";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Debug::NoLocking "true";
Binary::apt-get::APT::Keep-Downloaded-Packages "true";
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
"""


@dataclass(frozen=True)
class Tree:
    """Slurm of one release, in `path`: its programs are in `bin`, and libraries and plugins below `lib`."""

    path: Path
    release: str

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def works(self) -> bool:
        """False also where someone's clean-up has taken a part of it."""
        said = [version(self.bin / name) for name in ("slurmctld", "slurmd")]
        return all(one is not None and one.startswith(f"{self.release}.") for one in said)


def installed() -> str:
    """The release of the machine's own Slurm, such as 22.05."""
    said = version(Path(find("slurmd") or "slurmd"))
    if said is None:
        raise Stop("You have a Slurm whose slurmd does not run. Do: slurmd -V, which says why.")
    return said.rpartition(".")[0]


def link(release: str, commands: Path) -> None:
    """Make `commands` a link to the programs of that release, unless it is the machine's own."""
    if release == installed():
        return
    programs = tree(release).bin
    if commands.is_symlink() and commands.readlink() == programs:
        return
    # At no moment is there no link: who looks then would run the machine's release.
    new = commands.with_name(f"{commands.name}.new")
    new.unlink(missing_ok=True)  # of a command that was killed
    new.symlink_to(programs)
    new.replace(commands)


def tree(release: str) -> Tree:
    """The tree of that release, made if there is none yet."""
    shared = Tree(SHARED / release, release)
    if os.geteuid() != 0 and not os.environ.get(PLACE) and shared.works:
        return shared
    mine = Tree(own_folder() / release, release)
    with alone(mine.path):
        if os.geteuid() == 0:
            check_owners(mine)
        if not mine.works:
            make(mine)
    return mine


def own_folder() -> Path:
    if place := os.environ.get(PLACE):
        return Path(place).absolute()
    if os.geteuid() == 0 and "XDG_CACHE_HOME" not in os.environ:
        return SHARED
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "passingloop-slurm"


def check_owners(tree: Tree) -> None:
    """Stop if somebody else than root could have put the programs there that root is about to run."""
    for part in (place for folder in (tree.bin, tree.path / "lib") for place in parts(folder)):
        try:
            found = part.lstat()
        except FileNotFoundError:
            continue
        if found.st_uid != 0:
            why = f"belongs to {owner(found.st_uid)}"
        elif found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX and not stat.S_ISLNK(found.st_mode):
            why = "can be written by others"
        else:
            continue
        raise Stop(
            f"You are root, and the programs of Slurm {tree.release} are to be in {tree.path}, but {part} {why}, who"
            f" could put other programs there. Do: set {PLACE} to a folder that only root can write."
        )


def parts(path: Path) -> Iterator[Path]:
    """`path`, the folders that it is in, and where links among them lead."""
    for part in (*reversed(path.parents), path):
        yield part
        if part.is_symlink():
            yield from parts(part.parent / part.readlink())


def owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def version(program: Path) -> str | None:
    """What a program of Slurm says of itself, such as 24.11.5; None if it does not run.

    Stops if it does not answer: a slow machine or file system says nothing of the program.
    """
    try:
        said = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, timeout=PATIENCE_S).stdout
    except OSError:
        return None
    except subprocess.TimeoutExpired:
        raise Stop(
            f"{program} -V has not answered in {PATIENCE_S:g} seconds. Do: try again when the machine or its disk"
            " is less busy."
        ) from None
    found = re.search(r"(\d+\.\d+\.\d+)", said)
    return found[1] if found else None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One command at a time makes a tree; the others wait for it, and use it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as why:
        raise Stop(f"{path.parent} cannot be written: {why.strerror}. Do: set {PLACE} to a folder.") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command that makes {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# --- making one --------------------------------------------------------------------------------------------------


def make(tree: Tree) -> None:
    """Fetch, unpack, relocate; the tree appears when it is whole."""
    suite = DEBIAN[tree.release]
    check_means(tree)
    say(f"fetching Slurm {tree.release} from Debian {suite} into {tree.path}: 30 MB, once")
    for left in tree.path.parent.glob(f"{tree.path.name}.new-*"):
        shutil.rmtree(left)  # of a command that was killed
    place = Path(tempfile.mkdtemp(prefix=f"{tree.path.name}.new-", dir=tree.path.parent))
    try:
        for name in FOLDERS:
            (place / name).mkdir(parents=True)
        fetch(place, suite, tree.release)
        made = place / "tree"
        arrange(place, made)
        relocate(place, made, tree)
        made.chmod(0o755)
        set_aside(tree.path)
        made.rename(tree.path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if not tree.works:
        raise Stop(
            f"You asked for Slurm {tree.release}, but Debian {suite} gave {version(tree.bin / 'slurmctld') or 'none'}"
            f" that runs here. Do: choose another of {', '.join(DEBIAN)}."
        )


def set_aside(path: Path) -> None:
    """Give a tree that does not work another name. It is not removed: daemons may run from it."""
    if not path.exists():
        return
    aside = Path(tempfile.mkdtemp(prefix=f"{path.name}.old-", dir=path.parent))
    path.rename(aside)
    say(f"{path} did not work, and is {aside} now. Remove it when no cluster runs from it")


def check_means(tree: Tree) -> None:
    absent = [name for name in ("apt-get", "dpkg-deb", "tar") if find(name) is None]
    asked = f"You asked for Slurm {tree.release}, which is not this machine's"
    if absent:
        raise Stop(f"{asked}, but fetching it from Debian needs {', '.join(absent)}. Do: use a Debian or Ubuntu.")
    if not KEYRING.exists():
        raise Stop(f"{asked}, but Debian's keys are missing. Do: apt-get install debian-archive-keyring")
    free = shutil.disk_usage(tree.path.parent).free
    if free < ROOM:
        raise Stop(
            f"{asked}, but {tree.path.parent} has {free // 1024**2} MB left, and {ROOM // 1024**2} are needed."
            f" Do: make room, or set {PLACE} to another folder."
        )


def fetch(place: Path, suite: str, release: str) -> None:
    """The packages and all they need, unpacked without running anything of theirs."""
    mirror = os.environ.get("PASSINGLOOP_DEBIAN_MIRROR", MIRROR)
    (place / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n")
    (place / "etc/apt.conf").write_text(APT.format(place=place))
    (place / "state/status").touch()
    for words in (["update"], ["--yes", "--download-only", "--no-install-recommends", "install", *PACKAGES]):
        said = run("apt-get", "-c", str(place / "etc/apt.conf"), "-q", *words)
        if said.returncode or "\nE: " in said.stderr or "\nW: Failed to fetch" in f"\n{said.stderr}":
            lines = [line for line in said.stderr.splitlines() if line.startswith(("E: ", "W: "))]
            raise Stop(
                f"You asked for Slurm {release}, but Debian {suite} could not be had from {mirror}:"
                f" {(lines[0][3:] if lines else said.stderr).strip()}."
                " Do: check the network, or set PASSINGLOOP_DEBIAN_MIRROR to a mirror that you reach."
            )
    for package in sorted((place / "cache/archives").glob("*.deb")):
        target = place / ("slurm" if package.name.startswith("slurm") else "rest")
        said = run("sh", "-c", UNPACK, "sh", str(package), str(target))
        if said.returncode:
            raise Stop(f"{package.name} could not be unpacked: {said.stderr.strip()}")


def arrange(place: Path, made: Path) -> None:
    """What Slurm's programs need, and nothing else of Debian."""
    for name in ("bin", "lib"):
        (made / name).mkdir(parents=True)
    for program in place.glob("slurm/usr/*bin/*"):
        # Debian's alternatives link a daemon's plain name to this one.
        program.rename(made / "bin" / program.name.removesuffix("-wlm"))
    for folder in (*place.glob("*/lib/*-linux-gnu"), *place.glob("*/usr/lib/*-linux-gnu")):
        shutil.copytree(folder, made / "lib", symlinks=True, dirs_exist_ok=True)


def relocate(place: Path, made: Path, tree: Tree) -> None:
    """Tell the programs where their libraries will be. RPATH, unlike RUNPATH, goes for what plugins need as well."""
    [loader] = (made / "lib").glob("ld-linux-*.so.*")
    # Relative, as a colon in a path would end it here.
    patch = [str(loader), "--library-path", "lib", str(place / "rest/usr/bin/patchelf")]
    patch += ["--set-interpreter", str(tree.path / "lib" / loader.name)]
    patch += ["--force-rpath", "--set-rpath", "$ORIGIN/../lib:$ORIGIN/../lib/slurm-wlm"]
    for program in (made / "bin").iterdir():
        said = run(*patch, str(program), cwd=made)
        if said.returncode:
            raise Stop(f"{program.name} could not be told where its libraries are: {said.stderr.strip()}")


def run(*argv: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv,
        env=os.environ | {"LC_ALL": "C"},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
