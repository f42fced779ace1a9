"""Tables under every partition transform, with the values that transforms get wrong."""

from __future__ import annotations

from spark_session import Spark
from spark_tables import Question, everything, past, properties, wheres

SPECIAL = ["plain", "a#b", "a?b", "a/b", "a%b", "a%2Fb", "a b", "a+b", "a=b", "a&b", "größe", "名前", "🦀", "", ".",
           "..", "__HIVE_DEFAULT_PARTITION__", "null", "a:b", "a''b", 'a"b', "x" * 40]
INSTANTS = ["1969-12-31 23:59:59", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "1970-01-01 00:00:00.000001",
            "1969-01-01 00:00:00", "1968-02-29 12:00:00", "2024-02-29 23:30:00", "2024-03-01 00:30:00",
            "1900-06-15 06:07:08", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", None]


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE parts")
    made = {}
    for at, transform in enumerate(("years", "months", "days", "hours")):
        for kind, literal, zone in (("TIMESTAMP_NTZ", "TIMESTAMP", ""), ("TIMESTAMP_LTZ", "TIMESTAMPTZ", "+00:00")):
            version = 2 + (at + len(zone)) % 2
            name = f"parts.by_{transform}{'_tz' if zone else ''}"
            made[name] = _by_instant(spark, name, transform, kind, literal, zone, version)
    for transform in ("years", "months", "days"):
        made[f"parts.by_{transform}_of_date"] = _by_date(spark, f"parts.by_{transform}_of_date", transform)
    made["parts.by_word_v2"] = _by_word(spark, 2)
    made["parts.by_word_v3"] = _by_word(spark, 3)
    made["parts.by_bucket"] = _by_bucket(spark)
    made["parts.by_truncate"] = _by_truncate(spark)
    made["parts.by_identity"] = _by_identity(spark)
    made["parts.evolved_v2"] = _evolved(spark, 2)
    made["parts.evolved_v3"] = _evolved(spark, 3)
    made["parts.nested"] = _by_nested(spark)
    made["parts.voided"] = _voided(spark)
    return made


def _by_instant(
    spark: Spark, name: str, transform: str, kind: str, literal: str, zone: str, version: int
) -> list[Question]:
    values = ", ".join(f"({at}, {'NULL' if text is None else f'''{kind} '{text}{zone}' '''})"
                       for at, text in enumerate(INSTANTS))
    spark.sql(f"CREATE TABLE {name} (id INT, ts {kind}) USING iceberg PARTITIONED BY ({transform}(ts)) "
              f"TBLPROPERTIES ('format-version' = '{version}')",
              f"INSERT INTO {name} VALUES {values}")

    def at(text: str) -> str:
        return f"{literal} '{text}{zone}'"

    return [
        *everything(name),
        *wheres(name, "id", [
            f"ts < {at('1970-01-01 00:00:00')}", f"ts >= {at('1970-01-01 00:00:00')}",
            f"ts = {at('1969-12-31 23:59:59')}", f"ts > {at('1969-12-31 23:59:59')}",
            f"ts BETWEEN {at('1968-01-01 00:00:00')} AND {at('1969-01-01 00:00:00')}",
            f"ts <> {at('2024-02-29 23:30:00')}", "ts IS NULL", f"NOT (ts >= {at('1969-06-01 00:00:00')})",
            f"ts IN ({at('1970-01-01 00:00:00')}, {at('2024-03-01 00:30:00')})",
        ]),
    ]


def _by_date(spark: Spark, name: str, transform: str) -> list[Question]:
    values = ", ".join(f"({at}, {'NULL' if text is None else f'''DATE '{text[:10]}' '''})"
                       for at, text in enumerate(INSTANTS))
    spark.sql(f"CREATE TABLE {name} (id INT, day DATE) USING iceberg PARTITIONED BY ({transform}(day))",
              f"INSERT INTO {name} VALUES {values}")
    return [*everything(name), *wheres(name, "id", [
        "day = DATE '1969-12-31'", "day < DATE '1969-12-31'", "day >= DATE '2024-03-01'", "day IS NULL",
        "day <> DATE '1970-01-01'"])]


def _by_word(spark: Spark, version: int) -> list[Question]:
    name = f"parts.by_word_v{version}"
    values = ", ".join(f"({at}, '{word}')" for at, word in enumerate(SPECIAL))
    spark.sql(f"CREATE TABLE {name} (id INT, w STRING) USING iceberg PARTITIONED BY (w) "
              f"TBLPROPERTIES ({properties(version)})",
              f"INSERT INTO {name} VALUES {values}, (99, NULL), (100, NULL)",
              f"DELETE FROM {name} WHERE id = 100")
    return [
        *everything(name),
        *wheres(name, "id, w", [f"w = '{word}'" for word in SPECIAL]),
        *wheres(name, "id", ["w IS NULL", "w > 'a' AND w < 'b'", "w LIKE 'a%'", "w <> 'plain'"]),
        Question(f"SELECT w, count(*) AS n FROM {{{name}}} GROUP BY w"),
    ]


def _by_bucket(spark: Spark) -> list[Question]:
    name = "parts.by_bucket"
    columns = {"i": "INT", "l": "BIGINT", "d": "DECIMAL(9, 2)", "big": "DECIMAL(38, 5)", "day": "DATE",
               "ts": "TIMESTAMP_NTZ", "tz": "TIMESTAMP", "s": "STRING", "b": "BINARY"}
    spark.sql(
        f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())}) USING iceberg "
        f"PARTITIONED BY ({', '.join(f'bucket(4, {column})' for column in columns)})",
        f"""INSERT INTO {name} VALUES
        (34, 34, 14.20, 14.20, DATE '2017-11-16', TIMESTAMP_NTZ '2017-11-16 22:31:08',
         TIMESTAMP '2017-11-16 22:31:08+00:00', 'iceberg', X'00010203'),
        (-1, -1, -0.01, -0.01, DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999',
         TIMESTAMP '1969-12-31 23:59:59.999999+00:00', '🦀🦀', X''),
        (0, -9223372036854775808, -1.28, -123456789012345678901234567890.12345, DATE '1970-01-01',
         TIMESTAMP_NTZ '1970-01-01 00:00:00', TIMESTAMP '1970-01-01 00:00:00+00:00', '', X'FF'),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""")
    return [*everything(name), *wheres(name, "i, s", [
        "i = 34", "i = -1", "l = 34", "l = -1", "d = -0.01", "d = -1.28", "d = 14.20", "big = -0.01",
        "day = DATE '1969-12-31'", "ts = TIMESTAMP '2017-11-16 22:31:08'",
        "ts = TIMESTAMP '1969-12-31 23:59:59.999999'", "tz = TIMESTAMPTZ '2017-11-16 22:31:08+00:00'",
        "s = 'iceberg'", "s = '🦀🦀'", "s = ''", "b = X'00010203'", "i IS NULL", "i IN (34, 0)", "i <> 34",
        "s IS NULL AND i IS NULL"])]


