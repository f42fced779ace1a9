"""The tables other engines write, each with the questions asked of it.

A question's SQL names its tables in braces: `{travel.prices}` is the table as it is now,
`{travel.prices@tag:opening}` as a tag has it, `@branch:b` as a branch has it, `@snapshot:0` by the
id of the first snapshot of the log and `@time:0` as of that snapshot's instant.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import parse_transform


@dataclasses.dataclass(frozen=True)
class Question:
    """SQL that our engine and DuckDB both understand, and how to carry the answer."""

    sql: str
    via: str = "json"
    """`arrow` where JSON would lose something: NaN, infinities, maps with keys of other types."""
    ordered: bool = False
    """Whether the order of the rows is part of the answer."""


def create(
    catalog: SqlCatalog,
    name: str,
    schema: Schema,
    partitions: list[tuple[int, str, str]] = (),
    properties: dict[str, str] | None = None,
) -> Table:
    """A new table; a partition field is (source column's id, transform, name)."""
    namespace = tuple(name.split(".")[:-1])
    for depth in range(1, len(namespace) + 1):
        catalog.create_namespace_if_not_exists(namespace[:depth])
    fields = [
        PartitionField(source_id=source, field_id=1000 + at, transform=parse_transform(how), name=label)
        for at, (source, how, label) in enumerate(partitions)
    ]
    spec = PartitionSpec(*fields) if fields else UNPARTITIONED_PARTITION_SPEC
    return catalog.create_table(name, schema, partition_spec=spec, properties=properties or {})


def append(table: Table, rows: list[dict], branch: str = "main") -> None:
    """Adds rows given as dictionaries, in the table's present schema, as one snapshot."""
    schema = table.schema().as_arrow()
    table.append(pa.Table.from_pylist(rows, schema=schema), branch=branch)
