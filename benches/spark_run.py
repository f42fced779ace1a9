"""Changes tables by Spark and its Iceberg library, by requests as `json_lines` serves them.

    python spark_run.py FOLDER

FOLDER, which must be empty, gets the session's catalog file and what Spark spills. The environment
variable LAKEHOUSE_SPARK_JARS is the class path `interop/spark_jars.py` prints.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from json_lines import cells, kind, peak_bytes, serve

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import spark_session  # noqa: E402  it stands beside the other scripts that start Spark

HEAP = "8g"
WARMED = {
    "spark.driver.memory": HEAP,
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
}
"""A session that lasts: Java's optimizing compiler, generated code, adaptive plans, room."""


class Answers:
    """Names tables, changes them, reads them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.spark = spark_session.start(folder, folder / "folder", folder / "scratch", changed=WARMED)
        self.spark.sql("CREATE NAMESPACE IF NOT EXISTS default")
        self.process = str(self.spark.jvm.java.lang.ProcessHandle.current().pid())

    def __call__(self, request: dict) -> dict:
        return getattr(self, request["do"])(request)

    def start(self, _: dict) -> dict:
        """The versions."""
        iceberg = self.spark.iceberg.IcebergBuild.version()
        return {"version": f"{self.spark.session.version}, Iceberg {iceberg}"}

    def name(self, request: dict) -> dict:
        """Names the table of a metadata file."""
        self.spark.sql(
            f"CALL {spark_session.CATALOG}.system.register_table("
            f"table => 'default.{request['table']}', metadata_file => '{request['metadata']}')"
        )
        return {}

    def change(self, request: dict) -> dict:
        """Runs one statement; says where the table's metadata is then."""
        started = time.perf_counter()
        self.spark.sql(request["sql"])
        seconds = time.perf_counter() - started
        table = self.spark.table(f"default.{request['table']}")
        metadata = table.operations().current().metadataFileLocation()
        return {"seconds": seconds, "metadata": metadata, "peak_bytes": peak_bytes(self.process)}

    def ask(self, request: dict) -> dict:
        """The rows of a query."""
        found = self.spark.session.sql(request["sql"])
        return {
            "names": found.columns,
            "kinds": [kind(field.dataType.simpleString()) for field in found.schema.fields],
            "rows": cells(found.collect()),
        }


if __name__ == "__main__":
    serve(Answers(Path(sys.argv[1]).resolve()))
