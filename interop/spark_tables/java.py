"""What SQL cannot write, by Iceberg's Java API: rows in files, equality deletes, column defaults."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import json
import math
import uuid

from spark_session import Spark

_numbers = itertools.count()


class JavaTable:
    """One table, changed through the Java API."""

    def __init__(self, spark: Spark, name: str) -> None:
        self._spark = spark
        self._name = name
        self._iceberg = spark.iceberg
        self._jvm = spark.jvm

    def refreshed(self):
        """The Java `Table` as it is now."""
        return self._spark.table(self._name)

    def type_of(self, text: str):
        """A primitive type by its name in the specification."""
        return self._iceberg.types.Types.fromPrimitiveString(text)

    def append(self, rows: list[dict], spec_id: int | None = None, schema=None) -> None:
        """Adds rows of one partition as one data file in a snapshot of its own."""
        self.refreshed().newAppend().appendFile(self.data_file(rows, spec_id, schema)).commit()

    def delta(self, data: list = (), deletes: list = ()) -> None:
        """Adds data and delete files in one snapshot."""
        delta = self.refreshed().newRowDelta()
        for file in data:
            delta = delta.addRows(file)
        for file in deletes:
            delta = delta.addDeletes(file)
        delta.commit()

    def data_file(self, rows: list[dict], spec_id: int | None = None, schema=None):
        """A Parquet file of rows that all belong to one partition of the spec."""
        table = self.refreshed()
        schema = schema or table.schema()
        records = [self._record(schema, row) for row in rows]
        builder = self._models().dataWriteBuilder(self._parquet(), self._record_class(), self._output(table))
        spec, partition = self._partition(table, schema, spec_id, records[0])
        builder = builder.schema(schema).spec(spec)
        if partition is not None:
            builder = builder.partition(partition)
        return self._written(builder.build(), records).toDataFile()

    def equality_delete(
        self, columns: list[str], rows: list[dict], spec_id: int | None = None, place: dict | None = None
    ):
        """A delete file by the named columns; `place` is any row of the partition it is for."""
        table = self.refreshed()
        keys = table.schema().select(self._spark.strings(columns))
        builder = self._models().equalityDeleteWriteBuilder(
            self._parquet(), self._record_class(), self._output(table))
        found = [table.schema().findField(column).fieldId() for column in columns]
        ids = self._spark.session.sparkContext._gateway.new_array(self._jvm.int, len(found))
        for at, field_id in enumerate(found):
            ids[at] = field_id
        placed = None if place is None else self._record(table.schema(), place)
        spec, partition = self._partition(table, table.schema(), spec_id, placed)
        builder = builder.schema(keys).spec(spec).equalityFieldIds(ids)
        if partition is not None:
            builder = builder.partition(partition)
        return self._written(builder.build(), [self._record(keys, row) for row in rows]).toDeleteFile()

    def listed_equality_delete(self, path: str, size_bytes: int, rows: int, field_ids: list[int]):
        """A delete file that somebody else wrote."""
        ids = self._spark.session.sparkContext._gateway.new_array(self._jvm.int, len(field_ids))
        for at, field_id in enumerate(field_ids):
            ids[at] = field_id
        builder = self._iceberg.FileMetadata.deleteFileBuilder(self.refreshed().spec())
        builder = builder.ofEqualityDeletes(ids).withPath(path).withFormat(self._parquet())
        return builder.withFileSizeInBytes(size_bytes).withRecordCount(rows).build()

    def append_listed(self, files: list[tuple[str, int]], rows_each: int) -> None:
        """Adds Parquet files that somebody else wrote, by path and size in bytes, without metrics."""
        table = self.refreshed()
        append = table.newAppend()
        for path, size_bytes in files:
            builder = self._iceberg.DataFiles.builder(table.spec()).withPath(path).withFormat("parquet")
            append.appendFile(builder.withFileSizeInBytes(size_bytes).withRecordCount(rows_each).build())
        append.commit()

    def add_column(self, name: str, kind: str, default, path: str | None = None) -> None:
        """Adds an optional column with a default for rows old and new."""
        update = self.refreshed().updateSchema()
        literal = self.literal(default, kind)
        if path is None:
            update.addColumn(name, self.type_of(kind), literal).commit()
        else:
            update.addColumn(path, name, self.type_of(kind), literal).commit()

    def set_default(self, name: str, kind: str, default) -> None:
        """Changes what new rows get, and not what old ones have."""
        self.refreshed().updateSchema().updateColumnDefault(name, self.literal(default, kind)).commit()

    def literal(self, value, kind: str):
        """A literal of the type."""
        literals = self._iceberg.expressions.Literal
        if isinstance(value, decimal.Decimal):
            return literals.of(self._jvm.java.math.BigDecimal(str(value)))
        if isinstance(value, bytes):
            return literals.of(self._jvm.java.nio.ByteBuffer.wrap(value)).to(self.type_of(kind))
        return literals.of(value).to(self.type_of(kind))

    def _models(self):
        return self._iceberg.formats.FormatModelRegistry

    def _parquet(self):
        return self._iceberg.FileFormat.PARQUET

    def _record_class(self):
        loader = self._jvm.java.lang.Thread.currentThread().getContextClassLoader()
        return self._jvm.java.lang.Class.forName("org.apache.iceberg.data.Record", True, loader)

    def _output(self, table):
        location = table.locationProvider().newDataLocation(f"java-{next(_numbers)}-{uuid.uuid4()}.parquet")
        plain = table.io().newOutputFile(location)
        return self._iceberg.encryption.EncryptedFiles.plainAsEncryptedOutput(plain)

    def _partition(self, table, schema, spec_id: int | None, record):
        spec = table.spec() if spec_id is None else table.specs().get(spec_id)
        if spec.isUnpartitioned() or record is None:
            return spec, None
        key = self._iceberg.PartitionKey(spec, schema)
        key.partition(self._iceberg.data.InternalRecordWrapper(schema.asStruct()).wrap(record))
        return spec, key

    @staticmethod
    def _written(writer, records: list):
        for record in records:
            writer.write(record)
        writer.close()
        return writer

    def _record(self, schema, row: dict):
        """A generic record. Java's boxed numbers do not survive the way here and back, so plain
        values go in as JSON and the others as objects."""
        plain, objects = {}, {}
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                objects[name] = value
            elif isinstance(value, (dt.date, dt.datetime, bytes)) or hasattr(value, "_target_id"):
                objects[name] = self._object(value)
            elif value is not None:
                field_id = schema.findField(name).fieldId()
                plain[str(field_id)] = str(value) if isinstance(value, (decimal.Decimal, uuid.UUID)) else value
        record = self._iceberg.SingleValueParser.fromJson(schema.asStruct(), json.dumps(plain))
        for name, value in objects.items():
            record.setField(name, value)
        return record

    def _object(self, value):
        time = self._jvm.java.time
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            return time.OffsetDateTime.parse(value.isoformat())
        if isinstance(value, dt.datetime):
            return time.LocalDateTime.parse(value.isoformat())
        if isinstance(value, dt.date):
            return time.LocalDate.parse(value.isoformat())
        return value
