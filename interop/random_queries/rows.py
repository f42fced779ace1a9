"""Values with all that engines stumble over: nulls, copies, both sides of 1970, NaN, wide letters."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import random
from decimal import Decimal

import pyarrow as pa

from random_queries import Column, Kind, Table

UTC = dt.timezone.utc
ROWS = [30, 60, 90, 120]
FEW_ROWS = [0, 1, 5]
FEW = 10
"""Tables with fewer rows are asked about less: most answers would be empty."""
BATCHES_MAX = 8
TEXTS = ["", "a", "ab", "abc", "é", "éa", "Zz", "zz", "ü", "日本", "日本語", "😀", "😀x", " ", "a b", "%", "_", "A", "B",
         "b", "\u07ff", "\uffff", "ab%", "10", "9", "x" * 20, "it's"]
COMMON_TEXTS = 10
FLOATS = [math.nan, math.inf, -math.inf, 0.0, 1.5, -1.5, 2.0, 3.0, 1e300, -1e300, -7.25]


@dataclasses.dataclass(frozen=True)
class Stored:
    """A column of every table made here."""

    name: str
    sql: str
    arrow: pa.DataType
    kind: Kind


STORED = [
    Stored("k", "INT", pa.int32(), Kind.INT),
    Stored("a", "INT", pa.int32(), Kind.INT),
    Stored("b", "BIGINT", pa.int64(), Kind.INT),
    Stored("d", "DECIMAL(7, 2)", pa.decimal128(7, 2), Kind.DECIMAL),
    Stored("e", "DECIMAL(18, 4)", pa.decimal128(18, 4), Kind.DECIMAL),
    Stored("w", "DECIMAL(30, 6)", pa.decimal128(30, 6), Kind.DECIMAL),
    Stored("f", "DOUBLE", pa.float64(), Kind.FLOAT),
    Stored("z", "DOUBLE", pa.float64(), Kind.FLOAT),
    Stored("g", "DOUBLE", pa.float64(), Kind.QUARTER),
    Stored("s", "VARCHAR", pa.string(), Kind.TEXT),
    Stored("u", "VARCHAR", pa.string(), Kind.TEXT),
    Stored("dt", "DATE", pa.date32(), Kind.DATE),
    Stored("ts", "TIMESTAMP", pa.timestamp("us"), Kind.TIMESTAMP),
    Stored("tz", "TIMESTAMPTZ", pa.timestamp("us", "UTC"), Kind.INSTANT),
    Stored("bo", "BOOLEAN", pa.bool_(), Kind.BOOL),
]
SCHEMA = pa.schema([(column.name, column.arrow) for column in STORED])
KEY = "k"
BOTH_ZEROS = "z"
"""The column that has 0.0 and -0.0: two values here, one in DuckDB, so queries ask for `z + 0.0`."""
PARTITIONS = ["", "", "a", "bucket(3, a)", "truncate(10, a)", "truncate(1, s)", "year(ts)", "month(tz)", "day(dt)",
              "hour(tz)", "dt", "s", "bucket(4, s), year(dt)", "truncate(10, d)", "month(ts), truncate(2, s)", "bo",
              "bucket(3, d)", "bucket(2, tz)", "day(ts)"]
PROPERTIES = ["'write.parquet.page-row-limit' = '5'", "'write.metadata.metrics.default' = 'truncate(1)'",
              "'write.metadata.metrics.default' = 'none'", "'write.parquet.dict-encoding-enabled.column.a' = 'false'",
              *[f"'write.parquet.bloom-filter-enabled.column.{name}' = 'true'" for name in "absuewg"]]


@dataclasses.dataclass(frozen=True)
class RandomTable:
    """A table's rows, and how they come into it."""

    name: str
    partitions: str
    properties: tuple[str, ...]
    batches: list[list[dict]]
    """One commit each."""
    foreign: int
    """How many of the last batches PyIceberg writes."""
    new_partition: str | None
    """A column that PyIceberg partitions by before its last batch."""
    deleted_below: int
    """PyIceberg deletes the rows with smaller keys, rewriting files, when all is written."""

    def rows(self) -> list[dict]:
        """What is in it at the end."""
        return [row for batch in self.batches for row in batch if row[KEY] >= self.deleted_below]

    def described(self) -> Table:
        """As queries see it."""
        values: dict[Kind, list] = {kind: [] for kind in Kind}
        for row in self.rows():
            for column in STORED:
                if row[column.name] is not None and column.name != BOTH_ZEROS:
                    values[column.kind].append(row[column.name])
        columns = tuple(
            Column(f"({column.name} + 0.0)" if column.name == BOTH_ZEROS else column.name, column.kind)
            for column in STORED
        )
        return Table(self.name, columns, values, KEY, weight=1 if len(self.rows()) < FEW else 4)


