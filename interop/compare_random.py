"""Compares our answers with DuckDB's, to queries made at random from a seed.

    python compare_random.py LAKE_COMMAND FOLDER [--seed N] [--queries N] [--only NUMBER] [--spark LAKE]

Queries come in rounds, each with tables of its own below FOLDER, and a time zone. A round asks all its
queries; then some of them three times in a row, so that columns are kept decoded by the third time;
and some within a small memory budget. Round 0 is about tables with deletes, which Spark and Iceberg's
Java library wrote to the lake given by `--spark`; without one it is left out.

Ends with exit code 1 if an answer differs, if an error is none that `random_refused.txt` allows, or if
too many queries were not compared or have no rows to find.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import decimal
import json
import random
import re
import sys
import time
from pathlib import Path

import duckdb

import canonical
import duck
from lake import Lake, LakeError
from questions import ROWS_SHOWN_MAX, difference
from random_queries import Query, Table, lakes
from random_queries.queries import Queries
from random_queries.rows import FEW_ROWS, ROWS, random_table

REFUSED = Path(__file__).with_name("random_refused.txt")
REFUSED_SHARE_MAX = 0.1
EMPTY_SHARE_MAX = 0.6
WITHIN_REFUSED_SHARE_MAX = 0.5
SEED = 1
QUERIES = 250
QUERIES_PER_ROUND = 50
TABLES_PER_ROUND = 4
AGAIN_SHARE = 0.2
ROWS_MAX = 20_000
"""An answer with more rows is not compared: it only takes time."""
MESSAGE_LINES_MAX = 3
WORKERS = 2
ZONES = ["UTC", "UTC", "America/New_York", "Asia/Kolkata"]
BUDGETS_BYTES = [256 << 10, 1 << 20, 4 << 20]
WITH_DELETES = ["deletes.parts_v2", "deletes.parts_v3", "deletes.evolved_v2", "deletes.compacted_v2",
                "deletes.upgraded", "equality.several_v3", "equality.parts_v2", "equality.mixed_v2", "equality.keys"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """A query with DuckDB's answer."""

    number: int
    query: Query
    kinds: list[str]
    rows: list[list[str | None]]
    again: bool
    """Whether it is asked three times in a row."""
    within: bool
    """Whether it is asked within a memory budget."""


@dataclasses.dataclass
class Report:
    """What was found out."""

    asked: int = 0
    filled: int = 0
    """Queries whose answer has rows."""
    within: int = 0
    """Queries asked within a memory budget."""
    within_refused: int = 0
    compared: int = 0
    """Answers, of which a query may have several."""
    wrong: list[str] = dataclasses.field(default_factory=list)
    refused: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    """Queries that we refuse, by the reason."""
    unanswered: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    """Queries to which DuckDB gives no answer, by the reason."""

    def add(self, other: Report) -> None:
        """Takes in what another round found out."""
        self.asked += other.asked
        self.filled += other.filled
        self.within += other.within
        self.within_refused += other.within_refused
        self.compared += other.compared
        self.wrong += other.wrong
        self.refused += other.refused
        self.unanswered += other.unanswered

    def finish(self) -> bool:
        """Prints it all; true if nothing is wrong."""
        for text in self.wrong:
            print(text)
        for said, reasons in (("refused", self.refused), ("without an answer of DuckDB's", self.unanswered)):
            for reason, count in reasons.most_common():
                print(f"  {count} {said}: {reason}")
        print(f"{self.asked} queries made at random, {self.filled} with rows to find, {self.refused.total()} refused; "
              f"{self.within} asked within a memory budget, {self.within_refused} refused; "
              f"{self.compared} answers compared, {len(self.wrong)} wrong")
        return not self.wrong

    def says_enough(self) -> bool:
        """Whether so much was compared that nothing wrong means something."""
        compares_nothing = self.refused.total() + self.unanswered.total()
        shares = [
            ("are refused or without an answer", compares_nothing / max(self.asked, 1), REFUSED_SHARE_MAX),
            ("have no rows to find", 1 - self.filled / max(self.asked, 1), EMPTY_SHARE_MAX),
            ("are refused within a memory budget", self.within_refused / max(self.within, 1), WITHIN_REFUSED_SHARE_MAX),
        ]
        too_many = [(what, share, most) for what, share, most in shares if share > most]
        for what, share, most in too_many:
            print(f"TOO MANY: {share:.0%} of the queries {what}, at most {most:.0%} may")
        return not too_many


