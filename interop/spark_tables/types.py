"""One table per family of types: every value a type can be awkward with, by Spark and by Java."""

from __future__ import annotations

import uuid

from spark_session import Spark
from spark_tables import Question, everything, properties, wheres
from spark_tables.java import JavaTable


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE types")
    made = {}
    for version in (2, 3):
        made[f"types.numbers_v{version}"] = _numbers(spark, version)
    made["types.floats"] = _floats(spark)
    made["types.decimals"] = _decimals(spark)
    made["types.temporal"] = _temporal(spark)
    made["types.words"] = _words(spark)
    made["types.nested"] = _nested(spark)
    made["types.java"] = _java(spark)
    made["types.nanoseconds"] = _nanoseconds(spark)
    made["types.unknown"] = _unknown(spark)
    made["types.variant"] = _variant(spark)
    made["types.names"] = _names(spark)
    return made


def _numbers(spark: Spark, version: int) -> list[Question]:
    name = f"types.numbers_v{version}"
    spark.sql(
        f"CREATE TABLE {name} (i INT, l BIGINT, b BOOLEAN, raw BINARY) USING iceberg "
        f"TBLPROPERTIES ({properties(version)})",
        f"""INSERT INTO {name} VALUES (1, 10, true, X'00FF'), (-2147483648, -9223372036854775808, false, X''),
        (2147483647, 9223372036854775807, NULL, NULL)""",
        f"INSERT INTO {name} VALUES (NULL, NULL, true, X'80'), (0, 0, false, X'00')")
    t = f"{{{name}}}"
    return [
        *everything(name),
        Question(f"SELECT count(*) AS n, count(i) AS ni, min(l) AS lo, max(l) AS hi FROM {t}"),
        *wheres(name, "i, l", ["l = 9223372036854775807", "i < 0", "i IS NULL", "i <> 1", "NOT (i < 1)",
                               "i IN (0, 1, 99)", "i NOT IN (0, 1)", "b", "i > 2147483646", "raw = X'00'", "raw IS NULL",
                               "CAST(i AS BIGINT) > 2147483647", "raw > X'00'"]),
        Question(f"SELECT i, l FROM {t} ORDER BY l DESC NULLS LAST LIMIT 2", ordered=True),
    ]


def _floats(spark: Spark) -> list[Question]:
    """Zeros of both signs and no numbers. Spark skips files by Java's order: it finds nothing for
    `d = 0` where all zeros are negative, nor for `d > 1` where all values are NaN, though it holds NaN
    to be greater elsewhere. Such questions are left out."""
    name = "types.floats"
    spark.sql(
        f"CREATE TABLE {name} (id INT, f FLOAT, d DOUBLE) USING iceberg",
        f"""INSERT INTO {name} VALUES (1, 1.5, 1.5D), (2, float('NaN'), double('NaN')), (3, float('infinity'),
        double('infinity')), (4, float('-infinity'), double('-infinity')), (5, NULL, NULL), (6, -1e-30, -1e-300D)""",
        f"INSERT INTO {name} VALUES (7, float('-0.0'), double('-0.0')), (8, 0, 0)",
        f"INSERT INTO {name} VALUES (9, float('NaN'), double('NaN')), (10, NULL, NULL)",
        f"INSERT INTO {name} VALUES (11, float('-0.0'), double('-0.0'))")
    return [
        *everything(name),
        *wheres(name, "id", ["d > 1 AND NOT isnan(d)", "d < -1", "f > 1 AND f < 2", "d IS NULL", "d IS NOT NULL", "isnan(d)",
                             "d = 1.5", "d BETWEEN 1 AND 2"]),
    ]


