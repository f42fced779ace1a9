"""Tables whose schema changed between their files: columns are found by field id, not by name."""

from __future__ import annotations

from decimal import Decimal

from spark_session import Spark
from spark_tables import Question, everything, past, properties, wheres
from spark_tables.java import JavaTable


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE evolve")
    made = {}
    for version in (2, 3):
        made[f"evolve.columns_v{version}"] = _columns(spark, version)
        made[f"evolve.nested_v{version}"] = _nested(spark, version)
    made["evolve.promoted"] = _promoted(spark)
    made["evolve.swapped"] = _swapped(spark)
    made["evolve.replaced"] = _replaced(spark)
    made["evolve.defaults"] = _defaults(spark)
    made["evolve.nested_defaults"] = _nested_defaults(spark)
    made["evolve.only_new"] = _only_new(spark)
    return made


def _columns(spark: Spark, version: int) -> list[Question]:
    name = f"evolve.columns_v{version}"
    spark.sql(
        f"CREATE TABLE {name} (id INT, a STRING, b INT) USING iceberg TBLPROPERTIES ({properties(version)})",
        f"INSERT INTO {name} VALUES (1, 'one', 10), (2, 'two', 20)",
        f"ALTER TABLE {name} RENAME COLUMN a TO label",
        f"ALTER TABLE {name} ADD COLUMN c BIGINT",
        f"INSERT INTO {name} VALUES (3, 'three', 30, 300)",
        f"ALTER TABLE {name} DROP COLUMN b",
        f"ALTER TABLE {name} ALTER COLUMN c FIRST",
        f"INSERT INTO {name} VALUES (400, 4, 'four')",
        f"ALTER TABLE {name} ADD COLUMN b STRING AFTER c",
        f"INSERT INTO {name} VALUES (500, 'new', 5, 'five')",
        f"ALTER TABLE {name} RENAME COLUMN id TO \"the Id\"",
        f"ALTER TABLE {name} ALTER COLUMN label DROP NOT NULL",
        f"INSERT INTO {name} VALUES (NULL, NULL, 6, NULL)",
    )
    t = f"{{{name}}}"
    return [
        *everything(name),
        *wheres(name, '"the Id", b, label', ["label = 'two'", "b IS NULL", "b = 'new'", "c IS NULL", "c > 300",
                                             '"the Id" = 2', "b IS NOT NULL OR c = 300"]),
        Question(f"SELECT count(b) AS b, count(c) AS c, count(label) AS l FROM {t}"),
        *past(spark, name),
        Question(f"SELECT id, b FROM {{{name}@snapshot:1}} WHERE b >= 20"),
        Question(f'SELECT a.id, b.label FROM {{{name}@snapshot:0}} AS a JOIN {t} AS b ON a.id = b."the Id"'),
    ]


