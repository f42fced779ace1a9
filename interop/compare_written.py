"""Compares with Spark what the metadata tables and the columns about rows say of tables that we changed."""

from __future__ import annotations

import canonical
import our_tables
from lake import Lake, LakeError, rows_from_arrow
from questions import Problem, difference

FILES = """content, file_path, spec_id, record_count, file_size_in_bytes, first_row_id, referenced_data_file,
    content_offset, content_size_in_bytes, sort_order_id, equality_ids"""
QUESTIONS = [
    "SELECT committed_at, snapshot_id, parent_id, operation, summary FROM {name}.snapshots",
    "SELECT made_current_at, snapshot_id, parent_id, is_current_ancestor FROM {name}.history",
    "SELECT name, type, snapshot_id FROM {name}.refs",
    f"SELECT {FILES} FROM {{name}}.files",
    f"SELECT {FILES} FROM {{name}}.delete_files",
    "SELECT status, snapshot_id, sequence_number, file_sequence_number, data_file.file_path FROM {name}.entries",
    """SELECT record_count, file_count, total_data_file_size_in_bytes, position_delete_record_count,
        position_delete_file_count, last_updated_at, last_updated_snapshot_id FROM {name}.partitions""",
    "SELECT file_path, pos, delete_file_path FROM {name}.position_deletes",
    """SELECT content, path, partition_spec_id, added_snapshot_id, added_data_files_count, existing_data_files_count,
        deleted_data_files_count, added_delete_files_count, existing_delete_files_count, deleted_delete_files_count
        FROM {name}.manifests""",
]
TOTALS = """SELECT {snapshot} AS snapshot_id,
    count_if(content = 0) AS `total-data-files`, count_if(content <> 0) AS `total-delete-files`,
    coalesce(sum(record_count) FILTER (WHERE content = 0), 0) AS `total-records`,
    coalesce(sum(record_count) FILTER (WHERE content = 1), 0) AS `total-position-deletes`,
    coalesce(sum(record_count) FILTER (WHERE content = 2), 0) AS `total-equality-deletes`,
    coalesce(sum(coalesce(content_size_in_bytes, file_size_in_bytes)), 0) AS `total-files-size`
    FROM {name}.files VERSION AS OF {snapshot}"""
"""What a snapshot's summary says in all, counted by Spark in its files."""
PARTS = {
    "total-data-files": ("added-data-files", "deleted-data-files"),
    "total-delete-files": ("added-delete-files", "removed-delete-files"),
    "total-records": ("added-records", "deleted-records"),
    "total-position-deletes": ("added-position-deletes", "removed-position-deletes"),
    "total-files-size": ("added-files-size", "removed-files-size"),
}
"""What a snapshot adds to each sum, and what it takes away."""
IDENTITY = "*, _row_id, _last_updated_sequence_number AS _seq"


def compare(report, lake: Lake, spark, name: str) -> None:
    """All of it, as the table is now and at each snapshot."""
    for question in QUESTIONS:
        sql = question.format(name=name)
        report.take(f"{name} metadata", sql, problem(lake, spark, sql))
    snapshots = _snapshots(lake, name)
    report.take(f"{name} totals", "the summaries of snapshots", _wrong_totals(spark, name, snapshots))
    if "_v3" not in name:
        return
    versions = [str(snapshot["snapshot_id"]) for snapshot in snapshots]
    for sql in at_each(spark, name, IDENTITY, versions):
        report.take(f"{name} identity", sql, problem(lake, spark, sql))
    if name.startswith(our_tables.CHANGED):
        report.take(f"{name} identity", "rows keep it", _lost_identity(lake, spark, name, versions))


def at_each(spark, name: str, columns: str, versions: list[str]) -> list[str]:
    """Queries for columns at each version: one for all of them, unless the table had other columns before."""
    asked = [f"SELECT {at} AS _at, {columns} FROM {name} FOR VERSION AS OF {version}"
             for at, version in enumerate(versions)]
    return [" UNION ALL ".join(asked)] if asked and spark.table(name).schemas().size() == 1 else asked