def _decimals(spark: Spark) -> list[Question]:
    """Decimals of each width that Parquet stores in another way."""
    name = "types.decimals"
    spark.sql(
        f"CREATE TABLE {name} (id INT, small DECIMAL(9, 2), middle DECIMAL(18, 6), large DECIMAL(38, 10), "
        "whole DECIMAL(20, 0), tiny DECIMAL(1, 0), all_fraction DECIMAL(10, 10)) USING iceberg",
        f"""INSERT INTO {name} VALUES
        (1, 1.28, -0.000001, 12345678901234567890.1234567890, 99999999999999999999, 9, 0.9999999999),
        (2, -1.28, 0, -12345678901234567890.1234567890, -1, -9, -0.0000000001), (3, -0.01, NULL, 0, NULL, 0, 0)""",
        f"""INSERT INTO {name} VALUES (4, 9999999.99, 999999999999.999999, NULL, 0, NULL, NULL),
        (5, -9999999.99, -999999999999.999999, 0.0000000001, 7, 1, 0.5)""")
    return [
        *everything(name),
        *wheres(name, "id", ["small < 0", "small = -1.28", "middle < 0", "large < 0", "whole > 7", "middle IS NULL",
                             "tiny = 9", "all_fraction < 0", "large = 0.0000000001", "small IN (1.28, -0.01)"]),
        Question(f"SELECT min(small) AS lo, max(small) AS hi, min(large) AS ll, max(whole) AS w FROM {{{name}}}"),
    ]


def _temporal(spark: Spark) -> list[Question]:
    name = "types.temporal"
    spark.sql(
        f"CREATE TABLE {name} (id INT, day DATE, ts TIMESTAMP_NTZ, tz TIMESTAMP) USING iceberg",
        f"""INSERT INTO {name} VALUES
        (1, DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999', TIMESTAMP '1969-12-31 23:59:59.999999+00:00'),
        (2, DATE '1970-01-01', TIMESTAMP_NTZ '1970-01-01 00:00:00', TIMESTAMP '1970-01-01 00:00:00+02:00'),
        (3, DATE '0001-01-01', TIMESTAMP_NTZ '0001-01-01 00:00:00', TIMESTAMP '0001-01-01 00:00:00+00:00'),
        (4, DATE '9999-12-31', TIMESTAMP_NTZ '9999-12-31 23:59:59.999999', TIMESTAMP '9999-12-31 23:59:59.999999+00:00'),
        (5, NULL, NULL, NULL),
        (6, DATE '1582-10-04', TIMESTAMP_NTZ '1582-10-04 12:00:00', TIMESTAMP '1582-10-04 12:00:00+00:00'),
        (7, DATE '2024-02-29', TIMESTAMP_NTZ '2024-03-31 02:30:00', TIMESTAMP '2024-03-31 02:30:00+00:00')""")
    return [
        *everything(name),
        *wheres(name, "id", ["day < DATE '1970-01-01'", "ts < TIMESTAMP '1970-01-01 00:00:00'",
                             "tz = TIMESTAMPTZ '1969-12-31 22:00:00+00:00'", "day = DATE '1582-10-04'",
                             "ts >= TIMESTAMP '9999-12-31 00:00:00'", "extract(YEAR FROM ts) = 1969", "CAST(ts AS DATE) = DATE '1970-01-01'"
                             ]),
    ]


def _words(spark: Spark) -> list[Question]:
    """Strings whose bounds are cut, in order of their bytes and not of their UTF-16 units."""
    name = "types.words"
    words = ["a", "Z", "", " ", "größe", "g\u0308", "名前", "🦀", "\U0010ffff", "\ud7ff", "\ue000", "\uffff", "x" * 30,
             "x" * 16 + "\U0010ffff" * 3, "tab\\tback\\\\slash", "quote''s", "%", "_"]
    values = ", ".join(f"({at}, '{word}')" for at, word in enumerate(words))
    spark.sql(f"CREATE TABLE {name} (id INT, w STRING) USING iceberg", f"INSERT INTO {name} VALUES {values}, (99, NULL)",
              *[f"INSERT INTO {name} VALUES ({100 + at}, '{words[at]}')" for at in (7, 8, 9, 10, 12, 13)])
    return [
        *everything(name),
        *wheres(name, "id", ["w = ''", "w = '🦀'", "w > '🦀'", "w < 'a'", "w >= '\ue000'", "w LIKE 'x%'", "w LIKE 'xxxxx%'",
                             "w = 'größe'", "w IS NULL", "w <> 'a'", "w IN ('Z', '名前')", "w > 'xxxxxxxxxxxxxxxx'",
                             f"w = '{'x' * 30}'", "w LIKE '%ö%'", "length(w) = 1"]),
        Question(f"SELECT w FROM {{{name}}} ORDER BY w NULLS LAST LIMIT 30", ordered=True),
        Question(f"SELECT min(w) AS lo, max(w) AS hi FROM {{{name}}}"),
    ]


