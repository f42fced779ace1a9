"""Changes tables by PyIceberg's `upsert`, by requests as `json_lines` serves them.

    python pyiceberg_run.py FOLDER

FOLDER gets the session's catalog file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pyarrow as pa
import pyiceberg
from pyiceberg.catalog.sql import SqlCatalog

from json_lines import peak_bytes, serve


class Answers:
    """Names tables and upserts rows of one into another."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.catalog = SqlCatalog("pyiceberg", uri=f"sqlite:///{folder}/pyiceberg.db", warehouse=f"file://{folder}")
        self.catalog.create_namespace_if_not_exists("default")

    def __call__(self, request: dict) -> dict:
        return getattr(self, request["do"])(request)

    def start(self, _: dict) -> dict:
        """The version."""
        return {"version": pyiceberg.__version__}

    def name(self, request: dict) -> dict:
        """Names the table of a metadata file."""
        self.catalog.register_table(f"default.{request['table']}", request["metadata"])
        return {}

    def change(self, request: dict) -> dict:
        """Upserts the rows of `source` into `table` by the columns `keys`."""
        table = self.catalog.load_table(f"default.{request['table']}")
        started = time.perf_counter()
        rows: pa.Table = self.catalog.load_table(f"default.{request['source']}").scan().to_arrow()
        table.upsert(rows, join_cols=request["keys"])
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "metadata": table.metadata_location, "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    serve(Answers(Path(sys.argv[1]).resolve()))
