"""One table per family of types: every value a type can be awkward with."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from tables import Question, append, create

UTC = dt.timezone.utc
NAN, INF = float("nan"), float("inf")


def build(catalog: SqlCatalog) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    return {
        "types.numbers": _numbers(catalog),
        "types.decimals": _decimals(catalog),
        "types.floats": _floats(catalog),
        "types.temporal": _temporal(catalog),
        "types.bytes": _bytes(catalog),
        "types.nested": _nested(catalog),
        "types.words": _words(catalog),
        "types.names": _names(catalog),
        "types.all_null": _all_null(catalog),
        "types.required": _required(catalog),
    }


def _numbers(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.numbers", Schema(
        NestedField(1, "i", IntegerType()),
        NestedField(2, "l", LongType()),
        NestedField(3, "b", BooleanType()),
    ))
    append(table, [
        {"i": 1, "l": 10, "b": True},
        {"i": -(2**31), "l": -(2**63), "b": False},
        {"i": 2**31 - 1, "l": 2**63 - 1, "b": None},
    ])
    append(table, [{"i": None, "l": None, "b": True}, {"i": 0, "l": 0, "b": False}])
    t = "{types.numbers}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT count(*) AS n, count(i) AS ni, min(l) AS lo, max(l) AS hi FROM {t}"),
        Question(f"SELECT i FROM {t} WHERE l = 9223372036854775807"),
        Question(f"SELECT l FROM {t} WHERE i < 0"),
        Question(f"SELECT l FROM {t} WHERE i IS NULL"),
        Question(f"SELECT l FROM {t} WHERE i <> 1"),
        Question(f"SELECT l FROM {t} WHERE NOT (i < 1)"),
        Question(f"SELECT i FROM {t} WHERE i IN (0, 1, 99)"),
        Question(f"SELECT i FROM {t} WHERE i NOT IN (0, 1)"),
        Question(f"SELECT count(*) AS n FROM {t} WHERE b"),
        Question(f"SELECT i FROM {t} WHERE i > 2147483646"),
        Question(f"SELECT i FROM {t} WHERE CAST(i AS BIGINT) > 2147483647"),
        Question(f"SELECT i, l FROM {t} ORDER BY l DESC NULLS LAST LIMIT 2", ordered=True),
    ]


def _decimals(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.decimals", Schema(
        NestedField(1, "small", DecimalType(9, 2)),
        NestedField(2, "middle", DecimalType(18, 6)),
        NestedField(3, "large", DecimalType(38, 10)),
        NestedField(4, "whole", DecimalType(20, 0)),
    ))
    append(table, [
        {"small": Decimal("1.28"), "middle": Decimal("-0.000001"),
         "large": Decimal("12345678901234567890.1234567890"), "whole": Decimal("99999999999999999999")},
        {"small": Decimal("-1.28"), "middle": Decimal("0.000000"),
         "large": Decimal("-12345678901234567890.1234567890"), "whole": Decimal("-1")},
        {"small": Decimal("-0.01"), "middle": None, "large": Decimal("0"), "whole": None},
    ])
    append(table, [
        {"small": Decimal("9999999.99"), "middle": Decimal("999999999999.999999"),
         "large": None, "whole": Decimal("0")},
        {"small": Decimal("-9999999.99"), "middle": Decimal("-999999999999.999999"),
         "large": Decimal("0.0000000001"), "whole": Decimal("7")},
    ])
    t = "{types.decimals}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT small FROM {t} WHERE small < 0"),
        Question(f"SELECT small FROM {t} WHERE small = -1.28"),
        Question(f"SELECT large FROM {t} WHERE large < CAST('0' AS DECIMAL(38,10))"),
        Question(f"SELECT min(small) AS lo, max(small) AS hi FROM {t}"),
        Question(f"SELECT whole FROM {t} WHERE middle IS NULL"),
        Question(f"SELECT small FROM {t} WHERE CAST(small AS INTEGER) = 1"),
        Question(f"SELECT CAST(small AS VARCHAR) AS s FROM {t}"),
    ]


def _floats(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.floats", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "f", FloatType()),
        NestedField(3, "d", DoubleType()),
    ))
    append(table, [{"id": 1, "f": 0.1, "d": 0.1}, {"id": 2, "f": -0.0, "d": -0.0},
                   {"id": 3, "f": 3.4028235e38, "d": 1.7976931348623157e308}])
    append(table, [{"id": 4, "f": NAN, "d": NAN}, {"id": 5, "f": NAN, "d": NAN}])
    append(table, [{"id": 6, "f": NAN, "d": 7.5}, {"id": 7, "f": 7.5, "d": NAN},
                   {"id": 8, "f": None, "d": None}])
    append(table, [{"id": 9, "f": INF, "d": INF}, {"id": 10, "f": -INF, "d": -INF},
                   {"id": 11, "f": 1e-45, "d": 5e-324}])
    append(table, [{"id": 12, "f": None, "d": None}])
    t = "{types.floats}"
    wheres = ["d > 5", "d >= 7.5", "d <= 0.1", "d = 7.5", "NOT (d < 6)", "d <> 7.5", "d IS NULL",
              "d IS NOT NULL", "d NOT IN (7.5, 0.1)", "f > 5", "f < 0.05", "NOT (f < 6)", "f = 7.5",
              "d < 1000", "d BETWEEN 0.05 AND 8"]
    return [
        Question(f"SELECT * FROM {t}", via="arrow"),
        *[Question(f"SELECT id FROM {t} WHERE {where}") for where in wheres],
        Question(f"SELECT id FROM {t} WHERE isnan(d)"),
        Question(f"SELECT count(d) AS n FROM {t}"),
        Question(f"SELECT id, CAST(d AS FLOAT) AS r FROM {t} WHERE id IN (1, 6)"),
    ]


def _temporal(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.temporal", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "day", DateType()),
        NestedField(3, "clock", TimeType()),
        NestedField(4, "ts", TimestampType()),
        NestedField(5, "tz", TimestamptzType()),
    ))
    east = dt.timezone(dt.timedelta(hours=5, minutes=45))
    append(table, [
        {"id": 1, "day": dt.date(1969, 12, 31), "clock": dt.time(23, 59, 59, 999999),
         "ts": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
         "tz": dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)},
        {"id": 2, "day": dt.date(1970, 1, 1), "clock": dt.time(0),
         "ts": dt.datetime(1970, 1, 1), "tz": dt.datetime(1970, 1, 1, tzinfo=UTC)},
        {"id": 3, "day": dt.date(1, 1, 1), "clock": dt.time(12, 30),
         "ts": dt.datetime(1, 1, 1), "tz": dt.datetime(1, 1, 2, tzinfo=UTC)},
    ])
    append(table, [
        {"id": 4, "day": dt.date(2024, 2, 29), "clock": dt.time(1, 2, 3, 4),
         "ts": dt.datetime(2024, 2, 29, 1, 2, 3, 4), "tz": dt.datetime(2024, 2, 29, 1, 2, 3, 4, east)},
        {"id": 5, "day": dt.date(9999, 12, 31), "clock": None,
         "ts": dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
         "tz": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)},
        {"id": 6, "day": None, "clock": None, "ts": None, "tz": None},
    ])
    t = "{types.temporal}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE day < DATE '1970-01-01'"),
        Question(f"SELECT id FROM {t} WHERE ts < TIMESTAMP '1970-01-01 00:00:00'"),
        Question(f"SELECT id FROM {t} WHERE ts >= TIMESTAMP '2024-02-29 01:02:03.000004'"),
        Question(f"SELECT id FROM {t} WHERE ts > TIMESTAMP '2024-02-29 01:02:03.000004'"),
        Question(f"SELECT id FROM {t} WHERE tz < TIMESTAMPTZ '1970-01-01 00:00:00+00:00'"),
        Question(f"SELECT id FROM {t} WHERE tz = TIMESTAMPTZ '2024-02-28 19:17:03.000004+00:00'"),
        Question(f"SELECT id FROM {t} WHERE CAST(ts AS DATE) = DATE '1969-12-31'"),
        Question(f"SELECT id FROM {t} WHERE clock >= TIME '12:30:00'"),
        Question(f"SELECT min(day) AS a, max(day) AS b, min(ts) AS c, max(ts) AS d FROM {t}"),
        Question(f"SELECT CAST(EXTRACT(year FROM ts) AS BIGINT) AS y, count(*) AS n FROM {t} GROUP BY 1"),
    ]


def _bytes(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.bytes", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "u", UUIDType()),
        NestedField(3, "fixed", FixedType(4)),
        NestedField(4, "raw", BinaryType()),
    ))
    append(table, [
        {"id": 1, "u": uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7").bytes,
         "fixed": b"\x00\x01\xfe\xff", "raw": b""},
        {"id": 2, "u": uuid.UUID(int=0).bytes, "fixed": b"abcd", "raw": bytes(range(256))},
        {"id": 3, "u": uuid.UUID(int=2**128 - 1).bytes, "fixed": b"\xff" * 4, "raw": b"\xff" * 40},
        {"id": 4, "u": None, "fixed": None, "raw": None},
    ])
    t = "{types.bytes}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE raw IS NULL"),
        Question(f"SELECT id FROM {t} WHERE u IS NOT NULL"),
        Question(f"SELECT count(*) AS n, count(u) AS u, count(raw) AS r FROM {t}"),
    ]


def _nested(catalog: SqlCatalog) -> list[Question]:
    point = StructType(
        NestedField(11, "x", IntegerType()),
        NestedField(12, "y", StructType(NestedField(13, "deep", StringType()))),
    )
    table = create(catalog, "types.nested", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "s", point),
        NestedField(3, "l", ListType(21, IntegerType(), False)),
        NestedField(4, "m", MapType(31, StringType(), 32, LongType(), False)),
        NestedField(5, "ls", ListType(41, StructType(NestedField(42, "k", StringType())), False)),
        NestedField(6, "ml", MapType(51, StringType(), 52, ListType(53, DoubleType(), False), False)),
        NestedField(7, "mi", MapType(61, IntegerType(), 62, StringType(), False)),
    ))
    append(table, [
        {"id": 1, "s": {"x": 1, "y": {"deep": "a"}}, "l": [1, None, 3], "m": {"b": 2, "a": None},
         "ls": [{"k": "x"}, {"k": None}, None], "ml": {"p": [1.5, None], "q": []}, "mi": {2: "b", 1: "a"}},
        {"id": 2, "s": {"x": None, "y": None}, "l": [], "m": {}, "ls": [], "ml": {}, "mi": {}},
        {"id": 3, "s": None, "l": None, "m": None, "ls": None, "ml": None, "mi": None},
        {"id": 4, "s": {"x": 4, "y": {"deep": None}}, "l": [None], "m": {"": 0}, "ls": [None],
         "ml": {"n": None}, "mi": {-1: None}},
    ])
    t = "{types.nested}"
    return [
        Question(f"SELECT * FROM {t}", via="arrow"),
        Question(f"SELECT id, s, l, ls FROM {t}"),
        Question(f"SELECT id, s['x'] AS x FROM {t} WHERE s['x'] >= 1"),
        Question(f"SELECT id FROM {t} WHERE s['y']['deep'] = 'a'"),
        Question(f"SELECT id FROM {t} WHERE s IS NULL"),
        Question(f"SELECT id, l[1] AS first FROM {t} WHERE l IS NOT NULL"),
        Question(f"SELECT id FROM {t} WHERE s['x'] IS NULL"),
        Question(f"SELECT l FROM {t} WHERE id = 1"),
    ]


def _words(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.words", Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "w", StringType())))
    long = "ünïcødé" * 10
    append(table, [{"id": 1, "w": "a" * 16 + "z"}, {"id": 2, "w": "a" * 17}, {"id": 3, "w": "a" * 15}])
    append(table, [{"id": 4, "w": long}, {"id": 5, "w": "🦀" * 20}, {"id": 6, "w": "\U0010ffff" * 20}])
    append(table, [{"id": 7, "w": "\ud7ff" * 20}, {"id": 8, "w": "\ue000"}, {"id": 9, "w": "\uffee"}])
    append(table, [{"id": 10, "w": ""}, {"id": 11, "w": None}, {"id": 12, "w": "tab\tline\nquote'\""}])
    t = "{types.words}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE w = '{'a' * 17}'"),
        Question(f"SELECT id FROM {t} WHERE w > '{'a' * 16}'"),
        Question(f"SELECT id FROM {t} WHERE w < '{'a' * 16}'"),
        Question(f"SELECT id FROM {t} WHERE w >= '{'🦀' * 20}'"),
        Question(f"SELECT id FROM {t} WHERE w = '{long}'"),
        Question(f"SELECT id FROM {t} WHERE w > '\ue000'"),
        Question(f"SELECT id FROM {t} WHERE w LIKE '{'a' * 16}%'"),
        Question(f"SELECT id FROM {t} WHERE w = ''"),
        Question(f"SELECT id FROM {t} WHERE w NOT LIKE 'a%'"),
        Question(f"SELECT id FROM {t} ORDER BY w NULLS FIRST, id", ordered=True),
        Question(f"SELECT min(w) AS lo, max(w) AS hi FROM {t}"),
    ]


def _names(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.names", Schema(
        NestedField(1, "größe", IntegerType()),
        NestedField(2, "名前", StringType()),
        NestedField(3, "camelCase", IntegerType()),
        NestedField(4, "with space", IntegerType()),
        NestedField(5, "dot.ted", IntegerType()),
        NestedField(6, "qu\"ote", IntegerType()),
        NestedField(7, "🦀", IntegerType()),
        NestedField(8, "select", IntegerType()),
    ))
    append(table, [
        {"größe": 1, "名前": "イ", "camelCase": 2, "with space": 3, "dot.ted": 4, "qu\"ote": 5,
         "🦀": 6, "select": 7},
        {"größe": None, "名前": None, "camelCase": -2, "with space": -3, "dot.ted": -4,
         "qu\"ote": -5, "🦀": -6, "select": -7},
    ])
    t = "{types.names}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f'SELECT "größe" AS a, "名前" AS b FROM {t} WHERE "größe" = 1'),
        Question(f'SELECT camelcase AS a, "with space" AS b FROM {t} WHERE camelCase < 0'),
        Question(f'SELECT "dot.ted" AS a, "qu""ote" AS b FROM {t} WHERE "dot.ted" > 0'),
        Question(f'SELECT "🦀" AS a, "select" AS b FROM {t} WHERE "🦀" < 0'),
    ]


def _all_null(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.all_null", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "i", IntegerType()),
        NestedField(3, "s", StringType()),
        NestedField(4, "d", DoubleType()),
    ))
    append(table, [{"id": 1}, {"id": 2}])
    append(table, [{"id": 3, "i": 1, "s": "x", "d": 1.0}])
    t = "{types.all_null}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE i IS NULL"),
        Question(f"SELECT id FROM {t} WHERE s IS NOT NULL"),
        Question(f"SELECT id FROM {t} WHERE d > 0"),
        Question(f"SELECT min(i) AS lo, max(s) AS hi, count(d) AS n FROM {t} WHERE id < 3"),
    ]


def _required(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "types.required", Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "s", StructType(NestedField(3, "a", StringType(), required=True)), required=True),
        NestedField(4, "l", ListType(5, IntegerType(), True), required=True),
        identifier_field_ids=[1],
    ))
    append(table, [{"id": 1, "s": {"a": "x"}, "l": [1]}, {"id": 2, "s": {"a": "y"}, "l": []}])
    t = "{types.required}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE id IS NULL"),
        Question(f"SELECT s['a'] AS a FROM {t} WHERE id = 2"),
    ]
