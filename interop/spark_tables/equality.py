"""Equality deletes, which Spark reads and only Iceberg's Java API writes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_session import Spark
from spark_tables import Question, everything, past, properties, wheres
from spark_tables.java import JavaTable

UTC = dt.timezone.utc
MANY_DELETED = 50_000


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE equality")
    made = {}
    for version in (2, 3):
        made[f"equality.several_v{version}"] = _several(spark, version)
        made[f"equality.parts_v{version}"] = _partitions(spark, version)
        made[f"equality.renamed_v{version}"] = _renamed(spark, version)
        made[f"equality.promoted_v{version}"] = _promoted(spark, version)
        made[f"equality.mixed_v{version}"] = _mixed(spark, version)
    made["equality.keys"] = _keys(spark)
    made["equality.required"] = _required(spark)
    made["equality.defaulted"] = _defaulted(spark)
    made["equality.dropped"] = _dropped(spark)
    made["equality.readded"] = _readded(spark)
    made["equality.many"] = _many(spark)
    return made


def _create(spark: Spark, name: str, columns: str, version: int, partitions: str = "") -> JavaTable:
    clause = f"PARTITIONED BY ({partitions})" if partitions else ""
    spark.sql(f"CREATE TABLE {name} ({columns}) USING iceberg {clause} TBLPROPERTIES ({properties(version)})")
    return JavaTable(spark, name)


def _several(spark: Spark, version: int) -> list[Question]:
    """Sets of one and two key columns, with nulls; rows written later and in the same commit stay."""
    name = f"equality.several_v{version}"
    table = _create(spark, name, "id BIGINT, a INT, b STRING", version)
    rows = [(1, 1, "x"), (2, 1, "y"), (3, 2, "x"), (4, 2, "y"), (5, 3, "z"), (6, None, "z"), (7, None, "x"),
            (8, 5, None), (9, 6, None), (10, None, None), (11, 7, "q"), (12, 8, "r")]
    table.append([{"id": i, "a": a, "b": b} for i, a, b in rows])
    table.append([{"id": i + 20, "a": a, "b": b} for i, a, b in rows])
    table.delta(deletes=[table.equality_delete(["a"], [{"a": 3}, {"a": 99}])])
    table.append([{"id": 40, "a": 3, "b": "later"}, {"id": 41, "a": 1, "b": "y"}])
    table.delta(deletes=[table.equality_delete(["a", "b"], [{"a": 1, "b": "y"}, {"a": None, "b": "z"},
                                                            {"a": 5, "b": None}])])
    table.delta(
        data=[table.data_file([{"id": 50, "a": 7, "b": "same commit"}, {"id": 51, "a": None, "b": "new"}])],
        deletes=[table.equality_delete(["a"], [{"a": 7}]), table.equality_delete(["b"], [{"b": "r"}, {"b": "new"}])],
    )
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 1}, {"id": 23}])])
    table.delta(deletes=[table.equality_delete(["b"], [{"b": None}])])
    return [
        *everything(name),
        *wheres(name, "id", ["a IS NULL", "b IS NULL", "a = 3", "a = 1", "b = 'y'", "b = 'z'", "id > 30",
                             "a IS NULL AND b IS NULL", "b <> 'x'"]),
        Question(f"SELECT count(*) AS n, count(a) AS a, count(b) AS b, sum(id) AS s FROM {{{name}}}"),
        Question(f"SELECT 1 AS one FROM {{{name}}}"),
        *past(spark, name),
    ]


def _partitions(spark: Spark, version: int) -> list[Question]:
    """A delete of one partition is for that one; one without a partition is for the whole table."""
    name = f"equality.parts_v{version}"
    table = _create(spark, name, "id INT, grp STRING, v INT", version)
    table.append([{"id": at, "grp": grp, "v": at} for at in range(1, 7) for grp in ("old a", "old b")])
    spark.sql(f"ALTER TABLE {name} ADD PARTITION FIELD grp")
    for grp in ("a", "b", None):
        table.append([{"id": at, "grp": grp, "v": at + 10} for at in range(1, 7)])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 1}], place={"grp": "a"})])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 2}], spec_id=0)])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 3}], place={"grp": None})])
    spark.sql(f"ALTER TABLE {name} ADD PARTITION FIELD bucket(2, id)")
    table.append([{"id": 4, "grp": "a", "v": 104}])
    table.delta(deletes=[table.equality_delete(["id", "grp"], [{"id": 4, "grp": "a"}], place={"id": 4, "grp": "a"})])
    table.delta(deletes=[table.equality_delete(["v"], [{"v": 15}], spec_id=1, place={"grp": "b"})])
    table.append([{"id": 4, "grp": "a", "v": 204}])
    return [
        *everything(name),
        Question(f"SELECT grp, count(*) AS n, sum(v) AS s FROM {{{name}}} GROUP BY grp"),
        Question(f"SELECT grp, count(*) AS n FROM {{{name}}} GROUP BY grp"),
        *wheres(name, "id, grp, v", ["grp = 'a'", "grp = 'b'", "grp IS NULL", "id = 1", "id = 2", "id = 3", "id = 4",
                                     "grp = 'old a'", "v = 15"]),
        Question(f"SELECT DISTINCT grp FROM {{{name}}}"),
        *past(spark, name),
    ]


def _renamed(spark: Spark, version: int) -> list[Question]:
    """The key column was renamed and moved, and another one took its name."""
    name = f"equality.renamed_v{version}"
    table = _create(spark, name, "id INT, k INT, other INT", version)
    table.append([{"id": at, "k": at % 4, "other": at % 3} for at in range(12)])
    table.delta(deletes=[table.equality_delete(["k"], [{"k": 1}])])
    spark.sql(f"ALTER TABLE {name} RENAME COLUMN k TO was_k", f"ALTER TABLE {name} RENAME COLUMN other TO k",
              f"ALTER TABLE {name} ALTER COLUMN k FIRST")
    table.delta(deletes=[table.equality_delete(["k"], [{"k": 2}])])
    table.append([{"id": 20, "was_k": 1, "k": 2}])
    return [*everything(name), *wheres(name, "id", ["k = 2", "was_k = 1", "k = 1", "id < 5"]), *past(spark, name)]


def _promoted(spark: Spark, version: int) -> list[Question]:
    """Keys whose types grew between the deletes."""
    name = f"equality.promoted_v{version}"
    table = _create(spark, name, "id INT, f FLOAT, m DECIMAL(5, 2)", version)
    table.append([{"id": at, "f": at + 0.5, "m": Decimal(f"{at / 4:.2f}")} for at in range(8)])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 1}]), table.equality_delete(["f"], [{"f": 2.5}]),
                         table.equality_delete(["m"], [{"m": Decimal("0.75")}])])
    spark.sql(f"ALTER TABLE {name} ALTER COLUMN id TYPE BIGINT", f"ALTER TABLE {name} ALTER COLUMN f TYPE DOUBLE",
              f"ALTER TABLE {name} ALTER COLUMN m TYPE DECIMAL(12, 2)")
    table.append([{"id": at + 2**40, "f": at + 0.25, "m": Decimal(f"{at}000000.00")} for at in range(1, 8)])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 4}, {"id": 2**40 + 1}]),
                         table.equality_delete(["f"], [{"f": 5.5}, {"f": 2.25}]),
                         table.equality_delete(["m"], [{"m": Decimal("1.50")}, {"m": Decimal("3000000.00")}])])
    # Spark reads a past snapshot by its own types and the keys by the present ones, and finds none
    # of the promoted keys: the snapshot between the deletes and the second data file is left out.
    before, _deleted, after = past(spark, name)
    return [*everything(name), *wheres(name, "id", ["id < 10", "f > 3", "m > 2"]), before, after]


def _mixed(spark: Spark, version: int) -> list[Question]:
    """Position deletes or vectors beside equality deletes on the same files."""
    name = f"equality.mixed_v{version}"
    table = _create(spark, name, "id INT, w STRING", version)
    spark.sql(f"INSERT INTO {name} SELECT CAST(id AS INT), concat('w', id % 5) FROM range(0, 50, 1, 1)",
              f"DELETE FROM {name} WHERE id % 10 = 0")
    table.delta(deletes=[table.equality_delete(["w"], [{"w": "w1"}])])
    spark.sql(f"DELETE FROM {name} WHERE id IN (2, 3)",
              f"INSERT INTO {name} VALUES (100, 'w1'), (101, 'w0')",
              f"UPDATE {name} SET w = 'w1' WHERE id = 4")
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 100}, {"id": 5}])])
    return [
        *everything(name),
        *wheres(name, "id", ["w = 'w1'", "w = 'w0'", "id < 10", "id >= 45"]),
        *past(spark, name, "count(*) AS n, sum(id) AS s"),
    ]


def _keys(spark: Spark) -> list[Question]:
    """A key of each type. Zeros of either sign are left out: Java tells them apart, SQL does not."""
    name = "equality.keys"
    table = _create(spark, name, "id INT, flag BOOLEAN, m DECIMAL(20, 3), day DATE, ts TIMESTAMP_NTZ, tz TIMESTAMP, "
                    "d DOUBLE, raw BINARY, w STRING, s STRUCT<x: INT, y: STRING>", 2)
    spark.sql(f"""INSERT INTO {name} VALUES
        (1, true, 1.5, DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999',
         TIMESTAMP '1969-12-31 23:59:59.999999+00:00', 1.5D, X'00', 'größe', named_struct('x', 1, 'y', 'a')),
        (2, false, -1.5, DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 01:02:03', TIMESTAMP '2024-02-29 01:02:03+00:00',
         double('NaN'), X'0000', '', named_struct('x', 2, 'y', 'b')),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, NULL, 99999999999999999.999, DATE '0001-01-01', TIMESTAMP_NTZ '0001-01-01 00:00:00', NULL,
         double('-infinity'), X'', '🦀', named_struct('x', CAST(NULL AS INT), 'y', 'c'))""")
    spark.sql(*[f"INSERT INTO {name} SELECT id + {10 * at}, * EXCEPT (id) FROM {name} WHERE id < 10"
                for at in range(1, 10)])
    nothing = {"flag": None, "m": None, "day": None, "ts": None, "tz": None, "d": None, "raw": None, "w": None}
    keys = [
        (1, "flag", True), (2, "m", Decimal("-1.500")), (3, "day", dt.date(1969, 12, 31)),
        (4, "ts", dt.datetime(1969, 12, 31, 23, 59, 59, 999999)),
        (5, "tz", dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)), (6, "d", float("nan")), (7, "w", "🦀"),
    ]
    for at, column, value in keys:
        row = {"id": at * 10 + 1, column: value}
        rows = [{**row, "id": at * 10 + more} for more in range(1, 5)]
        table.delta(deletes=[table.equality_delete(["id", column], rows)])
    raw = spark.jvm.java.nio.ByteBuffer.wrap(b"\x00\x00")
    table.delta(deletes=[table.equality_delete(["raw", "id"], [{"raw": raw, "id": 82}])])
    table.delta(deletes=[table.equality_delete(["id", *nothing], [{"id": 93, **nothing}])])
    return [
        *everything(name),
        *wheres(name, "id", ["flag", "m < 0", "day = DATE '1969-12-31'", "w = ''", "s IS NULL"]),
        *past(spark, name, "count(*) AS n, sum(id) AS s"),
    ]


def _required(spark: Spark) -> list[Question]:
    """The delete file holds the key only, and the table's other columns are required."""
    name = "equality.required"
    table = _create(spark, name, "id INT NOT NULL, must STRING NOT NULL", 2)
    table.append([{"id": at, "must": f"m{at}"} for at in range(5)])
    table.delta(deletes=[table.equality_delete(["id"], [{"id": 2}])])
    return [*everything(name), Question(f"SELECT must FROM {{{name}}} WHERE must > 'm1'")]


