"""Columns about rows: their file, position and partition, and in format 3 their identity."""

from __future__ import annotations

from spark_session import Spark
from spark_tables import Question, past, properties

FILE = "regexp_replace(_file, '^.*/', '')"


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE lineage")
    made = {}
    for mode in ("merge-on-read", "copy-on-write"):
        name = f"lineage.{mode.split('-')[0]}"
        made[name] = _rows(spark, name, mode)
    made["lineage.upgraded"] = _upgraded(spark)
    made["lineage.places"] = _places(spark)
    # Tables of another module: their files have several row groups, and rows deleted from them.
    for version in (2, 3):
        name = f"deletes.merge_v{version}"
        made[f"{name} places"] = [
            Question(f"SELECT id, _pos, {FILE} AS f FROM {{{name}}} WHERE id BETWEEN 690 AND 720"),
            Question(f"SELECT {FILE} AS f, count(*) AS n, sum(_pos) AS s, max(_pos) AS hi FROM {{{name}}} GROUP BY 1"),
            Question(f"SELECT id FROM {{{name}}} WHERE _pos = 500"),
            Question(f"SELECT id, _pos FROM {{{name}}} WHERE _pos > 990"),
            Question(f"SELECT _deleted, count(*) AS n, sum(id) AS s FROM {{{name}}} GROUP BY _deleted"),
            Question(f"SELECT id, _deleted FROM {{{name}}} WHERE id < 20"),
        ]
    for name in ("deletes.merge_v3", "deletes.copy_v3", "deletes.upgraded", "deletes.parts_v3", "evolve.defaults"):
        made[f"{name} identity"] = _identity(name)
    made["parts.evolved_v3 places"] = [
        Question(f"SELECT id, _spec_id, _pos FROM {{parts.evolved_v{version}}}") for version in (2, 3)
    ] + [
        Question(f"SELECT id, _partition FROM {{parts.evolved_v{version}}}") for version in (2, 3)
    ] + [
        Question("SELECT _spec_id, count(*) AS n FROM {parts.evolved_v3} GROUP BY _spec_id"),
        Question("SELECT id, _partition FROM {parts.by_identity}", via="arrow"),
        Question("SELECT id FROM {parts.evolved_v3} WHERE _spec_id = 3"),
    ]
    return made


def _identity(name: str) -> list[Question]:
    return [
        Question(f"SELECT id, _row_id, _last_updated_sequence_number AS seq FROM {{{name}}}"),
        Question(f"SELECT count(DISTINCT _row_id) AS n, min(_row_id) AS lo, max(_row_id) AS hi FROM {{{name}}}"),
        Question(f"SELECT id FROM {{{name}}} WHERE _row_id = 5"),
        Question(f"SELECT _last_updated_sequence_number AS seq, count(*) AS n FROM {{{name}}} GROUP BY 1"),
    ]


def _rows(spark: Spark, name: str, mode: str) -> list[Question]:
    """Identities that survive updates, merges and compaction."""
    spark.sql(
        f"CREATE TABLE {name} (id INT, p STRING, v INT) USING iceberg PARTITIONED BY (p) "
        f"TBLPROPERTIES ({properties(3, mode)})",
        f"INSERT INTO {name} SELECT CAST(id AS INT), concat('p', id % 2), 0 FROM range(0, 20, 1, 1)",
        f"INSERT INTO {name} SELECT CAST(id AS INT), concat('p', id % 2), 0 FROM range(20, 30, 1, 1)",
        f"UPDATE {name} SET v = 1 WHERE id % 5 = 0",
        f"DELETE FROM {name} WHERE id IN (1, 2, 21)",
        f"""MERGE INTO {name} AS t USING (SELECT * FROM VALUES (3, 'p1'), (40, 'p0') AS s (id, p)) AS s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET v = 9 WHEN NOT MATCHED THEN INSERT (id, p, v) VALUES (s.id, s.p, 4)""",
        f"UPDATE {name} SET p = 'p1' WHERE id = 4",
        f"CALL spark.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))",
        f"INSERT INTO {name} VALUES (50, NULL, 5)",
        f"UPDATE {name} SET v = 2 WHERE id IN (5, 50)")
    return [
        *_identity(name),
        *past(spark, name, "id, v, _row_id, _last_updated_sequence_number AS seq"),
    ]


def _upgraded(spark: Spark) -> list[Question]:
    """Rows from before the upgrade to format 3 have no identity in the old snapshots."""
    name = "lineage.upgraded"
    spark.sql(
        f"CREATE TABLE {name} (id INT, v INT) USING iceberg TBLPROPERTIES ({properties(2)})",
        f"INSERT INTO {name} SELECT CAST(id AS INT), 0 FROM range(0, 10, 1, 1)",
        f"DELETE FROM {name} WHERE id = 3",
        f"INSERT INTO {name} SELECT CAST(id AS INT), 0 FROM range(10, 15, 1, 1)",
        f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version' = '3')",
        f"INSERT INTO {name} VALUES (20, 1)",
        f"UPDATE {name} SET v = 2 WHERE id IN (4, 12)")
    return [
        Question(f"SELECT id, v, _row_id, _last_updated_sequence_number AS seq FROM {{{name}}}"),
        *past(spark, name, "id, v, _row_id, _last_updated_sequence_number AS seq"),
    ]


def _places(spark: Spark) -> list[Question]:
    """Positions in files whose row groups, pages and partitions are skipped."""
    name = "lineage.places"
    spark.sql(
        f"CREATE TABLE {name} (id INT, p INT, w STRING) USING iceberg PARTITIONED BY (p) TBLPROPERTIES ("
        "'write.parquet.row-group-size-bytes' = '1024', 'write.parquet.row-group-check-min-record-count' = '50', "
        "'write.parquet.row-group-check-max-record-count' = '50', 'write.parquet.page-row-limit' = '20')",
        f"INSERT INTO {name} SELECT CAST(id AS INT), CAST(id DIV 500 AS INT), concat('w', id) "
        "FROM range(0, 1000, 1, 1) ORDER BY id")
    return [
        Question(f"SELECT id, _pos FROM {{{name}}} WHERE id BETWEEN 740 AND 760"),
        Question(f"SELECT id, _pos, {FILE} AS f FROM {{{name}}} WHERE w = 'w333'"),
        Question(f"SELECT _pos FROM {{{name}}} WHERE id = 999"),
        Question(f"SELECT count(*) AS n, sum(_pos) AS s FROM {{{name}}}"),
        Question(f"SELECT _partition, _spec_id, count(*) AS n FROM {{{name}}} GROUP BY 1, 2"),
        Question(f"SELECT id FROM {{{name}}} WHERE _pos = 123"),
        Question(f"SELECT count(DISTINCT _file) AS files FROM {{{name}}}"),
        Question(f"SELECT id, _pos FROM {{{name}}} ORDER BY id DESC LIMIT 3", ordered=True),
        Question(f"SELECT DISTINCT p, _file = (SELECT max(f.file_path) FROM {{{name}.files}} AS f) AS last FROM {{{name}}}"),
    ]