def _nested(spark: Spark, version: int) -> list[Question]:
    """Fields of structs, of lists' elements and of maps' values come, go, move and grow."""
    name = f"evolve.nested_v{version}"
    spark.sql(
        f"""CREATE TABLE {name} (id INT, s STRUCT<x: INT, y: STRING, gone: STRING>, l ARRAY<STRUCT<p: INT>>,
        m MAP<STRING, STRUCT<q: INT>>, ll ARRAY<ARRAY<INT>>) USING iceberg TBLPROPERTIES ({properties(version)})""",
        f"""INSERT INTO {name} VALUES
        (1, named_struct('x', 1, 'y', 'a', 'gone', 'g'), array(named_struct('p', 1), NULL),
         map('k', named_struct('q', 1)), array(array(1, 2), array(), NULL)),
        (2, NULL, NULL, NULL, NULL), (3, named_struct('x', NULL, 'y', NULL, 'gone', NULL), array(), map(), array())""",
        f"ALTER TABLE {name} RENAME COLUMN s.y TO why",
        f"ALTER TABLE {name} ADD COLUMN s.z DOUBLE",
        f"ALTER TABLE {name} ALTER COLUMN s.x TYPE BIGINT",
        f"ALTER TABLE {name} DROP COLUMN s.gone",
        f"ALTER TABLE {name} ADD COLUMN l.element.r STRING",
        f"ALTER TABLE {name} RENAME COLUMN l.element.p TO pp",
        f"ALTER TABLE {name} ADD COLUMN m.value.t TIMESTAMP_NTZ",
        f"ALTER TABLE {name} ALTER COLUMN ll.element.element TYPE BIGINT",
        f"""INSERT INTO {name} VALUES (4, named_struct('x', 1099511627776, 'why', 'c', 'z', 1.5D),
        array(named_struct('pp', 3, 'r', 'three')),
        map('k', named_struct('q', 3, 't', TIMESTAMP_NTZ '1969-12-31 23:00:00')), array(array(1099511627776)))""",
        f"ALTER TABLE {name} ALTER COLUMN s.z FIRST",
        f"ALTER TABLE {name} ADD COLUMN s.gone BIGINT",
        f"ALTER TABLE {name} ADD COLUMN s.sub STRUCT<leaf: STRING, deep: ARRAY<INT>>",
        f"""INSERT INTO {name} VALUES (5, named_struct('z', 2.5D, 'x', 4, 'why', NULL, 'gone', 44, 'sub',
        named_struct('leaf', 'here', 'deep', array(1, NULL))), array(), map(), NULL)""",
        f"DELETE FROM {name} WHERE id = 3",
    )

    def asked(columns: str, ours: str, theirs: str) -> Question:
        return Question(f"SELECT {columns} FROM {{{name}}} WHERE {ours}",
                        f"SELECT {columns} FROM {{{name}}} WHERE {theirs}")

    return [
        *everything(name),
        asked("id", "s['why'] = 'a'", "s.why = 'a'"),
        asked("id", "s['x'] > 1", "s.x > 1"),
        asked("id", "s['gone'] IS NULL", "s.gone IS NULL"),
        Question(f"SELECT id, s['sub']['leaf'] AS leaf FROM {{{name}}}", f"SELECT id, s.sub.leaf AS leaf FROM {{{name}}}"),
        Question(f"SELECT id, l FROM {{{name}}} WHERE id <= 3"),
        Question(f"SELECT id, m FROM {{{name}}}"),
        Question(f"SELECT id, ll FROM {{{name}}}"),
        *past(spark, name),
    ]


def _promoted(spark: Spark) -> list[Question]:
    name = "evolve.promoted"
    spark.sql(
        f"CREATE TABLE {name} (id INT, l INT, d FLOAT, m DECIMAL(5, 2), n DECIMAL(15, 2)) USING iceberg",
        f"""INSERT INTO {name} VALUES (1, 2147483647, 0.1, 999.99, 1.5), (2, -2147483648, -0.1, -0.01, -1.5),
        (3, NULL, NULL, NULL, NULL)""",
        f"ALTER TABLE {name} ALTER COLUMN l TYPE BIGINT",
        f"ALTER TABLE {name} ALTER COLUMN d TYPE DOUBLE",
        f"ALTER TABLE {name} ALTER COLUMN m TYPE DECIMAL(20, 2)",
        f"ALTER TABLE {name} ALTER COLUMN n TYPE DECIMAL(38, 2)",
        f"""INSERT INTO {name} VALUES (4, 2147483648, 0.1D, 123456789012345678.90, 0),
        (5, -9223372036854775808, 1e300D, 999.99, 123456789012345678901234567890.12)""")
    return [
        *everything(name),
        *wheres(name, "id", ["l = 2147483647", "l > 2147483647", "l < -2147483648", "l >= -2147483648",
                             "d < CAST(0.1000001 AS DOUBLE) AND d > CAST(0.1 AS DOUBLE)", "d > 1", "m = 999.99",
                             "m > 1000", "m < 0", "l IS NULL", "n > 2", "n < 0"]),
        Question(f"SELECT min(l) AS a, max(l) AS b, min(d) AS c, max(m) AS d FROM {{{name}}}", via="arrow"),
        *past(spark, name),
    ]


def _swapped(spark: Spark) -> list[Question]:
    """Two columns exchange their names, and the order turns round."""
    name = "evolve.swapped"
    spark.sql(
        f"CREATE TABLE {name} (a INT, b INT) USING iceberg", f"INSERT INTO {name} VALUES (1, 2)",
        f"ALTER TABLE {name} RENAME COLUMN a TO tmp", f"ALTER TABLE {name} RENAME COLUMN b TO a",
        f"ALTER TABLE {name} RENAME COLUMN tmp TO b", f"ALTER TABLE {name} ALTER COLUMN a FIRST",
        f"INSERT INTO {name} VALUES (20, 10)")
    return [*everything(name), *wheres(name, "a, b", ["a = 2", "b = 1", "a = 1"]), *past(spark, name)]


