"""Errors of ODBC drivers as errors of passingloop: by SQLSTATE or, where drivers differ in that, by the message.

The driver's message is quoted without the password, which some drivers repeat. For the same reason the driver's
exception is not the cause of these errors: a traceback would show it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from passingloop.config.build import did_you_mean
from passingloop.data.sql.settings import SqlData
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError

PACKAGES = "odbc-postgresql, odbc-mariadb or libsqliteodbc with apt, or your site's module"

UNREACHABLE = re.compile(
    r"Connection refused|could not translate|timeout expired|Can't connect|Unknown server host|No route|closed the "
    r"connection|server has gone away|Lost connection|Connection reset|connection to server .* was lost",
    re.IGNORECASE,
)


def database_setting(config: SqlData) -> str:
    """The setting with the data source or connection string. It has no password; settings with one are refused."""
    return f"data.dsn={config.dsn}" if config.dsn is not None else f"data.connection={config.connection}"


def connection_error(error: Exception, config: SqlData, password: str, known: Sequence[str]) -> PassingloopError:
    """The error for a failed connection; `known` are the installed drivers, or with `data.dsn` the data sources."""
    state, message = _state_and_message(error, password)
    if library := re.search(r"Can't open lib '(.*?)'", message):
        return MissingError(
            f"You set {database_setting(config)}, but the ODBC driver {library[1]} is not installed."
            f"{did_you_mean(library[1], known)} There are: {', '.join(known) or 'none'}. Install it: {PACKAGES}."
        )
    if state == "IM002" and config.dsn is not None:
        return ConfigError(
            f"You set data.dsn={config.dsn}, but no odbc.ini has it.{did_you_mean(config.dsn, known)} "
            f"There are: {', '.join(known) or 'none'}. `odbcinst -j` shows where they are looked for."
        )
    if state == "IM002":
        return ConfigError(f"You set {database_setting(config)}, which names no driver. Begin it with Driver=NAME;")
    if re.search(r"no password supplied|using password: NO", message):
        return ConfigError(
            f"You set {database_setting(config)}, but the server asks for a password. Put it into an environment "
            "variable and set data.password_env to the name of that; or use PGPASSFILE or odbc.ini."
        )
    if re.search(r"database .* does not exist|Unknown database|to database", message):
        return ConfigError(f"You set {database_setting(config)}, but that database is not there for you: {message}.")
    if state in ("28000", "28P01") or re.search(r"authentication failed|Access denied|does not exist", message):
        named = "Check the user, and the password" + (f" in {config.password_env}." if config.password_env else ".")
        return ConfigError(f"You set {database_setting(config)}, but the server refuses the login: {message}. {named}")
    if "[SQLite]connect failed" in str(error):
        return DataError(f"You set {database_setting(config)}, but SQLite cannot open that file. See that it is there.")
    if state[:2] == "08" or state in ("HYT00", "HYT01") or UNREACHABLE.search(message):
        return MissingError(f"You set {database_setting(config)}, but the database does not answer: {message}.")
    return ConfigError(f"You set {database_setting(config)}, but the driver cannot connect: {message}.")


def query_error(
    error: Exception, setting: str, password: str, rows: int, tables: Sequence[str] = ()
) -> PassingloopError:
    """The error for a query that failed after `rows` rows; `tables` are the existing ones, for suggestions."""
    state, message = _state_and_message(error, password)
    table = setting.partition("=")[2].rpartition(".")[2]
    if state in ("42P01", "42S02") or "no such table" in message:
        return DataError(f"You set {setting}, but there is no such table: {message}.{did_you_mean(table, tables)}")
    if state in ("42703", "42S22") or "no such column" in message:
        return DataError(f"You set {setting}, but there is no such column: {message}.")
    if state == "42501" or "denied" in message:
        return DataError(f"You set {setting}, but the user may not read that: {message}.")
    if state == "25006" or "readonly database" in message or "data-modifying" in message:
        return ConfigError(
            f"You set {setting}, but that would change the database: {message}. Only reading is allowed."
        )
    if state == "57014" or "max_statement_time" in message or state in ("HYT00", "HYT01"):
        return MissingError(f"You set {setting}, but the database took too long and was stopped: {message}.")
    if state[:2] == "08" or state[:3] == "57P" or UNREACHABLE.search(message):
        return MissingError(
            f"{setting}: the connection was lost after {rows:,} rows: {message}. Nothing of them is kept; start again "
            "when the database is back."
        )
    if state in ("42601", "42000") or "syntax" in message:
        return ConfigError(f"You set {setting}, but the database does not understand it: {message}.")
    return DataError(f"{setting}: the database stopped after {rows:,} rows: {message}.")


def _state_and_message(error: Exception, password: str) -> tuple[str, str]:
    """The SQLSTATE, and the message without prefixes, codes and the password."""
    state, text = (str(error.args[0]), str(error.args[-1])) if error.args else ("", str(error))
    message = re.sub(r"\[[^\]]*\]|\(\d+\)|\(SQL\w+\)|;?\s*Error while executing the query", "", text)
    message = re.sub(r"\b(PWD|Password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", r"\1=…", message, flags=re.IGNORECASE)
    if password:
        message = message.replace(password, "…")
    message = re.sub(r"\s+", " ", message).strip(" .;")
    return state, re.sub(r"^ERROR: ", "", message)
