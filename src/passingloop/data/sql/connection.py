"""Connections: the password from its variable, the driver's options, a session that only reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from passingloop.data.sql.drivers import Driver, driver_named
from passingloop.data.sql.errors import connection_error, database_setting
from passingloop.data.sql.settings import SqlData
from passingloop.data.time_limit import call_with_timeout
from passingloop.errors import ConfigError, MissingError

LOGIN_SECONDS = 10
"""For a server to answer. Not every driver keeps to its login timeout (libmaodbc 3.1 has none for the greeting)."""

ATTRIBUTE = re.compile(r"\s*([^=;{}]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)")

NO_PASSWORD = re.compile(r"(?:^|;)\s*(?:PWD|Password)\s*=\s*(?=;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection that only reads."""

    raw: Any
    """pyodbc's."""
    driver: Driver
    password: str
    """To be kept out of messages."""

    def facts(self) -> dict[str, str]:
        """What answers, for the record."""
        import pyodbc

        ask = self.raw.getinfo
        return {
            "server": f"{ask(pyodbc.SQL_SERVER_NAME)}",
            "database": f"{ask(pyodbc.SQL_DATABASE_NAME)}",
            "version": f"{ask(pyodbc.SQL_DBMS_NAME)} {ask(pyodbc.SQL_DBMS_VER)}",
            "driver": f"{ask(pyodbc.SQL_DRIVER_NAME)} {ask(pyodbc.SQL_DRIVER_VER)}",
        }

    def quote(self, *names: str) -> str:
        """A name of several parts, each in the quotes of this database."""
        import pyodbc

        mark = str(self.raw.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR)).strip()
        return ".".join(f"{mark}{name.replace(mark, mark * 2) if mark else name}{mark}" for name in names)

    def tables(self) -> list[str]:
        """The names of the tables and views, for advice."""
        import pyodbc

        with suppress(pyodbc.Error):
            self.raw.rollback()  # a statement that failed has ended PostgreSQL's transaction
            return [row.table_name for row in self.raw.cursor().tables()]
        return []

    def limit_statement_seconds(self, seconds: int) -> None:
        """Let no statement from here on take longer, where the database can be told that."""
        if self.driver.bounded:
            self.raw.execute(self.driver.bounded.format(seconds=seconds))


@contextmanager
def open_connection(config: SqlData) -> Iterator[Connection]:
    """A connection, closed at the end; nothing is ever committed.

    Raises:
        ConfigError: a setting, the login or the database's name is wrong; `data.password_env` is not set.
        DataError: SQLite's file is not there.
        MissingError: pyodbc, unixODBC, the driver or the server is not there.
    """
    import_pyodbc()
    password = password_of(config)
    given = attributes(config)
    raw = _connect(config, password, {})
    driver = driver_named(_library(raw))
    lacking = {name: value for name, value in driver.options.items() if name.lower() not in given}
    if lacking or driver.autocommit:
        raw.close()
        raw = _connect(config, password, lacking, autocommit=driver.autocommit)
    connection = Connection(raw, driver, password)
    try:
        _start_session(connection, config)
        yield connection
    finally:
        _close(raw)


def attributes(config: SqlData) -> dict[str, str]:
    """The attributes of the connection string with their names in lower case, however they were typed."""
    return {name.lower(): value.strip() for name, value in ATTRIBUTE.findall(_text(config))}


def password_of(config: SqlData) -> str:
    """Nothing, where the driver is to find it.

    Raises:
        ConfigError: the variable that `data.password_env` names is not set.
    """
    if config.password_env is None:
        return ""
    password = os.environ.get(config.password_env, "")
    if not password:
        raise ConfigError(
            f"You set data.password_env={config.password_env}, but that environment variable is not set. Set it to "
            "the password; the configuration keeps its name only."
        )
    return password


def import_pyodbc() -> None:
    """See that pyodbc can be used.

    Raises:
        MissingError: it, or unixODBC, is not installed.
    """
    try:
        import pyodbc
    except ModuleNotFoundError as error:
        raise MissingError("data=sql needs pyodbc. Install it: pip install 'passingloop[sql]'.") from error
    except ImportError as error:
        raise MissingError(
            f"data=sql needs unixODBC, which pyodbc does not find ({error}). Install it: apt-get install unixodbc, "
            "conda install unixodbc, or your site's module."
        ) from error
    pyodbc.pooling = False  # a pool would hand out sessions with settings of earlier ones


def _connect(config: SqlData, password: str, options: Mapping[str, str], *, autocommit: bool = False) -> Any:
    import pyodbc

    # The password comes last: unixODBC 2.3.11 finds no driver behind an emoji.
    secret = {"PWD": _braced(password)} if password else {}
    text = ";".join([_text(config), *(f"{name}={value}" for name, value in {**options, **secret}.items())])
    try:
        return call_with_timeout(
            2 * LOGIN_SECONDS, lambda: pyodbc.connect(text, autocommit=autocommit, timeout=LOGIN_SECONDS)
        )
    except TimeoutError:
        raise MissingError(
            f"You set {database_setting(config)}, but the database does not answer within {2 * LOGIN_SECONDS} s."
        ) from None
    except pyodbc.Error as error:
        known = pyodbc.dataSources() if config.dsn is not None else pyodbc.drivers()
        raise connection_error(error, config, password, list(known)) from None


def _start_session(connection: Connection, config: SqlData) -> None:
    import pyodbc

    try:
        for statement in connection.driver.session:
            connection.raw.execute(statement)
        if not connection.driver.autocommit:
            connection.raw.commit()  # of the settings; the next transaction begins with them
    except pyodbc.Error as error:
        raise connection_error(error, config, connection.password, []) from None


def _close(raw: Any) -> None:
    import pyodbc

    with suppress(pyodbc.Error):  # the server may be gone
        raw.rollback()
    with suppress(pyodbc.Error):
        raw.close()


def _library(raw: Any) -> str:
    import pyodbc

    return str(raw.getinfo(pyodbc.SQL_DRIVER_NAME))


def _text(config: SqlData) -> str:
    """The connection string, without a password."""
    if config.dsn is not None:
        return f"DSN={config.dsn}"  # psqlodbc takes braces for a part of the name
    # Of two passwords the first counts: an empty one would.
    return NO_PASSWORD.sub("", (config.connection or "").strip().rstrip(";"))


def _braced(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"
