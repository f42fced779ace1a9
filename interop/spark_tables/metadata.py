"""Metadata tables of tables that the other modules made."""

from __future__ import annotations

from spark_session import Spark
from spark_tables import Question

FILES = """content, file_path, file_format, spec_id, record_count, file_size_in_bytes, split_offsets, equality_ids,
    sort_order_id"""
METRICS = "content, file_path, column_sizes, value_counts, null_value_counts, lower_bounds, upper_bounds"
"""Without `nan_value_counts`: where no column can hold any, an empty map and NULL are both right."""
MANIFESTS = """content, path, length, partition_spec_id, added_snapshot_id, added_data_files_count,
    existing_data_files_count, deleted_data_files_count, added_delete_files_count, existing_delete_files_count,
    deleted_delete_files_count"""
PARTITIONS = """spec_id, record_count, file_count, total_data_file_size_in_bytes, position_delete_record_count,
    position_delete_file_count, equality_delete_record_count, equality_delete_file_count, last_updated_at,
    last_updated_snapshot_id"""
TABLES = ["deletes.merge_v2", "deletes.merge_v3", "deletes.parts_v2", "deletes.parts_v3", "deletes.compacted_v2",
          "deletes.compacted_v3", "deletes.upgraded", "equality.parts_v2", "equality.mixed_v3", "parts.evolved_v3",
          "evolve.columns_v2", "travel.branched", "travel.expired", "travel.rolled_back", "imported.hive", "travel.empty"]
PARTITIONED = {"deletes.parts_v2", "deletes.parts_v3", "equality.parts_v2", "parts.evolved_v3", "imported.hive",
               "deletes.compacted_v2", "deletes.compacted_v3", "travel.empty"}
FORMAT_3 = {"deletes.merge_v3", "deletes.parts_v3", "deletes.compacted_v3", "deletes.upgraded", "equality.mixed_v3",
            "parts.evolved_v3", "travel.expired"}
FULL = {"deletes.parts_v3", "deletes.upgraded", "equality.parts_v2", "travel.branched"}
"""Those asked about every table; the others about what differs most."""


def build(spark: Spark) -> dict[str, list[Question]]:
    """Returns the questions by table name; makes none."""
    made = {f"{name} metadata": _questions(spark, name) for name in TABLES}
    made["types.words metadata"] = [Question(f"SELECT {METRICS} FROM {{types.words.files}}", via="arrow")]
    made["types.floats metadata"] = [
        Question(f"SELECT {METRICS}, nan_value_counts FROM {{types.floats.files}}", via="arrow"),
        Question("SELECT readable_metrics FROM {types.floats.files}", via="arrow"),
    ]
    return made


def _questions(spark: Spark, name: str) -> list[Question]:
    partition = "partition, " if name in PARTITIONED else ""
    asked = [
        Question(f"SELECT made_current_at, snapshot_id, parent_id, is_current_ancestor FROM {{{name}.history}}"),
        Question(f"SELECT committed_at, snapshot_id, parent_id, operation, manifest_list FROM {{{name}.snapshots}}"),
        Question(f"SELECT name, type, snapshot_id, max_reference_age_in_ms, min_snapshots_to_keep, "
                 f"max_snapshot_age_in_ms FROM {{{name}.refs}}"),
        Question(f"SELECT {FILES} FROM {{{name}.files}}"),
        Question(f"SELECT {MANIFESTS} FROM {{{name}.manifests}}"),
        Question(f"SELECT {partition}{PARTITIONS if partition else PARTITIONS.removeprefix('spec_id, ')} "
                 f"FROM {{{name}.partitions}}"),
        Question(f"SELECT status, snapshot_id, sequence_number, file_sequence_number FROM {{{name}.entries}}"),
        Question(f"SELECT file_path, pos, delete_file_path FROM {{{name}.position_deletes}}"),
    ]
    if partition:
        asked.append(Question(f"SELECT file_path, partition FROM {{{name}.files}}"))
    if name in FORMAT_3:
        asked.append(Question("SELECT file_path, first_row_id, referenced_data_file, content_offset, "
                              f"content_size_in_bytes FROM {{{name}.files}}"))
    if name not in FULL:
        return asked
    asked += [
        Question(f"SELECT snapshot_id, summary FROM {{{name}.snapshots}}"),
        Question(f"SELECT {METRICS} FROM {{{name}.files}}", via="arrow"),
        Question(f"SELECT file_path, readable_metrics FROM {{{name}.files}}"),
        Question(f"SELECT path, partition_summaries FROM {{{name}.manifests}}"),
        Question(f"SELECT timestamp, file, latest_snapshot_id, latest_schema_id, latest_sequence_number "
                 f"FROM {{{name}.metadata_log_entries}}"),
        *[Question(f"SELECT {FILES} FROM {{{name}.{kind}}}") for kind in ("data_files", "delete_files")],
        # The same file may be listed once or several times: both are right.
        *[Question(f"SELECT DISTINCT file_path, content, record_count FROM {{{name}.{kind}}}")
          for kind in ("all_files", "all_data_files", "all_delete_files")],
        Question(f"SELECT DISTINCT path, reference_snapshot_id, content, length FROM {{{name}.all_manifests}}"),
        Question(f"SELECT DISTINCT status, snapshot_id, sequence_number FROM {{{name}.all_entries}}"),
        *[Question(f"SELECT {FILES} FROM {{{name}.files@snapshot:{at}}}") for at in range(2)],
        Question(f"SELECT {MANIFESTS} FROM {{{name}.manifests@snapshot:1}}"),
        Question(f"SELECT status, snapshot_id, sequence_number FROM {{{name}.entries@snapshot:1}}"),
        Question(f"SELECT record_count FROM {{{name}.partitions@snapshot:1}}"),
        Question(f"SELECT count(*) AS n FROM {{{name}.files}} WHERE content = 1"),
        Question(f"SELECT sum(record_count) AS n FROM {{{name}.data_files}}"),
    ]
    return asked
