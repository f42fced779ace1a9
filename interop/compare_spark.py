"""Compares our answers with Spark's.

    python compare_spark.py theirs LAKE_COMMAND FOLDER   tables by Spark, read by us
    python compare_spark.py ours LAKE_COMMAND FOLDER     tables by us, read and changed by Spark

FOLDER is the one `write_spark_tables.py` filled. A wrong answer ends the run with exit code 1, and so
does a refusal that `spark_refused.txt` does not list, or a line of that list which nothing needs.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import compare_written
import our_tables
from lake import Lake
from questions import Problem, ask

HERE = Path(__file__).parent
OUR_SCRIPTS = ["our_lake.sql", "our_lake_for_spark.sql"]
REFUSED = HERE / "spark_refused.txt"
WITHOUT_UUIDS = {name: f"SELECT n FROM {name}" for name in ("shop.by_uuid", "shop.by_uuid_bucket")}
"""UUIDs are texts to Spark: of tables with them the other column is compared."""


class Refusals:
    """What our engine may refuse so far, by the ids of questions and the words of the refusal."""

    def __init__(self, way: str) -> None:
        lines = REFUSED.read_text(encoding="utf-8").splitlines()
        parts = [line.split(" | ") for line in lines if line and not line.startswith("#")]
        self._listed = [(ids, words) for belongs, ids, words in parts if belongs == way]
        self._needed: set[tuple[str, str]] = set()
        self.count = 0

    def allows(self, question: str, message: str) -> bool:
        """Whether the list has this refusal; counts it."""
        for ids, words in self._listed:
            if fnmatch.fnmatchcase(question, ids) and words in message:
                self._needed.add((ids, words))
                self.count += 1
                return True
        return False

    def unneeded(self) -> list[str]:
        """Lines of the list that allowed nothing in this run."""
        return [f"{ids} | {words}" for ids, words in self._listed if (ids, words) not in self._needed]


class Report:
    """Counts and prints what is wrong."""

    def __init__(self, way: str) -> None:
        self._refusals = Refusals(way)
        self.asked = self.wrong = 0

    def take(self, question: str, sql: str, problem: Problem | None) -> None:
        """One answer."""
        self.asked += 1
        if problem is None or (problem.refused and self._refusals.allows(question, problem.text)):
            return
        self.wrong += 1
        print(f"{'REFUSED' if problem.refused else 'DIFFERS'} {question}: {sql}\n  {problem.text}")

    def finish(self, about: str) -> int:
        """Prints the sum; gives the number of failures."""
        for line in self._refusals.unneeded():
            self.wrong += 1
            print(f"NOT NEEDED in {REFUSED.name}, take it out: {line}")
        print(f"{self.asked} {about}, {self._refusals.count} refused as {REFUSED.name} lists, {self.wrong} wrong")
        return self.wrong


def theirs(command: str, folder: Path) -> int:
    """Asks our engine every recorded question."""
    recorded = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    path = Path(recorded["lake"])
    before = (path / "catalog.db").read_bytes()
    report = Report("theirs")
    for question, problem in ask(Lake(command, path), recorded["questions"]):
        report.take(question["id"], question["sql"], problem)
    if (path / "catalog.db").read_bytes() != before:
        report.take("the catalog file", "all of them", Problem("reading changed it", refused=False))
    return report.finish("questions about Spark's tables")


def ours(command: str, folder: Path) -> int:
    """Makes a lake with our engine; Spark reads it and changes it, then we and Spark in turn, and both read again."""
    import spark_session  # only here is Spark needed

    path, scratch = folder / "our-lake", folder / "scratch"
    shutil.rmtree(path, ignore_errors=True)
    lake = Lake(command, path)
    for script in OUR_SCRIPTS:
        lake.run("--create", "-f", str(HERE / script))
    for version in (2, 3):
        our_tables.make(lake, version)
    with sqlite3.connect(path / "catalog.db") as connection:
        found = connection.execute("SELECT catalog_name, table_namespace, table_name FROM iceberg_tables").fetchall()
    catalog = found[0][0]
    spark = spark_session.start(path, folder / "folder", scratch, catalog)
    report = Report("ours")
    for _, namespace, table in sorted(found):
        name = f"{namespace}.{table}"
        if name in WITHOUT_UUIDS:
            _compare(report, lake, spark, f"{name} now", WITHOUT_UUIDS[name])
            spark.sql(f"INSERT INTO {name} SELECT * FROM {name}")
            _compare(report, lake, spark, f"{name} after an append", WITHOUT_UUIDS[name])
            continue
        _readings(report, lake, spark, name)
        if name.startswith(our_tables.SCHEMAS):
            compare_written.compare(report, lake, spark, name)
        _changes(report, lake, spark, name)
    spark.stop()
    return report.finish("readings of our tables by Spark and us")


def _readings(report: Report, lake: Lake, spark, name: str) -> None:
    """All rows, now and at every snapshot, tag and branch."""
    _compare(report, lake, spark, f"{name} now", f"SELECT * FROM {name}")
    versions = [str(snapshot) for snapshot, _ in spark.log(name)]
    versions += [f"'{ref}'" for ref in spark.table(name).refs() if ref != "main"]
    for sql in compare_written.at_each(spark, name, "*", versions):
        _compare(report, lake, spark, f"{name} in the past", sql)


def _changes(report: Report, lake: Lake, spark, name: str) -> None:
    """Spark adds all rows once more, and takes some away as each format version does; then we do; then Spark."""
    spark.sql(f"INSERT INTO {name} SELECT * FROM {name}")
    _compare(report, lake, spark, f"{name} after an append", f"SELECT * FROM {name}")
    if spark.table(name).schema().findField("id") is None:
        return
    modes = ", ".join(f"'write.{change}.mode' = 'merge-on-read'" for change in ("delete", "update", "merge"))
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({modes})", f"DELETE FROM {name} WHERE id IN (1, 3, 11)",
              f"UPDATE {name} SET id = id + 1000 WHERE id IN (2, 12)")
    _compare(report, lake, spark, f"{name} after deletes", f"SELECT * FROM {name}")
    _compare(report, lake, spark, f"{name} after deletes, filtered", f"SELECT * FROM {name} WHERE id > 4")
    if name in IN_TURN:
        _in_turn(report, lake, spark, name)


IN_TURN = {"merge_v2.again", "merge_v3.again", "rule_v2.parts", "rule_v3.parts", "copy_v3.again", "only_v3.upgraded",
           "forms_v3.branched"}
MERGE = """MERGE INTO {name} AS t USING (SELECT DISTINCT id + {step} AS id FROM {name} WHERE id < 9) AS s
ON t.id = s.id
WHEN MATCHED AND s.id % 2 = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET id = s.id + 500
WHEN NOT MATCHED BY SOURCE AND t.id > 1000 THEN UPDATE SET id = t.id + 1"""
"""Both engines run it, on what the other one has written."""


def _in_turn(report: Report, lake: Lake, spark, name: str) -> None:
    """We change what Spark changed, Spark what we changed, and we once more."""
    ours = [f"DELETE FROM {name} WHERE id IN (4, 13, 1002)", f"UPDATE {name} SET id = id + 2000 WHERE id IN (5, 14)",
            MERGE.format(name=name, step=0)]
    theirs_then = [MERGE.format(name=name, step=3), f"DELETE FROM {name} WHERE id = 16"]
    ours_again = [f"DELETE FROM {name} WHERE id % 5 = 2", MERGE.format(name=name, step=1)]
    rounds = [("we", ours, lake), ("Spark", theirs_then, spark), ("we again", ours_again, lake)]
    for who, statements, engine in rounds:
        if engine is spark:
            spark.sql(*statements)
        else:
            lake.run(";\n".join(statements))
        _compare(report, lake, spark, f"{name} after {who} changed it in turn", f"SELECT * FROM {name}")


def _compare(report: Report, lake: Lake, spark, label: str, sql: str) -> None:
    report.take(label, sql, compare_written.problem(lake, spark, sql))


if __name__ == "__main__":
    way, lake_command, target = sys.argv[1:]
    compare = {"theirs": theirs, "ours": ours}[way]
    sys.exit(1 if compare(lake_command, Path(target).resolve()) else 0)
