//! Values of a CSV file, read piece by piece: which of them were quoted, and in which line.
//!
//! The engine's reader knows neither, and takes a quote that nothing closes for one that the end of
//! the file does; so a file that was cut off would be read as if it were whole.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use lakehouse_core::error::{Error, Result};

use crate::statement::CsvForm;

/// Bytes of values after which rows are handed on.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes of the values of one row.
const ROW_BYTES_MAX: usize = 1 << 30;
/// What some programs begin a file of UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where in a file the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of the file, behind so many bytes of a mark.
    Mark(usize),
    RowBegins,
    ValueBegins,
    Plain,
    Quoted,
    /// Behind an escape inside of quotes.
    Escaped,
    /// Behind a quote inside of quotes: the last one, or the first of two.
    QuoteEnds,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    end: usize,
    is_quoted: bool,
}

/// How texts of a column become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptiness {
    /// An empty text is a value, unless NULL is written so.
    Kept,
    /// An empty text is NULL.
    Null,
}

/// The rows that were read and not taken yet.
#[derive(Debug)]
pub(super) struct CsvRecords {
    form: CsvForm,
    /// Values of a row; that of the first one tells when unset.
    width: Option<usize>,
    skips_header: bool,
    place: Place,
    follows_return: bool,
    line: u64,
    quote_line: u64,
    row_line: u64,
    is_quoted: bool,
    bytes: Vec<u8>,
    values: Vec<Value>,
    /// The line of each row.
    lines: Vec<u64>,
}

impl CsvRecords {
    /// Rows of `width` values behind the header, if there is one.
    pub(super) fn new(form: &CsvForm, width: usize) -> Self {
        Self {
            skips_header: form.header,
            width: Some(width),
            ..Self::of_header(form)
        }
    }

