"""Parquet files that came without field ids: columns are found by the names Iceberg mapped."""

from __future__ import annotations

from pathlib import Path

from spark_session import Spark
from spark_tables import Question, everything, past, wheres

SOURCE = """SELECT CAST(id AS INT) AS id, concat('w', id) AS w,
    TIMESTAMP '1969-12-31 23:59:59.999999+00:00' + make_dt_interval(CAST(id AS INT) * 400) AS tz,
    DATE '1969-12-30' + CAST(id AS INT) AS day, CAST(id / 4.0D AS DECIMAL(12, 4)) AS m,
    CAST(id AS DECIMAL(5, 2)) AS tiny, CAST(id * 1000000007 AS DECIMAL(18, 3)) AS middle,
    CAST(id * 1000000007 AS DECIMAL(38, 4)) AS wide, if(id % 3 = 0, NULL, id / 2.0D) AS d,
    named_struct('x', CAST(id AS INT), 'y', array(concat('y', id), NULL)) AS s,
    map('k', named_struct('q', id)) AS kv, id % 2 = 0 AS flag, CAST(concat('b', id) AS BINARY) AS raw
    FROM range(0, 10, 1, 1)"""
COLUMNS = """id INT, w STRING, tz TIMESTAMP, day DATE, m DECIMAL(12, 4), tiny DECIMAL(5, 2), middle DECIMAL(18, 3),
    wide DECIMAL(38, 4), d DOUBLE, s STRUCT<x: INT, y: ARRAY<STRING>>, kv MAP<STRING, STRUCT<q: BIGINT>>,
    flag BOOLEAN, raw BINARY"""


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE imported", "CREATE NAMESPACE spark_catalog.loose")
    lake = spark.lake
    return {
        "imported.plain": _plain(spark, lake / "loose-plain", "imported.plain", {}),
        "imported.int96": _plain(spark, lake / "loose-int96", "imported.int96", {
            "spark.sql.parquet.outputTimestampType": "INT96"}),
        "imported.legacy": _plain(spark, lake / "loose-legacy", "imported.legacy", {
            "spark.sql.parquet.writeLegacyFormat": "true",
            "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS"}),
        "imported.hive": _hive(spark, lake / "loose-hive"),
        "imported.evolved": _evolved(spark, lake / "loose-evolved"),
        "imported.snapshot": _snapshot(spark),
        "imported.migrated": _migrated(spark),
    }


def _write(spark: Spark, folder: Path, settings: dict[str, str], source: str = SOURCE, by: tuple[str, ...] = ()) -> None:
    for key, value in settings.items():
        spark.session.conf.set(key, value)
    spark.session.sql(source).write.partitionBy(*by).parquet(f"file://{folder}")
    for key in settings:
        spark.session.conf.unset(key)


def _plain(spark: Spark, folder: Path, name: str, settings: dict[str, str]) -> list[Question]:
    """Every type as Spark writes it outside of Iceberg."""
    _write(spark, folder, settings)
    spark.sql(f"CREATE TABLE {name} ({COLUMNS}) USING iceberg",
              f"CALL spark.system.add_files(table => '{name}', source_table => '\"parquet\".\"file://{folder}\"')")
    return [
        *everything(name),
        *wheres(name, "id", ["w = 'w3'", "tz < TIMESTAMPTZ '1970-06-01 00:00:00+00:00'", "day < DATE '1970-01-01'",
                             "m = 0.25", "middle > 5000000000", "wide = 2000000014", "d IS NULL", "d > 3", "flag",
                             "raw = X'6233'", "tiny IN (1, 2)"]),
        Question(f"SELECT id FROM {{{name}}} WHERE s['x'] = 4", f"SELECT id FROM {{{name}}} WHERE s.x = 4"),
        Question(f"SELECT min(tz) AS lo, max(tz) AS hi, sum(m) AS m FROM {{{name}}}"),
    ]


