"""PyIceberg's Glue catalog and ours read, write and race on the same tables of an emulated Glue.

    python3 emulators.py run -- PYTHON beside_pyiceberg.py LAKE

PYTHON is that of the environment of `interop/`, LAKE the command `lake` with AWS in it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from ours import Ours

RACED = 25
"""Commits of each side in the race."""
ATTEMPTS_MAX = 200


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
    for sql in (
        "CREATE TABLE shared.ours (id BIGINT, kind STRING, amount DECIMAL(10, 2), day DATE, at TIMESTAMP_NTZ) "
        "PARTITIONED BY (kind)",
        "INSERT INTO shared.ours VALUES (1, 'card', 12.50, DATE '2025-01-13', TIMESTAMP '2025-01-13 10:00:00'), "
        "(2, 'cash', 3, NULL, NULL), (3, 'card', 7, NULL, NULL)",
        "UPDATE shared.ours SET amount = 8 WHERE id = 3",
        "DELETE FROM shared.ours WHERE id = 2",
        "ALTER TABLE shared.ours ADD COLUMN segment STRING AFTER id",
        "ALTER TABLE shared.ours RENAME COLUMN amount TO price",
    ):
        ours.rows(sql)
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
    rows = ours.rows("SELECT id, label, note FROM shared.theirs ORDER BY id")
    assert [(row["id"], row["label"], row.get("note")) for row in rows] == [(1, "card", None), (3, "card", "late")], rows
    ours.rows("DELETE FROM shared.theirs WHERE id = 1")
    ours.rows("INSERT INTO shared.theirs VALUES (5, 'gift', 'ours')")
    found = sorted(catalog.load_table("shared.theirs").scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    assert found == [{"id": 3, "label": "card", "note": "late"}, {"id": 5, "label": "gift", "note": "ours"}], found
    # PyIceberg cannot rename here: the emulator gives tables an empty owner, which boto3 refuses to send back.
    ours.rows("ALTER TABLE shared.theirs RENAME TO shared.renamed")
    assert not catalog.table_exists("shared.theirs")
    assert len(catalog.load_table("shared.renamed").scan().to_arrow()) == 2
    catalog.drop_table("shared.renamed")
    assert ours.rows("SHOW TABLES IN shared LIKE 'renamed'") == []


def race(ours: Ours, catalog: Catalog) -> tuple[int, int]:
    """Both append to one table at once; how often PyIceberg had to begin again, and how many rows there are."""
    ours.rows("CREATE TABLE shared.raced (writer STRING, number BIGINT)")
    failures: list[BaseException] = []
    conflicts = 0

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the other thread is to end before it is told
            failures.append(error)

    def we() -> None:
        script = ";".join(f"INSERT INTO shared.raced VALUES ('ours', {number})" for number in range(RACED))
        ours.rows(script)

    def they() -> None:
        nonlocal conflicts
        for number in range(RACED):
            row = pa.table({"writer": ["theirs"], "number": [number]})
            for _ in range(ATTEMPTS_MAX):
                try:
                    catalog.load_table("shared.raced").append(row)
                    break
                except CommitFailedException:
                    conflicts += 1
            else:
                raise AssertionError(f"PyIceberg has no luck with row {number}")

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (we, they)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    want = sorted((writer, number) for writer in ("ours", "theirs") for number in range(RACED))
    seen_here = sorted((row["writer"], row["number"]) for row in ours.rows("SELECT writer, number FROM shared.raced"))
    rows = catalog.load_table("shared.raced").scan().to_arrow().to_pylist()
    seen_there = sorted((row["writer"], row["number"]) for row in rows)
    assert seen_here == want, "rows were lost, or are there twice"
    assert seen_there == want, "rows were lost, or are there twice"
    return conflicts, len(want)


def main(lake: str) -> int:
    """Runs all parts; an exit code."""
    with Ours.on_new_bucket(lake) as ours:
        catalog = theirs(ours.warehouse)
        ours.rows("CREATE NAMESPACE shared")
        they_read_ours(ours, catalog)
        print("PyIceberg reads and writes our table")
        we_read_theirs(ours, catalog)
        print("we read and write PyIceberg's table")
        conflicts, rows = race(ours, catalog)
        print(f"a race of {rows} commits: none lost, {conflicts} conflicts that PyIceberg did not get over by itself")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
