"""The settings of `data=sql`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from passingloop.config.data import NamedData


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlData(NamedData):
    """Rows of any database with an ODBC driver. Rows are stored when they are read, and read again with
    `data.refresh`."""

    NOT_LEARNED: ClassVar[frozenset[str]] = frozenset({"password_env", "refresh"})
    TRAIN: ClassVar[str] = "a query or a table, such as {}=questions"
    ANEW: ClassVar[str | None] = "refresh"

    source: Literal["sql"]
    """Set by the choice `data=sql`."""

    dsn: str | None
    """Data source name, from odbc.ini."""

    connection: str | None
    """ODBC connection string without a password, such as `Driver=PostgreSQL Unicode;Server=db;Database=shop`."""

    password_env: str | None
    """Environment variable that holds the password. Null leaves it to the driver: odbc.ini, PGPASSFILE, Kerberos."""

    parameters: Mapping[str, str | int | float | bool | None]
    """Values for the `:name` in the queries: `+data.parameters.since=2026-01-01`."""

    refresh: bool
    """Read anew what an earlier run has read. A run that has begun keeps what it began with."""

    @property
    def has_versions(self) -> bool:
        return True

    def contradictions(self, section: str) -> Iterator[str]:
        yield from super(SqlData, self).contradictions(section)
        if (self.dsn is None) == (self.connection is None):
            yield (
                f"data=sql needs either {section}.dsn, a name from odbc.ini, or {section}.connection, an ODBC "
                "connection string."
            )