def _defaulted(spark: Spark) -> list[Question]:
    """The key column came after the data file: its rows have the default, and match by it."""
    name = "equality.defaulted"
    table = _create(spark, name, "id INT", 3)
    table.append([{"id": 1}, {"id": 2}])
    table.add_column("k", "int", 7)
    table.append([{"id": 3, "k": 8}, {"id": 4, "k": 9}, {"id": 5, "k": None}])
    table.delta(deletes=[table.equality_delete(["id", "k"], [{"id": 1, "k": 7}, {"id": 2, "k": None},
                                                             {"id": 3, "k": 8}])])
    spark.sql(f"ALTER TABLE {name} ADD COLUMN late STRING")
    table.append([{"id": 6, "k": 1, "late": "x"}, {"id": 7, "k": 1, "late": None}])
    table.delta(deletes=[table.equality_delete(["id", "late"], [{"id": 5, "late": None}, {"id": 4, "late": "x"},
                                                                {"id": 7, "late": None}])])
    return [*everything(name), *wheres(name, "id", ["k = 7", "k IS NULL", "late IS NULL"]), *past(spark, name)]


def _dropped(spark: Spark) -> list[Question]:
    """The key column was dropped after the delete."""
    name = "equality.dropped"
    _drop_key(spark, name)
    return [*everything(name), *wheres(name, "id", ["id < 5"]), *past(spark, name)]


