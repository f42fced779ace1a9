"""Lets PyIceberg and DuckDB write tables and records what they answer.

    python write_tables.py FOLDER

FOLDER/pyiceberg-lake   a lake by PyIceberg's `SqlCatalog`: `catalog.db` and the tables
FOLDER/duckdb-tables    tables by DuckDB, one folder each, in no catalog
FOLDER/answers.json     the questions in our SQL, each with the answer in canonical text

The answer to a question is computed from the rows PyIceberg reads without any filter, so neither
engine's pruning takes part; DuckDB does the SQL. DuckDB's own reading of the same table is the
second witness: where it disagrees or refuses, the record says so.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import shutil
import sys
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

import canonical
import duck
from tables import Question, evolution, partitions, plain, travel, types

CATALOG = "interop"
REFERENCE = re.compile(r"\{([\w.]+)(?:@(\w+):(\w+))?\}")


@dataclasses.dataclass
class Reference:
    """One table in a question: as each engine is to name it."""

    ours: str
    duckdb: str
    rows: pa.Table


class PyIcebergTables:
    """Names and reads tables of the PyIceberg lake."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._loaded: dict[str, Table] = {}

    def refer(self, name: str, selector: str | None, value: str | None) -> Reference:
        """The table now, or at what the selector says."""
        if name not in self._loaded:
            self._loaded[name] = self._catalog.load_table(name)
        table = self._loaded[name]
        snapshot_id, clause = _version(table, selector, value)
        return Reference(
            ours=f"{name}{clause}",
            duckdb=duck.scan(table.metadata_location, snapshot_id),
            rows=table.scan(snapshot_id=snapshot_id).to_arrow(),
        )


def _version(table: Table, selector: str | None, value: str | None) -> tuple[int | None, str]:
    """The snapshot that PyIceberg finds, and our clause that should find the same."""
    log = table.metadata.snapshot_log
    match selector:
        case None:
            return None, ""
        case "tag" | "branch":
            return table.metadata.refs[value].snapshot_id, f" FOR VERSION AS OF '{value}'"
        case "snapshot":
            snapshot_id = log[int(value)].snapshot_id
            return snapshot_id, f" FOR SYSTEM_VERSION AS OF {snapshot_id}"
        case "time" | "after":
            instant_ms = log[int(value)].timestamp_ms + (selector == "after")
            found = table.snapshot_as_of_timestamp(instant_ms)
            instant = dt.datetime.fromtimestamp(instant_ms / 1000, dt.timezone.utc)
            text = instant.strftime("%Y-%m-%d %H:%M:%S.") + f"{instant_ms % 1000:03}+00:00"
            return found.snapshot_id, f" FOR SYSTEM_TIME AS OF TIMESTAMPTZ '{text}'"
        case other:
            raise ValueError(f"no selector {other!r}")


def main(folder: Path) -> None:
    """Makes everything below the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    lake, others = folder / "pyiceberg-lake", folder / "duckdb-tables"
    lake.mkdir(parents=True)
    catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{lake / 'catalog.db'}", warehouse=f"file://{lake}")
    connection = duck.connect()
    records = []
    reader = PyIcebergTables(catalog)
    for module in (types, partitions, evolution, travel):
        for name, questions in module.build(catalog).items():
            records += answer_all(connection, name, questions, reader.refer)
    for name, questions in plain.build(connection, others).items():
        records += answer_all(connection, name, questions, plain_reference(connection, others))
    write_answers(folder, records)
    catalog.close()


def plain_reference(connection, folder: Path):
    """Names and reads a table of DuckDB's: DuckDB's own rows are the reference."""

    def refer(name: str, _selector: str | None, _value: str | None) -> Reference:
        return Reference(
            ours=f"read_iceberg('{folder / name}')",
            duckdb=duck.scan(str(folder / name)),
            rows=duck.arrow(connection, plain.SOURCES[name]),
        )

    return refer


def answer_all(connection, table: str, questions: list[Question], refer, with_witness: bool = True) -> list[dict]:
    """One record per question."""
    return [
        {"id": f"{table}#{at}", "table": table, **answer(connection, question, refer, with_witness)}
        for at, question in enumerate(questions)
    ]


def answer(connection, question: Question, refer, with_witness: bool) -> dict:
    """Asks DuckDB over the rows PyIceberg read, then, as a witness, over its own reading."""
    found = [refer(*match.groups()) for match in REFERENCE.finditer(question.sql)]
    views = []
    for at, reference in enumerate(found):
        connection.register(f"read_{at}", reference.rows)
        # A table of DuckDB's own: a filter over Arrow rows is pyarrow's, for which NaN is below all.
        connection.execute(f"CREATE OR REPLACE TEMP TABLE rows_{at} AS SELECT * FROM read_{at}")
        views.append(f"rows_{at}")
    reference_answer = duck.arrow(connection, _fill(question.sql, views))
    names, kinds, rows = canonical.rows_of(reference_answer)
    rows = rows if question.ordered else canonical.sorted_rows(rows)
    return {
        "sql": _fill(question.sql, [reference.ours for reference in found]),
        "via": question.via,
        "ordered": question.ordered,
        "columns": names,
        "kinds": kinds,
        "rows": rows,
        "duckdb": witness(connection, question, [r.duckdb for r in found], rows) if with_witness else "not asked",
    }


def witness(connection, question: Question, references: list[str], expected: list) -> str:
    """Whether DuckDB, reading the table itself, gives the same rows."""
    try:
        _, _, rows = canonical.rows_of(duck.arrow(connection, _fill(question.sql, references)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"refuses: {str(error).splitlines()[0]}"
    rows = rows if question.ordered else canonical.sorted_rows(rows)
    return "agrees" if rows == expected else f"differs: {json.dumps(rows, ensure_ascii=False)[:300]}"


def _fill(sql: str, names: list[str]) -> str:
    """The SQL with its braces replaced, in order."""
    remaining = iter(names)
    return REFERENCE.sub(lambda _: next(remaining), sql)


def write_answers(folder: Path, records: list[dict]) -> None:
    """Writes the record and tells where DuckDB stands apart."""
    document = {"catalog": CATALOG, "lake": str(folder / "pyiceberg-lake"), "questions": records}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (folder / "answers.json").write_text(text + "\n", encoding="utf-8")
    for record in records:
        if record["duckdb"] != "agrees":
            print(f"  DuckDB {record['duckdb'][:160]}\n    {record['id']}: {record['sql'][:160]}")
    agreeing = sum(record["duckdb"] == "agrees" for record in records)
    print(f"{len(records)} questions recorded, DuckDB agrees on {agreeing}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
