"""Rows deleted, updated and merged by Spark: position deletes, deletion vectors, rewritten files."""

from __future__ import annotations

from spark_session import Spark
from spark_tables import SMALL_GROUPS, Question, everything, past, properties, wheres

ROWS = """SELECT id, CAST(id % 10 AS INT) AS grp, concat('w', id) AS word, id / 4.0D AS val,
    TIMESTAMP_NTZ '1969-12-31 12:00:00' + make_dt_interval(0, CAST(id AS INT)) AS ts"""
COLUMNS = "id BIGINT NOT NULL, grp INT, word STRING, val DOUBLE, ts TIMESTAMP_NTZ"


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE deletes", "CREATE NAMESPACE folder.deletes")
    made = {}
    for version in (2, 3):
        for mode in ("merge-on-read", "copy-on-write"):
            name = f"deletes.{mode.split('-')[0]}_v{version}"
            made[name] = _changed(spark, name, version, mode)
        name = f"folder.deletes.merge_v{version}"
        made[name] = _changed(spark, name, version, "merge-on-read")
        made[f"deletes.parts_v{version}"] = _partitioned(spark, version)
        made[f"deletes.evolved_v{version}"] = _evolved(spark, version)
        made[f"deletes.compacted_v{version}"] = _compacted(spark, version)
        made[f"deletes.emptied_v{version}"] = _emptied(spark, version)
    made["deletes.upgraded"] = _upgraded(spark)
    return made


def _changed(spark: Spark, name: str, version: int, mode: str) -> list[Question]:
    """Every kind of change, over files with several row groups; vectors are merged again and again."""
    spark.sql(
        f"CREATE TABLE {name} ({COLUMNS}) USING iceberg TBLPROPERTIES ({properties(version, mode, **SMALL_GROUPS)})",
        f"INSERT INTO {name} {ROWS} FROM range(0, 2000, 1, 2)",
        f"DELETE FROM {name} WHERE id % 7 = 0",
        f"DELETE FROM {name} WHERE id % 5 = 1",
        f"UPDATE {name} SET val = -val, word = concat(word, '!') WHERE id % 11 = 3",
        f"""MERGE INTO {name} AS t USING (SELECT id * 3 AS id, 'merged' AS word FROM range(600, 700)) AS s
            ON t.id = s.id
            WHEN MATCHED AND s.id % 2 = 0 THEN DELETE
            WHEN MATCHED THEN UPDATE SET word = s.word
            WHEN NOT MATCHED THEN INSERT (id, grp, word, val, ts) VALUES (s.id, 99, s.word, NULL, NULL)""",
        f"INSERT INTO {name} {ROWS} FROM range(5000, 5100, 1, 1)",
        f"DELETE FROM {name} WHERE id BETWEEN 995 AND 1005 OR id = 5050 OR id = 1999",
    )
    t = f"{{{name}}}"
    asked = [
        *everything(name),
        Question(f"SELECT count(*) AS n, count(val) AS v, sum(id) AS s, min(id) AS lo, max(id) AS hi FROM {t}"),
        Question(f"SELECT grp, count(*) AS n, sum(id) AS s FROM {t} GROUP BY grp"),
        Question(f"SELECT * FROM {t} ORDER BY id LIMIT 10", ordered=True),
        Question(f"SELECT id FROM {t} ORDER BY id DESC LIMIT 10", ordered=True),
        Question(f"SELECT count(*) AS n FROM (SELECT id FROM {t} LIMIT 50) AS some"),
        *wheres(name, "id, word", [
            "id = 7", "id = 1", "id = 8", "id = 3", "id BETWEEN 990 AND 1010", "id > 1990 AND id < 5003",
            "id IN (0, 2, 14, 25, 1802, 2097)", "val < 0", "val IS NULL", "word LIKE 'w19%'", "word = 'merged'",
            "ts < TIMESTAMP '1969-12-31 12:00:30'", "grp = 99", "grp = 3 AND id < 200", "NOT (id < 5090)",
        ]),
        Question(f"SELECT count(*) AS n FROM {t} AS a JOIN {t} AS b ON a.id = b.id + 1"),
        Question(f"SELECT word FROM {t} WHERE id = (SELECT min(id) FROM {t})"),
    ]
    if name.startswith("folder."):
        return asked
    return asked + [
        *past(spark, name, "count(*) AS n, sum(id) AS s, count(val) AS v, min(word) AS w"),
        Question(f"SELECT id FROM {{{name}@snapshot:1}} WHERE id BETWEEN 690 AND 710"),
        Question(f"SELECT now.id FROM {{{name}@snapshot:0}} AS was LEFT JOIN {t} AS now ON was.id = now.id "
                 "WHERE was.id < 40"),
    ]


