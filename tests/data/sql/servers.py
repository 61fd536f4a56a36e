"""Real databases for the tests: PostgreSQL, MariaDB and SQLite, each behind its ODBC driver.

They are made in folders of their own, listen on ports of their own on this machine only, and end with the tests.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "s3cr3t;{pa}ss= wörd"
"""Of the user `tester`: all that is special in a connection string."""

VARIABLE = "TEST_DB_PASSWORD"
"""Where the tests put it."""

PATIENCE = 60.0


@dataclass(frozen=True)
class Database:
    """A database that answers."""

    kind: str
    connection: str
    """For `data.connection`: without the password."""
    password_env: str | None
    folder: Path

    def do(self, *statements: str) -> None:
        """Change it, as its owner would."""
        connection = self.open()
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def fill(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Add rows. As literals: libmaodbc 3.1.15 breaks long texts that are bound."""
        lines = [f"({', '.join(map(self.literal, row))})" for row in rows]
        self.do(*(f"INSERT INTO {table} VALUES {', '.join(lines[at : at + 500])}" for at in range(0, len(lines), 500)))

    def literal(self, value: Any) -> str:
        """As it stands in a statement."""
        if value is None:
            return "NULL"
        if isinstance(value, str):
            text = value.replace("'", "''")
            return f"'{text.replace(chr(92), chr(92) * 2) if self.kind == 'mariadb' else text}'"
        return str(value)

    def open(self) -> Any:
        """A connection that commits each statement."""
        if self.kind == "sqlite":  # libsqliteodbc 0.9998 breaks statements with an emoji in them
            return sqlite3.connect(self.folder / "shop.db", isolation_level=None)
        import pyodbc

        secret = "PWD={" + PASSWORD.replace("}", "}}") + "};" if self.password_env else ""
        return pyodbc.connect(secret + self.connection, autocommit=True)


@contextlib.contextmanager
def postgresql() -> Iterator[Database]:
    """A server with a superuser `tester`, who has to give the password; its log has every statement."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    with _folder("postgres") as folder:
        (folder / "password").write_text(PASSWORD)
        _give(folder / "password", "postgres")
        made = f"{programs}/initdb --pgdata={folder}/data --no-sync --auth=scram-sha-256 --username=tester"
        _call(
            "setpriv",
            *_as("postgres"),
            *made.split(),
            f"--pwfile={folder}/password",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        )
        port = _free_port()
        settings = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        settings += " -c log_statement=all"
        server = [*_as("postgres"), f"{programs}/postgres", "-D", f"{folder}/data", *settings.split()]
        ready = [f"{programs}/pg_isready", "--quiet", f"--host={folder}", f"--port={port}"]
        with _running(server, folder / "log", ready, signal.SIGQUIT):
            given = f"Driver=PostgreSQL Unicode;Server=127.0.0.1;Port={port};Database=postgres;UID=tester"
            yield Database("postgresql", given, VARIABLE, folder)


@contextlib.contextmanager
def mariadb() -> Iterator[Database]:
    """A server with a database `shop` and a user `tester`, who has to give the password."""
    with _folder(None) as folder:
        data = f"--no-defaults --user={pwd.getpwuid(os.geteuid()).pw_name} --datadir={folder}/data"
        small = "--innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync"
        small += " --character-set-server=utf8mb4"
        kind = "--skip-test-db --auth-root-authentication-method=normal"
        _call("mariadb-install-db", *f"{data} {small} {kind}".split())
        port = _free_port()
        where = f"--socket={folder}/socket --port={port} --bind-address=127.0.0.1 --pid-file={folder}/pid"
        client = ["mariadb", "--no-defaults", f"--socket={folder}/socket", "--default-character-set=utf8mb4"]
        server = [_program("mariadbd"), *f"{data} {small} {where}".split()]
        with _running(server, folder / "log", [*client, "--execute=SELECT 1"], signal.SIGTERM):
            users = (
                f"CREATE DATABASE shop; CREATE USER tester@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
                "GRANT ALL ON shop.* TO tester@'127.0.0.1'"
            )
            _call(*client, f"--execute={users}")
            given = f"Driver=MariaDB Unicode;Server=127.0.0.1;Port={port};Database=shop;UID=tester"
            yield Database("mariadb", given, VARIABLE, folder)


@contextlib.contextmanager
def sqlite() -> Iterator[Database]:
    """A file."""
    with _folder(None) as folder:
        (folder / "shop.db").touch()
        yield Database("sqlite", f"Driver=SQLite3;Database={folder}/shop.db", None, folder)


@contextlib.contextmanager
def _folder(owner: str | None) -> Iterator[Path]:
    """Under /tmp: a socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pl-db-"))
    _give(folder, owner)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(path: Path, owner: str | None) -> None:
    if owner and os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(path, owner)


def _as(user: str) -> list[str]:
    return [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def _running(server: list[str], log: Path, ready: list[str], end: signal.Signals) -> Iterator[None]:
    """The server, from when it is ready. It ends with these tests, also when they are killed."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *server], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/"
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{server[0]} does not get ready"
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(end)
        process.wait()


def _call(*argv: str) -> None:
    done = subprocess.run(
        [_program(argv[0]), *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or name


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])