class Round:
    """Some tables in both engines, and queries about them."""

    def __init__(self, arguments: argparse.Namespace, number: int, numbers: list[int]) -> None:
        self._arguments = arguments
        self._numbers = numbers
        self._folder = arguments.folder / f"round-{number}"
        self._lake = arguments.spark if number == 0 else self._folder / "lake"
        self._about_deletes = number == 0
        rng = random.Random(f"{arguments.seed} round {number}")
        # Round 0 has times from before zones: their seconds are in no text of ours.
        self._zone = rng.choice(ZONES) if number > 0 else "UTC"
        self._budget_bytes = rng.choice(BUDGETS_BYTES)
        sizes = [ROWS] * (TABLES_PER_ROUND - 1) + [FEW_ROWS]
        self._made = [random_table(rng, f"t{at}", rows) for at, rows in enumerate(sizes)]
        self._allowed = _allowed()
        self._report = Report(asked=len(numbers))

    def run(self) -> Report:
        """Makes the tables, asks, compares."""
        self._folder.mkdir(parents=True, exist_ok=True)
        connection, tables = self._tables()
        connection.execute(f"SET TimeZone = '{self._zone}'")
        asked = [found for number in self._numbers if (found := self._ask_duckdb(connection, tables, number))]
        self._report.filled = sum(bool(each.rows) for each in asked)
        right = self._compare(asked, self._opened(), "")
        thrice = [each for each in asked if each.again and each.number in right for _ in range(3)]
        self._compare(thrice, self._opened(), ", asked three times")
        within = [each for each in asked if each.within and each.number in right]
        self._report.within = len(within)
        self._compare(within, self._opened(self._budget_bytes), f", within {self._budget_bytes} bytes")
        return self._report

    def _tables(self) -> tuple[duckdb.DuckDBPyConnection, list[Table]]:
        command = self._arguments.command
        if self._about_deletes:
            return lakes.copy_of(Lake(command, self._lake), WITH_DELETES)
        lakes.make(command, self._lake, self._made)
        return lakes.reference(self._made), [table.described() for table in self._made]

    def _opened(self, budget_bytes: int | None = None) -> Lake:
        """Our engine on the round's lake; within a budget also with small batches and joins by parts."""
        before = [f"SET TIME ZONE '{self._zone}'"]
        if budget_bytes is None:
            return Lake(self._arguments.command, self._lake, before=tuple(before))
        settings = {"memory_budget_bytes": budget_bytes, "batch_size": 16, "parallelism": 3}
        config = self._folder / "budget.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        whole = "optimizer.hash_join_single_partition_threshold"
        options = [whole, f"{whole}_rows", "execution.sort_spill_reservation_bytes"]
        before += [f"SET datafusion.{option} = 0" for option in options]
        return Lake(self._arguments.command, self._lake, config, tuple(before))

    def _ask_duckdb(self, connection: duckdb.DuckDBPyConnection, tables: list[Table], number: int) -> Asked | None:
        rng = random.Random(f"{self._arguments.seed} query {number}")
        again, within = (rng.random() < AGAIN_SHARE or self._arguments.only is not None for _ in range(2))
        query = Queries(rng, tables).query()
        try:
            _, kinds, rows = canonical.rows_of(duck.arrow(connection, query.for_duckdb()))
        except duckdb.Error as error:
            self._report.unanswered[_reason(str(error))] += 1
            return None
        if len(rows) > ROWS_MAX:
            self._report.unanswered[f"more than {ROWS_MAX} rows"] += 1
            return None
        return Asked(number, query, kinds, rows if query.ordered else canonical.sorted_rows(rows), again, within)

    def _compare(self, asked: list[Asked], lake: Lake, how: str) -> set[int]:
        """Asks our engine; gives the numbers of the queries that it answers rightly."""
        right = set()
        for each, found in zip(asked, lake.json_lines([each.query.for_lake() for each in asked])):
            if isinstance(found, LakeError):
                self._failed(each, str(found), how)
                continue
            self._report.compared += 1
            try:
                rows = [_texts(row, each.kinds) for row in found]
            except (ValueError, ArithmeticError, TypeError) as error:
                self._wrong("DIFFERS", each, how, f"{type(error).__name__}: {error}")
                continue
            rows = rows if each.query.ordered else canonical.sorted_rows(rows)
            problem = difference(each.rows, rows)
            if problem is None:
                right.add(each.number)
            else:
                self._wrong("DIFFERS", each, how, f"{problem}\n  ours:   {rows[:ROWS_SHOWN_MAX]}\n"
                            f"  DuckDB: {each.rows[:ROWS_SHOWN_MAX]}")
        return right

    def _failed(self, asked: Asked, message: str, how: str) -> None:
        message = "\n  ".join(message.splitlines()[:MESSAGE_LINES_MAX])
        reason = next((why for when, words, why in self._allowed if words in message and how.startswith(when)), None)
        if reason is None:
            self._wrong("FAILS", asked, how, message)
        elif how:
            self._report.within_refused += 1
        else:
            self._report.refused[reason] += 1

    def _wrong(self, word: str, asked: Asked, how: str, text: str) -> None:
        ours, theirs = asked.query.for_lake(), asked.query.for_duckdb()
        given = self._arguments
        spark = f" --spark {given.spark}" if self._about_deletes else ""
        self._report.wrong.append(
            f"{word} query {asked.number}{how}, lake {self._lake}, zone {self._zone}:\n  {ours}\n"
            + (f"  in DuckDB: {theirs}\n" if theirs != ours else "") + f"  {text}\n"
            f"  again: {sys.executable} {sys.argv[0]} {given.command} {given.folder} --seed {given.seed} "
            f"--only {asked.number}{spark}"
        )


