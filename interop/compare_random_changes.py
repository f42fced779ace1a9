"""Compares tables that are changed by statements made at random with what DuckDB makes of the same ones.

    python compare_random_changes.py LAKE_COMMAND FOLDER [--seed N] [--statements N] [--only ROUND]

There is a round for each way of writing deletes, format version, and partitions or none; each has a
lake of its own below FOLDER. After each statement all rows and the numbers of rows that it changed are
compared, and at the end what DuckDB and PyIceberg read in the files themselves.

Ends with exit code 1 if anything differs, or if an error is none that `random_changes_refused.txt` allows.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import itertools
import multiprocessing
import random
import shutil
import sys
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import duckdb

import canonical
import duck
import read_tables
from lake import Lake, LakeError, read_arrow, rows_from_arrow
from questions import difference
from random_queries import lakes
from random_queries.changes import MODES, TARGET, Change, Changes, Made, tables

REFUSED = Path(__file__).with_name("random_changes_refused.txt")
REFUSED_SHARE_MAX = 0.1
IDLE_SHARE_MAX = 0.5
SEED = 1
STATEMENTS = 30
"""In each round."""
WORKERS = 2

# How often a process may crash that rounds run in, before the run fails.
CRASHES_MAX = 3
MESSAGE_LINES_MAX = 3
WITH_OPTIMIZER = ["PRAGMA enable_optimizer", "SET disabled_optimizers = 'statistics_propagation'"]
"""Without it, DuckDB fails on WHEN NOT MATCHED BY SOURCE."""
AMBIGUOUS = "matched by more than one row of the source"
ROUNDS = list(itertools.product(MODES, (2, 3), (False, True)))


class Report:
    """What was found out; rounds that run beside each other have one each."""

    def __init__(self) -> None:
        self.asked = self.changing = self.compared = 0
        self.wrong: list[str] = []
        self.refused: collections.Counter = collections.Counter()
        """Statements that we refuse, by the reason."""
        self.both_refuse = self.unanswered = 0

    def add(self, other: Report) -> None:
        """Takes in what another round found out."""
        self.asked += other.asked
        self.changing += other.changing
        self.compared += other.compared
        self.wrong += other.wrong
        self.refused += other.refused
        self.both_refuse += other.both_refuse
        self.unanswered += other.unanswered

    def finish(self) -> bool:
        """Prints it all; true if nothing is wrong and enough was compared."""
        for text in self.wrong:
            print(text)
        for reason, count in self.refused.most_common():
            print(f"  {count} refused: {reason}")
        print(f"{self.asked} statements made at random, {self.changing} changed rows, {self.refused.total()} refused, "
              f"{self.both_refuse} that both refuse, {self.unanswered} without an answer of DuckDB's; "
              f"{self.compared} states of tables compared, {len(self.wrong)} wrong")
        compares_nothing = self.refused.total() + self.unanswered
        shares = [("are refused or without an answer", compares_nothing / max(self.asked, 1), REFUSED_SHARE_MAX),
                  ("change nothing", 1 - self.changing / max(self.asked, 1), IDLE_SHARE_MAX)]
        too_many = [(what, share, most) for what, share, most in shares if share > most]
        for what, share, most in too_many:
            print(f"TOO MANY: {share:.0%} of the statements {what}, at most {most:.0%} may")
        return not self.wrong and not too_many


class Ours:
    """Our engine with a round's statements: what each told, the error it had, the rows after it."""

    def __init__(self, lake: Lake, folder: Path, made: list[Made], changes: list[Change]) -> None:
        self.told: dict[int, dict[str, int]] = {}
        self.errors: dict[int, str] = {}
        self._folder = folder
        self._changes = changes
        setup = [statement for table in made for statement in table.statements()]
        _, error = lake.script(setup, "--create")
        if error is not None:
            raise error
        done = 0
        after_error = False
        while done < len(changes):
            done, after_error = self._go_on(lake, done, after_error)

    def rows_after(self, at: int):
        """All rows after a statement."""
        return read_arrow(self._file(at))

    def _file(self, at: int) -> Path:
        return self._folder / f"after-{at}.arrow"

    def _go_on(self, lake: Lake, first: int, after_error: bool) -> tuple[int, bool]:
        """Runs statements from one on in one process, until one fails; the next to run.

        A statement that has failed is not run again, but what is in the table then is looked at.
        """
        wanted = []
        for at in range(first, len(self._changes)):
            if at > first or not after_error:
                wanted.append(self._changes[at].sql)
            wanted.append(f"COPY (SELECT * FROM {TARGET}) TO '{self._file(at)}'")
        output, error = lake.script(wanted)
        blocks = _blocks(output)
        if after_error:
            blocks = [{}, *blocks]
        for number, block in enumerate(blocks):
            if number % 2 == 0 and block:
                self.told[first + number // 2] = block
        if error is None:
            return len(self._changes), False
        at, copying = first + len(blocks) // 2, len(blocks) % 2 == 1
        if copying:  # the statement before it did its work
            raise LakeError(f"reading after statement {at}, {self._changes[at].sql}: {error}")
        self.errors[at] = str(error)
        return at, True


def _blocks(output: str) -> list[dict[str, int]]:
    """What each statement told: `3 rows`, or a table of numbers with names."""
    blocks: list[dict[str, int]] = []
    lines = iter(output.splitlines())
    for line in lines:
        if not line.startswith("+"):
            word = line.split(" ")[0].replace(",", "")
            blocks.append({"count": int(word) if word.isdigit() else 0})
            continue
        names, _, numbers, _ = (next(lines) for _ in range(4))
        cells = ([cell.strip() for cell in text.strip("|").split("|")] for text in (names, numbers))
        blocks.append({name: int(number) for name, number in zip(*cells)})
    return blocks


class Round:
    """A target and a source in both engines, and statements that change the target."""

    def __init__(self, arguments: argparse.Namespace, number: int) -> None:
        self._arguments = arguments
        self._number = number
        self._mode, self._version, self._partitioned = ROUNDS[number % len(ROUNDS)]
        self._folder = arguments.folder / f"round-{number}"
        self._report = Report()
        rng = random.Random(f"{arguments.seed} changes {number}")
        self._made = tables(rng, self._version, self._mode, self._partitioned)
        self._changes = Changes(rng, *self._made).changes(arguments.statements)
        self._allowed = _allowed()

    def run(self) -> Report:
        """Changes, compares."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        config = self._folder / "config.json"
        config.write_text('{"durability": "none"}', encoding="utf-8")
        lake = self._folder / "lake"
        try:
            ours = Ours(Lake(self._arguments.command, lake, config), self._folder, list(self._made), self._changes)
            self._compare(ours)
        except LakeError as error:
            self._wrong("FAILS", -1, str(error))
        return self._report

    def _compare(self, ours: Ours) -> None:
        connection = lakes.connect()
        for setting in WITH_OPTIMIZER:
            connection.execute(setting)
        for table in self._made:
            for statement in table.for_duckdb():
                connection.execute(statement)
        for at, change in enumerate(self._changes):
            self._report.asked += not change.ours_alone
            if not self._same_change(connection, ours, at, change):
                return  # all that comes after differs too
            _, kinds, expected = canonical.rows_of(duck.arrow(connection, f"SELECT * FROM {TARGET}"))
            problem = _difference(expected, kinds, lambda: ours.rows_after(at))
            self._report.compared += 1
            if problem is not None:
                self._wrong("DIFFERS", at, problem)
                return
        self._read_files(expected, kinds)

    def _same_change(self, connection: duckdb.DuckDBPyConnection, ours: Ours, at: int, change: Change) -> bool:
        """Has DuckDB do the same; false if the two do not agree."""
        refusal = ours.errors.get(at)
        if change.ours_alone:
            return refusal is None or self._wrong("FAILS", at, refusal)
        if change.many is not None and (connection.execute(change.many).fetchone()[0] or 0) > 1:
            self._report.both_refuse += 1
            return (refusal is not None and AMBIGUOUS in refusal) or self._wrong("NOT REFUSED", at, refusal or "done")
        connection.execute("BEGIN")
        try:
            told = _told(connection.execute(change.for_duckdb()).fetchall(), change)
        except duckdb.Error as error:
            connection.execute("ROLLBACK")
            if refusal is not None:
                self._report.both_refuse += 1
                return True
            if not change.sql.startswith("MERGE") or not isinstance(error, duckdb.ConversionException):
                return self._wrong("NOT REFUSED", at, f"DuckDB: {str(error)[:300]}")
            # It computes the values of all clauses for each row, also those that are not taken.
            self._report.unanswered += 1
            rows = ours.rows_after(at)  # noqa: F841 - DuckDB finds it by its name
            connection.execute(f"DELETE FROM {TARGET}")
            connection.execute(f"INSERT INTO {TARGET} SELECT * FROM rows")
            return True
        if refusal is not None:
            connection.execute("ROLLBACK")
            return self._refused(at, refusal)
        connection.execute("COMMIT")
        self._report.changing += told["count"] > 0
        expected = {name: count for name, count in told.items() if name in ours.told[at]}
        return expected == ours.told[at] or self._wrong("COUNTS DIFFER", at, f"{ours.told[at]}, DuckDB: {told}")

    def _refused(self, at: int, refusal: str) -> bool:
        reason = next((why for words, why in self._allowed if words in refusal), None)
        if reason is None:
            return self._wrong("FAILS", at, "\n  ".join(refusal.splitlines()[:MESSAGE_LINES_MAX]))
        self._report.refused[reason] += 1
        return True

    def _read_files(self, expected: list, kinds: list[str]) -> None:
        """What others see in the table as it is at last."""
        readers = read_tables.open_table(self._folder / "lake", f"default.{TARGET}")
        for name, read in (("PyIceberg", readers.by_pyiceberg), ("DuckDB", readers.by_duckdb)):
            problem = _difference(expected, kinds, lambda: read(None))
            self._report.compared += 1
            if problem is not None:
                self._wrong(f"DIFFERS AS {name} READS IT", len(self._changes) - 1, problem)

    def _wrong(self, word: str, at: int, text: str) -> bool:
        given = self._arguments
        sql = self._changes[at].sql if at >= 0 else ""
        partitions = self._made[0].partitions or "none"
        self._report.wrong.append(
            f"{word} round {self._number}, statement {at}, lake {self._folder / 'lake'}, {self._mode}, "
            f"v{self._version}, partitions {partitions}:\n  {sql}\n  {text}\n"
            f"  again: {sys.executable} {sys.argv[0]} {given.command} {given.folder} --seed {given.seed} "
            f"--statements {given.statements} --only {self._number}"
        )
        return False


def _told(rows: list[tuple], change: Change) -> dict[str, int]:
    """What DuckDB tells of a statement, as we do."""
    if not change.sql.startswith("MERGE"):
        return {"count": rows[0][0]}
    actions = collections.Counter(action for (action,) in rows)
    return {"count": len(rows), "inserted": actions["INSERT"], "updated": actions["UPDATE"],
            "deleted": actions["DELETE"]}


def _difference(expected: list, kinds: list[str], read) -> str | None:
    try:
        rows = rows_from_arrow(read(), kinds)
    except Exception as error:  # noqa: BLE001 - whatever it is, what we wrote is not read
        return f"{type(error).__name__}: {error}"
    return difference(canonical.sorted_rows(expected), canonical.sorted_rows(rows))


def _allowed() -> list[tuple[str, str]]:
    """Words of an error, and why it may come."""
    lines = REFUSED.read_text(encoding="utf-8").splitlines()
    return [tuple(line.split(" | ")) for line in lines if line and not line.startswith("#")]


def _all_found(rounds: list[Round]) -> list:
    """What the rounds find, in their order.

    Processes, not threads: DuckDB with extensions has been seen to crash in two threads of one, and,
    seldom, in a process of its own. We are a program beside these processes, so a round that a crash
    ended is run again from its beginning; one that crashes each time fails the run.
    """
    context = multiprocessing.get_context("spawn")
    found = {}
    for _ in range(CRASHES_MAX):
        left = [number for number in range(len(rounds)) if number not in found]
        try:
            with concurrent.futures.ProcessPoolExecutor(WORKERS, context) as workers:
                running = {number: workers.submit(Round.run, rounds[number]) for number in left}
                for number, future in running.items():
                    found[number] = future.result()
            break
        except BrokenProcessPool as crash:
            print(f"a process with DuckDB, PyArrow and PyIceberg crashed: {crash}")
    else:
        raise RuntimeError(f"processes of the rounds crashed {CRASHES_MAX} times")
    return [found[number] for number in range(len(rounds))]


def main(arguments: argparse.Namespace) -> bool:
    """Runs all rounds; true if nothing is wrong."""
    began = time.monotonic()
    warnings.filterwarnings("ignore", message="PyIceberg does not yet support")
    numbers = range(arguments.rounds) if arguments.only is None else [arguments.only]
    report = Report()
    for found in _all_found([Round(arguments, number) for number in numbers]):
        report.add(found)
    well = report.finish()
    print(f"seed {arguments.seed}, {time.monotonic() - began:.0f} s")
    return well


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", help="the built `lake`")
    parser.add_argument("folder", type=Path, help="where lakes are made")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--statements", type=int, default=STATEMENTS, help="in each round")
    parser.add_argument("--rounds", type=int, default=len(ROUNDS))
    parser.add_argument("--only", type=int, help="the number of a round")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    return arguments


if __name__ == "__main__":
    sys.exit(0 if main(_arguments()) else 1)
