"""Compares our answers with those other engines gave.

    python compare.py theirs LAKE_COMMAND FOLDER   tables by PyIceberg and DuckDB, read by us
    python compare.py ours LAKE_COMMAND FOLDER     tables by us, read and changed by PyIceberg, read by DuckDB

FOLDER is the one `write_tables.py` filled. Ends with exit code 1 if anything differs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa

import canonical
import our_tables
import read_tables
from lake import Lake, LakeError, rows_from_arrow
from questions import ask, difference

OUR_SCRIPT = Path(__file__).with_name("our_lake.sql")
READ_ONLY = {"shop.by_uuid"}
"""Tables that PyIceberg reads and does not append to: pyarrow groups no rows by UUIDs."""


def theirs(command: str, folder: Path) -> int:
    """Asks our engine every recorded question; gives the number of wrong answers."""
    recorded = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    lake = Lake(command, Path(recorded["lake"]))
    before = _catalog_bytes(Path(recorded["lake"]))
    wrong = 0
    for question, problem in ask(lake, recorded["questions"]):
        if problem is not None:
            wrong += 1
            print(f"DIFFERS {question['id']}: {question['sql']}\n  {problem.text}")
    if _catalog_bytes(Path(recorded["lake"])) != before:
        wrong += 1
        print("DIFFERS: reading changed the catalog file")
    print(f"{len(recorded['questions'])} questions about their tables, {wrong} wrong")
    return wrong


def _catalog_bytes(lake: Path) -> bytes:
    return (lake / "catalog.db").read_bytes()


def ours(command: str, folder: Path) -> int:
    """Makes a lake with our engine and lets the others read it and write to it."""
    path = folder / "our-lake"
    shutil.rmtree(path, ignore_errors=True)
    lake = Lake(command, path)
    lake.run("--create", "-f", str(OUR_SCRIPT))
    our_tables.make(lake, 2)
    wrong = 0
    names = read_tables.table_names(path)
    for name in names:
        wrong += compare_readers(lake, read_tables.open_table(path, name), name)
    for name in sorted(set(names) - READ_ONLY):
        wrong += compare_after_their_append(lake, read_tables.open_table(path, name), name)
    print(f"{len(names)} tables of ours, {wrong} readings differ")
    return wrong


def compare_readers(
    lake: Lake, readers: read_tables.Readers, name: str, engines: tuple[str, ...] = ("PyIceberg", "DuckDB")
) -> int:
    """Everything each reader sees in one table: now, at each snapshot, and with filters."""
    wrong = 0
    read_by = {"PyIceberg": readers.by_pyiceberg, "DuckDB": readers.by_duckdb}
    for clause, snapshot_id in [("", None), *readers.versions()]:
        found = lake.arrow(f"SELECT * FROM {name}{clause}")
        _, kinds, rows = canonical.rows_of(found)
        expected = canonical.sorted_rows(rows)
        for reader in engines:
            read = read_by[reader]
            problem = _difference_or_refusal(expected, kinds, lambda: read(snapshot_id))
            if problem is not None:
                wrong += 1
                print(f"DIFFERS {name}{clause} as {reader} reads it: {problem}")
    for row_filter, problem in readers.filters_that_lose_rows():
        wrong += 1
        print(f"DIFFERS {name} as PyIceberg prunes it by {row_filter}: {problem}")
    return wrong


def compare_after_their_append(lake: Lake, readers: read_tables.Readers, name: str) -> int:
    """PyIceberg adds the table's own rows once more, and we read both halves."""
    readers.append_own_rows()
    _, kinds, rows = canonical.rows_of(lake.arrow(f"SELECT * FROM {name}"))
    expected = canonical.sorted_rows(rows)
    problem = _difference_or_refusal(expected, kinds, lambda: readers.by_pyiceberg(None))
    if problem is None:
        return 0
    print(f"DIFFERS {name} after PyIceberg wrote to it: {problem}")
    return 1


def _difference_or_refusal(expected: list, kinds: list[str], read) -> str | None:
    try:
        rows = rows_from_arrow(read(), kinds)
    except (LakeError, pa.ArrowException, ValueError, OSError, read_tables.DuckDBError) as error:
        return f"{type(error).__name__}: {error}"
    return difference(expected, canonical.sorted_rows(rows))


if __name__ == "__main__":
    way, lake_command, target = sys.argv[1:]
    compare = {"theirs": theirs, "ours": ours}[way]
    sys.exit(1 if compare(lake_command, Path(target).resolve()) else 0)
