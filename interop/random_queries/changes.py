"""Statements that change rows, made at random: INSERT, DELETE, UPDATE and MERGE, as both engines read them."""

from __future__ import annotations

import dataclasses
import random

from random_queries import Column, Kind, Table
from random_queries.expressions import Scope
from random_queries.queries import Queries
from random_queries.rows import BOTH_ZEROS, KEY, PARTITIONS, PROPERTIES, STORED, Stored, literal, stored

TARGET, SOURCE = "t", "u"
"""The table whose rows change; another one, whose keys are distinct."""
KEYS_MAX = 60
"""Keys are small, so that rows of both tables meet; those of the target may come several times."""
ROWS_MAX = 40
TEXT_MAX = 30
INSERTED_MAX = 4
MODES = {"merge-on-read": "merge-on-read", "copy-on-write": "copy-on-write", "by the rule": None}


@dataclasses.dataclass(frozen=True)
class Change:
    """One statement."""

    sql: str
    many: str | None = None
    """A query for the largest number of rows of the source that match one row of the target. The statement must be
    refused where that is more than one; only few statements are of this kind."""
    ours_alone: bool = False
    """Whether it changes the layout only, in words that DuckDB does not know."""

    def for_duckdb(self) -> str:
        """As DuckDB is asked, so that it tells what was done with each row of a MERGE."""
        return f"{self.sql} RETURNING merge_action" if self.sql.startswith("MERGE") else self.sql


