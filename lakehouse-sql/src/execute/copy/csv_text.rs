//! CSV files in which an empty text and NULL differ, as DuckDB and PostgreSQL write them.
//!
//! The engine writes nothing for both.

use arrow::array::{Array, RecordBatch};
use arrow::csv::WriterBuilder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use datafusion::datasource::file_format::write::BatchSerializer;
use datafusion::error::Result as EngineResult;
use lakehouse_core::error::{Error, Result};

use crate::hex_text::is_bytes;

/// Rows as the lines of a file.
pub(super) struct CsvText {
    form: WriterBuilder,
}

impl BatchSerializer for CsvText {
    fn serialize(&self, batch: RecordBatch, initial: bool) -> EngineResult<Bytes> {
        let mut text = String::with_capacity(4096);
        if initial && self.form.header() {
            for (index, field) in batch.schema().fields().iter().enumerate() {
                self.separate(&mut text, index);
                self.push(&mut text, field.name());
            }
            text.push('\n');
        }
        self.push_rows(&mut text, &batch)?;
        Ok(Bytes::from(text))
    }
}

impl CsvText {
    pub(super) fn new(form: WriterBuilder) -> Self {
        Self { form }
    }

    fn push_rows(&self, text: &mut String, batch: &RecordBatch) -> Result<()> {
        let options = FormatOptions::default()
            .with_date_format(self.form.date_format())
            .with_datetime_format(self.form.datetime_format())
            .with_timestamp_format(self.form.timestamp_format())
            .with_timestamp_tz_format(self.form.timestamp_tz_format())
            .with_time_format(self.form.time_format());
        let mut columns = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            if column.data_type().is_nested() {
                return Err(Error::unsupported(format!(
                    "CSV has no form for values of type {}; copy them into JSON or Parquet",
                    column.data_type()
                )));
            }
            let values = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let has_empty = column.data_type().is_string() || is_bytes(column.data_type());
            columns.push((values, column.logical_nulls(), has_empty));
        }
        let mut value = String::new();
        for row in 0..batch.num_rows() {
            for (index, (values, nulls, has_empty)) in columns.iter().enumerate() {
                self.separate(text, index);
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    // Programs leave out empty lines, but quotes would say the empty value.
                    match columns.len() == 1 && !has_empty && self.form.null().is_empty() {
                        true => self.push(text, ""),
                        false => text.push_str(self.form.null()),
                    }
                    continue;
                }
                value.clear();
                values.value(row).write(&mut value)?;
                self.push(text, &value);
            }
            text.push('\n');
        }
        Ok(())
    }

    fn separate(&self, text: &mut String, index: usize) {
        if index > 0 {
            text.push(char::from(self.form.delimiter()));
        }
    }

    /// Writes a value, quoted where it would be read as another one.
    fn push(&self, text: &mut String, value: &str) {
        let quote = char::from(self.form.quote());
        let special = [char::from(self.form.delimiter()), quote, '\n', '\r'];
        if !value.is_empty() && value != self.form.null() && !value.contains(special) {
            text.push_str(value);
            return;
        }
        let escape = match self.form.double_quote() {
            true => quote,
            false => char::from(self.form.escape()),
        };
        text.push(quote);
        for letter in value.chars() {
            if letter == quote || letter == escape {
                text.push(escape);
            }
            text.push(letter);
        }
        text.push(quote);
    }
}
