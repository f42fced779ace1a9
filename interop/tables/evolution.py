"""Tables whose schema changed between their files: columns are found by field id, not by name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)

from tables import Question, append, create


def build(catalog: SqlCatalog) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    return {
        "evolve.columns": _columns(catalog),
        "evolve.promoted": _promoted(catalog),
        "evolve.nested": _nested(catalog),
        "evolve.swapped": _swapped(catalog),
        "v1.columns": _columns(catalog, "v1.columns", "1"),
    }


def _columns(catalog: SqlCatalog, name: str = "evolve.columns", version: str = "2") -> list[Question]:
    table = create(catalog, name, Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "a", StringType()),
        NestedField(3, "b", IntegerType()),
    ), properties={"format-version": version})
    append(table, [{"id": 1, "a": "one", "b": 10}, {"id": 2, "a": "two", "b": 20}])
    with table.update_schema() as update:
        update.rename_column("a", "label")
        update.add_column("c", LongType())
    append(table, [{"id": 3, "label": "three", "b": 30, "c": 300}])
    with table.update_schema() as update:
        update.delete_column("b")
        update.move_first("c")
    append(table, [{"id": 4, "label": "four", "c": 400}])
    with table.update_schema() as update:
        update.add_column("b", StringType())
    append(table, [{"id": 5, "label": "five", "c": 500, "b": "new"}])
    t = f"{{{name}}}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id FROM {t} WHERE label = 'two'"),
        Question(f"SELECT id FROM {t} WHERE b IS NULL"),
        Question(f"SELECT id, b FROM {t} WHERE b = 'new'"),
        Question(f"SELECT id FROM {t} WHERE c IS NULL"),
        Question(f"SELECT id FROM {t} WHERE c > 300"),
        Question(f"SELECT count(b) AS b, count(c) AS c, count(label) AS l FROM {t}"),
        Question(f"SELECT * FROM {{{name}@snapshot:0}}"),
        Question(f"SELECT * FROM {{{name}@snapshot:1}}"),
        Question(f"SELECT id, b FROM {{{name}@snapshot:1}} WHERE b >= 20"),
        Question(f"SELECT * FROM {{{name}@snapshot:2}}"),
        Question(f"SELECT a.id, b.label FROM {{{name}@snapshot:0}} AS a JOIN {t} AS b ON a.id = b.id"),
    ]


def _promoted(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "evolve.promoted", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "l", IntegerType()),
        NestedField(3, "d", FloatType()),
        NestedField(4, "m", DecimalType(5, 2)),
    ))
    append(table, [{"id": 1, "l": 2**31 - 1, "d": 0.1, "m": Decimal("999.99")},
                   {"id": 2, "l": -(2**31), "d": -0.1, "m": Decimal("-0.01")},
                   {"id": 3, "l": None, "d": None, "m": None}])
    with table.update_schema() as update:
        update.update_column("l", LongType())
        update.update_column("d", DoubleType())
        update.update_column("m", DecimalType(20, 2))
    append(table, [{"id": 4, "l": 2**31, "d": 0.1, "m": Decimal("123456789012345678.90")},
                   {"id": 5, "l": -(2**63), "d": 1e300, "m": Decimal("999.99")}])
    t = "{evolve.promoted}"
    wheres = ["l = 2147483647", "l > 2147483647", "l < -2147483648", "l >= -2147483648", "d = 0.1",
              "d < 0.1000001 AND d > 0.1", "d > 1", "m = 999.99", "m > 1000", "m < 0", "l IS NULL"]
    return [
        Question(f"SELECT * FROM {t}"),
        *[Question(f"SELECT id FROM {t} WHERE {where}") for where in wheres],
        Question(f"SELECT min(l) AS a, max(l) AS b, min(d) AS c, max(m) AS d FROM {t}"),
        Question("SELECT * FROM {evolve.promoted@snapshot:0}"),
    ]


def _nested(catalog: SqlCatalog) -> list[Question]:
    inner = StructType(NestedField(11, "x", IntegerType()), NestedField(12, "y", StringType()),
                       NestedField(13, "gone", StringType()))
    table = create(catalog, "evolve.nested", Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "s", inner),
        NestedField(3, "l", ListType(21, StructType(NestedField(22, "p", IntegerType())), False)),
        NestedField(4, "m", MapType(31, StringType(), 32, StructType(NestedField(33, "q", IntegerType())), False)),
    ))
    append(table, [
        {"id": 1, "s": {"x": 1, "y": "a", "gone": "g"}, "l": [{"p": 1}, None], "m": {"k": {"q": 1}}},
        {"id": 2, "s": None, "l": None, "m": None},
    ])
    with table.update_schema() as update:
        update.rename_column(("s", "y"), "why")
        update.add_column(("s", "z"), DoubleType())
        update.update_column(("s", "x"), LongType())
        update.delete_column(("s", "gone"))
        update.add_column(("l", "r"), StringType())
        update.rename_column(("l", "p"), "pp")
        update.add_column(("m", "value", "t"), TimestampType())
    append(table, [
        {"id": 3, "s": {"x": 2**40, "why": "c", "z": 1.5}, "l": [{"pp": 3, "r": "three"}],
         "m": {"k": {"q": 3, "t": dt.datetime(1969, 12, 31, 23)}}},
    ])
    with table.update_schema() as update:
        update.move_first(("s", "z"))
        update.add_column(("s", "gone"), LongType())
        update.add_column(("s", "sub"), StructType(NestedField(91, "leaf", StringType())))
    append(table, [
        {"id": 4, "s": {"z": 2.5, "x": 4, "why": None, "gone": 44, "sub": {"leaf": "here"}}, "l": [], "m": {}},
    ])
    t = "{evolve.nested}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT id, s['why'] AS w FROM {t} WHERE s['why'] = 'a'"),
        Question(f"SELECT id FROM {t} WHERE s['x'] > 1"),
        Question(f"SELECT id FROM {t} WHERE s['gone'] IS NULL"),
        Question(f"SELECT id, s['sub']['leaf'] AS leaf FROM {t}"),
        Question(f"SELECT id, l FROM {t} WHERE id <= 3"),
        Question(f"SELECT id, m FROM {t}"),
        Question("SELECT * FROM {evolve.nested@snapshot:0}"),
    ]


def _swapped(catalog: SqlCatalog) -> list[Question]:
    """Two columns exchange their names, and the order turns round."""
    table = create(catalog, "evolve.swapped", Schema(
        NestedField(1, "a", IntegerType()), NestedField(2, "b", IntegerType())))
    append(table, [{"a": 1, "b": 2}])
    with table.update_schema() as update:
        update.rename_column("a", "tmp")
    with table.update_schema() as update:
        update.rename_column("b", "a")
    with table.update_schema() as update:
        update.rename_column("tmp", "b")
        update.move_first("a")
    append(table, [{"a": 20, "b": 10}])
    t = "{evolve.swapped}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT b FROM {t} WHERE a = 2"),
        Question(f"SELECT a FROM {t} WHERE b = 1"),
        Question("SELECT * FROM {evolve.swapped@snapshot:0}"),
    ]