@dataclasses.dataclass(frozen=True)
class Made:
    """A table of a round."""

    name: str
    columns: list[Stored]
    rows: list[list]
    partitions: str
    properties: dict[str, str]

    def statements(self) -> list[str]:
        """What creates and fills it, the rows in several files."""
        columns = ", ".join(f"{column.name} {column.sql}" for column in self.columns)
        partitions = f" PARTITIONED BY ({self.partitions})" if self.partitions else ""
        properties = ", ".join(f"'{key}' = '{value}'" for key, value in self.properties.items())
        size = max(len(self.rows) // 3, 1)
        parts = [self.rows[at : at + size] for at in range(0, len(self.rows), size)]
        return [f"CREATE TABLE {self.name} ({columns}){partitions} TBLPROPERTIES ({properties})"] + [
            f"INSERT INTO {self.name} VALUES {', '.join(values(self.columns, row) for row in part)}" for part in parts
        ]

    def for_duckdb(self) -> list[str]:
        """The same there."""
        columns = ", ".join(f"{column.name} {column.sql}" for column in self.columns)
        return [f"CREATE TABLE {self.name} ({columns})"] + self.statements()[1:]

    def described(self) -> Table:
        """As statements see it."""
        found: dict[Kind, list] = {kind: [] for kind in Kind}
        for at, column in enumerate(self.columns):
            found[column.kind] += [row[at] for row in self.rows if row[at] is not None]
        columns = tuple(Column(column.name, column.kind) for column in self.columns)
        return Table(self.name, columns, found)


def values(columns: list[Stored], row: list) -> str:
    """A row as VALUES has it."""
    texts = ("NULL" if value is None else literal(column.kind, value) for column, value in zip(columns, row))
    return f"({', '.join(texts)})"


def tables(rng: random.Random, version: int, mode: str, partitioned: bool) -> tuple[Made, Made]:
    """The target and the source of a round; they have the same columns."""
    others = [column for column in STORED if column.name not in (KEY, BOTH_ZEROS)]
    chosen = rng.sample(others, rng.choice([2, 3, 3]))
    columns = [column for column in STORED if column.name == KEY or column in chosen]
    names = {column.name for column in columns}
    fitting = [text for text in PARTITIONS if text and _named(text) <= names] + ["bucket(3, k)", "truncate(20, k)"]
    properties = {"format-version": str(version), "write.delete.granularity": rng.choice(["file", "partition"])}
    if MODES[mode]:
        properties |= {f"write.{change}.mode": MODES[mode] for change in ("delete", "update", "merge")}
    for text in rng.sample(PROPERTIES, 2):
        key, _, value = text.replace("'", "").partition(" = ")
        if ".column." not in key or key.rpartition(".")[2] in names:
            properties[key] = value
    null_share = rng.choice([0, 0.05, 0.2, 0.4])
    keys = [rng.randint(0, KEYS_MAX) for _ in range(rng.choice([5, 20, ROWS_MAX]))]
    target = Made(TARGET, columns, [_row(rng, columns, key, null_share) for key in keys],
                  rng.choice(fitting) if partitioned else "", properties)
    keys = [*rng.sample(range(KEYS_MAX), rng.choice([3, 15, 30])), None]
    source = Made(SOURCE, columns, [_row(rng, columns, key, null_share) for key in keys], "", {"format-version": "2"})
    return target, source


def _named(partitions: str) -> set[str]:
    """The columns that partitions are made of."""
    words = partitions.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {word for word in words if word in {column.name for column in STORED}}


def _row(rng: random.Random, columns: list[Stored], key: int | None, null_share: float) -> list:
    return [key if column.name == KEY else stored(rng, column, null_share) for column in columns]


class Changes(Queries):
    """Makes statements about a target and a source."""

    def __init__(self, rng: random.Random, target: Made, source: Made) -> None:
        super().__init__(rng, [target.described(), source.described()])
        self._columns = target.columns
        self._layouts = self._layout_changes(target)
        self._target = self._scope(TARGET)
        self._source_scope = self._scope(SOURCE)
        self._both = Scope(self._target.columns + self._source_scope.columns)

    def changes(self, number: int) -> list[Change]:
        """So many statements; some change the layout."""
        made = [self._change() for _ in range(number)]
        for layout in self._layouts:
            made.insert(self._rng.randrange(number), Change(layout, ours_alone=True))
        return made

    def _layout_changes(self, target: Made) -> list[str]:
        """Another version, other partitions: no row changes by them."""
        made = []
        if target.properties["format-version"] == "2" and self._chance(0.3):
            made.append(f"ALTER TABLE {TARGET} SET TBLPROPERTIES ('format-version' = '3')")
        if self._chance(0.3):
            made.append(f"ALTER TABLE {TARGET} ADD PARTITION FIELD bucket(5, k)")
        return made

    def _scope(self, name: str) -> Scope:
        return Scope(tuple(Column(f"{name}.{column.name}", column.kind) for column in self._columns))

    def _change(self) -> Change:
        kinds = [(self._insert, 3), (self._delete, 4), (self._update, 4), (self._update_from, 2), (self._merge, 5),
                 (self._ambiguous, 0.5)]
        makes, weights = zip(*kinds)
        return self._rng.choices(makes, weights)[0]()

    def _insert(self) -> Change:
        if self._chance(0.5):
            rows = [self._values() for _ in range(self._rng.randint(1, INSERTED_MAX))]
            return Change(f"INSERT INTO {TARGET} VALUES {', '.join(rows)}")
        scope = self._source_scope if self._chance(0.7) else self._target
        name = scope.columns[0].sql.partition(".")[0]
        columns = self._some_columns()
        shown = ", ".join(self._assigned(column, scope) for column in columns)
        return Change(f"INSERT INTO {TARGET} ({_names(columns)}) SELECT {shown} FROM {name} "
                      f"WHERE {name}.k % 3 = {self._rng.randrange(3)} AND {self._expressions.condition(scope)}")

    def _values(self) -> str:
        return values(self._columns, _row(self._rng, self._columns, self._rng.randint(0, KEYS_MAX), 0.2))

    def _delete(self) -> Change:
        if self._chance(0.02):
            return Change(f"DELETE FROM {TARGET}")
        return Change(f"DELETE FROM {TARGET} WHERE {self._few_rows()}")

    def _few_rows(self) -> str:
        """A condition on rows of the target; most are about few of them, so that there are some left."""
        parts = [self._subquery_condition(self._target) if self._chance(0.25) else
                 self._expressions.condition(self._target)]
        if self._chance(0.6):
            parts.append(f"t.k % {self._pick([2, 3, 5])} = {self._rng.randrange(2)}")
        return " AND ".join(parts)

    def _update(self) -> Change:
        return Change(f"UPDATE {TARGET} SET {self._assignments(self._target)} WHERE {self._few_rows()}")

    def _update_from(self) -> Change:
        also = f" AND {self._expressions.condition(self._both)}" if self._chance(0.6) else ""
        return Change(f"UPDATE {TARGET} SET {self._assignments(self._both)} FROM {SOURCE} WHERE t.k = u.k{also}")

    def _merge(self) -> Change:
        on = "t.k = u.k"
        if self._chance(0.3):
            on += f" AND {self._expressions.condition(self._both, 1)}"
        source = SOURCE
        if self._chance(0.3):
            source = f"(SELECT * FROM {SOURCE} WHERE {self._expressions.condition(self._source_scope)}) AS {SOURCE}"
        clauses = []
        for kind, scope in (("MATCHED", self._both), ("NOT MATCHED", self._source_scope),
                            ("NOT MATCHED BY SOURCE", self._target)):
            clauses += self._clauses(kind, scope)
        clauses = clauses or [f"WHEN MATCHED THEN UPDATE SET {self._assignments(self._both)}"]
        return Change(f"MERGE INTO {TARGET} USING {source} ON {on} {' '.join(clauses)}")

    def _clauses(self, kind: str, scope: Scope) -> list[str]:
        """None, one or two of a kind; only the last may be without a condition."""
        number = self._rng.choice([0, 1, 2] if kind == "MATCHED" else [0, 0, 1, 2])
        made = []
        for at in range(number):
            always = at == number - 1 and kind != "NOT MATCHED BY SOURCE" and self._chance(0.6)
            condition = "" if always else f" AND {self._expressions.condition(scope, 1)}"
            made.append(f"WHEN {kind}{condition} THEN {self._action(kind, scope)}")
        return made

    def _action(self, kind: str, scope: Scope) -> str:
        if kind == "NOT MATCHED":
            columns = self._some_columns()
            return f"INSERT ({_names(columns)}) VALUES ({', '.join(self._assigned(each, scope) for each in columns)})"
        return "DELETE" if self._chance(0.35) else f"UPDATE SET {self._assignments(scope)}"

    def _ambiguous(self) -> Change:
        """A source that may match a row of the target several times."""
        name = self._pick([column.name for column in self._columns if column.name != KEY])
        on = self._pick([f"t.{name} = u.{name}", "t.k % 7 = u.k % 7", "t.k = u.k % 20"])
        assigned = self._assignments(self._both)
        many = (f"SELECT max(n) FROM (SELECT count(*) AS n FROM {TARGET} JOIN {SOURCE} ON {on} "
                f"GROUP BY {TARGET}.rowid)")
        return Change(f"MERGE INTO {TARGET} USING {SOURCE} ON {on} WHEN MATCHED THEN UPDATE SET {assigned}", many)

    def _some_columns(self) -> list[Stored]:
        """Columns in any order, the key among them."""
        others = self._rng.sample(self._columns[1:], self._rng.randint(1, len(self._columns) - 1))
        chosen = [self._columns[0], *others]
        self._rng.shuffle(chosen)
        return chosen

    def _assignments(self, scope: Scope) -> str:
        chosen = self._rng.sample(self._columns, self._rng.choice([1, 1, 2]))
        return ", ".join(f"{column.name} = {self._assigned(column, scope)}" for column in chosen)

    def _assigned(self, column: Stored, scope: Scope) -> str:
        """A value for a column: small keys, and texts that do not double with each statement."""
        if self._chance(0.1):
            return "NULL"
        made = self._expressions.make(column.kind, scope, self._rng.choice([0, 1, 2]))
        if column.name == KEY:
            return f"CAST(abs({made}) % {KEYS_MAX} AS INT)"
        if column.kind is Kind.TEXT:
            return f"substr({made}, 1, {TEXT_MAX})"
        return f"CAST({made} AS {column.sql})"


def _names(columns: list[Stored]) -> str:
    return ", ".join(column.name for column in columns)
