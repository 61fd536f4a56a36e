"""Connections to databases: the password from an environment variable, driver options, a read-only session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from passingloop.data.sql.drivers import Driver, find_driver
from passingloop.data.sql.errors import connection_error, database_setting
from passingloop.data.sql.settings import SqlData
from passingloop.data.time_limit import call_with_timeout
from passingloop.errors import ConfigError, MissingError

LOGIN_SECONDS = 10
"""Login timeout. Not every driver respects it (libmaodbc 3.1 does not while it waits for the server's greeting)."""

ATTRIBUTE = re.compile(r"\s*([^=;{}]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)")

NO_PASSWORD = re.compile(r"(?:^|;)\s*(?:PWD|Password)\s*=\s*(?=;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open, read-only connection."""

    raw: Any
    """The connection of pyodbc."""
    driver: Driver
    password: str
    """Removed from all messages."""

    def facts(self) -> dict[str, str]:
        """Server, database and driver with their versions, to be recorded with a snapshot."""
        import pyodbc

        ask = self.raw.getinfo
        return {
            "server": f"{ask(pyodbc.SQL_SERVER_NAME)}",
            "database": f"{ask(pyodbc.SQL_DATABASE_NAME)}",
            "version": f"{ask(pyodbc.SQL_DBMS_NAME)} {ask(pyodbc.SQL_DBMS_VER)}",
            "driver": f"{ask(pyodbc.SQL_DRIVER_NAME)} {ask(pyodbc.SQL_DRIVER_VER)}",
        }

    def quote(self, *names: str) -> str:
        """A name of several parts, each quoted for this database."""
        import pyodbc

        mark = str(self.raw.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR)).strip()
        return ".".join(f"{mark}{name.replace(mark, mark * 2) if mark else name}{mark}" for name in names)

    def tables(self) -> list[str]:
        """The names of the tables and views, for suggestions; empty if they cannot be read."""
        import pyodbc

        with suppress(pyodbc.Error):
            self.raw.rollback()  # after a failed statement PostgreSQL refuses others in the transaction
            return [row.table_name for row in self.raw.cursor().tables()]
        return []

    def limit_statement_seconds(self, seconds: int) -> None:
        """Set a time limit for the following statements, if the database supports it."""
        if self.driver.timeout_statement:
            self.raw.execute(self.driver.timeout_statement.format(seconds=seconds))


@contextmanager
def open_connection(config: SqlData) -> Iterator[Connection]:
    """A connection, which is closed when the context ends. Nothing is committed.

    Raises:
        ConfigError: a setting, the login or the database's name is wrong; `data.password_env` is not set.
        DataError: the file of SQLite does not exist.
        MissingError: pyodbc, unixODBC or the driver is not installed, or the server does not answer.
    """
    import_pyodbc()
    password = password_of(config)
    set_attributes = connection_attributes(config)
    raw = _connect(config, password, {})
    driver = find_driver(_driver_library(raw))
    missing = {name: value for name, value in driver.options.items() if name.lower() not in set_attributes}
    if missing or driver.autocommit:
        raw.close()
        raw = _connect(config, password, missing, autocommit=driver.autocommit)
    connection = Connection(raw, driver, password)
    try:
        _start_session(connection, config)
        yield connection
    finally:
        _close(raw)


def connection_attributes(config: SqlData) -> dict[str, str]:
    """The attributes of the connection string, by their names in lower case."""
    return {name.lower(): value.strip() for name, value in ATTRIBUTE.findall(_connection_string(config))}


def password_of(config: SqlData) -> str:
    """The password; empty if none is configured.

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
    """Import pyodbc, for its check and settings.

    Raises:
        MissingError: pyodbc or unixODBC is not installed.
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
    pyodbc.pooling = False  # a pooled session would have the settings of an earlier one


def _connect(config: SqlData, password: str, options: Mapping[str, str], *, autocommit: bool = False) -> Any:
    import pyodbc

    # The password is last: unixODBC 2.3.11 does not find the driver in a string with an emoji before it.
    secret = {"PWD": _quoted_value(password)} if password else {}
    text = ";".join([_connection_string(config), *(f"{name}={value}" for name, value in {**options, **secret}.items())])
    try:
        return call_with_timeout(
            2 * LOGIN_SECONDS, lambda: pyodbc.connect(text, autocommit=autocommit, timeout=LOGIN_SECONDS)
        )
    except TimeoutError:
        raise MissingError(
            f"You set {database_setting(config)}, but the database does not answer within {2 * LOGIN_SECONDS} s."
        ) from None
    except pyodbc.Error as error:
        names = pyodbc.dataSources() if config.dsn is not None else pyodbc.drivers()
        raise connection_error(error, config, password, list(names)) from None


def _start_session(connection: Connection, config: SqlData) -> None:
    import pyodbc

    try:
        for statement in connection.driver.session:
            connection.raw.execute(statement)
        if not connection.driver.autocommit:
            connection.raw.commit()  # so that the settings apply to the next transaction
    except pyodbc.Error as error:
        raise connection_error(error, config, connection.password, []) from None


def _close(raw: Any) -> None:
    import pyodbc

    with suppress(pyodbc.Error):  # the server may be gone
        raw.rollback()
    with suppress(pyodbc.Error):
        raw.close()


def _driver_library(raw: Any) -> str:
    import pyodbc

    return str(raw.getinfo(pyodbc.SQL_DRIVER_NAME))


def _connection_string(config: SqlData) -> str:
    """The connection string, without a password."""
    if config.dsn is not None:
        return f"DSN={config.dsn}"  # without braces, which psqlodbc takes as a part of the name
    # An empty password is removed, because the first of two passwords counts.
    return NO_PASSWORD.sub("", (config.connection or "").strip().rstrip(";"))


def _quoted_value(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"