def _partitioned(spark: Spark, version: int) -> list[Question]:
    """One delete file for the files of a partition; then other specs, with deletes across them."""
    name = f"deletes.parts_v{version}"
    granular = properties(version, write__delete__granularity="partition")
    spark.sql(
        f"CREATE TABLE {name} ({COLUMNS}) USING iceberg PARTITIONED BY (grp) TBLPROPERTIES ({granular})",
        f"INSERT INTO {name} {ROWS} FROM range(0, 100, 1, 1)",
        f"INSERT INTO {name} {ROWS} FROM range(100, 200, 1, 1)",
        f"INSERT INTO {name} VALUES (1000, NULL, 'no group', 1, NULL), (1001, NULL, 'no group', 2, NULL)",
        f"DELETE FROM {name} WHERE id % 3 = 0",
        f"DELETE FROM {name} WHERE id IN (1, 101, 1000)",
        f"ALTER TABLE {name} ADD PARTITION FIELD bucket(3, id)",
        f"INSERT INTO {name} {ROWS} FROM range(200, 260, 1, 1)",
        f"DELETE FROM {name} WHERE id % 4 = 0",
        f"ALTER TABLE {name} DROP PARTITION FIELD grp",
        f"INSERT INTO {name} {ROWS} FROM range(260, 300, 1, 1)",
        f"UPDATE {name} SET grp = grp + 100 WHERE id % 10 = 5",
        f"DELETE FROM {name} WHERE grp = 7",
    )
    t = f"{{{name}}}"
    return [
        *everything(name),
        Question(f"SELECT grp, count(*) AS n, sum(id) AS s FROM {t} GROUP BY grp"),
        Question(f"SELECT DISTINCT grp FROM {t}"),
        Question(f"SELECT count(*) AS n FROM {t} WHERE grp = 1"),
        *wheres(name, "id, grp", ["grp = 1", "grp IS NULL", "grp = 7", "grp > 100", "id = 101", "id > 255",
                                  "id BETWEEN 198 AND 203", "grp = 5"]),
        *[Question(f"SELECT grp, count(*) AS n, sum(id) AS s FROM {{{name}@snapshot:{at}}} GROUP BY grp")
          for at in range(len(spark.log(name)) - 1)],
    ]


def _evolved(spark: Spark, version: int) -> list[Question]:
    """Deletes over files from before and after columns came, went and changed their names."""
    name = f"deletes.evolved_v{version}"
    spark.sql(
        f"CREATE TABLE {name} (id INT, a STRING, b INT) USING iceberg TBLPROPERTIES ({properties(version)})",
        f"INSERT INTO {name} SELECT CAST(id AS INT), concat('a', id), CAST(id AS INT) FROM range(0, 20, 1, 1)",
        f"DELETE FROM {name} WHERE b IN (3, 4)",
        f"ALTER TABLE {name} RENAME COLUMN a TO label",
        f"ALTER TABLE {name} ADD COLUMN c DOUBLE AFTER id",
        f"ALTER TABLE {name} ALTER COLUMN id TYPE BIGINT",
        f"INSERT INTO {name} SELECT id, id / 2.0D, concat('l', id), CAST(id AS INT) FROM range(20, 40, 1, 1)",
        f"DELETE FROM {name} WHERE c IS NULL AND id < 10 AND id % 2 = 0",
        f"DELETE FROM {name} WHERE c = 12.5 OR label = 'a11'",
        f"ALTER TABLE {name} DROP COLUMN b",
        f"ALTER TABLE {name} ADD COLUMN b STRING",
        f"UPDATE {name} SET b = label WHERE id % 10 = 9",
        f"DELETE FROM {name} WHERE b = 'l29'",
    )
    return [
        *everything(name),
        *wheres(name, "id, label, b, c", ["b IS NULL", "b IS NOT NULL", "c IS NULL", "c > 15", "label = 'a19'",
                                          "label LIKE 'a1%'", "id IN (3, 5, 25, 29)"]),
        *past(spark, name),
    ]


