"""Whole queries: joins, subqueries, groups, windows, set operations, in one another.

What makes an answer depend on chance is not made: rows are cut off only behind an order of all
columns or where they are counted, and windows that count rows are ordered by keys.
"""

from __future__ import annotations

import random

from random_queries import DOUBLES, Column, Kind, Query, Table
from random_queries.expressions import Expressions, Scope

JOINS = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN",
         "LEFT ANTI JOIN"]
JOINED_MAX = 3
JOINABLE = [Kind.INT, Kind.INT, Kind.INT, Kind.TEXT, Kind.TEXT, Kind.DATE, Kind.DECIMAL, Kind.TIMESTAMP, Kind.INSTANT,
            Kind.QUARTER, Kind.FLOAT]
GROUPED = [Kind.INT, Kind.INT, Kind.TEXT, Kind.DATE, Kind.DECIMAL, Kind.TIMESTAMP, Kind.INSTANT, Kind.BOOL, Kind.FLOAT]
SELECTED = [*Kind, Kind.INT, Kind.TEXT]
SUMMED = [Kind.INT, Kind.DECIMAL, Kind.QUARTER]

FRAMES_OF_VALUES = [
    "", "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "RANGE BETWEEN 3 PRECEDING AND CURRENT ROW",
    "RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING", "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
]
FRAMES_OF_ROWS = [
    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
]


