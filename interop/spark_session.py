"""One Spark session with Iceberg on a lake's catalog file, and Iceberg's Java API behind it."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

CATALOG = "spark"
"""The name of the lake's catalog in Spark, which is also the one in the catalog file."""
FOLDER = "folder"
"""The name in Spark of a Hadoop catalog: a folder with tables and no catalog file."""
DRIVER_MEMORY = "2g"
JAVA_OPTIONS = "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A short run of small queries: the optimizing compiler would cost more than it saves."""


class Spark:
    """SQL by Spark, and the Java objects behind its tables."""

    def __init__(self, session: SparkSession, lake: Path) -> None:
        self.session = session
        self.lake = lake
        self.jvm = session.sparkContext._jvm
        self.iceberg = self.jvm.org.apache.iceberg

    def sql(self, *statements: str) -> None:
        """Runs statements one after the other."""
        for statement in statements:
            self.session.sql(statement)

    def arrow(self, query: str) -> pa.Table:
        """The rows of one query."""
        return self.session.sql(query).toArrow()

    def table(self, name: str):
        """The Java `Table` of a name, as it is now."""
        return self.iceberg.spark.Spark3Util.loadIcebergTable(self.session._jsparkSession, name)

    def log(self, name: str) -> list[tuple[int, int]]:
        """Snapshot id and instant in milliseconds of each entry of the table's log."""
        return [(entry.snapshotId(), entry.timestampMillis()) for entry in self.table(name).history()]

    def strings(self, values: list[str]):
        """A Java array of strings, for variable arguments."""
        array = self.session.sparkContext._gateway.new_array(self.jvm.java.lang.String, len(values))
        for at, value in enumerate(values):
            array[at] = value
        return array

    def generic_rows(self, name: str, columns: list[str]) -> list[list[str | None]]:
        """All rows as Iceberg's own Java reader gives them, each number and time as Java writes it."""
        found = self.iceberg.data.IcebergGenerics.read(self.table(name)).select(self.strings(columns)).build()
        rows = []
        records = found.iterator()
        while records.hasNext():
            record = records.next()
            cells = [record.getField(column) for column in columns]
            rows.append([None if cell is None else str(cell) for cell in cells])
        found.close()
        return rows

    def stop(self) -> None:
        """Ends the session and its Java process."""
        self.session.stop()


def start(
    lake: Path, folder: Path, scratch: Path, catalog: str = CATALOG, changed: dict[str, str] | None = None
) -> Spark:
    """A session whose default catalog is the lake's file, under the name `catalog`.

    `changed` are settings that are to be others than these, which suit small queries.
    """
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_SUBMIT_ARGS"] = "pyspark-shell"
    os.environ["TZ"] = "UTC"
    jars = os.environ["LAKEHOUSE_SPARK_JARS"]
    own = "org.apache.iceberg.spark.SparkCatalog"
    settings = {
        "spark.driver.extraClassPath": jars,
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.driver.extraJavaOptions": f"{JAVA_OPTIONS} -Dderby.system.home={scratch}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"file://{scratch}/warehouse",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.ansi.doubleQuotedIdentifiers": "true",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.defaultCatalog": catalog,
        f"spark.sql.catalog.{catalog}": own,
        f"spark.sql.catalog.{catalog}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        f"spark.sql.catalog.{catalog}.uri": f"jdbc:sqlite:{lake / 'catalog.db'}",
        f"spark.sql.catalog.{catalog}.jdbc.schema-version": "V1",
        f"spark.sql.catalog.{catalog}.warehouse": f"file://{lake}",
        f"spark.sql.catalog.{catalog}.cache-enabled": "false",
        f"spark.sql.catalog.{FOLDER}": own,
        f"spark.sql.catalog.{FOLDER}.type": "hadoop",
        f"spark.sql.catalog.{FOLDER}.warehouse": f"file://{folder}",
        f"spark.sql.catalog.{FOLDER}.cache-enabled": "false",
        "spark.sql.catalog.spark_catalog": "org.apache.iceberg.spark.SparkSessionCatalog",
        "spark.sql.catalog.spark_catalog.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "spark.sql.catalog.spark_catalog.uri": f"jdbc:sqlite:{scratch / 'session.db'}",
        "spark.sql.catalog.spark_catalog.jdbc.schema-version": "V1",
        "spark.sql.catalog.spark_catalog.warehouse": f"file://{lake}",
        "spark.sql.catalog.spark_catalog.cache-enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("interop")
    for key, value in {**settings, **(changed or {})}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("FATAL")
    return Spark(session, lake)


INSTANT = re.compile(r"\bTIMESTAMP '")
ZONED = re.compile(r"\bTIMESTAMPTZ '")


def in_spark(sql: str) -> str:
    """Our SQL in Spark's words: there, a bare TIMESTAMP has a zone."""
    return ZONED.sub("TIMESTAMP_LTZ '", INSTANT.sub("TIMESTAMP_NTZ '", sql))


def instant_text(milliseconds: int) -> str:
    """An instant of the log as both engines read it in a literal."""
    instant = dt.datetime.fromtimestamp(milliseconds / 1000, dt.timezone.utc)
    return instant.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03}+00:00"