def _by_truncate(spark: Spark) -> list[Question]:
    name = "parts.by_truncate"
    spark.sql(
        f"CREATE TABLE {name} (i INT, l BIGINT, d DECIMAL(9, 2), s STRING, b BINARY) USING iceberg PARTITIONED BY "
        "(truncate(10, i), truncate(10, l), truncate(50, d), truncate(2, s), truncate(1, b))",
        f"""INSERT INTO {name} VALUES (1, 1, 10.65, 'iceberg', X'0102'), (-1, -1, -0.05, 'ic', X''),
        (-10, -10, -0.50, 'i', X'FFFF'), (-11, -11, -0.51, '🦀🦀🦀', X'01'), (10, 10, 0.00, '', X'00'),
        (-2147483648, -9223372036854775800, -9999999.00, 'zz', X'7F'), (NULL, NULL, NULL, NULL, NULL)""")
    return [*everything(name), *wheres(name, "i, s", [
        "i = -1", "i < 0", "i > -2", "i >= -10", "i = -11", "l = -1", "l BETWEEN -11 AND -1", "d = -0.05", "d < 0",
        "d <= -0.50", "d > -0.51", "s = 'iceberg'", "s > 'ic'", "s >= 'ic'", "s LIKE 'ic%'", "s LIKE 'i%'",
        "s = '🦀🦀🦀'", "s < 'i'", "i IS NULL", "i <> -1", "s <> 'ic'", "b = X'0102'", "i = -2147483648"])]


def _by_identity(spark: Spark) -> list[Question]:
    name = "parts.by_identity"
    spark.sql(
        f"CREATE TABLE {name} (id INT, flag BOOLEAN, l BIGINT, d DECIMAL(20, 4), day DATE, ts TIMESTAMP_NTZ, "
        "tz TIMESTAMP, b BINARY, f FLOAT) USING iceberg PARTITIONED BY (flag, l, d, day, ts, tz, b, f)",
        f"""INSERT INTO {name} VALUES
        (1, true, 1, 1.5, DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 01:02:03.000004',
         TIMESTAMP '2024-02-29 01:02:03.000004+00:00', X'00FF', 1.5),
        (2, false, -9223372036854775808, -9999999999999999.9999, DATE '1969-12-31',
         TIMESTAMP_NTZ '1969-12-31 23:59:59.999999', TIMESTAMP '1969-12-31 23:59:59.999999+00:00', X'', -0.25),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, true, 0, 0, DATE '0001-01-01', TIMESTAMP_NTZ '0001-01-01 00:00:00', NULL, X'2F', float('infinity'))""")
    return [*everything(name), *wheres(name, "id", [
        "flag", "NOT flag", "flag IS NULL", "l < 0", "d = 1.5", "d < 0", "day < DATE '1970-01-01'",
        "ts = TIMESTAMP '1969-12-31 23:59:59.999999'", "tz IS NULL", "b = X'00FF'", "f > 0", "day IS NULL"])]


