"""Tables DuckDB writes by `COPY … (FORMAT iceberg)`: in no catalog, opened by their files."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tables import Question

SOURCES = {
    "orders": """
        SELECT CAST(i AS INTEGER) AS id,
               'name ' || i AS name,
               CAST(i * 1.25 AS DECIMAL(10, 2)) AS price,
               TIMESTAMP '1969-12-31 00:00:00' + i * INTERVAL '7 minutes' AS ts,
               CASE WHEN i % 7 = 0 THEN NULL ELSE i / 3.0 END AS ratio,
               i % 2 = 0 AS even,
               DATE '1969-12-25' + CAST(i / 100 AS INTEGER) AS day
        FROM range(2000) AS r(i)""",
    "shapes": """
        SELECT CAST(i AS BIGINT) AS id,
               {'x': i, 'y': 'p' || i} AS s,
               [i, NULL, i + 1] AS l
        FROM range(5) AS r(i)""",
}

QUESTIONS = {
    "orders": [
        Question("SELECT * FROM {orders} WHERE id < 20"),
        Question("SELECT count(*) AS n, count(ratio) AS r, min(ts) AS a, max(day) AS b FROM {orders}"),
        Question("SELECT id FROM {orders} WHERE price = 1250.00"),
        Question("SELECT id FROM {orders} WHERE ts < TIMESTAMP '1969-12-31 00:30:00'"),
        Question("SELECT day, count(*) AS n FROM {orders} WHERE even GROUP BY day"),
    ],
    "shapes": [
        Question("SELECT * FROM {shapes}"),
        Question("SELECT id FROM {shapes} WHERE s['x'] > 2"),
    ],
}


def build(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, list[Question]]:
    """Makes one folder per table and returns the questions by table name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in SOURCES.items():
        connection.execute(f"COPY ({source}) TO '{folder / name}' (FORMAT iceberg)")
    return QUESTIONS
