//! Rows as text or files: one encoder for each value of `--format`.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray,
};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use clap::ValueEnum;
use lakehouse::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::json_number::JsonNumbers;

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
    /// One JSON object a line; NaN and the infinities are texts
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
                let builder = JsonBuilder::new()
                    .with_explicit_nulls(true)
                    .with_encoder_factory(Arc::new(JsonNumbers));
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
            Kind::Json(writer) => writer.write(&with_text_keys(batch)?)?,
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

/// JSON has texts alone as keys: those of maps are written as they are shown in a table.
fn with_text_keys(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(text_keys);
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Fields = fields
        .map(|(field, column)| retyped(field, column))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Values with texts in the place of the keys of maps in them.
fn text_keys(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        data_type if !has_other_keys(data_type) => Arc::clone(values),
        DataType::Map(entries, _) => {
            let map = values.as_map();
            let keys: ArrayRef = Arc::new(shown(map.keys())?);
            let columns = vec![keys, text_keys(map.values())?];
            let (entries, pairs) = match entries.data_type() {
                DataType::Struct(pair) => {
                    let pair = pair.iter().zip(&columns);
                    let pair: Fields = pair.map(|(field, own)| retyped(field, own)).collect();
                    let data_type = DataType::Struct(pair.clone());
                    let entries = entries.as_ref().clone().with_data_type(data_type);
                    (
                        Arc::new(entries),
                        StructArray::try_new(pair, columns, None)?,
                    )
                }
                _ => return Ok(Arc::clone(values)),
            };
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(entries, offsets, pairs, nulls, false)?)
        }
        DataType::Struct(fields) => {
            let (own, nulls) = (values.as_struct(), values.nulls().cloned());
            let columns = own.columns().iter().map(text_keys);
            let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
            let fields = fields.iter().zip(&columns);
            let fields: Fields = fields.map(|(field, own)| retyped(field, own)).collect();
            Arc::new(StructArray::try_new(fields, columns, nulls)?)
        }
        DataType::List(element) => {
            let list = values.as_list::<i32>();
            let inner = text_keys(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(
                retyped(element, &inner),
                offsets,
                inner,
                nulls,
            )?)
        }
        _ => Arc::clone(values),
    })
}

fn retyped(field: &FieldRef, values: &ArrayRef) -> FieldRef {
    let data_type = values.data_type().clone();
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Whether a type has maps in it whose keys are no texts.
fn has_other_keys(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => match pair.as_ref() {
                [key, value] => !key.data_type().is_string() || has_other_keys(value.data_type()),
                _ => false,
            },
            _ => false,
        },
        DataType::Struct(fields) => fields.iter().any(|field| has_other_keys(field.data_type())),
        DataType::List(element) => has_other_keys(element.data_type()),
        _ => false,
    }
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
    use arrow::array::{Float32Array, Int32Builder, Int64Array, MapBuilder, StringBuilder};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Float64Type, Int64Type};

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
    fn numbers_that_json_lacks_are_texts() {
        let numbers = vec![Some(1.5), Some(f64::NAN), Some(f64::INFINITY), None];
        let list = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(numbers)]);
        let columns = [
            ("l", Arc::new(list) as ArrayRef),
            (
                "f",
                Arc::new(Float32Array::from(vec![f32::NEG_INFINITY])) as ArrayRef,
            ),
        ];
        assert_eq!(
            text(Format::Json, &RecordBatch::try_from_iter(columns).unwrap()),
            "{\"l\":[1.5,\"NaN\",\"Infinity\",null],\"f\":\"-Infinity\"}\n"
        );
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
    fn keys_of_maps_are_texts_in_json() {
        let mut maps = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
        maps.keys().append_value(7);
        maps.values().append_value("seven");
        maps.append(true).unwrap();
        maps.append(false).unwrap();
        let maps: ArrayRef = Arc::new(maps.finish());
        let lists: ArrayRef = Arc::new(ListArray::new(
            Arc::new(Field::new("element", maps.data_type().clone(), true)),
            OffsetBuffer::from_lengths([1, 1]),
            Arc::clone(&maps),
            None,
        ));
        let structs = StructArray::from(vec![(
            Arc::new(Field::new("l", lists.data_type().clone(), true)),
            lists,
        )]);
        let rows = RecordBatch::try_from_iter([("m", maps), ("s", Arc::new(structs) as ArrayRef)]);
        assert_eq!(
            text(Format::Json, &rows.unwrap()),
            "{\"m\":{\"7\":\"seven\"},\"s\":{\"l\":[{\"7\":\"seven\"}]}}\n\
             {\"m\":null,\"s\":{\"l\":[null]}}\n"
        );
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
