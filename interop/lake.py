"""Our own engine, by its command: SQL in, canonical rows out."""

from __future__ import annotations

import decimal
import json
import re
import subprocess
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

import canonical

MARKER = "interop question"
UNREAD = re.compile(r"error: line (\d+), ")


class LakeError(Exception):
    """What the command said on standard error when it failed."""


class Lake:
    """The command `lake` on one lake."""

    def __init__(
        self, command: str, folder: Path | None, config: Path | None = None, before: tuple[str, ...] = ()
    ) -> None:
        """A folder, settings or both say where the lake is; `before` are statements for each process of `json_lines` to begin with."""
        self._command = [command, "sql"]
        self._command += ["--lake", str(folder)] if folder else []
        self._command += ["--config", str(config)] if config else []
        self._before = before

    def run(self, *arguments: str) -> str:
        """Standard output of one call; raises `LakeError` if the command fails."""
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LakeError(done.stderr.strip() or f"exit code {done.returncode}")
        return done.stdout

    def script(self, statements: list[str], *arguments: str) -> tuple[str, LakeError | None]:
        """Runs statements in one process until one fails: what they told, and the error.

        Nothing runs where one cannot be read; those before it are run by themselves then.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
            script.writelines(f"{statement};\n" for statement in statements)
            script.flush()
            command = [*self._command, *arguments, "-f", script.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout, None
        error = LakeError(done.stderr.strip() or f"exit code {done.returncode}")
        unread = UNREAD.match(str(error))
        if not done.stdout and unread is not None and int(unread.group(1)) > 1:
            before, earlier = self.script(statements[: int(unread.group(1)) - 1], *arguments)
            return before, earlier or error
        return done.stdout, error

    def arrow(self, sql: str) -> pa.Table:
        """The result of one query with its types, through an Arrow file."""
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "result.arrow"
            self.run("--format", "arrow", "--output", str(target), sql)
            return read_arrow(target)

    def json_lines(self, sqls: list[str]) -> list[list[dict] | LakeError]:
        """The results of many queries, in as few processes as errors allow.

        A failed statement ends the process that runs it, so the rest goes to another one.
        """
        results: list[list[dict] | LakeError] = []
        while len(results) < len(sqls):
            done, error = self._batch(sqls[len(results) :])
            results += done
            if error is not None:
                results.append(error)
        return results

    def _batch(self, sqls: list[str]) -> tuple[list[list[dict]], LakeError | None]:
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
            script.writelines(f"{sql};\n" for sql in self._before)
            for at, sql in enumerate(sqls):
                script.write(f"SELECT {at} AS \"{MARKER}\";\n{sql};\n")
            script.flush()
            command = [*self._command, "--format", "json", "-f", script.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        results = _split(done.stdout)
        if done.returncode == 0:
            if len(results) != len(sqls):
                raise LakeError(f"{len(sqls)} statements gave {len(results)} results")
            return results, None
        message = done.stderr.strip() or f"exit code {done.returncode}"
        unread = UNREAD.match(message)
        if not results and unread is not None:  # nothing runs where one statement cannot be read
            at = (int(unread.group(1)) - 1 - len(self._before)) // 2
            if at > 0:
                return self._batch(sqls[:at])
        return results[:-1], LakeError(message)


def read_arrow(path: Path) -> pa.Table:
    """Either kind of Arrow IPC: a file, or a stream."""
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()


def _split(output: str) -> list[list[dict]]:
    """The rows between the markers; numbers with a fraction keep all their digits."""
    results: list[list[dict]] = []
    for line in output.splitlines():
        if line.strip():
            row = json.loads(line, parse_float=decimal.Decimal)
            if MARKER in row:
                results.append([])
            else:
                results[-1].append(row)
    return results


def rows_from_json(found: list[dict], columns: list[str], kinds: list[str]) -> list[list[str | None]]:
    """Canonical rows: JSON drops null fields and types, the expected answer knows both."""
    unknown = {key for row in found for key in row} - set(columns)
    if unknown:
        raise LakeError(f"columns {sorted(unknown)} instead of {columns}")
    return [
        [canonical.text(row.get(column), kind) for column, kind in zip(columns, kinds)]
        for row in found
    ]


def rows_from_arrow(found: pa.Table, kinds: list[str]) -> list[list[str | None]]:
    """Canonical rows, after checking that the types are those expected."""
    names, found_kinds, _ = canonical.rows_of(found.slice(0, 0))
    for name, kind, expected in zip(names, found_kinds, kinds):
        if kind.replace("uuid", "binary") != expected.replace("uuid", "binary"):
            raise LakeError(f"column {name} is {kind}, expected {expected}")
    columns = [
        [canonical.text(value, kind) for value in column.to_pylist()]
        for column, kind in zip(found.columns, kinds)
    ]
    return [list(row) for row in zip(*columns)]