def problem(lake: Lake, spark, sql: str) -> Problem | None:
    """What is wrong with our answer to a question that Spark understands as well."""
    try:
        _, kinds, rows = canonical.rows_of(lake.arrow(sql))
    except LakeError as error:
        return Problem(str(error), refused=True)
    try:
        theirs_found = rows_from_arrow(spark.arrow(sql), kinds)
    except Exception as error:  # noqa: BLE001 - whatever it is, Spark does not read what we wrote
        return Problem(f"Spark: {str(error)[:1500]}", refused=False)
    text = difference(canonical.sorted_rows(theirs_found), canonical.sorted_rows(rows))
    return None if text is None else Problem(f"ours against Spark's: {text}", refused=False)


def _snapshots(lake: Lake, name: str) -> list[dict]:
    """Id, parent, sequence number and summary of each snapshot."""
    rows = lake.arrow(f"SELECT snapshot_id, parent_id, summary FROM {name}.snapshots ORDER BY committed_at").to_pylist()
    return [{**row, "summary": dict(row["summary"])} for row in rows]


def _wrong_totals(spark, name: str, snapshots: list[dict]) -> Problem | None:
    """Sums that are not what is in the snapshot, or not its parent's with what came and went."""
    summaries = {snapshot["snapshot_id"]: snapshot["summary"] for snapshot in snapshots}
    wrong = []
    counted = " UNION ALL ".join(TOTALS.format(name=name, snapshot=snapshot) for snapshot in summaries)
    totals = {row.pop("snapshot_id"): row for row in spark.arrow(counted).to_pylist()}
    for snapshot in snapshots:
        found = totals[snapshot["snapshot_id"]]
        summary = snapshot["summary"]
        said = {key: int(summary.get(key, -1)) for key in found}
        if said != found:
            wrong.append(f"snapshot {snapshot['snapshot_id']} says {said}, has {found}")
        before = summaries.get(snapshot["parent_id"], {})
        for total, (added, removed) in PARTS.items():
            expected = int(before.get(total, 0)) + int(summary.get(added, 0)) - int(summary.get(removed, 0))
            if expected != said[total]:
                wrong.append(f"snapshot {snapshot['snapshot_id']}: {total} {said[total]}, its parts give {expected}")
    return Problem("\n  ".join(wrong), refused=False) if wrong else None


def _lost_identity(lake: Lake, spark, name: str, versions: list[str]) -> Problem | None:
    """Rows with another id than before; and with a sequence number that does not tell whether they changed.

    New rows have the snapshot's number, and so have those that were put in the place of others. What is asked here
    was compared with Spark's answers before.
    """
    numbers = {str(each.snapshotId()): each.sequenceNumber() for each in spark.table(name).snapshots()}
    states: dict[int, dict] = {at: {} for at in range(len(versions))}
    for sql in at_each(spark, name, IDENTITY, versions):
        for row in lake.arrow(sql).to_pylist():
            states[row.pop("_at")][row["id"]] = row
    wrong, before = [], {}
    for version, found in zip(versions, states.values()):
        now = numbers[version]
        for key, row in found.items():
            was = before.get(key)
            if was is None:
                kept = row["_seq"] == now and row["_row_id"] is not None
            else:
                kept = row["_row_id"] == was["_row_id"] and row["_seq"] in _numbers(was, row, now)
            if not kept:
                wrong.append(f"snapshot {version}, sequence number {now}: {was} became {row}")
        before = found
    return Problem("\n  ".join(wrong[:5]), refused=False) if wrong else None


def _numbers(was: dict, row: dict, now: int) -> list[int]:
    """The sequence numbers that a row may have; where columns changed as well, both that it was changed or not."""
    if _shape(was) != _shape(row):
        return [was["_seq"], now]
    changed = any(row[column] != value for column, value in was.items() if not column.startswith("_"))
    return [now if changed else was["_seq"]]


def _shape(row: dict) -> list:
    """The names of a row's columns and of their fields, in their order: one that came again stands elsewhere."""
    return [(column, list(value) if isinstance(value, dict) else None) for column, value in row.items()
            if not column.startswith("_")]
