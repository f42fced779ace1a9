"""Thousands of small files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from spark_session import Spark
from spark_tables import Question, properties, wheres

FILES = 2000


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE many")
    return {"many.files": _files(spark)}


def _files(spark: Spark) -> list[Question]:
    """Files of one row each, registered by Spark, and some of them emptied by deletes."""
    name = "many.files"
    folder = spark.lake / "loose-many"
    folder.mkdir()
    for at in range(FILES):
        row = {"id": [at], "w": [None if at % 10 == 0 else f"w{at % 7}"], "d": [at / 8]}
        pq.write_table(pa.table(row), folder / f"{at:05}.parquet", compression="none")
    spark.sql(
        f"CREATE TABLE {name} (id BIGINT, w STRING, d DOUBLE) USING iceberg TBLPROPERTIES ({properties(3)})",
        f"CALL spark.system.add_files(table => '{name}', source_table => '\"parquet\".\"file://{folder}\"', "
        "check_duplicate_files => false)",
        f"DELETE FROM {name} WHERE id IN (17, 171, 1711, 1999)")
    t = f"{{{name}}}"
    return [
        Question(f"SELECT count(*) AS n, count(w) AS w, sum(id) AS s, min(id) AS lo, max(id) AS hi FROM {t}"),
        Question(f"SELECT w, count(*) AS n, sum(d) AS d FROM {t} GROUP BY w"),
        *wheres(name, "id, w, d", ["id = 1234", "id BETWEEN 1705 AND 1715", "d < 2", "w IS NULL AND id < 100", "id = 17"]),
        Question(f"SELECT id FROM {t} ORDER BY d DESC LIMIT 5", ordered=True),
        Question(f"SELECT count(*) AS n FROM {{{name}@snapshot:0}}"),
        Question(f"SELECT content, count(*) AS n, sum(record_count) AS s FROM {{{name}.files}} GROUP BY content"),
    ]