def _replaced(spark: Spark) -> list[Question]:
    """`CREATE OR REPLACE TABLE` keeps the history, under other columns and partitions."""
    name = "evolve.replaced"
    spark.sql(
        f"CREATE TABLE {name} (id INT, w STRING) USING iceberg PARTITIONED BY (w)",
        f"INSERT INTO {name} VALUES (1, 'a'), (2, NULL)",
        f"CREATE OR REPLACE TABLE {name} USING iceberg PARTITIONED BY (bucket(2, k)) AS "
        "SELECT CAST(id AS INT) AS k, concat('new', id) AS w, id * 1.5D AS d FROM range(0, 4, 1, 1)",
        f"INSERT INTO {name} VALUES (9, NULL, NULL)")
    return [*everything(name), *wheres(name, "k", ["w = 'new1'", "w IS NULL", "k > 1"]), *past(spark, name)]


def _defaults(spark: Spark) -> list[Question]:
    """Columns added with defaults of every type: old files have them, changed ones only new rows do."""
    name = "evolve.defaults"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg TBLPROPERTIES ({properties(3)})",
              f"INSERT INTO {name} VALUES (1), (2)")
    table = JavaTable(spark, name)
    for column, kind, default in [
        ("flag", "boolean", True), ("i", "int", -7), ("l", "long", 2**40), ("f", "float", 0.5), ("d", "double", -2.5),
        ("m", "decimal(9, 2)", Decimal("-1.25")), ("w", "string", "größe"), ("day", "date", "1969-12-31"),
        ("ts", "timestamp", "1969-12-31T23:59:59.999999"), ("tz", "timestamptz", "2024-02-29T01:02:03+00:00"),
        ("raw", "binary", b"\x00\xff"),
    ]:
        table.add_column(column, kind, default)
    spark.sql(f"INSERT INTO {name} (id, i, w) VALUES (3, NULL, NULL), (4, 5, 'given')")
    table.set_default("i", "int", 100)
    spark.sql(f"ALTER TABLE {name} RENAME COLUMN w TO word",
              f"INSERT INTO {name} SELECT 5, true, 6, 7, 8, 9, 1, 'five', NULL, NULL, NULL, NULL",
              f"DELETE FROM {name} WHERE id = 2")
    return [
        *everything(name),
        *wheres(name, "id", ["i = -7", "i IS NULL", "i = 100", "word = 'größe'", "word IS NULL", "d < 0", "m = -1.25",
                             "day < DATE '1970-01-01'", "ts < TIMESTAMP '1970-01-01 00:00:00'", "flag",
                             "l > 1000", "raw = X'00FF'", "tz IS NOT NULL"]),
        Question(f"SELECT count(i) AS i, count(word) AS w, min(d) AS d FROM {{{name}}}"),
        *past(spark, name),
    ]


def _nested_defaults(spark: Spark) -> list[Question]:
    """Defaults of fields inside of structs, and of one inside of a list's elements."""
    name = "evolve.nested_defaults"
    spark.sql(
        f"CREATE TABLE {name} (id INT, s STRUCT<a: INT>, l ARRAY<STRUCT<b: INT>>) USING iceberg "
        f"TBLPROPERTIES ({properties(3)})",
        f"INSERT INTO {name} VALUES (1, named_struct('a', 1), array(named_struct('b', 1), NULL)), (2, NULL, NULL)")
    table = JavaTable(spark, name)
    table.add_column("n", "int", 42, path="s")
    table.add_column("w", "string", "in list", path="l")
    spark.sql(f"INSERT INTO {name} VALUES (3, named_struct('a', 3, 'n', NULL), array(named_struct('b', 3, 'w', 'x')))")
    return [
        *everything(name),
        Question(f"SELECT id FROM {{{name}}} WHERE s['n'] = 42", f"SELECT id FROM {{{name}}} WHERE s.n = 42"),
        Question(f"SELECT id FROM {{{name}}} WHERE s['n'] IS NULL", f"SELECT id FROM {{{name}}} WHERE s.n IS NULL"),
        *past(spark, name),
    ]


def _only_new(spark: Spark) -> list[Question]:
    """None of the table's columns is in the first file any more."""
    name = "evolve.only_new"
    spark.sql(
        f"CREATE TABLE {name} (a INT) USING iceberg", f"INSERT INTO {name} VALUES (1), (2), (3)",
        f"ALTER TABLE {name} ADD COLUMN b STRING", f"ALTER TABLE {name} DROP COLUMN a",
        f"INSERT INTO {name} VALUES ('x')")
    return [*everything(name), *wheres(name, "b", ["b IS NULL", "b = 'x'"]), *past(spark, name)]
