"""Asks our engine the questions another one answered, and says where the answers differ."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import canonical
from lake import Lake, LakeError, rows_from_arrow, rows_from_json

ROWS_SHOWN_MAX = 5


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with our answer."""

    text: str
    refused: bool
    """Whether there was none: an error instead of rows."""


def ask(lake: Lake, questions: list[dict]) -> Iterator[tuple[dict, Problem | None]]:
    """Each question with what is wrong with our answer, or nothing."""
    for _, group in itertools.groupby(questions, key=lambda question: question["table"]):
        of_table = list(group)
        plain = [question for question in of_table if question["via"] == "json"]
        found = iter(lake.json_lines([question["sql"] for question in plain]))
        for question in of_table:
            yield question, _problem(lake, question, next(found) if question["via"] == "json" else None)


def _problem(lake: Lake, question: dict, from_batch: list[dict] | LakeError | None) -> Problem | None:
    if isinstance(from_batch, LakeError):
        return Problem(str(from_batch), refused=True)
    try:
        if question["via"] == "json":
            rows = rows_from_json(from_batch, question["columns"], question["kinds"])
        else:
            try:
                answer = lake.arrow(question["sql"])
            except LakeError as error:
                return Problem(str(error), refused=True)
            rows = rows_from_arrow(answer, question["kinds"])
    except (LakeError, ValueError, ArithmeticError, AttributeError, TypeError) as error:
        return Problem(f"{type(error).__name__}: {error}", refused=False)
    if not question["ordered"]:
        rows = canonical.sorted_rows(rows)
    text = difference(question["rows"], rows)
    return None if text is None else Problem(text, refused=False)


def difference(expected: list, found: list) -> str | None:
    """Which rows are missing and which are too many, the first few of each."""
    if expected == found:
        return None
    missing, extra = _without(expected, found), _without(found, expected)
    if not missing and not extra:
        return f"same rows in another order: {found[:ROWS_SHOWN_MAX]}"
    return (f"{len(found)} rows instead of {len(expected)}; "
            f"missing {missing[:ROWS_SHOWN_MAX]}, too many {extra[:ROWS_SHOWN_MAX]}")


def _without(rows: list, others: list) -> list:
    """Multiset difference."""
    left = list(others)
    kept = []
    for row in rows:
        if row in left:
            left.remove(row)
        else:
            kept.append(row)
    return kept