def random_table(rng: random.Random, name: str, sizes: list[int]) -> RandomTable:
    """A table with one of so many rows."""
    null_share = rng.choice([0, 0.05, 0.2, 0.2, 0.5])
    only_nulls = {column.name for column in STORED if rng.random() < 0.05} - {KEY}
    rows = [
        {column.name: _stored(rng, column, at, 1 if column.name in only_nulls else null_share) for column in STORED}
        for at in range(rng.choice(sizes))
    ]
    if rng.random() < 0.4:  # files whose bounds do not overlap are skipped
        by = rng.choice(["a", "b", "s", "dt", "ts"])
        rows.sort(key=lambda row: (row[by] is None, 0 if row[by] is None else row[by]))
    batches = _split(rows, rng.choice([1, 3, BATCHES_MAX]))
    foreign = rng.randint(0, min(2, len(batches)))
    return RandomTable(
        name=name,
        partitions=rng.choice(PARTITIONS),
        properties=_properties(rng),
        batches=batches,
        foreign=foreign,
        new_partition=rng.choice(["u", "k", None]) if foreign else None,
        deleted_below=rng.choice([0, 10]) if foreign else 0,
    )


def _properties(rng: random.Random) -> tuple[str, ...]:
    """Some of them, each name once."""
    chosen = rng.sample(PROPERTIES, rng.choice([0, 1, 3]))
    return tuple({text.partition(" = ")[0]: text for text in chosen}.values())


def _split(rows: list[dict], parts: int) -> list[list[dict]]:
    size = math.ceil(len(rows) / parts) or 1
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _stored(rng: random.Random, column: Stored, at: int, null_share: float):
    return at if column.name == KEY else stored(rng, column, null_share)


def stored(rng: random.Random, column: Stored, null_share: float):
    """A value of a column that is no key."""
    if rng.random() < null_share:
        return None
    if column.name == BOTH_ZEROS:
        return rng.choice([0.0, -0.0, -0.0, 1.25, -3.0])
    if column.kind is Kind.DECIMAL:
        return decimal(rng, column.arrow.scale)
    if column.name == "b" and rng.random() < 0.03:
        return rng.choice([2**40, -(2**40), 2**53 + 1])
    return value(rng, column.kind)


def value(rng: random.Random, kind: Kind):
    """A value that is not null; small ones are common, so that tables have some in common."""
    match kind:
        case Kind.INT:
            return rng.choice([rng.randint(-6, 6), rng.randint(-12, 12), rng.randint(-60, 60)])
        case Kind.DECIMAL:
            return decimal(rng, rng.choice([2, 4, 6]))
        case Kind.QUARTER:
            return rng.choice([float(rng.randint(-10, 10)), rng.randint(-100, 100) / 4])
        case Kind.FLOAT:
            return rng.choice(FLOATS)
        case Kind.TEXT:
            return rng.choice(TEXTS[:COMMON_TEXTS] if rng.random() < 0.6 else TEXTS)
        case Kind.DATE:
            return _instant(rng).date()
        case Kind.TIMESTAMP:
            return _instant(rng)
        case Kind.INSTANT:
            return _instant(rng).replace(tzinfo=UTC)
        case Kind.BOOL:
            return rng.random() < 0.5


def decimal(rng: random.Random, scale: int) -> Decimal:
    """A number that DECIMAL(7, 2) or something wider holds."""
    whole = Decimal(rng.choice([rng.randint(-10, 10), rng.randint(-999, 999)]))
    fraction = Decimal(rng.choice([0, 0, 50, 25, rng.randint(0, 99)])) / 100
    tiny = Decimal(rng.choice([0, 0, 1, -1])).scaleb(-scale)
    return (whole + fraction + tiny).quantize(Decimal(1).scaleb(-scale))


def _instant(rng: random.Random) -> dt.datetime:
    return rng.choice([
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        dt.datetime(1970, 1, 1),
        dt.datetime(1969, 12, rng.randint(28, 31), rng.randint(0, 23)),
        dt.datetime(1950 + rng.randint(0, 5), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), 0,
                    rng.randint(0, 59), rng.randint(0, 999999)),
        dt.datetime(2020, rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23)),
        dt.datetime(2020, 2, 29, rng.randint(0, 23), 30),
    ])


def literal(kind: Kind, found) -> str:
    """A value as both engines read it."""
    match kind:
        case Kind.INT:
            return f"({found})" if found < 0 else str(found)
        case Kind.DECIMAL:
            digits = 18 if len(found.as_tuple().digits) <= 18 else 38
            return f"CAST('{found:f}' AS DECIMAL({digits}, {max(-found.as_tuple().exponent, 0)}))"
        case Kind.QUARTER | Kind.FLOAT:
            text = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(found, "NaN" if found != found else repr(found))
            return f"CAST('{text}' AS DOUBLE)"
        case Kind.TEXT:
            return "'" + found.replace("'", "''") + "'"
        case Kind.DATE:
            return f"DATE '{found}'"
        case Kind.TIMESTAMP:
            return f"TIMESTAMP '{found.isoformat(sep=' ')}'"
        case Kind.INSTANT:
            return f"TIMESTAMPTZ '{found.isoformat(sep=' ')}'"
        case Kind.BOOL:
            return str(found).upper()
