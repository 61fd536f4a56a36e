"""Other names for the users and accounts of a trace, so that it can be given away.

A name is a keyed hash (HMAC-SHA-256): the same name under the same key, and without the key nobody can find out whose
it is, not even by trying all names of a site. Submission times are not changed: who knows when somebody submitted a
job can recognise it. Nor are the names of QOS, by which the jobs find the QOS of the policy that is tried.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import replace
from pathlib import Path

from passingloop.errors import ConfigError
from passingloop.simulation.traces.trace import Trace

KEY_BYTES = 32
SHORTEST_KEY = 16
DIGITS = 12
"""48 bits: among 10,000 names two are the same with a probability of one in five million."""


def pseudonymised(trace: Trace, key: bytes) -> Trace:
    """The trace with other names of users and accounts; the notes say which names are left."""
    jobs = [
        replace(job, user=_pseudonym("u", job.user, key), account=_pseudonym("a", job.account, key))
        for job in trace.jobs
    ]
    users, accounts = ({getattr(job, field) for job in jobs} for field in ("user", "account"))
    notes = [f"The names of {len(users)} users and {len(accounts)} accounts are pseudonyms."]
    if kept := sorted({job.qos for job in jobs} - {""}):
        notes.append(f"QOS keep their names: {', '.join(kept)}. Give qos.OLD=NEW for one that says whose it is.")
    return trace.with_jobs(jobs, *notes)


def random_key() -> bytes:
    """A key that nobody keeps: the names are others each time."""
    return os.urandom(KEY_BYTES)


def kept_key(path: Path) -> bytes:
    """The key in a file, which is made, readable for its owner alone, if it does not exist.

    Raises:
        ConfigError: it cannot be read or made, is too short, or can be read by others.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(random_key())
    except FileExistsError:
        pass
    except OSError as problem:
        raise ConfigError(f"pseudonyms={path}: the key cannot be written: {problem.strerror}.") from None
    try:
        key, mode = path.read_bytes(), path.stat().st_mode
    except OSError as problem:
        raise ConfigError(f"pseudonyms={path}: the key cannot be read: {problem.strerror}.") from None
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            f"pseudonyms={path}: a key of {len(key)} bytes can be guessed. Remove the file, and a new one is made."
        )
    if mode & 0o077:
        raise ConfigError(f"pseudonyms={path}: others may read the key. Run chmod 600 {path}.")
    return key


def _pseudonym(kind: str, name: str, key: bytes) -> str:
    return kind + hmac.new(key, f"{kind} {name}".encode(), hashlib.sha256).hexdigest()[:DIGITS]
