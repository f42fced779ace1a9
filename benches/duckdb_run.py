"""Runs queries on DuckDB for the comparison, by requests as `json_lines` serves them.

The first request names the tables' files and how to read them ("parquet": the bare data files,
"iceberg": the tables' metadata files); each later one holds a query. A response with "error" says
what failed.
"""

from __future__ import annotations

import time

from json_lines import cells, kind, peak_bytes, serve

EXTENSIONS = ("parquet", "avro", "iceberg")


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
        snapshot = table.get("snapshot_id")
        version = "" if snapshot is None else f", snapshot_from_id = {snapshot}"
        return f"iceberg_scan({quoted(table['metadata'])}{version})"
    paths = ", ".join(quoted(path) for path in table["data"])
    return f"read_parquet([{paths}], hive_partitioning = false)"


def start(request: dict):
    version, connection = connect(request["threads"])
    for table in request["tables"]:
        relation = source_of(request["source"], table)
        connection.execute(f"CREATE VIEW {table['name']} AS SELECT * FROM {relation}")
    return connection, {"version": version}


def run(connection, sql: str) -> dict:
    started = time.perf_counter()
    result = connection.execute(sql)
    columns = result.description
    table = result.to_arrow_table() if ARROW else result.fetchall()
    seconds = time.perf_counter() - started
    rows = zip(*(column.to_pylist() for column in table.columns)) if ARROW else table
    return {
        "seconds": seconds,
        "names": [column[0] for column in columns],
        "kinds": [kind(column[1]) for column in columns],
        "rows": cells(rows),
        "peak_bytes": peak_bytes(),
    }


def drain(connection, sql: str) -> dict:
    """Counts the rows of a query without keeping them."""
    started = time.perf_counter()
    result = connection.execute(sql)
    if ARROW:
        count = sum(batch.num_rows for batch in result.to_arrow_reader())
    else:
        count = 0
        while rows := result.fetchmany(100_000):
            count += len(rows)
    return {"seconds": time.perf_counter() - started, "count": count}


try:
    import pyarrow  # noqa: F401  rows stay columns until the time is taken

    ARROW = True
except ImportError:
    ARROW = False


class Answers:
    """Starts DuckDB by the first request, and runs the queries of the others."""

    connection = None

    def __call__(self, request: dict) -> dict:
        if self.connection is None:
            self.connection, response = start(request)
            return response
        answer = drain if request.get("drain") else run
        return answer(self.connection, request["sql"])


if __name__ == "__main__":
    serve(Answers())
