"""Gives the same tables to both engines: to ours as Iceberg tables, to DuckDB as its own."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.expressions import LessThan

import duck
import read_tables
from lake import Lake
from random_queries import Column, Kind, Table
from random_queries.rows import KEY, SCHEMA, STORED, RandomTable, literal

# It has no Bloom filters; its files are without.
warnings.filterwarnings("ignore", message="Parquet writer option")

MACROS = [
    "CREATE MACRO years(instant) AS year(instant) - 1970",
    "CREATE MACRO months(instant) AS (year(instant) - 1970) * 12 + month(instant) - 1",
    "CREATE MACRO truncate(width, number) AS number - (number % width + width) % width",
]
"""Functions of ours that DuckDB does not have."""
VALUES_MAX = 50
"""Values taken from a column of a table that others wrote, to look for."""


def make(command: str, folder: Path, tables: list[RandomTable]) -> None:
    """A new lake with the tables: each with files of ours, some with files of PyIceberg's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    script = folder.with_suffix(".sql")
    statements = [statement for table in tables for statement in _statements(table)]
    script.write_text("".join(f"{statement};\n" for statement in statements), encoding="utf-8")
    config = folder.with_suffix(".json")
    config.write_text('{"durability": "none"}', encoding="utf-8")
    Lake(command, folder, config).run("--create", "-f", str(script))
    for table in tables:
        if table.foreign:
            _write_by_pyiceberg(folder, table)


def _statements(table: RandomTable) -> list[str]:
    columns = ", ".join(f"{column.name} {column.sql}" for column in STORED)
    partitions = f" PARTITIONED BY ({table.partitions})" if table.partitions else ""
    properties = f" TBLPROPERTIES ({', '.join(table.properties)})" if table.properties else ""
    ours = table.batches[: len(table.batches) - table.foreign]
    return [f"CREATE TABLE {table.name} ({columns}){partitions}{properties}"] + [
        f"INSERT INTO {table.name} VALUES {', '.join(_row(row) for row in batch)}" for batch in ours
    ]


def _row(row: dict) -> str:
    found = ((column.kind, row[column.name]) for column in STORED)
    return f"({', '.join('NULL' if value is None else literal(kind, value) for kind, value in found)})"


def _write_by_pyiceberg(folder: Path, table: RandomTable) -> None:
    written = read_tables.catalog(folder).load_table(f"default.{table.name}")
    for at, batch in enumerate(table.batches[-table.foreign :], start=1):
        if at == table.foreign and table.new_partition:
            with written.update_spec() as spec:
                spec.add_identity(table.new_partition)
        written.append(pa.Table.from_pylist(batch, schema=written.schema().as_arrow()))
    if table.deleted_below:
        written.delete(LessThan(KEY, table.deleted_below))


def reference(tables: list[RandomTable]) -> duckdb.DuckDBPyConnection:
    """DuckDB with the same rows."""
    connection = connect()
    for table in tables:
        _fill(connection, table.name, pa.Table.from_pylist(table.rows(), schema=SCHEMA))
    return connection


def copy_of(lake: Lake, names: list[str]) -> tuple[duckdb.DuckDBPyConnection, list[Table]]:
    """DuckDB with what our engine reads in a lake of others; that this is right, others compare."""
    connection = connect()
    tables = []
    for name in names:
        rows = lake.arrow(f"SELECT * FROM {name}")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
        _fill(connection, name, rows)
        tables.append(_described(name, rows))
    return connection, tables


def connect() -> duckdb.DuckDBPyConnection:
    """DuckDB that answers as our engine is to."""
    connection = duck.connect()
    connection.execute("SET arrow_lossless_conversion = false")  # sums of integers are decimals then
    # Its optimizer finds NULLs where `date_trunc('month', t) <> '2020-01-02'`; without it, it does not.
    connection.execute("PRAGMA disable_optimizer")
    for macro in MACROS:
        connection.execute(macro)
    return connection


def _fill(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("given", rows)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    connection.unregister("given")


def _described(name: str, rows: pa.Table) -> Table:
    """Columns of the kinds that queries are made of; others are left out."""
    values: dict[Kind, list] = {kind: [] for kind in Kind}
    columns = []
    for field, column in zip(rows.schema, rows.columns):
        kind = _kind(field.type)
        if kind is not None:
            columns.append(Column(field.name, kind))
            values[kind] += [value for value in column.to_pylist()[:VALUES_MAX] if value is not None]
    return Table(name, tuple(columns), values)


def _kind(dtype: pa.DataType) -> Kind | None:
    t = pa.types
    belongs = [
        (Kind.INT, t.is_integer), (Kind.DECIMAL, t.is_decimal), (Kind.FLOAT, t.is_float64), (Kind.DATE, t.is_date),
        (Kind.BOOL, t.is_boolean),
        (Kind.TEXT, lambda d: t.is_string(d) or t.is_large_string(d) or d == pa.string_view()),
        (Kind.TIMESTAMP, lambda d: t.is_timestamp(d) and not d.tz),
        (Kind.INSTANT, lambda d: t.is_timestamp(d) and d.tz),
    ]
    return next((kind for kind, is_it in belongs if is_it(dtype)), None)
