"""Examples from databases with an ODBC driver."""
