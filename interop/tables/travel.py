"""Tables with a past: snapshots, tags, branches, overwrites, a rollback; and tables with none."""

from __future__ import annotations

import time
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, IntegerType, LongType, NestedField, StringType

from tables import Question, append, create

SMALL_APPENDS = 40


def build(catalog: SqlCatalog) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    # Not every catalog has namespaces in namespaces.
    nested = {"deep.er.nest.leaf": _nested_namespace(catalog)} if isinstance(catalog, SqlCatalog) else {}
    return {
        **nested,
        "travel.prices": _prices(catalog, "travel.prices", "2"),
        "v1.prices": _prices(catalog, "v1.prices", "1"),
        "travel.small_appends": _small_appends(catalog),
        "empty.no_snapshot": _no_snapshot(catalog),
        "empty.all_deleted": _all_deleted(catalog),
    }


def _prices(catalog: SqlCatalog, name: str, version: str) -> list[Question]:
    table = create(catalog, name, Schema(
        NestedField(1, "sku", StringType()),
        NestedField(2, "price", DecimalType(9, 2)),
    ), properties={"format-version": version})

    def prices(**by_sku: str) -> list[dict]:
        return [{"sku": sku, "price": Decimal(price)} for sku, price in by_sku.items()]

    def step(action) -> None:
        action()
        time.sleep(0.003)

    step(lambda: append(table, prices(apple="1.00", pear="2.00")))
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "opening").commit()
    step(lambda: append(table, prices(plum="3.00")))
    table.manage_snapshots().create_branch(table.current_snapshot().snapshot_id, "trial").commit()
    step(lambda: append(table, prices(quince="9.99"), branch="trial"))
    step(lambda: table.delete(EqualTo("sku", "pear")))
    with table.update_schema() as update:
        update.add_column("stock", LongType())
    schema = table.schema().as_arrow()
    full = pa.Table.from_pylist([{"sku": "apple", "price": Decimal("1.10"), "stock": 5}], schema=schema)
    step(lambda: table.overwrite(full, EqualTo("sku", "apple")))
    good = table.current_snapshot().snapshot_id
    step(lambda: table.overwrite(full.slice(0, 0)))
    table.manage_snapshots().rollback_to_snapshot(good).commit()
    time.sleep(0.003)
    step(lambda: append(table, [{"sku": "fig", "price": Decimal("4.00"), "stock": 1}]))
    t = f"{{{name}}}"
    log = len(table.metadata.snapshot_log)
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT * FROM {{{name}@tag:opening}}"),
        # PyIceberg reads a branch in its snapshot's schema, we in the present one: name the columns.
        Question(f"SELECT sku, price FROM {{{name}@branch:trial}}"),
        *[Question(f"SELECT * FROM {{{name}@snapshot:{at}}}") for at in range(log)],
        *[Question(f"SELECT * FROM {{{name}@time:{at}}}") for at in range(log)],
        *[Question(f"SELECT * FROM {{{name}@after:{at}}}") for at in range(log)],
        Question(f"SELECT now.sku, now.price, old.price AS was FROM {t} AS now "
                 f"LEFT JOIN {{{name}@tag:opening}} AS old ON now.sku = old.sku"),
        Question(f"SELECT sku FROM {{{name}@snapshot:1}} AS a WHERE NOT EXISTS "
                 f"(SELECT 1 FROM {t} AS b WHERE b.sku = a.sku)"),
        Question(f"SELECT (SELECT count(*) FROM {{{name}@time:0}}) AS a, (SELECT count(*) FROM {t}) AS b"),
        Question(f"SELECT sku FROM {{{name}@snapshot:1}} UNION SELECT sku FROM {{{name}@branch:trial}}"),
    ]


def _small_appends(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "travel.small_appends", Schema(
        NestedField(1, "n", LongType()), NestedField(2, "w", StringType())))
    for at in range(SMALL_APPENDS):
        append(table, [{"n": at, "w": f"w{at:03}"}])
    t = "{travel.small_appends}"
    return [
        Question(f"SELECT count(*) AS n, CAST(sum(n) AS BIGINT) AS s, min(w) AS lo, max(w) AS hi FROM {t}"),
        Question(f"SELECT n FROM {t} WHERE w >= 'w037'"),
        Question(f"SELECT n FROM {t} ORDER BY n DESC LIMIT 3", ordered=True),
        Question("SELECT count(*) AS n FROM {travel.small_appends@snapshot:19}"),
        Question("SELECT count(*) AS n FROM {travel.small_appends@time:7}"),
    ]


def _no_snapshot(catalog: SqlCatalog) -> list[Question]:
    create(catalog, "empty.no_snapshot", Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "w", StringType())), [(2, "identity", "w")])
    t = "{empty.no_snapshot}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT count(*) AS n, max(id) AS m FROM {t} WHERE w = 'x'"),
    ]


def _all_deleted(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "empty.all_deleted", Schema(
        NestedField(1, "id", IntegerType()), NestedField(2, "w", StringType())))
    append(table, [{"id": 1, "w": "x"}])
    table.delete(EqualTo("id", 1))
    t = "{empty.all_deleted}"
    return [
        Question(f"SELECT * FROM {t}"),
        Question(f"SELECT count(*) AS n FROM {t}"),
        Question("SELECT * FROM {empty.all_deleted@snapshot:0}"),
    ]


def _nested_namespace(catalog: SqlCatalog) -> list[Question]:
    table = create(catalog, "deep.er.nest.leaf", Schema(NestedField(1, "id", IntegerType())))
    append(table, [{"id": 1}])
    return [
        Question("SELECT * FROM {deep.er.nest.leaf}"),
        Question("SELECT leaf.id FROM {deep.er.nest.leaf} AS leaf WHERE leaf.id = 1"),
    ]