def _texts(row: dict, kinds: list[str]) -> list[str | None]:
    """Canonical texts of a row; a number of another scale than DuckDB's must be the same number."""
    if len(row) != len(kinds):
        raise ValueError(f"columns {list(row)}, expected {len(kinds)}")
    texts = []
    for value, kind in zip(row.values(), kinds):
        text = canonical.text(value, kind)
        if isinstance(value, decimal.Decimal) and decimal.Decimal(text) != value:
            raise ValueError(f"{value} is no {kind}")
        texts.append(text)
    return texts


def _allowed() -> list[tuple[str, str, str]]:
    """When an error may come, words of it, and why it may."""
    lines = REFUSED.read_text(encoding="utf-8").splitlines()
    parts = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [("" if when == "any" else f", {when}", words, why) for when, words, why in parts]


def _reason(message: str) -> str:
    """The first line of an error without what is of the one query."""
    return re.sub(r"[\w.]*\d[\w.]*|\"[^\"]*\"", "#", message.splitlines()[0])[:120]


def main(arguments: argparse.Namespace) -> bool:
    """Runs all rounds; true if nothing is wrong."""
    began = time.monotonic()
    numbers = range(arguments.queries) if arguments.only is None else [arguments.only]
    rounds: dict[int, list[int]] = collections.defaultdict(list)
    for number in numbers:
        rounds[number // QUERIES_PER_ROUND].append(number)
    if arguments.spark is None or not (arguments.spark / "catalog.db").exists():
        print("no tables of Spark's: nothing is asked about deletes")
        rounds.pop(0, None)
    report = Report()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        made = [Round(arguments, number, own) for number, own in rounds.items()]
        for found in workers.map(Round.run, made):
            report.add(found)
    well = report.finish() and (arguments.only is not None or report.says_enough())
    print(f"seed {arguments.seed}, {time.monotonic() - began:.0f} s")
    return well


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", help="the built `lake`")
    parser.add_argument("folder", type=Path, help="where lakes are made")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--only", type=int, help="the number of a query")
    parser.add_argument("--spark", type=Path, help="a lake that write_spark_tables.py made")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    return arguments


if __name__ == "__main__":
    sys.exit(0 if main(_arguments()) else 1)
