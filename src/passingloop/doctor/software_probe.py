"""Looks at the environment of this process without importing what is heavy."""

from __future__ import annotations

import configparser
import ctypes
import importlib.util
import netrc
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from passingloop.doctor.software_checks import Library, OdbcDriver, SoftwareEvidence, WandbEvidence
from passingloop.track.wandb_child import is_reachable
from passingloop.track.wandb_run import is_installed

PACKAGES = ("passingloop", "torch", "lightning", "transformers", "datasets", "pyodbc")
"""Those whose versions are compared."""

CONTAINER_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "CHARLIECLOUD_VERSION")
CONTAINER_FILES = ("/run/.containerenv", "/.singularity.d")
"""Of podman and of Apptainer. Docker's file is left out: in some clusters the nodes themselves are such containers."""

WANDB_HOST = "https://api.wandb.ai"


def software() -> SoftwareEvidence:
    """The environment of this process, on this machine."""
    before = os.umask(0o077)
    os.umask(before)
    return SoftwareEvidence(
        host=socket.gethostname().partition(".")[0],
        machine=platform.machine(),
        python=f"{sys.executable} {platform.python_version()}",
        versions=dict(_versions()),
        cuda=torch_cuda(),
        nccl=tuple(_nccl()),
        container=_container(),
        modules=tuple(filter(None, os.environ.get("LOADEDMODULES", "").split(":"))),
        python_path=os.environ.get("PYTHONPATH", ""),
        umask=before,
        unixodbc=_can_load("libodbc.so.2"),
        odbc=tuple(odbc_drivers()),
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def torch_cuda() -> str | None:
    """The version of CUDA that torch was built for, from the text of torch/version.py; None if for none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)", text, re.MULTILINE)
    return found[1] if found else None


def _nccl() -> Iterator[Library]:
    """NCCL as a package, and in folders of LD_LIBRARY_PATH and in LD_PRELOAD, which may go before it."""
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if name.startswith("nvidia-nccl-"):
            yield Library(version=distribution.version, place=name)
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    candidates = [f"{folder}/libnccl.so.2" for folder in folders if folder]
    candidates += [path for path in re.split("[: ]", os.environ.get("LD_PRELOAD", "")) if "libnccl" in path]
    for path in candidates:
        target = os.path.realpath(path)
        if os.path.exists(target) and (found := re.search(r"\.so\.(\d+\.\d+\.\d+)$", target)):  # noqa: PTH110
            yield Library(version=found[1], place=path)


def _container() -> str:
    variables = [f"{name}={os.environ[name]}" for name in CONTAINER_VARIABLES if os.environ.get(name)]
    files = [path for path in CONTAINER_FILES if os.path.exists(path)]  # noqa: PTH110
    return next(iter([*variables, *files]), "")


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def odbc_drivers() -> Iterator[OdbcDriver]:
    """The drivers in the system's and the user's odbcinst.ini: where unixODBC looks for them."""
    system = Path(os.environ.get("ODBCSYSINI", "/etc")) / os.environ.get("ODBCINSTINI", "odbcinst.ini")
    files = [system, Path("~/.odbcinst.ini").expanduser()]
    listing = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        listing.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return
    for name in listing.sections():
        library = listing[name].get("Driver", "")
        if name.upper() != "ODBC" and library:
            found = os.path.exists(library) if "/" in library else None  # noqa: PTH110
            yield OdbcDriver(name=name, library=library, found=found)


def wandb(setting: str) -> WandbEvidence:
    """Whether runs with tracking.mode=`setting` can be tracked online from here; takes 3 s at most.

    Whoever has a proxy, or a server of their own (WANDB_BASE_URL), has it set in the environment.
    """
    modes = {"offline": "offline", "disabled": "none"}
    mode = modes.get(os.environ.get("WANDB_MODE", ""), "auto") if setting == "auto" else setting
    host = os.environ.get("WANDB_BASE_URL", WANDB_HOST)
    if mode in ("none", "offline"):
        return WandbEvidence(mode=mode, host=host)
    installed, has_key = is_installed(), bool(os.environ.get("WANDB_API_KEY")) or _has_netrc_entry(host)
    reachable = is_reachable(host) if installed and has_key else None
    return WandbEvidence(mode=mode, installed=installed, has_key=has_key, host=host, reachable=reachable)


def _has_netrc_entry(url: str) -> bool:
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(url).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False
