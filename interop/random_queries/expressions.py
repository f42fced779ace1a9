"""Expressions and conditions over the columns in scope, from templates.

A brace names what stands there: a kind (`{int}`), `{t}` for the kind of the whole, or a word of `WORDS`.
A mark behind it says how deep it may go: `.` a column or a constant, `!` a constant, `?` a constant as
people write it beside a comparison.
"""

from __future__ import annotations

import dataclasses
import random
import re

from random_queries import Column, Kind, Table
from random_queries.rows import literal, value

HOLE = re.compile(r"\{(\w+)([.!?]?)\}")

WORDS = {
    "n": ["0", "1", "2", "3", "5"],
    "m": ["2", "3", "7"],
    "op": ["=", "<>", "<", "<=", ">", ">="],
    "not": ["", "NOT "],
    "truth": ["TRUE", "FALSE"],
    "unit": ["second", "minute", "hour", "day", "week", "month", "quarter", "year"],
    "coarse": ["month", "quarter", "year"],
    "step": ["day", "hour", "month"],
    "part": ["year", "month", "day", "dow", "doy", "week", "quarter"],
    "clock": ["hour", "minute"],
    "extreme": ["greatest", "least"],
    "like": ["'a%'", "'%a%'", "'ab_'", "'_'", "'%'", "''", "'é%'", "'日%'", "'%b'", "'a%b'", "'😀%'", "'A%'",
             "'\uffff%'"],
    "head": ["'a'", "'é'", "''", "'日本'", "'😀'", "'Z'"],
}

OF_ANY_KIND = [
    "coalesce({t}, {t})", "nullif({t}, {t!})", "{extreme}({t}, {t.})", "CASE WHEN {bool} THEN {t} END",
    "CASE WHEN {bool} THEN {t} ELSE {t} END",
]

# Left out: what gives -0.0 of other numbers (negation, ceil, round and % of doubles), another value here.
OF_KIND = {
    Kind.INT: [
        "({int} + {n})", "({int} - {n})", "({int} % {m})", "abs({int})", "(-{int})", "length({text})",
        "CAST({bool} AS INT)", "extract({part} FROM {date})", "extract({part} FROM {timestamp})",
        "extract({clock} FROM {timestamp})", "extract(year FROM {instant})", "extract(hour FROM {instant})",
        "years({date})", "months({date})", "years({timestamp})", "months({timestamp})", "truncate(10, {int})",
    ],
    Kind.DECIMAL: [
        "({decimal} + {decimal})", "({decimal} - {decimal})", "({decimal.} * CAST('1.5' AS DECIMAL(2, 1)))",
        "({decimal.} * {n})", "abs({decimal})", "(-{decimal})", "CAST({int.} AS DECIMAL(20, 2))",
        "round({decimal.}, 1)", "({decimal} + {int.})",
    ],
    Kind.QUARTER: [
        "({quarter} + {quarter})", "({quarter} - {n})", "({quarter} * 2)", "abs({quarter})", "floor({quarter})",
    ],
    Kind.FLOAT: ["abs({float})", "({float} * 2)", "CAST({int} AS DOUBLE)", "({quarter} / 3)"],
    Kind.TEXT: [
        "upper({text})", "lower({text})", "substr({text}, {n}, 2)", "({text} || {text})", "trim({text})",
        "concat({text}, {text})", "replace({text}, 'a', 'z')", "reverse({text.})", "left({text}, 1)",
        "CAST({int} AS VARCHAR)", "CAST({date} AS VARCHAR)", "lpad({text}, 3, '*')",
    ],
    Kind.DATE: [
        "CAST({timestamp} AS DATE)", "CAST({instant} AS DATE)", "CAST(date_trunc('{coarse}', {date}) AS DATE)",
        "CAST({date} + INTERVAL '{n}' DAY AS DATE)",
    ],
    Kind.TIMESTAMP: [
        "date_trunc('{unit}', {timestamp})", "({timestamp} + INTERVAL '{n}' {step})", "CAST({date} AS TIMESTAMP)",
        "CAST({instant} AS TIMESTAMP)", "({timestamp} - INTERVAL '{m}' {step})",
    ],
    Kind.INSTANT: [
        "date_trunc('{unit}', {instant})", "({instant} + INTERVAL '{n}' HOUR)", "CAST({timestamp} AS TIMESTAMPTZ)",
    ],
}

