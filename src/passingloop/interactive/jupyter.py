"""Jupyter in a session's job: its settings, where it listens, and whether it is in use."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passingloop.errors import MissingError, PassingloopError
from passingloop.interactive.environment import activated
from passingloop.interactive.session import Session
from passingloop.slurm import control

SETTINGS = """\
import pathlib

def note_use(handler, used=pathlib.Path({used!r})):
    if handler.request.method not in ("GET", "HEAD", "OPTIONS"):  # a page that is only open asks, too
        used.touch()

c.ServerApp.ip = {address!r}
c.ServerApp.port = 0
c.ServerApp.open_browser = False
c.ServerApp.allow_root = {root!r}
c.ServerApp.root_dir = {folder!r}
c.ServerApp.allow_remote_access = True
c.ServerApp.tornado_settings = {{"log_function": note_use}}
c.IdentityProvider.token = pathlib.Path({token!r}).read_text()
"""
"""The configuration file. The token stands in a file of its own: neither on a command line nor in a variable."""

ANSWER_TIMEOUT = 5.0
"""Seconds."""

INSTALL = "pip install 'passingloop[notebook]'"


def check_installed() -> None:
    """Raises:
    MissingError: JupyterLab is not installed beside us.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingError(f"passingloop notebook needs JupyterLab. Install it: {INSTALL}.")


class Jupyter:
    """The server of a session, as its keeper sees it.

    Args:
        folder: private, on this node.
    """

    def __init__(self, session: Session, folder: Path) -> None:
        self._runtime = folder / "runtime"
        self._runtime.mkdir(mode=0o700)
        self._used = folder / "used"
        self._used.touch()
        self._token = session.token.read_text()
        settings = folder / "jupyter_server_config.py"
        settings.write_text(
            SETTINGS.format(
                used=str(self._used),
                address=_address(),
                root=os.getuid() == 0,
                folder=session.asked().folder,
                token=str(session.token),
            ),
            encoding="utf-8",
        )
        command = [sys.executable, "-P", "-m", "jupyterlab", f"--config={settings}"]
        environment = activated(os.environ) | {"JUPYTER_RUNTIME_DIR": str(self._runtime)}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def where(self) -> tuple[str, int] | None:
        """Address and port, once it answers."""
        for path in self._runtime.glob("jpserver-*.json"):
            try:
                found = json.loads(path.read_text())
            except (OSError, ValueError):  # it is being written
                continue
            address, port = str(found["hostname"]), int(found["port"])
            if self._ask(address, port, "api/status") is not None:
                return address, port
        return None

    def noted(self, where: tuple[str, int]) -> object:
        """A value that changes when a kernel works, or when something is written, such as a notebook."""
        kernels = self._ask(*where, "api/kernels")
        seen = [(kernel["id"], kernel["last_activity"], kernel["execution_state"]) for kernel in kernels or ()]
        return seen, self._used.stat().st_mtime_ns

    def _ask(self, address: str, port: int, page: str) -> Any:
        url = f"http://{address}:{port}/{page}?no_track_activity=1"
        request = urllib.request.Request(url, headers={"Authorization": f"token {self._token}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy inside the cluster
        try:
            with opener.open(request, timeout=ANSWER_TIMEOUT) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None


def _address() -> str:
    """The address at which Slurm reaches this node."""
    try:
        return control.node_address(os.environ["SLURMD_NODENAME"])
    except (KeyError, PassingloopError):
        return os.uname().nodename


def urls(state: Mapping[str, Any], token: str, page: str | None, login: str) -> tuple[str, str]:
    """The URL for the browser, and the ssh command that makes it reachable from the user's own computer.

    Args:
        state: what the session has reported.
        login: this machine, as ssh calls it: user@host.
    """
    port = state["port"]
    path = f"lab/tree/{page}" if page else "lab"
    return f"http://127.0.0.1:{port}/{path}?token={token}", f"ssh -N -L {port}:{state['address']}:{port} {login}"