    /// For the first row alone, of any number of values.
    pub(super) fn of_header(form: &CsvForm) -> Self {
        Self {
            form: form.clone(),
            width: None,
            skips_header: false,
            place: Place::Mark(0),
            follows_return: false,
            line: 1,
            quote_line: 1,
            row_line: 1,
            is_quoted: false,
            bytes: Vec::new(),
            values: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// How many whole rows there are.
    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Whether the rows should be taken before more are read.
    pub(super) fn is_full(&self, rows_max: usize) -> bool {
        let is_enough = self.rows() >= rows_max || self.bytes.len() >= BATCH_BYTES;
        self.place == Place::RowBegins && self.rows() > 0 && is_enough
    }

    /// Reads bytes until the rows should be taken, and tells how many it read.
    ///
    /// # Errors
    /// For rows of another number of values than the first, and for too large ones.
    pub(super) fn read(&mut self, bytes: &[u8], rows_max: usize) -> Result<usize> {
        let mut read = 0;
        while read < bytes.len() && !self.is_full(rows_max) {
            read += self.step(&bytes[read..])?;
        }
        Ok(read)
    }

    /// The end of the file.
    ///
    /// # Errors
    /// When it is inside of quotes, and as [`Self::read`].
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.place {
            Place::Quoted | Place::Escaped => Err(Error::invalid(format!(
                "line {} of the file opens a quote that is not closed before the file ends, which \
                 may have been cut off; nothing was copied",
                self.quote_line
            ))),
            Place::Mark(0) | Place::RowBegins => Ok(()),
            Place::Mark(known) => {
                self.bytes.extend_from_slice(&BYTE_ORDER_MARK[..known]);
                self.end_row()
            }
            Place::ValueBegins | Place::Plain | Place::QuoteEnds => self.end_row(),
        }
    }

    /// The texts of the first row.
    ///
    /// # Errors
    /// When they are not UTF-8.
    pub(super) fn header(&self) -> Result<Vec<String>> {
        let names = 0..self.width.unwrap_or(0);
        let names = names.map(|index| self.text(index, 0).map(|(name, _)| name.to_owned()));
        names.collect()
    }

    /// Takes the rows as columns of texts.
    ///
    /// # Errors
    /// When they are not UTF-8.
    pub(super) fn take(&mut self, columns: &[Emptiness]) -> Result<Vec<ArrayRef>> {
        let null = self.form.null.as_deref().unwrap_or_default();
        let arrays = columns.iter().enumerate().map(|(column, emptiness)| {
            let mut texts = StringBuilder::new();
            for row in 0..self.rows() {
                let (text, is_quoted) = self.text(row * columns.len() + column, row)?;
                let is_null = match emptiness {
                    Emptiness::Kept => text == null && !is_quoted,
                    Emptiness::Null => text == null || text.is_empty(),
                };
                texts.append_option((!is_null).then_some(text));
            }
            Ok(Arc::new(texts.finish()) as ArrayRef)
        });
        let arrays = arrays.collect::<Result<_>>()?;
        self.forget_rows();
        Ok(arrays)
    }

    fn forget_rows(&mut self) {
        self.bytes.clear();
        self.values.clear();
        self.lines.clear();
    }

    /// A value, and whether it was quoted.
    fn text(&self, index: usize, row: usize) -> Result<(&str, bool)> {
        let begin = match index {
            0 => 0,
            _ => self.values[index - 1].end,
        };
        let value = self.values[index];
        let text = std::str::from_utf8(&self.bytes[begin..value.end]).map_err(|error| {
            let line = self.lines[row];
            Error::invalid(format!(
                "the row in line {line} of the file is not UTF-8; convert the file"
            ))
            .with_source(error)
        })?;
        Ok((text, value.is_quoted))
    }

    /// Reads some bytes, at least one or to another place.
    fn step(&mut self, bytes: &[u8]) -> Result<usize> {
        let byte = bytes[0];
        match self.place {
            Place::Mark(known) => Ok(self.mark(byte, known)),
            Place::RowBegins => self.begin_row(byte),
            Place::ValueBegins if byte == self.form.quote => {
                self.is_quoted = true;
                self.quote_line = self.line;
                self.place = Place::Quoted;
                Ok(1)
            }
            Place::ValueBegins => {
                self.place = Place::Plain;
                Ok(0)
            }
            Place::Plain => self.plain(bytes),
            Place::Quoted => self.quoted(bytes),
            Place::Escaped => {
                self.push(&bytes[..1])?;
                self.line += u64::from(byte == b'\n');
                self.place = Place::Quoted;
                Ok(1)
            }
            Place::QuoteEnds if byte == self.form.quote => {
                self.push(&bytes[..1])?;
                self.place = Place::Quoted;
                Ok(1)
            }
            Place::QuoteEnds => {
                self.place = Place::Plain;
                Ok(0)
            }
        }
    }

    fn mark(&mut self, byte: u8, known: usize) -> usize {
        if byte == BYTE_ORDER_MARK[known] {
            self.place = match known + 1 == BYTE_ORDER_MARK.len() {
                true => Place::RowBegins,
                false => Place::Mark(known + 1),
            };
            return 1;
        }
        self.bytes.extend_from_slice(&BYTE_ORDER_MARK[..known]);
        self.place = match known {
            0 => Place::RowBegins,
            _ => Place::Plain,
        };
        0
    }

    fn begin_row(&mut self, byte: u8) -> Result<usize> {
        let is_rest_of_line_end = byte == b'\n' && self.follows_return;
        self.follows_return = false;
        if is_rest_of_line_end {
            return Ok(1);
        }
        self.row_line = self.line;
        if !is_line_end(byte) {
            self.place = Place::ValueBegins;
            return Ok(0);
        }
        // Where rows have one value, an empty line is a row of an empty one.
        if self.width == Some(1) && !self.skips_header {
            self.end_row()?;
        }
        self.end_line(byte);
        Ok(1)
    }

    fn plain(&mut self, bytes: &[u8]) -> Result<usize> {
        let is_end = |byte: &u8| *byte == self.form.delimiter || is_line_end(*byte);
        let Some(end) = bytes.iter().position(is_end) else {
            self.push(bytes)?;
            return Ok(bytes.len());
        };
        self.push(&bytes[..end])?;
        match is_line_end(bytes[end]) {
            true => {
                self.end_row()?;
                self.end_line(bytes[end]);
            }
            false => {
                self.end_value();
                self.place = Place::ValueBegins;
            }
        }
        Ok(end + 1)
    }

    fn quoted(&mut self, bytes: &[u8]) -> Result<usize> {
        let (quote, escape) = (self.form.quote, self.form.escape);
        let is_special = |byte: &u8| *byte == quote || Some(*byte) == escape;
        let end = bytes.iter().position(is_special).unwrap_or(bytes.len());
        let lines = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        self.line += lines as u64;
        self.push(&bytes[..end])?;
        match bytes.get(end) {
            None => return Ok(end),
            Some(byte) if *byte == quote => self.place = Place::QuoteEnds,
            Some(_) => self.place = Place::Escaped,
        }
        Ok(end + 1)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.bytes.len() + bytes.len() > ROW_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the row that begins in line {} of the file has more than {ROW_BYTES_MAX} bytes; is \
                 a quote not closed?",
                self.row_line
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn end_value(&mut self) {
        self.values.push(Value {
            end: self.bytes.len(),
            is_quoted: self.is_quoted,
        });
        self.is_quoted = false;
    }

    fn end_row(&mut self) -> Result<()> {
        self.end_value();
        let before = self.rows() * self.width.unwrap_or(0);
        let found = self.values.len() - before;
        let width = *self.width.get_or_insert(found);
        if found != width {
            return Err(Error::invalid(format!(
                "line {} of the file has another number of values than the others: expected \
                 {width}, found {found}",
                self.row_line
            )));
        }
        self.lines.push(self.row_line);
        self.place = Place::RowBegins;
        if self.skips_header {
            self.skips_header = false;
            self.forget_rows();
        }
        Ok(())
    }

    fn end_line(&mut self, byte: u8) {
        self.line += 1;
        self.follows_return = byte == b'\r';
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    fn form() -> CsvForm {
        CsvForm {
            header: false,
            delimiter: b',',
            quote: b'"',
            escape: None,
            null: None,
        }
    }

    /// The values of each row, read in pieces of so many bytes.
    fn read(
        form: &CsvForm,
        columns: &[Emptiness],
        text: &str,
        piece: usize,
    ) -> Result<Vec<Vec<Option<String>>>> {
        let mut records = CsvRecords::new(form, columns.len());
        let mut rows = Vec::new();
        let mut take = |records: &mut CsvRecords| -> Result<()> {
            let count = records.rows();
            let arrays = records.take(columns)?;
            for row in 0..count {
                let values = arrays.iter().map(|array| {
                    let texts = array.as_string::<i32>().iter().nth(row).flatten();
                    texts.map(str::to_owned)
                });
                rows.push(values.collect());
            }
            Ok(())
        };
        for piece in text.as_bytes().chunks(piece) {
            let mut piece = piece;
            while !piece.is_empty() {
                let read = records.read(piece, 2)?;
                piece = &piece[read..];
                if records.is_full(2) {
                    take(&mut records)?;
                }
            }
        }
        records.finish()?;
        take(&mut records)?;
        Ok(rows)
    }

    fn shown(form: &CsvForm, columns: &[Emptiness], text: &str) -> String {
        let of_piece = |piece| match read(form, columns, text, piece) {
            Err(error) => error.message().to_owned(),
            Ok(rows) => {
                let row = |row: &Vec<Option<String>>| {
                    let values = row.iter().map(|value| match value {
                        None => "NULL".to_owned(),
                        Some(text) => format!("{text:?}"),
                    });
                    values.collect::<Vec<_>>().join("|")
                };
                rows.iter().map(row).collect::<Vec<_>>().join("; ")
            }
        };
        let whole = of_piece(usize::MAX);
        for piece in 1..4 {
            assert_eq!(of_piece(piece), whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    const TWO: &[Emptiness] = &[Emptiness::Null, Emptiness::Kept];

    #[test]
    fn values_are_read_as_they_are_quoted() {
        for (text, expected) in [
            (
                "1,a\n2,b\n3,c\n4,d\n5,e",
                r#""1"|"a"; "2"|"b"; "3"|"c"; "4"|"d"; "5"|"e""#,
            ),
            ("1,a\r\n2,b\r\n", r#""1"|"a"; "2"|"b""#),
            ("1,a\r2,b", r#""1"|"a"; "2"|"b""#),
            ("\u{feff}\"1\",a\n", r#""1"|"a""#),
            ("\u{fefe},a\n", r#""\u{fefe}"|"a""#),
            ("1,\"a,\"\"b\"\"\r\nc\"\n", "\"1\"|\"a,\\\"b\\\"\\r\\nc\""),
            ("1,a\"b\"\n", r#""1"|"a\"b\"""#),
            ("1,\"a\"b\n", r#""1"|"ab""#),
            ("1,\n\"\",\"\"\n,", r#""1"|NULL; NULL|""; NULL|NULL"#),
            ("\n\n1,a\n\r\n\n2,b\n\n", r#""1"|"a"; "2"|"b""#),
            ("", ""),
        ] {
            assert_eq!(shown(&form(), TWO, text), expected, "{text:?}");
        }
        let escaped = CsvForm {
            escape: Some(b'\\'),
            null: Some("NA".to_owned()),
            ..form()
        };
        for (text, expected) in [
            ("\"1\",\"a\\\"\\\\b\"\n", r#""1"|"a\"\\b""#),
            ("1,a\\b\n", r#""1"|"a\\b""#),
            (
                "NA,NA\n\"NA\",\"NA\"\n,\n",
                r#"NULL|NULL; NULL|"NA"; NULL|"""#,
            ),
        ] {
            assert_eq!(shown(&escaped, TWO, text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_empty_line_is_a_row_where_rows_have_one_value() {
        let header = CsvForm {
            header: true,
            ..form()
        };
        for (text, expected) in [
            ("i\n1\n\n3\n", r#""1"; NULL; "3""#),
            ("i\r\n\r\n3", r#"NULL; "3""#),
            ("\ni\n1\n\n", r#""1"; NULL"#),
            ("i\n", ""),
        ] {
            assert_eq!(
                shown(&header, &[Emptiness::Kept], text),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_found_in_its_line() {
        for (text, part) in [
            ("1,\"x\n2,y\n", "line 1 of the file opens a quote"),
            ("1,\"x\ny\"\n2,\"", "line 3 of the file opens a quote"),
            (
                "1,a\r\n\r\n2,b,c\r\n",
                "line 3 of the file has another number",
            ),
            ("1\n", "expected 2, found 1"),
        ] {
            let found = shown(&form(), TWO, text);
            assert!(found.contains(part), "{text:?}: {found}");
        }
        let mut records = CsvRecords::new(&form(), 1);
        records.read(b"a\n\xff\n", 9).unwrap();
        let error = records.take(&[Emptiness::Kept]).unwrap_err();
        assert!(error.message().contains("line 2"), "{error}");
    }
}
