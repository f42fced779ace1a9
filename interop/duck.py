"""DuckDB with the extensions that came as Python packages: nothing is downloaded at run time."""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension


ONE_AT_A_TIME = threading.Lock()
"""The extensions are put in their place through DuckDB's one default connection, which no two threads may share."""


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in UTC with `iceberg_scan` loaded."""
    with ONE_AT_A_TIME:
        for name in ("parquet", "avro", "iceberg"):
            import_extension(name)
    connection = duckdb.connect()
    connection.execute("LOAD icu; LOAD parquet; LOAD avro; LOAD iceberg; SET TimeZone = 'UTC'")
    connection.execute("SET arrow_lossless_conversion = true")  # UUIDs stay UUIDs
    return connection


def arrow(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The whole result of one statement."""
    result = connection.execute(sql).arrow()
    return result if isinstance(result, pa.Table) else result.read_all()


def scan(metadata: str, snapshot_id: int | None = None) -> str:
    """The table function that reads one metadata file, at a snapshot if one is given."""
    at = "" if snapshot_id is None else f", snapshot_from_id = {snapshot_id}"
    path = metadata.removeprefix("file://").replace("'", "''")
    return f"iceberg_scan('{path}'{at})"
