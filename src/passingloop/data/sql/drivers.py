"""What each ODBC driver needs so that results stream, types are exact, and nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """What is particular to a driver. The defaults are for one that is not known here."""

    library: str
    """What its SQL_DRIVER_NAME holds."""

    options: dict[str, str] = field(default_factory=dict)
    """For the connection string, unless they are set there."""

    autocommit: bool = False
    """Whether each statement is its own transaction; else all is one, which is never committed."""

    session: tuple[str, ...] = ()
    """Statements that begin a session: read only, times in UTC."""

    bounded: str | None = None
    """The statement after which no other takes longer than so many seconds."""

    wraps: bool = False
    """Whether the columns of a query can be had without running it, from SELECT * FROM (…) WHERE 1 = 0."""

    backslashes: bool = False
    """Whether a backslash escapes a quote in any text."""

    blocks: bool = False
    """Whether rows may be fetched many at a time into bound arrays, and long texts of them on their own."""

    type_of: str | None = None
    """The expression for the name of a column's type, where ODBC's types do not tell which times have a zone."""


# Measured, 1M rows: cursors add 4 MB instead of 190. synchronize_seqscans lets a scan begin where another one is: the
# rows would come in another order each time.
POSTGRESQL = Driver(
    library="psqlodbc",
    options={"UseDeclareFetch": "1", "Fetch": "10000", "BoolsAsChar": "0"},
    session=(
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TIME ZONE 'UTC'",
        "SET synchronize_seqscans = off",
    ),
    bounded="SET statement_timeout = '{seconds}s'",
    wraps=True,
    blocks=True,
    type_of="pg_typeof({})::text",
)

# BigInt: integers beyond 2^53 are wrong without it (measured). StepAPI streams, and inside a transaction it does not.
# NoCreat: a file that is not there would be made. The type of an expression is that of its first row.
SQLITE = Driver(
    library="sqlite",
    options={"BigInt": "1", "StepAPI": "1", "NoCreat": "1"},
    autocommit=True,
    session=("PRAGMA query_only = ON",),
)

# Streams from Connector/ODBC 3.1.17 on (its release notes, ODBC-369); older ones take no notice of NO_CACHE.
MARIADB = Driver(
    library="maodbc",
    options={"FORWARDONLY": "1", "NO_CACHE": "1"},
    session=("SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'"),
    bounded="SET max_statement_time = {seconds}",
    wraps=True,
    backslashes=True,
)

DRIVERS = (POSTGRESQL, SQLITE, MARIADB)


def driver_named(library: str) -> Driver:
    """By its SQL_DRIVER_NAME, such as ``psqlodbcw.so``."""
    return next((driver for driver in DRIVERS if driver.library in library.lower()), Driver(library=library))
