"""Queries made at random that two engines answer alike where both are right.

Everything follows from a seed. `rows` makes the values of tables, `lakes` gives them to both engines,
`expressions` and `queries` make the SQL. What the two are known and meant to answer differently is
not made, and the place that leaves it out says so:

- zeros of either sign are two values here (docs/types.md) and one in DuckDB;
- numbers written with a point are doubles here and decimals there, so arithmetic has casts around them;
- averages of decimals are decimals here and doubles there;
- floats are summed only where no order of adding makes a difference.
"""

from __future__ import annotations

import dataclasses
import enum


class Kind(enum.StrEnum):
    """What an expression is, as far as it decides where it may stand."""

    INT = "int"
    DECIMAL = "decimal"
    QUARTER = "quarter"
    """Doubles that are small multiples of a quarter: their sums are exact in every order."""
    FLOAT = "float"
    """Any double, NaN and the infinities among them: compared, never summed."""
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INSTANT = "instant"
    """A timestamp with zone."""
    BOOL = "bool"


DOUBLES = (Kind.QUARTER, Kind.FLOAT)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column as a query spells it."""

    sql: str
    kind: Kind


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that queries may name, with values to look for."""

    name: str
    columns: tuple[Column, ...]
    values: dict[Kind, list]
    """Some of the values it has, by kind; no nulls."""
    key: str | None = None
    """A column that tells all its rows apart, if there is one."""
    weight: int = 1
    """How often queries name it, beside the others."""


@dataclasses.dataclass(frozen=True)
class Query:
    """A query with the names and kinds of what it gives."""

    sql: str
    """With `{shown}` where the outermost columns are named, if that is not the same for all."""
    columns: tuple[Column, ...]
    ordered: bool

    def for_lake(self) -> str:
        """As our engine is asked: JSON has no NaN, so doubles come as text."""
        return self.sql.replace("{shown}", ", ".join(
            f"CAST({column.sql} AS VARCHAR) AS shown_{at}" if column.kind in DOUBLES else column.sql
            for at, column in enumerate(self.columns)
        ))

    def for_duckdb(self) -> str:
        """As DuckDB spells it."""
        text = self.sql.replace("{shown}", ", ".join(column.sql for column in self.columns))
        return text.replace("LEFT SEMI JOIN", "SEMI JOIN").replace("LEFT ANTI JOIN", "ANTI JOIN")
