"""Tables under every partition transform, with the values that transforms get wrong."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import write_file
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.schema import Schema
from pyiceberg.table import WriteTask
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, MonthTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    FixedType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from tables import Question, append, create

UTC = dt.timezone.utc
SPECIAL = ["plain", "a#b", "a?b", "a/b", "a%b", "a%2Fb", "a b", "a+b", "a=b", "a&b", "größe", "名前",
           "🦀", "", ".", "..", "__HIVE_DEFAULT_PARTITION__", "null", "a\\b", "a:b", "a'b", 'a"b']
INSTANTS = [
    dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 1, 0, 0, 0, 1), dt.datetime(1969, 1, 1),
    dt.datetime(1968, 2, 29, 12), dt.datetime(2024, 2, 29, 23, 30), dt.datetime(2024, 3, 1, 0, 30),
    dt.datetime(1900, 6, 15, 6, 7, 8), None,
]


def build(catalog: SqlCatalog) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    made = {}
    for transform in ("year", "month", "day", "hour"):
        made[f"parts.by_{transform}"] = _by_instant(catalog, f"parts.by_{transform}", transform)
        made[f"parts.by_{transform}_tz"] = _by_instant_with_zone(catalog, f"parts.by_{transform}_tz", transform)
    made["parts.by_month_of_date"] = _by_date(catalog)
    made["parts.by_word"] = _by_word(catalog, "parts.by_word", "2")
    made["v1.by_word"] = _by_word(catalog, "v1.by_word", "1")
    made["parts.by_bucket"] = _by_bucket(catalog)
    made["parts.by_truncate"] = _by_truncate(catalog)
    made["parts.by_identity"] = _by_identity(catalog)
    made["parts.by_bytes"] = _by_bytes(catalog)
    made["parts.by_two"] = _by_two(catalog)
    made["parts.evolved"] = _evolved(catalog)
    made["v1.dropped_field"] = _emptied_spec(catalog)
    return made


def _instant_questions(t: str, literal: str, zone: str) -> list[Question]:
    def at(text: str) -> str:
        return f"{literal} '{text}{zone}'"

    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE ts < {at('1970-01-01 00:00:00')}"),
        Question(f"SELECT id FROM {t} WHERE ts >= {at('1970-01-01 00:00:00')}"),
        Question(f"SELECT id FROM {t} WHERE ts = {at('1969-12-31 23:59:59')}"),
        Question(f"SELECT id FROM {t} WHERE ts > {at('1969-12-31 23:59:59')}"),
        Question(f"SELECT id FROM {t} WHERE ts BETWEEN {at('1968-01-01 00:00:00')} AND {at('1969-01-01 00:00:00')}"),
        Question(f"SELECT id FROM {t} WHERE ts <> {at('2024-02-29 23:30:00')}"),
        Question(f"SELECT id FROM {t} WHERE ts IS NULL"),
        Question(f"SELECT id FROM {t} WHERE NOT (ts >= {at('1969-06-01 00:00:00')})"),
        Question(f"SELECT id FROM {t} WHERE ts IN ({at('1970-01-01 00:00:00')}, {at('2024-03-01 00:30:00')})"),
    ]


def _by_instant(catalog: SqlCatalog, name: str, transform: str) -> list[Question]:
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "ts", TimestampType()),
    ), [(2, transform, f"ts_{transform}")])
    append(table, [{"id": at, "ts": instant} for at, instant in enumerate(INSTANTS)])
    return _instant_questions(f"{{{name}}}", "TIMESTAMP", "")


def _by_instant_with_zone(catalog: SqlCatalog, name: str, transform: str) -> list[Question]:
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "ts", TimestamptzType()),
    ), [(2, transform, f"ts_{transform}")])
    rows = [{"id": at, "ts": instant and instant.replace(tzinfo=UTC)} for at, instant in enumerate(INSTANTS)]
    append(table, rows)
    return _instant_questions(f"{{{name}}}", "TIMESTAMPTZ", "+00:00")


def _by_date(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_month_of_date"
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "day", DateType()),
    ), [(2, "month", "day_month")])
    append(table, [{"id": at, "day": instant and instant.date()} for at, instant in enumerate(INSTANTS)])
    t = f"{{{name}}}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE day = DATE '1969-12-31'"),
        Question(f"SELECT id FROM {t} WHERE day < DATE '1969-12-31'"),
        Question(f"SELECT id FROM {t} WHERE day >= DATE '2024-03-01'"),
        Question(f"SELECT id FROM {t} WHERE day IS NULL"),
    ]


def _by_word(catalog: SqlCatalog, name: str, version: str) -> list[Question]:
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "w", StringType()),
    ), [(2, "identity", "w")], {"format-version": version})
    append(table, [{"id": at, "w": word} for at, word in enumerate([*SPECIAL, None])])
    t = f"{{{name}}}"
    quoted = [word.replace("'", "''") for word in SPECIAL]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT id, w FROM {t} WHERE w = '{word}'") for word in quoted],
        Question(f"SELECT id FROM {t} WHERE w IS NULL"),
        Question(f"SELECT count(*) AS n, count(w) AS nw FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE w > 'a' AND w < 'b'"),
    ]


def _by_bucket(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_bucket"
    columns = [("i", IntegerType()), ("l", LongType()), ("d", DecimalType(9, 2)), ("day", DateType()),
               ("ts", TimestampType()), ("tz", TimestamptzType()),
               ("s", StringType()), ("u", UUIDType()), ("b", BinaryType())]
    schema = Schema(*[NestedField(at, column, kind) for at, (column, kind) in enumerate(columns, 1)])
    table = create(catalog, name, schema, [(at, "bucket[4]", f"{column}_bucket")
                                           for at, (column, _) in enumerate(columns, 1)])
    late = dt.datetime(2017, 11, 16, 22, 31, 8)
    append(table, [
        {"i": 34, "l": 34, "d": Decimal("14.20"), "day": dt.date(2017, 11, 16),
         "ts": late, "tz": late.replace(tzinfo=UTC), "s": "iceberg",
         "u": uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7").bytes, "b": b"\x00\x01\x02\x03"},
        {"i": -1, "l": -1, "d": Decimal("-0.01"), "day": dt.date(1969, 12, 31),
         "ts": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
         "tz": dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), "s": "🦀🦀",
         "u": uuid.UUID(int=1).bytes, "b": b""},
        {"i": 0, "l": -(2**63), "d": Decimal("-1.28"), "day": dt.date(1970, 1, 1),
         "ts": dt.datetime(1970, 1, 1), "tz": dt.datetime(1970, 1, 1, tzinfo=UTC), "s": "",
         "u": uuid.UUID(int=2**128 - 1).bytes, "b": b"\xff"},
        {},
    ])
    t = f"{{{name}}}"
    wheres = ["i = 34", "i = -1", "l = -9223372036854775808", "l = 34", "d = -0.01", "d = -1.28",
              "d = 14.20", "day = DATE '1969-12-31'", "day = DATE '2017-11-16'",
              "ts = TIMESTAMP '2017-11-16 22:31:08'", "ts = TIMESTAMP '1969-12-31 23:59:59.999999'",
              "tz = TIMESTAMPTZ '2017-11-16 22:31:08+00:00'", "s = 'iceberg'", "s = '🦀🦀'", "s = ''",
              "i IS NULL", "i IN (34, 0)", "i <> 34", "s IS NULL AND i IS NULL", "i = 34 AND s = 'iceberg'"]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT i, s FROM {t} WHERE {where}") for where in wheres],
    ]


def _by_truncate(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_truncate"
    table = create(catalog, name, Schema(
        NestedField(1, "i", IntegerType()),
        NestedField(2, "l", LongType()),
        NestedField(3, "d", DecimalType(9, 2)),
        NestedField(4, "s", StringType()),
    ), [(1, "truncate[10]", "i_trunc"), (2, "truncate[10]", "l_trunc"),
        (3, "truncate[50]", "d_trunc"), (4, "truncate[2]", "s_trunc")])
    append(table, [
        {"i": 1, "l": 1, "d": Decimal("10.65"), "s": "iceberg"},
        {"i": -1, "l": -1, "d": Decimal("-0.05"), "s": "ic"},
        {"i": -10, "l": -10, "d": Decimal("-0.50"), "s": "i"},
        {"i": -11, "l": -11, "d": Decimal("-0.51"), "s": "🦀🦀🦀"},
        {"i": 10, "l": 10, "d": Decimal("0.00"), "s": ""},
        {"i": None, "l": None, "d": None, "s": None},
    ])
    t = f"{{{name}}}"
    wheres = ["i = -1", "i < 0", "i > -2", "i >= -10", "i = -11", "l = -1", "l BETWEEN -11 AND -1",
              "d = -0.05", "d < 0", "d <= -0.50", "d > -0.51", "s = 'iceberg'", "s > 'ic'", "s >= 'ic'",
              "s LIKE 'ic%'", "s LIKE 'i%'", "s = '🦀🦀🦀'", "s < 'i'", "i IS NULL", "i <> -1", "s <> 'ic'"]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT i, s FROM {t} WHERE {where}") for where in wheres],
    ]


def _by_identity(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_identity"
    columns = [("i", IntegerType()), ("l", LongType()), ("b", BooleanType()), ("d", DecimalType(9, 2)),
               ("day", DateType()), ("ts", TimestampType()), ("tz", TimestamptzType()), ("s", StringType())]
    fields = [NestedField(at, column, kind) for at, (column, kind) in enumerate(columns, 1)]
    table = create(catalog, name, Schema(*fields, NestedField(20, "v", IntegerType())),
                   [(at, "identity", column) for at, (column, _) in enumerate(columns, 1)])
    before = dt.datetime(1969, 12, 31, 23, 59, 59, 999999)
    append(table, [
        {"i": -1, "l": -(2**40), "b": True, "d": Decimal("-1.28"), "day": dt.date(1969, 12, 31),
         "ts": before, "tz": before.replace(tzinfo=UTC), "s": "x", "v": 1},
        {"i": 7, "l": 2**40, "b": False, "d": Decimal("0.00"), "day": dt.date(2024, 2, 29),
         "ts": dt.datetime(2024, 2, 29, 1), "tz": dt.datetime(2024, 2, 29, 1, tzinfo=UTC), "s": "", "v": 2},
        {"v": 3},
    ])
    t = f"{{{name}}}"
    wheres = ["i = -1", "l > 0", "b", "NOT b", "d < 0", "day < DATE '1970-01-01'",
              "ts = TIMESTAMP '1969-12-31 23:59:59.999999'", "s = ''", "i IS NULL", "ts IS NOT NULL",
              "tz >= TIMESTAMPTZ '2024-02-29 01:00:00+00:00'"]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT v FROM {t} WHERE {where}") for where in wheres],
        Question(f"SELECT d, day, s FROM {t}"),
    ]


def _by_bytes(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_bytes"
    kinds = [("u", UUIDType()), ("raw", BinaryType()), ("f", FixedType(4))]
    fields = [NestedField(at, column, kind) for at, (column, kind) in enumerate(kinds, 1)]
    table = create(catalog, name, Schema(*fields, NestedField(9, "v", IntegerType())),
                   [(at, "identity", column) for at, (column, _) in enumerate(kinds, 1)])
    rows = [(uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7"), b"\x00\xff", b"abcd"),
            (uuid.UUID(int=1), b"", b"\xff\xff\xff\xff"), (None, None, None)]
    # An append groups rows by partition, which Arrow does not do by UUIDs: a file for each row.
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append_files:
        for v, values in enumerate(rows):
            row = {column: value.bytes if isinstance(value, uuid.UUID) else value
                   for (column, _), value in zip(kinds, values, strict=True)}
            arrow = pa.Table.from_pylist([{**row, "v": v}], schema=table.schema().as_arrow())
            held = [PartitionFieldValue(field, value)
                    for field, value in zip(table.spec().fields, values, strict=True)]
            task = WriteTask(write_uuid=uuid.uuid4(), task_id=v, schema=table.schema(),
                             record_batches=arrow.to_batches(),
                             partition_key=PartitionKey(held, table.spec(), table.schema()))
            for file in write_file(table.io, table.metadata, iter([task])):
                append_files.append_data_file(file)
    t = f"{{{name}}}"
    wheres = ["u IS NULL", "raw IS NOT NULL", "f IS NULL AND u IS NULL", "v = 0"]
    return [Question(f"SELECT * FROM {t}", via="arrow"), *[Question(f"SELECT v FROM {t} WHERE {where}") for where in wheres]]


def _by_two(catalog: SqlCatalog) -> list[Question]:
    name = "parts.by_two"
    table = create(catalog, name, Schema(
        NestedField(1, "kind", StringType()),
        NestedField(2, "ts", TimestampType()),
        NestedField(3, "n", LongType()),
    ), [(1, "identity", "kind"), (2, "month", "ts_month")])
    start = dt.datetime(2023, 11, 1)
    rows = [{"kind": "abc"[at % 3], "ts": start + dt.timedelta(hours=37 * at), "n": at} for at in range(120)]
    append(table, rows[:60])
    append(table, rows[60:])
    t = f"{{{name}}}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT n FROM {t} WHERE kind = 'b' AND ts >= TIMESTAMP '2024-01-31 12:00:00' AND n < 100"),
        Question(f"SELECT kind, count(*) AS n, min(ts) AS a, max(ts) AS b FROM {t} GROUP BY kind"),
        Question(f"SELECT n FROM {t} WHERE kind IN ('a', 'c') AND ts < TIMESTAMP '2023-12-01 00:00:00'"),
        Question(f"SELECT n FROM {t} WHERE n BETWEEN 40 AND 44 ORDER BY n", ordered=True),
        Question(f"SELECT n, kind FROM {t} ORDER BY ts DESC LIMIT 5", ordered=True),
    ]


def _evolved(catalog: SqlCatalog) -> list[Question]:
    name = "parts.evolved"
    table = create(catalog, name, Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "ts", TimestampType()),
        NestedField(3, "w", StringType()),
    ))

    def rows(first: int) -> list[dict]:
        return [{"id": at, "ts": dt.datetime(1969, 12, 30) + dt.timedelta(hours=13 * at), "w": "xyz"[at % 3]}
                for at in range(first, first + 6)]

    append(table, rows(0))
    with table.update_spec() as update:
        update.add_field("ts", DayTransform(), "ts_day")
    append(table, rows(6))
    with table.update_spec() as update:
        update.remove_field("ts_day")
        update.add_field("ts", MonthTransform(), "ts_month")
        update.add_field("id", BucketTransform(3), "id_bucket")
    append(table, rows(12))
    with table.update_spec() as update:
        update.remove_field("id_bucket")
        update.add_field("w", IdentityTransform(), "w")
    append(table, rows(18))
    t = f"{{{name}}}"
    wheres = ["id = 3", "id = 14", "id > 16", "w = 'y'", "w = 'y' AND id > 10",
              "ts < TIMESTAMP '1970-01-01 00:00:00'", "ts >= TIMESTAMP '1970-01-05 00:00:00'",
              "ts BETWEEN TIMESTAMP '1970-01-02 00:00:00' AND TIMESTAMP '1970-01-07 00:00:00'"]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT id FROM {t} WHERE {where}") for where in wheres],
        Question(f"SELECT w, count(*) AS n FROM {t} GROUP BY w"),
    ]


def _emptied_spec(catalog: SqlCatalog) -> list[Question]:
    """A format 1 table whose partition field was dropped: the field stays, as `void`."""
    name = "v1.dropped_field"
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "w", StringType()),
    ), [(2, "identity", "w")], {"format-version": "1"})
    append(table, [{"id": 1, "w": "a"}, {"id": 2, "w": "b"}])
    with table.update_spec() as update:
        update.remove_field("w")
    append(table, [{"id": 3, "w": "a"}, {"id": 4, "w": None}])
    t = f"{{{name}}}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE w = 'a'"),
        Question(f"SELECT id FROM {t} WHERE w IS NULL"),
    ]
