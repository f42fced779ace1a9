"""The tables Spark and Iceberg's Java API write, each with the questions asked of it.

A question's SQL names its tables in braces: `{travel.prices}` is the table as it is now,
`{travel.prices@tag:opening}` as a tag has it, `@branch:b` as a branch has it, `@snapshot:0` by the
id of the first snapshot of the log, `@time:0` as of that snapshot's instant, and
`{travel.prices.files}` is a metadata table. A table named `folder.x.y` lies in no catalog; what reads
it in our SQL takes no version.
"""

from __future__ import annotations

import dataclasses

from spark_session import Spark


@dataclasses.dataclass(frozen=True)
class Question:
    """SQL that our engine and Spark both understand, and how to carry the answer."""

    sql: str
    spark: str | None = None
    """The same in Spark's words, where they are others."""
    via: str = "json"
    """`arrow` where JSON would lose something (NaN, infinities), and where types are to be checked."""
    ordered: bool = False
    """Whether the order of the rows is part of the answer."""
    kinds: dict[str, str] = dataclasses.field(default_factory=dict)
    """Canonical kinds of columns that Spark shows as something else: its UUIDs are strings."""
    answer: tuple[list[str], list[str], list[list[str | None]]] | None = None
    """Columns, kinds and rows where Spark cannot read the types and Iceberg's Java reader did."""


def everything(name: str, kinds: dict[str, str] | None = None) -> list[Question]:
    """All rows with their types, and their number."""
    t = f"{{{name}}}"
    return [
        Question(f"SELECT * FROM {t}", via="arrow", kinds=kinds or {}),
        Question(f"SELECT count(*) AS n FROM {t}"),
    ]


def wheres(name: str, columns: str, conditions: list[str]) -> list[Question]:
    """The same columns under each condition."""
    return [Question(f"SELECT {columns} FROM {{{name}}} WHERE {condition}") for condition in conditions]


def past(spark: Spark, name: str, columns: str = "*") -> list[Question]:
    """The columns at every snapshot of the log but the last."""
    return [
        Question(f"SELECT {columns} FROM {{{name}@snapshot:{at}}}")
        for at in range(len(spark.log(name)) - 1)
    ]


def properties(version: int, mode: str = "merge-on-read", **others: str) -> str:
    """Table properties: the format version, how rows change, and others with dots as `__`."""
    all_of_them = {
        "format-version": str(version),
        "write.delete.mode": mode,
        "write.update.mode": mode,
        "write.merge.mode": mode,
        **{key.replace("__", ".").replace("_", "-"): value for key, value in others.items()},
    }
    return ", ".join(f"'{key}' = '{value}'" for key, value in all_of_them.items())


SMALL_GROUPS = {
    "write__parquet__row_group_size_bytes": "2048",
    "write__parquet__row_group_check_min_record_count": "100",
    "write__parquet__row_group_check_max_record_count": "100",
    "write__parquet__page_row_limit": "40",
}
"""Several row groups and pages in a file of a thousand rows."""