def _hive(spark: Spark, folder: Path) -> list[Question]:
    """Partition folders as Hive names them: their columns are in no file, and one has no value."""
    name = "imported.hive"
    source = """SELECT CAST(id AS INT) AS id, if(id % 4 = 0, NULL, concat('c/', id % 4, ' ö=%')) AS city,
        CAST(2000 + id % 2 AS INT) AS y FROM range(0, 12, 1, 1)"""
    _write(spark, folder, {}, source, ("city", "y"))
    spark.sql(f"CREATE TABLE {name} (id INT, city STRING, y INT) USING iceberg PARTITIONED BY (city, y)",
              f"CALL spark.system.add_files(table => '{name}', source_table => '\"parquet\".\"file://{folder}\"')",
              f"INSERT INTO {name} VALUES (100, NULL, 2000), (101, 'Oslo', NULL)")
    return [
        *everything(name),
        *wheres(name, "id, city, y", ["city IS NULL", "city = 'c/1 ö=%'", "y = 2001", "city IS NOT NULL AND y = 2000",
                                      "y IS NULL", "id = 3", "city <> 'Oslo'"]),
        Question(f"SELECT city, y, count(*) AS n FROM {{{name}}} GROUP BY city, y"),
        Question(f"SELECT DISTINCT y FROM {{{name}}}"),
    ]


def _evolved(spark: Spark, folder: Path) -> list[Question]:
    """Columns are renamed after the import: the mapping keeps the old names."""
    name = "imported.evolved"
    source = """SELECT CAST(id AS INT) AS id, concat('w', id) AS w, CAST(id AS INT) AS n,
        named_struct('x', CAST(id AS INT), 'y', 'why') AS s, 'not in the table' AS extra FROM range(0, 6, 1, 1)"""
    _write(spark, folder, {}, source)
    spark.sql(
        f"CREATE TABLE {name} (id INT, w STRING, n INT, s STRUCT<x: INT, y: STRING>, missing STRING) USING iceberg "
        "TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')",
        f"CALL spark.system.add_files(table => '{name}', source_table => '\"parquet\".\"file://{folder}\"')",
        f"ALTER TABLE {name} RENAME COLUMN w TO word",
        f"ALTER TABLE {name} RENAME COLUMN s.x TO ex",
        f"ALTER TABLE {name} ALTER COLUMN n TYPE BIGINT",
        f"ALTER TABLE {name} DROP COLUMN missing",
        f"ALTER TABLE {name} ADD COLUMN w STRING FIRST",
        f"INSERT INTO {name} VALUES ('new w', 10, 'word', 10000000000, named_struct('ex', 1, 'y', 'z'))",
        f"DELETE FROM {name} WHERE id = 2")
    return [
        *everything(name),
        *wheres(name, "id, w, word", ["word = 'w3'", "w IS NULL", "n > 3", "w = 'new w'"]),
        Question(f"SELECT id FROM {{{name}}} WHERE s['ex'] = 1", f"SELECT id FROM {{{name}}} WHERE s.ex = 1"),
        *past(spark, name),
    ]


def _snapshot(spark: Spark) -> list[Question]:
    """The procedure `snapshot`: a table over another one's files, then with rows of its own."""
    spark.sql(f"CREATE TABLE spark_catalog.loose.source USING parquet AS {SOURCE}",
              "CALL spark.system.snapshot('spark_catalog.loose.source', 'spark.imported.snapshot')",
              "ALTER TABLE imported.snapshot RENAME COLUMN w TO label",
              "INSERT INTO imported.snapshot (id, label) VALUES (50, 'own')")
    return [*everything("imported.snapshot"), *wheres("imported.snapshot", "id", ["label = 'w3'", "d IS NULL"])]


def _migrated(spark: Spark) -> list[Question]:
    """The procedure `migrate`: a partitioned table that became Iceberg's where it lay."""
    name = "imported.migrated"
    spark.sql("CREATE TABLE spark_catalog.loose.moved (id INT, w STRING, p STRING) USING parquet PARTITIONED BY (p)",
              "INSERT INTO spark_catalog.loose.moved VALUES (1, 'a', 'x'), (2, NULL, 'x'), (3, 'c', NULL)",
              "CALL spark_catalog.system.migrate('spark_catalog.loose.moved')")
    metadata = spark.table("spark_catalog.loose.moved").operations().current().metadataFileLocation()
    spark.sql(f"CALL spark.system.register_table('{name}', '{metadata}')", f"INSERT INTO {name} VALUES (4, 'd', NULL)")
    return [*everything(name), *wheres(name, "id", ["p = 'x'", "p IS NULL", "w IS NULL"])]