def _nested(spark: Spark) -> list[Question]:
    name = "types.nested"
    spark.sql(
        f"CREATE TABLE {name} (id INT, s STRUCT<a: INT, b: STRUCT<c: STRING, d: ARRAY<INT>>>, l ARRAY<STRING>, "
        "m MAP<INT, STRING>, deep MAP<STRING, ARRAY<MAP<STRING, INT>>>) USING iceberg",
        f"""INSERT INTO {name} VALUES
        (1, named_struct('a', 1, 'b', named_struct('c', 'x', 'd', array(1, NULL, 3))), array('p', NULL, ''),
         map(1, 'one', 2, NULL), map('k', array(map('i', 1), NULL, map()), 'n', NULL)),
        (2, NULL, NULL, NULL, NULL),
        (3, named_struct('a', NULL, 'b', NULL), array(), map(), map()),
        (4, named_struct('a', 4, 'b', named_struct('c', NULL, 'd', array())), array(NULL), map(-1, ''),
         map('', array()))""")
    return [
        *everything(name),
        Question(f"SELECT id, s['b']['c'] AS c FROM {{{name}}}", f"SELECT id, s.b.c AS c FROM {{{name}}}"),
        Question(f"SELECT id FROM {{{name}}} WHERE s['b'] IS NULL", f"SELECT id FROM {{{name}}} WHERE s.b IS NULL"),
        Question(f"SELECT id FROM {{{name}}} WHERE s['b']['c'] = 'x'", f"SELECT id FROM {{{name}}} WHERE s.b.c = 'x'"),
        Question(f"SELECT id, l FROM {{{name}}} WHERE l IS NOT NULL"),
        Question(f"SELECT count(s) AS s, count(l) AS l, count(m) AS m FROM {{{name}}}"),
    ]


