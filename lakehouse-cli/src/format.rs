//! Rows as text or files: one encoder for each value of `--format`.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use clap::ValueEnum;
use lakehouse::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows of one table on the screen; more rows are shown in several tables, so that memory is
/// bounded.
const TABLE_ROWS_MAX: usize = 10_000;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// Comma-separated values with a header; an empty field is a null
    Csv,
    /// One JSON object a line
    Json,
    /// A Parquet file
    Parquet,
    /// Arrow IPC: a file with --output, else a stream
    Arrow,
}

impl Format {
    /// Whether the format is for programs only, and holds one result.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// Whether a statement's outcome that is no row is told beside the rows.
    pub(crate) fn tells_outcomes(self) -> bool {
        self == Self::Table
    }
}

/// Writes the rows of one result.
pub(crate) struct Encoder<'a> {
    kind: Kind<'a>,
    schema: SchemaRef,
}

type Sink<'a> = &'a mut (dyn Write + Send);

enum Kind<'a> {
    Table {
        sink: Sink<'a>,
        pending: Vec<RecordBatch>,
        rows: usize,
        sections: usize,
    },
    Csv(Box<arrow::csv::Writer<Sink<'a>>>),
    Json(Box<arrow::json::Writer<Sink<'a>, LineDelimited>>),
    Parquet(Box<ArrowWriter<Sink<'a>>>),
    ArrowFile(Box<FileWriter<Sink<'a>>>),
    ArrowStream(Box<StreamWriter<Sink<'a>>>),
}

impl<'a> Encoder<'a> {
    /// Begins a result of `schema`; `file` says that the sink is a file that others will open.
    ///
    /// # Errors
    /// When the format cannot hold such rows.
    pub(crate) fn try_new(
        format: Format,
        schema: &SchemaRef,
        file: bool,
        sink: &'a mut (dyn Write + Send),
    ) -> Result<Self> {
        if matches!(format, Format::Json | Format::Parquet) {
            refuse_equal_names(schema)?;
        }
        let kind = match format {
            Format::Table => Kind::Table {
                sink,
                pending: Vec::new(),
                rows: 0,
                sections: 0,
            },
            Format::Csv => Kind::Csv(Box::new(CsvBuilder::new().with_header(true).build(sink))),
            Format::Json => {
                let builder = JsonBuilder::new().with_explicit_nulls(true);
                Kind::Json(Box::new(builder.build(sink)))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(sink, Arc::clone(schema), Some(properties))?;
                Kind::Parquet(Box::new(writer))
            }
            Format::Arrow if file => Kind::ArrowFile(Box::new(FileWriter::try_new(sink, schema)?)),
            Format::Arrow => Kind::ArrowStream(Box::new(StreamWriter::try_new(sink, schema)?)),
        };
        Ok(Self {
            kind,
            schema: Arc::clone(schema),
        })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When a value cannot be expressed in the format, or the sink fails.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.kind {
            Kind::Table {
                sink,
                pending,
                rows,
                sections,
            } => {
                let mut start = 0;
                while start < batch.num_rows() {
                    let length = (TABLE_ROWS_MAX - *rows).min(batch.num_rows() - start);
                    pending.push(batch.slice(start, length));
                    *rows += length;
                    start += length;
                    if *rows == TABLE_ROWS_MAX {
                        write_table(sink, pending)?;
                        pending.clear();
                        *rows = 0;
                        *sections += 1;
                    }
                }
            }
            Kind::Csv(writer) => writer.write(&without_nesting(batch)?)?,
            Kind::Json(writer) => writer.write(batch)?,
            Kind::Parquet(writer) => writer.write(batch)?,
            Kind::ArrowFile(writer) => writer.write(batch)?,
            Kind::ArrowStream(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Ends the result.
    ///
    /// # Errors
    /// When the sink fails.
    pub(crate) fn finish(mut self) -> Result<()> {
        // A batch without rows makes a CSV writer give the header of an empty result.
        if let Kind::Csv(_) = &self.kind {
            self.write(&RecordBatch::new_empty(Arc::clone(&self.schema)))?;
        }
        match self.kind {
            Kind::Table {
                sink,
                mut pending,
                sections,
                ..
            } => {
                if pending.is_empty() && sections == 0 {
                    pending.push(RecordBatch::new_empty(self.schema));
                }
                if !pending.is_empty() {
                    write_table(sink, &pending)?;
                }
            }
            Kind::Csv(_) => {}
            Kind::Json(mut writer) => writer.finish()?,
            Kind::Parquet(mut writer) => {
                writer.finish()?;
            }
            Kind::ArrowFile(mut writer) => writer.finish()?,
            Kind::ArrowStream(mut writer) => writer.finish()?,
        }
        Ok(())
    }
}

fn write_table(sink: &mut (dyn Write + Send), batches: &[RecordBatch]) -> Result<()> {
    let options = FormatOptions::default().with_null("NULL");
    let table = pretty_format_batches_with_options(batches, &options)?;
    writeln!(sink, "{table}")?;
    Ok(())
}

/// JSON objects and Parquet rows name their values: two of one name would hide each other.
fn refuse_equal_names(schema: &Schema) -> Result<()> {
    let mut seen = HashSet::new();
    match schema
        .fields()
        .iter()
        .find(|field| !seen.insert(field.name()))
    {
        None => Ok(()),
        Some(field) => Err(Error::invalid(format!(
            "two columns of the result are called {:?}; give one of them another name with AS",
            field.name()
        ))),
    }
}

/// A CSV field is flat: lists, maps and structs are written as they are shown in a table.
fn without_nesting(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    if !schema
        .fields()
        .iter()
        .any(|field| is_nested(field.data_type()))
    {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if is_nested(field.data_type()) {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(Arc::new(shown(column)?));
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn is_nested(data_type: &DataType) -> bool {
    data_type.is_nested()
}

fn shown(column: &ArrayRef) -> Result<StringArray> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let texts = (0..column.len()).map(|row| {
        let value = column
            .is_valid(row)
            .then(|| formatter.value(row).try_to_string());
        value.transpose().map_err(Error::from)
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn encoded(format: Format, batch: &RecordBatch) -> Vec<u8> {
        let mut sink = Vec::new();
        let mut encoder = Encoder::try_new(format, &batch.schema(), true, &mut sink).unwrap();
        encoder.write(batch).unwrap();
        encoder.finish().unwrap();
        sink
    }

    fn text(format: Format, batch: &RecordBatch) -> String {
        String::from_utf8(encoded(format, batch)).unwrap()
    }

    fn rows() -> RecordBatch {
        let lists =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        RecordBatch::try_from_iter([
            (
                "id",
                Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
            ),
            (
                "name",
                Arc::new(StringArray::from(vec!["a,b", "ü\"c"])) as ArrayRef,
            ),
            ("list", Arc::new(lists) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn text_formats_keep_nulls_and_quotes() {
        assert_eq!(
            text(Format::Csv, &rows()),
            "id,name,list\n1,\"a,b\",\"[1, null]\"\n,\"ü\"\"c\",\n"
        );
        assert_eq!(
            text(Format::Json, &rows()),
            "{\"id\":1,\"name\":\"a,b\",\"list\":[1,null]}\n\
             {\"id\":null,\"name\":\"ü\\\"c\",\"list\":null}\n"
        );
        assert!(text(Format::Table, &rows()).contains("| NULL | ü\"c"));
    }

    #[test]
    fn an_empty_result_has_its_columns() {
        let empty = RecordBatch::new_empty(rows().schema());
        assert_eq!(text(Format::Csv, &empty), "id,name,list\n");
        assert_eq!(text(Format::Json, &empty), "");
        assert!(text(Format::Table, &empty).contains("| id | name | list |"));
    }

    #[test]
    fn binary_formats_begin_with_their_marks() {
        assert!(encoded(Format::Parquet, &rows()).starts_with(b"PAR1"));
        assert!(encoded(Format::Arrow, &rows()).starts_with(b"ARROW1"));
    }

    #[test]
    fn long_tables_come_in_sections() {
        let long = Int64Array::from_iter_values(0..25_000);
        let long = RecordBatch::try_from_iter([("n", Arc::new(long) as ArrayRef)]).unwrap();
        let shown = text(Format::Table, &long);
        assert_eq!(shown.matches("| n ").count(), 3);
        assert_eq!(shown.lines().count(), 25_000 + 3 * 4);
    }

    #[test]
    fn equal_names_are_refused_where_they_would_hide_a_value() {
        let field = || Field::new("a", DataType::Int64, true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![field(), field()]));
        let mut sink = Vec::new();
        let error = Encoder::try_new(Format::Json, &schema, false, &mut sink)
            .err()
            .unwrap();
        assert!(error.to_string().contains("\"a\""), "{error}");
        assert!(Encoder::try_new(Format::Csv, &schema, false, &mut sink).is_ok());
    }
}
