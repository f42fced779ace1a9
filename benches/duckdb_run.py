"""Runs queries on DuckDB for the comparison: one JSON request a line in, one JSON response out.

The first request names the tables' files and how to read them ("parquet": the bare data files,
"iceberg": the tables' metadata files); each later one holds a query. A response with "error" says
what failed.
"""

from __future__ import annotations

import json
import resource
import sys
import time

EXTENSIONS = ("parquet", "avro", "iceberg")
EXACT = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER", "DECIMAL")


def connect(threads: int):
    """A connection with `iceberg_scan`, without downloading anything."""
    import duckdb

    try:
        from duckdb_extensions import import_extension

        for name in EXTENSIONS:
            import_extension(name)
    except ImportError:
        pass  # Extensions that were installed by other means are loaded all the same.
    connection = duckdb.connect(config={"threads": threads})
    for name in EXTENSIONS:
        connection.execute(f"LOAD {name}")
    return duckdb.__version__, connection


def quoted(path: str) -> str:
    return "'" + path.removeprefix("file://").replace("'", "''") + "'"


def source_of(source: str, table: dict) -> str:
    if source == "iceberg":
        return f"iceberg_scan({quoted(table['metadata'])})"
    paths = ", ".join(quoted(path) for path in table["data"])
    return f"read_parquet([{paths}], hive_partitioning = false)"


def start(request: dict):
    version, connection = connect(request["threads"])
    for table in request["tables"]:
        relation = source_of(request["source"], table)
        connection.execute(f"CREATE VIEW {table['name']} AS SELECT * FROM {relation}")
    return connection, {"version": version}


def kind(column_type: object) -> str:
    name = str(column_type)
    if name.startswith(EXACT):
        return "exact"
    return "float" if name in ("FLOAT", "DOUBLE") else "text"


def run(connection, sql: str) -> dict:
    started = time.perf_counter()
    result = connection.execute(sql)
    columns = result.description
    table = result.to_arrow_table() if ARROW else result.fetchall()
    seconds = time.perf_counter() - started
    rows = zip(*(column.to_pylist() for column in table.columns)) if ARROW else table
    return {
        "seconds": seconds,
        "kinds": [kind(column[1]) for column in columns],
        "rows": [[None if cell is None else str(cell) for cell in row] for row in rows],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


try:
    import pyarrow  # noqa: F401  rows stay columns until the time is taken

    ARROW = True
except ImportError:
    ARROW = False


def main() -> None:
    connection = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if connection is None:
                connection, response = start(request)
            else:
                response = run(connection, request["sql"])
        except Exception as error:  # noqa: BLE001  whatever it is, the other side is told
            response = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