def _evolved(spark: Spark, version: int) -> list[Question]:
    """Six specs, with fields that came, went and changed, over columns that changed too."""
    name = f"parts.evolved_v{version}"
    rows = "SELECT CAST(id AS INT), DATE '1969-12-25' + CAST(id AS INT), concat('c', id % 3)"
    spark.sql(
        f"CREATE TABLE {name} (id INT, day DATE, c STRING) USING iceberg TBLPROPERTIES ({properties(version)})",
        f"INSERT INTO {name} {rows} FROM range(0, 10, 1, 1)",
        f"ALTER TABLE {name} ADD PARTITION FIELD months(day)",
        f"INSERT INTO {name} {rows} FROM range(10, 20, 1, 1)",
        f"ALTER TABLE {name} REPLACE PARTITION FIELD day_month WITH days(day) AS on_day",
        f"ALTER TABLE {name} ADD PARTITION FIELD c",
        f"INSERT INTO {name} {rows} FROM range(20, 25, 1, 1)",
        f"ALTER TABLE {name} RENAME COLUMN c TO city",
        f"ALTER TABLE {name} DROP PARTITION FIELD on_day",
        f"INSERT INTO {name} VALUES (30, NULL, NULL), (31, DATE '2000-01-01', 'c1')",
        f"ALTER TABLE {name} DROP PARTITION FIELD city",
        f"ALTER TABLE {name} ADD PARTITION FIELD bucket(2, id) AS half",
        f"ALTER TABLE {name} ADD PARTITION FIELD truncate(1, city)",
        f"INSERT INTO {name} {rows} FROM range(40, 45, 1, 1)",
        f"DELETE FROM {name} WHERE id IN (3, 13, 23, 43)",
    )
    return [
        *everything(name),
        *wheres(name, "id, city", ["day = DATE '1969-12-31'", "day < DATE '1970-01-01'", "city = 'c1'", "city IS NULL",
                                   "day IS NULL", "id = 41", "day >= DATE '1970-01-10' AND city = 'c2'", "id <> 1"]),
        Question(f"SELECT city, count(*) AS n FROM {{{name}}} GROUP BY city"),
        *past(spark, name, "count(*) AS n, sum(id) AS s"),
    ]


def _by_nested(spark: Spark) -> list[Question]:
    """Partition fields inside of a struct."""
    name = "parts.nested"
    spark.sql(
        f"CREATE TABLE {name} (id INT, s STRUCT<city: STRING, at: TIMESTAMP_NTZ>) USING iceberg "
        "PARTITIONED BY (s.city, days(s.at))",
        f"""INSERT INTO {name} VALUES (1, named_struct('city', 'Oslo', 'at', TIMESTAMP_NTZ '1969-12-31 23:00:00')),
        (2, named_struct('city', NULL, 'at', NULL)), (3, NULL),
        (4, named_struct('city', 'Lima', 'at', TIMESTAMP_NTZ '2024-01-01 00:00:00'))""")
    return [
        *everything(name),
        Question(f"SELECT id FROM {{{name}}} WHERE s['city'] = 'Oslo'", f"SELECT id FROM {{{name}}} WHERE s.city = 'Oslo'"),
        Question(f"SELECT id FROM {{{name}}} WHERE s['city'] IS NULL", f"SELECT id FROM {{{name}}} WHERE s.city IS NULL"),
        Question(f"SELECT id FROM {{{name}}} WHERE s['at'] < TIMESTAMP '1970-01-01 00:00:00'",
                 f"SELECT id FROM {{{name}}} WHERE s.at < TIMESTAMP '1970-01-01 00:00:00'"),
    ]


def _voided(spark: Spark) -> list[Question]:
    """Format 1, where a dropped partition field stays as one that is always null."""
    name = "parts.voided"
    spark.sql(
        f"CREATE TABLE {name} (id INT, w STRING, day DATE) USING iceberg PARTITIONED BY (w, days(day)) "
        "TBLPROPERTIES ('format-version' = '1')",
        f"INSERT INTO {name} VALUES (1, 'a', DATE '1969-12-31'), (2, NULL, NULL)",
        f"ALTER TABLE {name} DROP PARTITION FIELD w",
        f"INSERT INTO {name} VALUES (3, 'a', DATE '1970-01-01'), (4, 'b', NULL)",
        f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version' = '2')",
        f"INSERT INTO {name} VALUES (5, 'c', DATE '1970-01-01')")
    return [*everything(name), *wheres(name, "id", ["w = 'a'", "w IS NULL", "day = DATE '1970-01-01'", "day IS NULL"])]