class Queries:
    """Makes one query; all that is random comes from one generator."""

    def __init__(self, rng: random.Random, tables: list[Table]) -> None:
        self._rng = rng
        self._tables = tables
        self._expressions = Expressions(rng, tables)
        self._shared: list[tuple[str, tuple[Column, ...]]] = []
        self._aliases = 0

    def query(self) -> Query:
        """A query of any shape."""
        head = self._shared_part() if self._chance(0.3) else ""
        if self._shared and self._chance(0.3):
            sql, columns = self._joined_with_itself()
        else:
            sql, columns = self._select(JOINED_MAX)
            if self._chance(0.15):
                sql = f"{sql} {self._set_operator()} {self._select_like(columns)}"
            elif self._chance(0.1):
                sql, columns = self._labelled(sql, columns)
        if self._chance(0.1):
            return Query(head + self._count_of_some(sql), (Column("c0", Kind.INT),), ordered=False)
        ordered = self._chance(0.35)
        if not ordered and not any(column.kind in DOUBLES for column in columns):
            return Query(head + sql, columns, ordered)
        text = f"{head}SELECT {{shown}} FROM ({sql}) AS made"
        return Query(text + (self._first_rows(columns) if ordered else ""), columns, ordered)

    def _first_rows(self, columns: tuple[Column, ...]) -> str:
        """All columns say what comes first: rows that are equal in them are equal."""
        order = [f"made.{column.sql} {self._direction()}" for column in columns]
        limit = f" LIMIT {self._pick([1, 3, 10, 50])}" if self._chance(0.7) else ""
        offset = f" OFFSET {self._pick([1, 2, 20])}" if limit and self._chance(0.3) else ""
        return f" ORDER BY {', '.join(order)}{limit}{offset}"

    def _count_of_some(self, sql: str) -> str:
        """How many rows a query has behind some, whichever those are."""
        limit = f" LIMIT {self._pick([3, 20, 100])}" if self._chance(0.5) else ""
        return f"SELECT count(*) AS c0 FROM ({sql}{limit} OFFSET {self._pick([0, 1, 5, 20])}) AS made"

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _pick(self, choices):
        return self._rng.choice(choices)

    def _alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    def _direction(self) -> str:
        return f"{self._pick(['ASC', 'DESC'])} NULLS {self._pick(['FIRST', 'LAST'])}"

    # Where rows come from.

    def _shared_part(self) -> str:
        """`WITH`, whose parts the query may name more than once."""
        parts = []
        for name in ["w1", "w2"][: self._pick([1, 1, 2])]:
            sql, columns = self._select(1)
            parts.append(f"{name} AS ({sql})")
            self._shared.append((name, columns))
        return f"WITH {', '.join(parts)} "

    def _relation(self) -> tuple[str, Scope]:
        if self._shared and self._chance(0.5):
            name, columns = self._pick(self._shared)
            return self._named(name, columns)
        table, = self._rng.choices(self._tables, [table.weight for table in self._tables])
        rows = self._some_of(table) if table.key and self._chance(0.15) else table.name
        return self._named(rows, table.columns, table.key)

    def _some_of(self, table: Table) -> str:
        """Rows of a table that come first in an order, those behind them, or the first of each group."""
        by = [column.sql for column in self._rng.sample(table.columns, self._pick([0, 1, 2]))]
        order = ", ".join(f"{column} {self._direction()}" for column in [*by, table.key])
        if by and self._chance(0.3):
            return f"(SELECT DISTINCT ON ({by[0]}) * FROM {table.name} ORDER BY {order})"
        limit = self._pick(["", f" LIMIT {self._pick([0, 1, 5, 20])}"])
        offset = f" OFFSET {self._pick([0, 1, 5, 50])}" if not limit or self._chance(0.5) else ""
        return f"(SELECT * FROM {table.name} ORDER BY {order}{limit}{offset})"

    def _named(self, relation: str, columns: tuple[Column, ...], key: str | None = None) -> tuple[str, Scope]:
        alias = self._alias()
        own = tuple(Column(_qualified(alias, column.sql), column.kind) for column in columns)
        return f"{relation} AS {alias}", Scope(own, (f"{alias}.{key}",) if key else ())

    def _source(self, joins_max: int) -> tuple[str, Scope, list[str]]:
        """`FROM`, what it has, and conditions for `WHERE` that belong to it."""
        relation, scope = self._relation()
        where: list[str] = []
        for _ in range(self._rng.randint(0, joins_max) if self._chance(0.7) else 0):
            if self._chance(0.2):
                sql, columns = self._select(0)
                right, right_scope = self._named(f"({sql})", columns)
            else:
                right, right_scope = self._relation()
            on = self._join_condition(scope, right_scope)
            if on is None:
                break
            join = self._pick(JOINS)
            both = Scope(scope.columns + right_scope.columns,
                         scope.keys + right_scope.keys if scope.keys and right_scope.keys else ())
            if join == "JOIN" and " JOIN " not in relation and self._chance(0.25):
                relation, scope = f"{relation}, {right}", both
                where.append(on)
                break
            relation = f"{relation} {join} {right} ON {on}"
            scope = scope if join in ("LEFT SEMI JOIN", "LEFT ANTI JOIN") else both
        return relation, scope, where

    def _join_condition(self, left: Scope, right: Scope) -> str | None:
        """Equal columns, and sometimes more; none if no kinds are the same."""
        kinds = [kind for kind in JOINABLE if left.of(kind) and right.of(kind)]
        if not kinds:
            return None
        parts = []
        for _ in range(self._pick([1, 1, 2])):
            kind = self._pick(kinds)
            equal = "IS NOT DISTINCT FROM" if self._chance(0.1) else "="
            parts.append(f"{self._pick(left.of(kind))} {equal} {self._pick(right.of(kind))}")
        if self._chance(0.25):
            kind = self._pick(kinds)
            parts.append(f"{self._pick(left.of(kind))} {self._pick(['<', '>', '<>'])} {self._pick(right.of(kind))}")
        if self._chance(0.15):
            parts.append(self._expressions.condition(self._pick([left, right]), 0))
        return " AND ".join(parts)

    def _where(self, scope: Scope, given: list[str], subqueries: bool = True) -> str:
        parts = list(given)
        if self._chance(0.5):
            parts.append(self._expressions.condition(scope))
        if subqueries and self._chance(0.25):
            parts.append(self._subquery_condition(scope))
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    # Subqueries.

    def _subquery_condition(self, outer: Scope) -> str:
        relation, inner = self._relation()
        kinds = [kind for kind in JOINABLE if outer.of(kind) and inner.of(kind)]
        if not kinds:
            return self._expressions.condition(outer)
        kind = self._pick(kinds)
        theirs, ours = self._pick(inner.of(kind)), self._pick(outer.of(kind))
        also = f" AND {self._expressions.condition(inner, 1)}" if self._chance(0.4) else ""
        match self._rng.randrange(4):
            case 0:
                return f"{ours} {self._pick(['', 'NOT '])}IN (SELECT {theirs} FROM {relation} WHERE TRUE{also})"
            case 1:
                equal = "IS NOT DISTINCT FROM" if self._chance(0.2) else "="
                more = self._correlation(outer, inner) if self._chance(0.35) else ""
                negation = self._pick(["", "NOT "])
                return f"{negation}EXISTS (SELECT 1 FROM {relation} WHERE {theirs} {equal} {ours}{more}{also})"
            case 2:
                subquery, kind = self._value_of_equals(f"{relation} WHERE {theirs} = {ours}{also}", theirs, kind)
                side = self._expressions.leaf(kind, outer)
                return f"{side} {self._pick(['=', '<>', '<', '>='])} {subquery}"
            case _:
                function = self._pick(["min", "max"])
                subquery = f"SELECT {function}({theirs}) FROM {relation} WHERE TRUE{also}"
                return f"{ours} {self._pick(['=', '<>', '<', '>='])} ({subquery})"

    def _value_of_equals(self, rows: str, column: str, kind: Kind) -> tuple[str, Kind]:
        function, kind = self._pick([("min", kind), ("max", kind), ("count", Kind.INT)])
        return f"(SELECT {function}({column}) FROM {rows})", kind

    def _subquery_value(self, outer: Scope) -> tuple[str, Kind] | None:
        """A value of the rows that are equal in a column, to be selected; none if no kinds are the same."""
        relation, inner = self._relation()
        kinds = [kind for kind in JOINABLE if outer.of(kind) and inner.of(kind)]
        if not kinds:
            return None
        kind = self._pick(kinds)
        theirs = self._pick(inner.of(kind))
        also = f" AND {self._expressions.condition(inner, 0)}" if self._chance(0.3) else ""
        return self._value_of_equals(f"{relation} WHERE {theirs} = {self._pick(outer.of(kind))}{also}", theirs, kind)

    def _correlation(self, outer: Scope, inner: Scope) -> str:
        kinds = [kind for kind in JOINABLE if outer.of(kind) and inner.of(kind)]
        kind = self._pick(kinds)
        return f" AND {self._pick(inner.of(kind))} {self._pick(['<', '>', '<>', '='])} {self._pick(outer.of(kind))}"

    # What is selected.

    def _select(self, joins_max: int) -> tuple[str, tuple[Column, ...]]:
        """A `SELECT` whose columns are named c0, c1 and so on."""
        relation, scope, given = self._source(joins_max)
        where = self._where(scope, given)
        if self._chance(0.4):
            return self._aggregation(relation, scope, where)
        items = [self._item(scope, self._pick(SELECTED)) for _ in range(self._rng.randint(1, 4))]
        if self._chance(0.25) and scope.of(Kind.INT):
            items.append(self._window(scope))
        value = self._subquery_value(scope) if self._chance(0.1) else None
        items += [value] if value else []
        distinct = "DISTINCT " if self._chance(0.15) else ""
        shown, columns = _listed(items)
        return f"SELECT {distinct}{shown} FROM {relation}{where}", columns

    def _item(self, scope: Scope, kind: Kind) -> tuple[str, Kind]:
        column = self._expressions.column(kind, scope)
        if column and self._chance(0.5):
            return column, kind
        return self._expressions.make(kind, scope), kind

    def _aggregation(self, relation: str, scope: Scope, where: str) -> tuple[str, tuple[Column, ...]]:
        groups = [self._group(scope) for _ in range(self._pick([0, 1, 1, 1, 2, 2]))]
        groups = list(dict(group for group in groups if group is not None).items())
        aggregates = [self._aggregate(scope) for _ in range(self._rng.randint(0 if groups else 1, 3))]
        having = ""
        if self._chance(0.25):
            having = f" HAVING count(*) {self._pick(['>', '<', '>='])} {self._rng.randint(0, 4)}"
        by = self._grouping([sql for sql, _ in groups]) if groups else ""
        if any(word in by for word in ("ROLLUP", "CUBE", "SETS")) and self._chance(0.5):
            aggregates.append((f"grouping({groups[0][0]})", Kind.INT))
        shown, columns = _listed(self._rng.sample(groups + aggregates, len(groups + aggregates)))
        return f"SELECT {shown} FROM {relation}{where}{by}{having}", columns

    def _group(self, scope: Scope) -> tuple[str, Kind] | None:
        """What names a column: a constant would be the place of a selected item."""
        kind = self._pick(GROUPED)
        column = self._expressions.column(kind, scope)
        if column is None or self._chance(0.7):
            return (column, kind) if column else None
        made = self._expressions.make(kind, scope, 1)
        return (made, kind) if any(named.sql in made for named in scope.columns) else (column, kind)

    def _grouping(self, groups: list[str]) -> str:
        listed = ", ".join(groups)
        plain = all(group.replace(".", "").replace("_", "").isalnum() for group in groups)
        if plain and self._chance(0.25):
            sets = f"GROUPING SETS (({listed}), ({groups[0]}), ())"
            return f" GROUP BY {self._pick([f'ROLLUP ({listed})', f'CUBE ({listed})', sets])}"
        return f" GROUP BY {listed}"

    def _aggregate(self, scope: Scope) -> tuple[str, Kind]:
        kind = self._pick(GROUPED)
        made = self._expressions.make(kind, scope, 1)
        only = f" FILTER (WHERE {self._expressions.condition(scope, 0)})" if self._chance(0.2) else ""
        match self._rng.randrange(8):
            case 0:
                return f"count(*){only}", Kind.INT
            case 1:
                return f"count({made}){only}", Kind.INT
            case 2:
                return f"count(DISTINCT {made}){only}", Kind.INT
            case 3 | 4 if kind is not Kind.BOOL:
                return f"{self._pick(['min', 'max'])}({made}){only}", kind
            case 5:
                made = self._expressions.make(Kind.BOOL, scope, 1)
                return f"{self._pick(['bool_and', 'bool_or'])}({made}){only}", Kind.BOOL
            case 6:
                return f"avg({self._expressions.make(Kind.QUARTER, scope, 1)}){only}", Kind.FLOAT
            case _:
                kind = self._pick(SUMMED)
                distinct = "DISTINCT " if self._chance(0.15) else ""
                return _narrowed(f"sum({distinct}{self._expressions.make(kind, scope, 1)}){only}", kind), kind

    def _window(self, scope: Scope) -> tuple[str, Kind]:
        by = self._expressions.column(self._pick([Kind.INT, Kind.TEXT, Kind.DATE, Kind.BOOL]), scope)
        partition = f"PARTITION BY {by} " if by and self._chance(0.7) else ""
        number = self._pick(scope.of(Kind.INT))
        kind = self._pick([kind for kind in SUMMED if scope.of(kind)])
        value = self._pick(scope.of(kind))
        if scope.keys and self._chance(0.6):
            order = f"ORDER BY {', '.join(f'{key} {self._direction()}' for key in scope.keys)}"
            return self._window_of_rows(f"{partition}{order}", value, kind)
        order = f"ORDER BY {number} {self._direction()}"
        if self._chance(0.3):
            return f"{self._pick(['rank', 'dense_rank'])}() OVER ({partition}{order})", Kind.INT
        call, kind = self._pick([(f"sum({value})", kind), ("count(*)", Kind.INT), (f"max({number})", Kind.INT)])
        return _narrowed(f"{call} OVER ({partition}{order} {self._pick(FRAMES_OF_VALUES)})", kind), kind

    def _window_of_rows(self, place: str, value: str, kind: Kind) -> tuple[str, Kind]:
        """Calls that depend on the order of single rows."""
        if self._chance(0.4):
            call, kind = self._pick([
                ("row_number()", Kind.INT), ("ntile(3)", Kind.INT), (f"lag({value}, 1)", kind), (f"lead({value}, 2)", kind),
                (f"lag({value}, 2 IGNORE NULLS)", kind), (f"lead({value}, {self._pick([1, 2])} IGNORE NULLS)", kind),
            ])
            return f"{call} OVER ({place})", kind
        call, kind = self._pick([
            (f"sum({value})", kind), (f"count({value})", Kind.INT), (f"first_value({value})", kind),
            (f"last_value({value})", kind), (f"min({value})", kind), (f"max({value})", kind),
            (f"nth_value({value}, 2)", kind), (f"first_value({value} IGNORE NULLS)", kind),
            (f"sum({value}) FILTER (WHERE {value} > 1)", kind),
        ])
        return _narrowed(f"{call} OVER ({place} {self._pick(FRAMES_OF_ROWS)})", kind), kind

    # Two queries in one.

    def _set_operator(self) -> str:
        return self._pick(["UNION ALL", "UNION", "UNION", "INTERSECT", "EXCEPT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])

    def _select_like(self, columns: tuple[Column, ...]) -> str:
        """A `SELECT` with columns of the same kinds."""
        relation, scope, given = self._source(1)
        shown, _ = _listed([self._item(scope, column.kind) for column in columns])
        return f"SELECT {shown} FROM {relation}{self._where(scope, given, subqueries=False)}"

    def _labelled(self, sql: str, columns: tuple[Column, ...]) -> tuple[str, tuple[Column, ...]]:
        """A query and another one, with a column that says which of them a row is of."""
        named, label = ", ".join(column.sql for column in columns), f"c{len(columns)}"
        first, second = (
            f"SELECT {number} AS {label}, {named} FROM ({leg}) AS {self._alias()}"
            for number, leg in enumerate([sql, self._select_like(columns)])
        )
        return f"{first} UNION ALL {second}", (Column(label, Kind.INT), *columns)

    def _joined_with_itself(self) -> tuple[str, tuple[Column, ...]]:
        name, columns = self._pick(self._shared)
        left, left_scope = self._named(name, columns)
        right, right_scope = self._named(name, columns)
        on = self._join_condition(left_scope, right_scope) or "TRUE"
        join = self._pick(["JOIN", "LEFT JOIN", "FULL JOIN"]) if on != "TRUE" else "JOIN"
        found = left_scope.columns + right_scope.columns
        shown, columns = _listed([(column.sql, column.kind) for column in self._rng.sample(found, min(len(found), 4))])
        return f"SELECT {shown} FROM {left} {join} {right} ON {on}", columns


def _qualified(alias: str, sql: str) -> str:
    return f"({alias}.{sql[1:]}" if sql.startswith("(") else f"{alias}.{sql}"


def _narrowed(sql: str, kind: Kind) -> str:
    """DuckDB's sums have 38 digits, and lose places where they meet decimals with more of them."""
    return f"CAST({sql} AS DECIMAL(28, 6))" if kind is Kind.DECIMAL else sql


def _listed(items: list[tuple[str, Kind]]) -> tuple[str, tuple[Column, ...]]:
    shown = ", ".join(f"{sql} AS c{at}" for at, (sql, _) in enumerate(items))
    return shown, tuple(Column(f"c{at}", kind) for at, (_, kind) in enumerate(items))
