"""The environment in a session: our Python first on PATH, also after the start-up files of the user's shell."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SESSION_VARIABLE = "PASSINGLOOP_SESSION"
"""Set in a session, to its job."""

BASH_START = """\
for file in /etc/bash.bashrc ~/.bashrc; do
    [ -r "$file" ] && . "$file"
done
unset file
{activate}
PS1={prompt}"$PS1"
"""
"""For ``bash --rcfile``, which reads this in place of the user's file and, on Debian, the system's."""

ZSH_FIRST = """\
ZDOTDIR={user}
[[ -r $ZDOTDIR/.zshenv ]] && . $ZDOTDIR/.zshenv
PASSINGLOOP_ZDOTDIR=$ZDOTDIR
ZDOTDIR={ours}
"""
"""``.zshenv`` in a folder that ZDOTDIR names; it reads the user's own, and keeps zsh looking here for `ZSH_START`."""

ZSH_START = """\
ZDOTDIR=$PASSINGLOOP_ZDOTDIR
unset PASSINGLOOP_ZDOTDIR
[[ -r $ZDOTDIR/.zshrc ]] && . $ZDOTDIR/.zshrc
{activate}
PROMPT={prompt}"$PROMPT"
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """The user's shell."""

    path: str

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> Shell:
        """$SHELL, else what the system has for the user; bash or sh where this node lacks it."""
        candidates = [environ.get("SHELL", ""), _login_shell(), "/bin/bash"]
        return cls(next((path for path in candidates if path and os.access(path, os.X_OK)), "/bin/sh"))

    def interactive(self, folder: Path, environ: dict[str, str], prompt: str) -> list[str]:
        """The command of an interactive shell that is active (see `activated`) and says in its prompt where it is.

        Args:
            folder: private; start-up files are written there.
            environ: of the shell. Variables are added that it needs.
        """
        name = Path(self.path).name
        activate = "\n".join(
            f"export {key}={_quoted(key, environ)}" for key in ("PATH", "VIRTUAL_ENV") if key in environ
        )
        words = {"activate": activate, "prompt": shlex.quote(f"({prompt}) ")}
        if name == "bash":
            start = folder / "bashrc"
            start.write_text(BASH_START.format(**words), encoding="utf-8")
            return [self.path, "--rcfile", str(start), "-i"]
        if name == "zsh":
            ours = folder / "zsh"
            ours.mkdir(exist_ok=True)
            user = shlex.quote(environ.get("ZDOTDIR") or environ.get("HOME") or str(Path.home()))
            first = ZSH_FIRST.format(user=user, ours=shlex.quote(str(ours)))
            (ours / ".zshenv").write_text(first, encoding="utf-8")
            (ours / ".zshrc").write_text(ZSH_START.format(**words), encoding="utf-8")
            environ["ZDOTDIR"] = str(ours)
        return [self.path, "-i"]


def _login_shell() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:  # as in some containers
        return ""


def _quoted(key: str, environ: Mapping[str, str]) -> str:
    """For PATH our folder is put before what the start-up files have made of it."""
    return f'{shlex.quote(python_folder())}:"$PATH"' if key == "PATH" else shlex.quote(environ[key])


def python_folder() -> str:
    """Where `python` and `passingloop` are."""
    return str(Path(sys.executable).parent)


def activated(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables with the virtual environment of our Python active, as its ``bin/activate`` does it."""
    path = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part != python_folder()]
    new = {**environ, "PATH": os.pathsep.join([python_folder(), *path])}
    new[SESSION_VARIABLE] = environ.get("SLURM_JOB_ID", "")
    if sys.prefix != sys.base_prefix:
        new["VIRTUAL_ENV"] = sys.prefix
        new.pop("PYTHONHOME", None)
    return new
