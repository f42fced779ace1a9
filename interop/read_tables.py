"""Reads tables our engine made with PyIceberg and DuckDB.

    python read_tables.py LAKE [TABLE …]

prints what each of the two sees, as one JSON object per table with canonical rows.
"""

from __future__ import annotations

import datetime
import decimal
import json
import sqlite3
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import BooleanExpression, EqualTo, GreaterThan, IsNull, LessThanOrEqual, Not
from pyiceberg.table import Table
from pyiceberg.types import PrimitiveType

import canonical
import duck

DuckDBError = duckdb.Error
FILTER_VALUES_MAX = 6
NARROWER_DECIMAL = "does not fit into precision"
"""PyIceberg cannot compare the decimals of a file with a value that only the widened column holds."""
COMPARED = (int, str, decimal.Decimal, datetime.date, datetime.datetime)
"""Python types of the columns that filters compare: those whose order is the same everywhere."""


def catalog(lake: Path) -> SqlCatalog:
    """The lake's catalog file, under the one catalog name found in it."""
    with sqlite3.connect(lake / "catalog.db") as connection:
        names = connection.execute("SELECT DISTINCT catalog_name FROM iceberg_tables").fetchall()
    if len(names) != 1:
        raise ValueError(f"{lake}: expected one catalog name, found {names}")
    return SqlCatalog(names[0][0], uri=f"sqlite:///{lake / 'catalog.db'}", warehouse=f"file://{lake}")


def table_names(lake: Path) -> list[str]:
    """All tables of the lake, with dotted namespaces."""
    with sqlite3.connect(lake / "catalog.db") as connection:
        found = connection.execute("SELECT table_namespace, table_name FROM iceberg_tables")
        return sorted(f"{namespace}.{name}" for namespace, name in found)


class Readers:
    """One table, open in both engines."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._duckdb = duck.connect()

    def versions(self) -> list[tuple[str, int]]:
        """Our clause and the snapshot for each tag and each entry of the log."""
        refs = self._table.metadata.refs.items()
        tags = [(f" FOR VERSION AS OF '{name}'", ref.snapshot_id)
                for name, ref in refs if ref.snapshot_ref_type == "tag"]
        log = [(f" FOR VERSION AS OF {entry.snapshot_id}", entry.snapshot_id)
               for entry in self._table.metadata.snapshot_log]
        return tags + log

    def by_pyiceberg(self, snapshot_id: int | None) -> pa.Table:
        """All rows as PyIceberg sees them."""
        return self._table.scan(snapshot_id=snapshot_id).to_arrow()

    def by_duckdb(self, snapshot_id: int | None) -> pa.Table:
        """All rows as DuckDB sees them."""
        source = duck.scan(self._table.metadata_location, snapshot_id)
        return duck.arrow(self._duckdb, f"SELECT * FROM {source}")

    def filters_that_lose_rows(self) -> list[tuple[BooleanExpression, str]]:
        """Filters under which PyIceberg, pruning by our metrics, counts too few or too many rows.

        What it reads without a filter, split by the filter and its opposite, must be all there is.
        """
        rows = self.by_pyiceberg(None)
        problems = []
        for row_filter, expected in self._filters(rows):
            try:
                found = self._table.scan(row_filter=row_filter).to_arrow().num_rows
            except pa.ArrowInvalid as error:
                if NARROWER_DECIMAL in str(error):
                    continue
                raise
            if found != expected:
                problems.append((row_filter, f"{found} rows instead of {expected}"))
        return problems

    def _filters(self, rows: pa.Table):
        """Filters on each primitive column's own values, with the count the rows themselves give."""
        for field in self._table.schema().fields:
            if not isinstance(field.field_type, PrimitiveType):
                continue
            values = rows.column(field.name).to_pylist()
            present = [value for value in values if value is not None and value == value]
            yield IsNull(field.name), values.count(None)
            yield Not(IsNull(field.name)), len(values) - values.count(None)
            if not present or not isinstance(present[0], COMPARED):
                continue
            for value in list(dict.fromkeys(present))[:FILTER_VALUES_MAX]:
                yield EqualTo(field.name, value), present.count(value)
                yield GreaterThan(field.name, value), sum(other > value for other in present)
                yield LessThanOrEqual(field.name, value), sum(other <= value for other in present)

    def append_own_rows(self) -> None:
        """Adds all rows once more, by PyIceberg."""
        self._table.append(self.by_pyiceberg(None))


def open_table(lake: Path, name: str) -> Readers:
    """The table as the catalog has it now."""
    return Readers(catalog(lake).load_table(name))


def main(lake: Path, names: list[str]) -> None:
    """Prints both engines' rows."""
    for name in names or table_names(lake):
        readers = open_table(lake, name)
        seen = {}
        for engine, rows in (("pyiceberg", readers.by_pyiceberg(None)), ("duckdb", readers.by_duckdb(None))):
            columns, kinds, found = canonical.rows_of(rows)
            seen[engine] = {"columns": columns, "kinds": kinds, "rows": canonical.sorted_rows(found)}
        print(json.dumps({"table": name, **seen}, ensure_ascii=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
