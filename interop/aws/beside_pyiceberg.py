"""PyIceberg's Glue catalog and ours read, write and race on the same tables of an emulated Glue.

    python3 emulators.py run -- PYTHON beside_pyiceberg.py LAKE

PYTHON is that of the environment of `interop/`, LAKE the command `lake` with AWS in it.
"""

from __future__ import annotations

import os
import sys
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from beside import change_theirs, make_ours, race
from ours import Ours

RACED = 25
"""Commits of each side in the race."""


def theirs(warehouse: str) -> Catalog:
    """PyIceberg's catalog of the same Glue."""
    endpoint, region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]
    keys = {"access-key-id": os.environ["AWS_ACCESS_KEY_ID"], "secret-access-key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    services = {
        f"{service}.{name}": value
        for service in ("glue", "s3")
        for name, value in {"endpoint": endpoint, "region": region, **keys}.items()
    }
    return load_catalog("glue", type="glue", warehouse=warehouse, **services)


def they_read_ours(ours: Ours, catalog: Catalog) -> None:
    """Our table, changed in all ways, as PyIceberg sees it; then its rows beside ours."""
    make_ours(ours)
    table = catalog.load_table("shared.ours")
    found = sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    want = [
        {"id": 1, "segment": None, "kind": "card", "price": Decimal("12.50"), "day": date(2025, 1, 13),
         "at": datetime(2025, 1, 13, 10)},
        {"id": 3, "segment": None, "kind": "card", "price": Decimal("8.00"), "day": None, "at": None},
    ]
    assert found == want, found
    table.append(pa.Table.from_pylist(
        [{"id": 4, "segment": "vip", "kind": "gift", "price": Decimal("1.00"), "day": None, "at": None}],
        schema=table.schema().as_arrow(),
    ))
    rows = ours.rows("SELECT id, segment, kind, CAST(price AS STRING) AS price FROM shared.ours ORDER BY id")
    assert [row["id"] for row in rows] == [1, 3, 4], rows
    assert rows[2] == {"id": 4, "segment": "vip", "kind": "gift", "price": "1.00"}, rows


def we_read_theirs(ours: Ours, catalog: Catalog) -> None:
    """PyIceberg's table, evolved by it, as we see it; then our changes of it."""
    schema = Schema(
        NestedField(1, "id", LongType(), required=False), NestedField(2, "kind", StringType(), required=False)
    )
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "kind"))
    table = catalog.create_table("shared.theirs", schema, partition_spec=spec)
    table.append(pa.table({"id": [1, 2], "kind": ["card", "cash"]}))
    with table.update_schema() as update:
        update.add_column("note", StringType())
        update.rename_column("kind", "label")
    table.append(pa.table({"id": [3], "label": ["card"], "note": ["late"]}))
    table.delete("id == 2")
    change_theirs(ours)
    found = sorted(catalog.load_table("shared.theirs").scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    assert found == [{"id": 3, "label": "card", "note": "late"}, {"id": 5, "label": "gift", "note": "ours"}], found
    # PyIceberg cannot rename here: the emulator gives tables an empty owner, which boto3 refuses to send back.
    ours.rows("ALTER TABLE shared.theirs RENAME TO shared.renamed")
    assert not catalog.table_exists("shared.theirs")
    assert len(catalog.load_table("shared.renamed").scan().to_arrow()) == 2
    catalog.drop_table("shared.renamed")
    assert ours.rows("SHOW TABLES IN shared LIKE 'renamed'") == []


def race_them(ours: Ours, catalog: Catalog) -> tuple[int, int]:
    """How often PyIceberg had to begin again, and how many rows there are."""

    def append(number: int) -> bool:
        try:
            catalog.load_table("shared.raced").append(pa.table({"writer": ["theirs"], "number": [number]}))
        except CommitFailedException:
            return False
        return True

    def seen() -> list[list]:
        rows = catalog.load_table("shared.raced").scan().to_arrow().to_pylist()
        return [[row["writer"], row["number"]] for row in rows]

    return race(ours, RACED, append, seen)


def main(lake: str) -> int:
    """Runs all parts; an exit code."""
    with Ours.on_new_bucket(lake) as ours:
        catalog = theirs(ours.warehouse)
        ours.rows("CREATE NAMESPACE shared")
        they_read_ours(ours, catalog)
        print("PyIceberg reads and writes our table")
        we_read_theirs(ours, catalog)
        print("we read and write PyIceberg's table")
        conflicts, rows = race_them(ours, catalog)
        print(f"a race of {rows} commits: none lost, {conflicts} conflicts that PyIceberg did not get over by itself")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
