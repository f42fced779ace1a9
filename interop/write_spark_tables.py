"""Lets Spark and Iceberg's Java API write tables and records what Spark answers.

    python write_spark_tables.py FOLDER [MODULE …]

FOLDER/lake           a lake by Iceberg's `JdbcCatalog`: `catalog.db` and the tables
FOLDER/folder         tables by Iceberg's `HadoopCatalog`: in no catalog, one folder each
FOLDER/answers.json   the questions in our SQL, each with the answer in canonical text
FOLDER/key            what all this was made from

Tables and answers follow from the scripts, the requirements and the jars alone, so a folder that was
made from the same ones is used again. With modules named, only their tables are made.

The environment variable LAKEHOUSE_SPARK_JARS is the class path `spark_jars.py` prints.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import importlib
import json
import re
import shutil
import sys
import time
import traceback
from pathlib import Path

import canonical
import spark_session
from spark_session import Spark, in_spark, instant_text
from spark_tables import Question

MODULES = ["deletes", "equality", "partitions", "evolution", "travel", "types", "imported", "lineage", "many",
           "metadata"]
REFERENCE = re.compile(r"\{([\w.]+?)(?:@(\w+):([\w-]+))?\}")
METADATA_TABLES = {
    "snapshots", "history", "refs", "files", "data_files", "delete_files", "manifests", "entries", "partitions",
    "position_deletes", "metadata_log_entries", "all_files", "all_data_files", "all_delete_files", "all_entries",
    "all_manifests",
}
HERE = Path(__file__).parent
WORKERS = 2


def key_of(folder: Path) -> str:
    """A hash of all that tables and answers follow from."""
    digest = hashlib.sha256(str(folder).encode())
    sources = [*HERE.glob("spark_tables/*.py"), HERE / "spark_session.py", Path(__file__), HERE / "canonical.py",
               HERE / "requirements-spark.txt", HERE / "spark_jars.py"]
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


class References:
    """Names tables as each engine is to name them."""

    def __init__(self, spark: Spark, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        self._logs: dict[str, list[tuple[int, int]]] = {}

    def fill(self, sql: str, ours: bool) -> str:
        """The SQL with its braces replaced."""
        return REFERENCE.sub(lambda found: self._named(*found.groups(), ours), sql)

    def _named(self, name: str, selector: str | None, value: str | None, ours: bool) -> str:
        table = name.rpartition(".")[0] if name.rpartition(".")[2] in METADATA_TABLES else name
        clause = self._clause(table, selector, value, ours)
        if ours and name.startswith(spark_session.FOLDER + "."):
            path = self._folder.joinpath(*name.split(".")[1:])
            return f"read_iceberg('{path}'){clause}"
        return f"{name}{clause}"

    def _clause(self, table: str, selector: str | None, value: str | None, ours: bool) -> str:
        match selector:
            case None:
                return ""
            case "tag" | "branch":
                return f" FOR VERSION AS OF '{value}'"
            case "snapshot":
                return f" FOR VERSION AS OF {self._log(table)[int(value)][0]}"
            case "time" | "after":
                instant = instant_text(self._log(table)[int(value)][1] + (selector == "after"))
                literal = "TIMESTAMPTZ" if ours else "TIMESTAMP_LTZ"
                return f" FOR TIMESTAMP AS OF {literal} '{instant}'"
            case other:
                raise ValueError(f"no selector {other!r}")

    def _log(self, table: str) -> list[tuple[int, int]]:
        if table not in self._logs:
            self._logs[table] = self._spark.log(table)
        return self._logs[table]


def prepared(references: References, table: str, at: int, question: Question) -> dict:
    """The record of a question as far as it is known before Spark is asked."""
    record = {"id": f"{table}#{at}", "table": table, "sql": references.fill(question.sql, ours=True),
              "via": question.via, "ordered": question.ordered}
    if question.answer is not None:
        names, kinds, rows = question.answer
        rows = [[canonical.text(cell, kind) for cell, kind in zip(row, kinds)] for row in rows]
        return {**record, "columns": names, "kinds": kinds, "rows": canonical.sorted_rows(rows)}
    asked = in_spark(references.fill(question.spark or question.sql, ours=False))
    return {**record, "asked": asked, "known": question.kinds}


def answered(spark: Spark, record: dict) -> dict:
    """The record with Spark's answer; or with `error`, if it refused."""
    if "rows" in record:
        return record
    asked, known = record.pop("asked"), record.pop("known")
    try:
        names, kinds, rows = canonical.rows_of(spark.arrow(asked), known)
    except Exception as error:  # noqa: BLE001 - whatever it is, the script is to be mended
        return {**record, "error": f"{asked}\n{str(error)[:1500]}"}
    rows = rows if record["ordered"] else canonical.sorted_rows(rows)
    return {**record, "columns": names, "kinds": kinds, "rows": rows}


def written(spark: Spark, references: References, module: str) -> list[dict]:
    """Makes a module's tables; gives its questions, or one record with what went wrong."""
    try:
        questions = importlib.import_module(f"spark_tables.{module}").build(spark)
        return [prepared(references, table, at, question)
                for table, of_it in questions.items() for at, question in enumerate(of_it)]
    except Exception:  # noqa: BLE001 - the other modules go on, so that one run shows all there is to mend
        return [{"id": module, "rows": [], "error": traceback.format_exc()}]


def write(folder: Path, modules: list[str]) -> int:
    """Makes everything below the folder anew; gives the number of questions Spark refused."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("lake", "folder", "scratch"):
        (folder / part).mkdir(parents=True)
    started = time.monotonic()
    spark = spark_session.start(folder / "lake", folder / "folder", folder / "scratch")
    references = References(spark, folder / "folder")
    records = []
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for module in modules:
            asked = written(spark, references, module)
            made = time.monotonic()
            found = list(pool.map(lambda record: answered(spark, record), asked))
            records += found
            for record in found:
                if "error" in record:
                    print(f"SPARK REFUSES {record['id']}: {record['error']}")
            print(f"  {module}: tables in {made - started:.1f} s, "
                  f"{len(asked)} answers in {time.monotonic() - made:.1f} s", flush=True)
            started = time.monotonic()
    spark.stop()
    refused = [record for record in records if "error" in record]
    document = {"lake": str(folder / "lake"), "questions": [record for record in records if "error" not in record]}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(records)} questions recorded, Spark refuses {len(refused)}")
    return len(refused)


def main(folder: Path, modules: list[str]) -> int:
    """Writes tables and answers unless they are there; the exit code."""
    key, stamp = key_of(folder), folder / "key"
    if not modules and stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        print(f"reused: tables and answers that these scripts had Spark write before (key {key[:12]}); "
              f"remove {folder} to have them written again")
        return 0
    if write(folder, modules or MODULES) == 0 and not modules:
        stamp.write_text(key, encoding="utf-8")
        return 0
    return 0 if modules else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
