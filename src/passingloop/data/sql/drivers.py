"""Settings of ODBC drivers, so that results are streamed, types are exact, and sessions are read-only."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """The settings of a driver. The defaults are for an unknown one."""

    library: str
    """A part of its SQL_DRIVER_NAME."""

    options: dict[str, str] = field(default_factory=dict)
    """Options for the connection string, unless they are set there."""

    autocommit: bool = False
    """Whether each statement is a transaction; otherwise all are in one, which is not committed."""

    session: tuple[str, ...] = ()
    """Statements at the start of a session: read-only, times in UTC."""

    timeout_statement: str | None = None
    """The statement that sets the time limit of statements, with ``{seconds}``; None if there is none."""

    allows_subquery: bool = False
    """Whether SELECT * FROM (query) WHERE 1 = 0 gives the columns of a query without running it."""

    backslash_escapes: bool = False
    """Whether a backslash escapes a quote in a string literal."""

    fetches_blocks: bool = False
    """Whether many rows can be fetched at once into bound arrays, and long texts separately."""

    type_expression: str | None = None
    """The SQL expression for the type of a column, if ODBC's types do not show which times have a zone."""


# Measured for 1M rows: with cursors 4 MB of memory instead of 190. With synchronize_seqscans a scan starts where
# another one is at the time, so that the order of the rows would vary.
POSTGRESQL = Driver(
    library="psqlodbc",
    options={"UseDeclareFetch": "1", "Fetch": "10000", "BoolsAsChar": "0"},
    session=(
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TIME ZONE 'UTC'",
        "SET synchronize_seqscans = off",
    ),
    timeout_statement="SET statement_timeout = '{seconds}s'",
    allows_subquery=True,
    fetches_blocks=True,
    type_expression="pg_typeof({})::text",
)

# BigInt: without it integers over 2^53 are wrong (measured). StepAPI: streams, but not inside a transaction. NoCreat:
# does not create a missing file. The type of an expression is the type of its first value.
SQLITE = Driver(
    library="sqlite",
    options={"BigInt": "1", "StepAPI": "1", "NoCreat": "1"},
    autocommit=True,
    session=("PRAGMA query_only = ON",),
)

# Connector/ODBC streams from 3.1.17 on (release notes, ODBC-369); older versions ignore NO_CACHE.
MARIADB = Driver(
    library="maodbc",
    options={"FORWARDONLY": "1", "NO_CACHE": "1"},
    session=("SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'"),
    timeout_statement="SET max_statement_time = {seconds}",
    allows_subquery=True,
    backslash_escapes=True,
)

DRIVERS = (POSTGRESQL, SQLITE, MARIADB)


def find_driver(library: str) -> Driver:
    """The driver with this SQL_DRIVER_NAME, such as ``psqlodbcw.so``."""
    return next((driver for driver in DRIVERS if driver.library in library.lower()), Driver(library=library))