def _compacted(spark: Spark, version: int) -> list[Question]:
    """After the procedures that rewrite delete files, data files and manifests, and expire snapshots."""
    name = f"deletes.compacted_v{version}"
    spark.sql(
        f"CREATE TABLE {name} ({COLUMNS}) USING iceberg PARTITIONED BY (truncate(100, id)) "
        f"TBLPROPERTIES ({properties(version)})",
        *[f"INSERT INTO {name} {ROWS} FROM range({at}, {at + 60}, 1, 1)" for at in range(0, 300, 60)],
        f"DELETE FROM {name} WHERE id % 6 = 0",
        f"DELETE FROM {name} WHERE id % 6 = 1",
        f"DELETE FROM {name} WHERE id % 50 = 2",
        f"CALL spark.system.rewrite_position_delete_files(table => '{name}', "
        "options => map('rewrite-all', 'true'))",
        f"CALL spark.system.rewrite_manifests('{name}')",
        f"ALTER TABLE {name} CREATE TAG rewritten",
        f"CALL spark.system.rewrite_data_files(table => '{name}', where => 'id < 100', "
        "options => map('delete-file-threshold', '1', 'rewrite-all', 'true'))",
        f"DELETE FROM {name} WHERE id % 6 = 2",
        f"CALL spark.system.rewrite_manifests('{name}')",
        f"CALL spark.system.expire_snapshots(table => '{name}', older_than => TIMESTAMP '2999-01-01', "
        "retain_last => 2)",
    )
    return [
        *everything(name),
        *wheres(name, "id", ["id < 20", "id BETWEEN 95 AND 125", "id > 280", "grp = 2"]),
        Question(f"SELECT count(*) AS n, sum(id) AS s FROM {{{name}@tag:rewritten}}"),
        Question(f"SELECT id FROM {{{name}@tag:rewritten}} WHERE id BETWEEN 100 AND 120"),
        *past(spark, name, "count(*) AS n, sum(id) AS s"),
    ]


def _emptied(spark: Spark, version: int) -> list[Question]:
    """All rows of a file, and then of the table, are deleted one by one; then there is one again."""
    name = f"deletes.emptied_v{version}"
    spark.sql(
        f"CREATE TABLE {name} (id INT, w STRING) USING iceberg TBLPROPERTIES ({properties(version)})",
        f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, NULL)",
        f"INSERT INTO {name} VALUES (4, 'a'), (5, 'b'), (6, NULL)",
        f"DELETE FROM {name} WHERE id IN (1, 3)",
        f"DELETE FROM {name} WHERE id % 3 = 2",
        f"UPDATE {name} SET w = 'c' WHERE id = 4",
        f"DELETE FROM {name} WHERE w IS NULL OR w = 'c'",
        f"INSERT INTO {name} VALUES (7, 'z')",
    )
    return [
        *everything(name),
        *wheres(name, "id", ["w IS NULL", "w = 'a'", "id < 7", "id = 7"]),
        *past(spark, name),
    ]


def _upgraded(spark: Spark) -> list[Question]:
    """Position deletes of format 2 with deletion vectors of format 3 above some of them."""
    name = "deletes.upgraded"
    granular = properties(2, write__delete__granularity="partition")
    spark.sql(
        f"CREATE TABLE {name} ({COLUMNS}) USING iceberg TBLPROPERTIES ({granular})",
        f"INSERT INTO {name} {ROWS} FROM range(0, 100, 1, 1)",
        f"INSERT INTO {name} {ROWS} FROM range(100, 200, 1, 1)",
        f"INSERT INTO {name} {ROWS} FROM range(200, 300, 1, 1)",
        f"DELETE FROM {name} WHERE id % 10 = 0",
        f"DELETE FROM {name} WHERE id % 10 = 1",
        f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version' = '3')",
        f"DELETE FROM {name} WHERE id BETWEEN 52 AND 55",
        f"INSERT INTO {name} {ROWS} FROM range(300, 320, 1, 1)",
        f"DELETE FROM {name} WHERE id IN (56, 157, 305)",
        f"UPDATE {name} SET word = 'up' WHERE id = 58",
    )
    return [
        *everything(name),
        *wheres(name, "id, word", ["id BETWEEN 48 AND 62", "id BETWEEN 148 AND 162", "id >= 289", "word = 'up'",
                                   "grp = 0", "grp = 1"]),
        *past(spark, name, "count(*) AS n, sum(id) AS s"),
    ]