CONDITIONS = [
    *["({t} {op} {t?})"] * 4,
    *["({t} {op} {t})"] * 2,
    "({t} IS {not}NULL)", "({t} IS {not}NULL)",
    "({t} {not}BETWEEN {t?} AND {t?})", "({t} {not}BETWEEN {t?} AND {t?})",
    "({t} {not}IN ({t?}))", "({t} {not}IN ({t?}, {t?}, {t?}))", "({t} {not}IN ({t?}, NULL, {t?}))",
    "({t} IS {not}DISTINCT FROM {t})",
    "({text} {not}LIKE {like})", "({text} {not}LIKE {like})", "starts_with({text}, {head})",
    "({int} {op} {decimal.})", "({decimal} {op} {int.})", "({int.} {op} '5')",
    "({date} {op} {timestamp?})", "({timestamp.} {op} {instant?})",
    "({bool.} IS {not}{truth})", "{bool.}",
]
CONNECTED = ["({bool} AND {bool})", "({bool} OR {bool})", "(NOT {bool})"]
COMPARED = [Kind.INT, Kind.INT, Kind.DECIMAL, Kind.QUARTER, Kind.FLOAT, Kind.TEXT, Kind.TEXT, Kind.DATE, Kind.TIMESTAMP,
            Kind.INSTANT]


@dataclasses.dataclass(frozen=True)
class Scope:
    """The columns that can be named at one place."""

    columns: tuple[Column, ...]
    keys: tuple[str, ...] = ()
    """Columns that together tell the rows apart; none if that is not known."""

    def of(self, kind: Kind) -> list[str]:
        """The columns of a kind."""
        return [column.sql for column in self.columns if column.kind is kind]


class Expressions:
    """Makes expressions; all that is random comes from one generator."""

    def __init__(self, rng: random.Random, tables: list[Table]) -> None:
        self._rng = rng
        self._tables = tables

    def column(self, kind: Kind, scope: Scope) -> str | None:
        """Some column of the kind."""
        found = scope.of(kind)
        return self._rng.choice(found) if found else None

    def constant(self, kind: Kind) -> str:
        """A value that some table has, or another one."""
        return literal(kind, self._value(kind))

    def leaf(self, kind: Kind, scope: Scope) -> str:
        """A column if there is one, sometimes a constant."""
        column = self.column(kind, scope)
        return column if column and self._rng.random() < 0.85 else self.constant(kind)

    def make(self, kind: Kind, scope: Scope, depth: int = 2) -> str:
        """An expression with at most so many operations in each other."""
        if kind is Kind.BOOL:
            return self.condition(scope, depth)
        if depth <= 0 or self._rng.random() < 0.4:
            return self.leaf(kind, scope)
        templates = OF_KIND[kind] if self._rng.random() < 0.7 else OF_ANY_KIND
        return self._fill(self._rng.choice(templates), kind, scope, depth - 1)

    def condition(self, scope: Scope, depth: int = 2) -> str:
        """Something that is true, false or NULL."""
        if depth > 0 and self._rng.random() < 0.3:
            return self._fill(self._rng.choice(CONNECTED), Kind.BOOL, scope, depth - 1)
        there = {column.kind for column in scope.columns}
        templates = [template for template in CONDITIONS if _kinds_of(template) <= there] or CONDITIONS
        kinds = [kind for kind in COMPARED if kind in there] or COMPARED
        return self._fill(self._rng.choice(templates), self._rng.choice(kinds), scope, depth - 1)

    def _fill(self, template: str, kind: Kind, scope: Scope, depth: int) -> str:
        def stand_in(hole: re.Match) -> str:
            name, mark = hole.groups()
            if name in WORDS:
                return self._rng.choice(WORDS[name])
            wanted = kind if name == "t" else Kind(name)
            match mark:
                case ".":
                    return self.leaf(wanted, scope)
                case "!":
                    return self.constant(wanted)
                case "?":
                    return self._written(wanted)
                case _:
                    return self.make(wanted, scope, depth)

        return HOLE.sub(stand_in, template)

    def _value(self, kind: Kind):
        known = self._rng.choice(self._tables).values[kind]
        return self._rng.choice(known) if known and self._rng.random() < 0.7 else value(self._rng, kind)

    def _written(self, kind: Kind) -> str:
        """Decimals without a cast: beside a column they are compared as they are written."""
        if kind is Kind.DECIMAL and self._rng.random() < 0.6:
            return f"({self._value(kind):f})"
        return self.constant(kind)


def _kinds_of(template: str) -> set[str]:
    """The kinds that a template names; nothing is told by a condition about constants."""
    return {name for name, _ in HOLE.findall(template)} & set(Kind)
