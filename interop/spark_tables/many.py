"""Thousands of small files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from spark_session import Spark
from spark_tables import Question, properties, wheres
from spark_tables.java import JavaTable

FILES = 2000


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE many")
    return {"many.small": _files(spark)}


def _files(spark: Spark) -> list[Question]:
    """Files of one row each, of which nothing but their number of rows is known, and deletes."""
    name = "many.small"
    spark.sql(f"CREATE TABLE {name} (id BIGINT, w STRING, d DOUBLE) USING iceberg TBLPROPERTIES ({properties(3)})")
    folder = spark.lake / "many-small"
    folder.mkdir()
    kinds = {"id": pa.int64(), "w": pa.string(), "d": pa.float64()}
    schema = pa.schema([pa.field(column, kind, metadata={"PARQUET:field_id": str(at)})
                        for at, (column, kind) in enumerate(kinds.items(), 1)])
    files = []
    for at in range(FILES):
        row = {"id": [at], "w": [None if at % 10 == 0 else f"w{at % 7}"], "d": [at / 8]}
        path = folder / f"{at:05}.parquet"
        pq.write_table(pa.table(row, schema=schema), path, compression="none")
        files.append((f"file://{path}", path.stat().st_size))
    table = JavaTable(spark, name)
    table.append_listed(files[: FILES // 2], 1)
    table.append_listed(files[FILES // 2 :], 1)
    spark.sql(f"DELETE FROM {name} WHERE id IN (17, 171, 1711, 1999)")
    t = f"{{{name}}}"
    return [
        Question(f"SELECT count(*) AS n, count(w) AS w, sum(id) AS s, min(id) AS lo, max(id) AS hi FROM {t}"),
        Question(f"SELECT w, count(*) AS n, sum(d) AS d FROM {t} GROUP BY w"),
        *wheres(name, "id, w, d", ["id = 1234", "id BETWEEN 1705 AND 1715", "d < 2", "w IS NULL AND id < 100", "id = 17"]),
        Question(f"SELECT id FROM {t} ORDER BY d DESC LIMIT 5", ordered=True),
        Question(f"SELECT count(*) AS n FROM {{{name}@snapshot:0}}"),
        Question(f"SELECT content, count(*) AS n, sum(record_count) AS s FROM {{{name}.files}} GROUP BY content"),
    ]
