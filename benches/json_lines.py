"""One JSON request a line in, one JSON response out; a response with "error" says what failed."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable

EXACT = ("tinyint", "smallint", "integer", "bigint", "hugeint", "ubigint", "uinteger", "decimal")


def serve(answer: Callable[[dict], dict]) -> None:
    """Answers until the input ends. What the engine itself prints goes to standard error."""
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            response = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  whatever it is, the other side is told
            response = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(response), file=responses, flush=True)


def kind(column_type: object) -> str:
    """What values of a type are compared as."""
    name = str(column_type).lower()
    if name == "int" or name.startswith(EXACT):
        return "exact"
    return "float" if name in ("float", "double") else "text"


def cells(rows: list) -> list[list[str | None]]:
    """Rows as they are compared: each value as text."""
    return [[None if cell is None else str(cell) for cell in row] for row in rows]


def peak_bytes(process: str = "self") -> int:
    """The most memory a process held; `ru_maxrss` can be that of the process it came from."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as status:
            held = next(line for line in status if line.startswith("VmHWM:"))
        return int(held.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