def _java(spark: Spark) -> list[Question]:
    """Types that Spark does not write: UUIDs, fixed bytes. It shows UUIDs as strings."""
    name = "types.java"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg TBLPROPERTIES ({properties(2)})")
    table = JavaTable(spark, name)
    update = table.refreshed().updateSchema()
    for column, kind in (("u", "uuid"), ("x", "fixed[3]")):
        update = update.addColumn(column, table.type_of(kind))
    update.commit()
    ids = ["f79c3e09-677c-4bbd-a479-3f349cb785e7", "00000000-0000-0000-0000-000000000000",
           "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    table.append([{"id": at, "u": uuid.UUID(text), "x": bytes([at, 0, 255])} for at, text in enumerate(ids)])
    table.append([{"id": 9}])
    return [
        *everything(name, {"u": "uuid"}),
        *wheres(name, "id", ["u IS NULL", "x = X'0100FF'", "x > X'0000FF'"]),
        # Spark itself finds no row by a UUID: Java's order of UUIDs is not that of the file's bounds.
        *[Question(f"SELECT id FROM {{{name}}} WHERE u = X'{text.replace('-', '')}'",
                   answer=(["id"], ["int"], [[str(at)]])) for at, text in enumerate(ids)],
    ]


def _nanoseconds(spark: Spark) -> list[Question]:
    """Nanoseconds and times of day, which Spark does not read: the answers are the Java reader's."""
    name = "types.nanoseconds"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg TBLPROPERTIES ({properties(3)})")
    table = JavaTable(spark, name)
    update = table.refreshed().updateSchema()
    for column, kind in (("ns", "timestamp_ns"), ("nz", "timestamptz_ns"), ("t", "time")):
        update = update.addColumn(column, table.type_of(kind))
    update.commit()
    time = spark.jvm.java.time
    table.append([
        {"id": 1, "ns": time.LocalDateTime.parse("1969-12-31T23:59:59.999999999"),
         "nz": time.OffsetDateTime.parse("1969-12-31T23:59:59.999999999Z"), "t": time.LocalTime.parse("23:59:59.999999")},
        {"id": 2, "ns": time.LocalDateTime.parse("2024-02-29T01:02:03.000000001"),
         "nz": time.OffsetDateTime.parse("2024-02-29T01:02:03.000000001Z"), "t": time.LocalTime.parse("00:00:00")},
        {"id": 3},
    ])
    rows = spark.generic_rows(name, ["id", "ns", "nz", "t"])
    return [
        Question("SELECT id FROM {types.nanoseconds} WHERE ns < TIMESTAMP '1970-01-01 00:00:00'",
                 answer=(["id"], ["int"], [["1"]])),
        Question("SELECT id FROM {types.nanoseconds} WHERE ns IS NULL", answer=(["id"], ["int"], [["3"]])),
        Question("SELECT id, ns, nz FROM {types.nanoseconds}", via="json",
                 answer=(["id", "ns", "nz"], ["int", "string", "string"], [row[:3] for row in rows])),
        Question("SELECT id, t FROM {types.nanoseconds}",
                 answer=(
            ["id", "t"], ["int", "time"], [[row[0], row[3] and f"{row[3]:0<8}".replace("00:00000", "00:00:00")]
                                           for row in rows])),
    ]


def _unknown(spark: Spark) -> list[Question]:
    """A column of format 3's type without values."""
    name = "types.unknown"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg TBLPROPERTIES ({properties(3)})",
              f"INSERT INTO {name} VALUES (1), (2)")
    table = JavaTable(spark, name)
    unknown = spark.iceberg.types.Types.UnknownType.get()
    table.refreshed().updateSchema().addColumn("nothing", unknown).commit()
    return [Question(f"SELECT id, nothing IS NULL AS n FROM {{{name}}}", answer=(
        ["id", "n"], ["int", "boolean"], [["1", "true"], ["2", "true"]]))]


def _variant(spark: Spark) -> list[Question]:
    name = "types.variant"
    spark.sql(f"CREATE TABLE {name} (id INT, v VARIANT) USING iceberg TBLPROPERTIES ({properties(3)})",
              f"""INSERT INTO {name} SELECT 1, parse_json('{{"a": 1, "b": [true, null]}}') UNION ALL
              SELECT 2, parse_json('"text"') UNION ALL SELECT 3, NULL""")
    return [Question(f"SELECT id FROM {{{name}}}"), Question(f"SELECT id FROM {{{name}}} WHERE v IS NULL")]


def _names(spark: Spark) -> list[Question]:
    """Columns whose names are not words, in letters of either case."""
    name = "types.names"
    spark.sql(
        f'CREATE TABLE {name} (id INT, "größe" INT, "with space" STRING, "dot.ted" INT, "Mixed" INT, "select" INT, '
        '"1st" INT, "a""b" INT, "s" STRUCT<"in ner": INT>) USING iceberg PARTITIONED BY ("with space")',
        f"INSERT INTO {name} VALUES (1, 2, 'x', 3, 4, 5, 6, 7, named_struct('in ner', 8))")
    return [*everything(name), Question(f'SELECT "größe", "dot.ted", "Mixed", "select", "1st" FROM {{{name}}} '
                                        "WHERE \"with space\" = 'x' AND \"dot.ted\" = 3")]