def _readded(spark: Spark) -> list[Question]:
    """Another column has the name of the dropped key. Iceberg's Java library trips over the two
    names, so the answers are written here."""
    name = "equality.readded"
    table = _drop_key(spark, name)
    spark.sql(f"ALTER TABLE {name} ADD COLUMN k INT")
    table.append([{"id": 21, "k": 1}])
    left = [["0", None], ["2", None], ["3", None], ["5", None], ["6", None], ["8", None], ["20", None], ["21", "1"]]
    return [
        Question(f"SELECT id, k FROM {{{name}}}", answer=(["id", "k"], ["int", "int"], left)),
        Question(f"SELECT id FROM {{{name}}} WHERE k = 1", answer=(["id"], ["int"], [["21"]])),
        Question(f"SELECT id FROM {{{name}}} WHERE id < 5", answer=(["id"], ["int"], [["0"], ["2"], ["3"]])),
    ]


def _drop_key(spark: Spark, name: str) -> JavaTable:
    table = _create(spark, name, "id INT, k INT", 2)
    table.append([{"id": at, "k": at % 3} for at in range(9)])
    table.delta(deletes=[table.equality_delete(["k"], [{"k": 1}])])
    spark.sql(f"ALTER TABLE {name} DROP COLUMN k")
    table.append([{"id": 20}])
    return table


def _many(spark: Spark) -> list[Question]:
    """Fifty thousand deleted keys in one file, some of them twice and some of no row."""
    name = "equality.many"
    table = _create(spark, name, "id BIGINT, v STRING", 2)
    spark.sql(f"INSERT INTO {name} SELECT id, concat('v', id % 100) FROM range(0, 60000, 1, 2)")
    keys = [at * 11 % 66_000 for at in range(MANY_DELETED)]
    schema = pa.schema([pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "1"})])
    location = table.refreshed().location()
    path = Path(location.removeprefix("file://").removeprefix("file:")) / "data" / "many-deletes.parquet"
    pq.write_table(pa.table({"id": keys}, schema=schema), path)
    table.delta(deletes=[table.listed_equality_delete(
        f"{location}/data/many-deletes.parquet", path.stat().st_size, len(keys), [1])])
    t = f"{{{name}}}"
    return [
        Question(f"SELECT count(*) AS n, sum(id) AS s, min(id) AS lo, max(id) AS hi FROM {t}"),
        Question(f"SELECT v, count(*) AS n FROM {t} GROUP BY v"),
        Question(f"SELECT id FROM {t} WHERE id BETWEEN 100 AND 150"),
    ]
