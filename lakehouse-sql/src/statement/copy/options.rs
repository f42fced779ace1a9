//! `(FORMAT csv, HEADER true, …)` behind the file of a `COPY`, as DuckDB and PostgreSQL write it.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::Result;

use crate::parse::{Cursor, invalid_at, nearest, unsupported_at};

/// The format of a file that is copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFormat {
    /// Values between separators.
    Csv(CsvForm),
    /// A JSON object in each line.
    Json,
    /// Parquet.
    Parquet,
}

/// How values stand in a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvForm {
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands between values.
    pub delimiter: u8,
    /// What stands around values with separators in them.
    pub quote: u8,
    /// What stands before a quote that is part of a value; the quote itself when unset.
    pub escape: Option<u8>,
    /// A text that means NULL, in place of an empty one.
    pub null: Option<String>,
}

/// What a `COPY` may say of its file, of both directions.
const KNOWN: &[&str] = &[
    "format",
    "header",
    "delimiter",
    "quote",
    "escape",
    "null",
    "compression",
    "compression_level",
    "row_group_size",
    "partition_by",
];

/// The options of one `COPY`.
#[derive(Debug, Default)]
pub(super) struct CopyOptions {
    pub(super) given: Vec<CopyOption>,
}

#[derive(Debug)]
pub(super) struct CopyOption {
    pub(super) key: &'static str,
    pub(super) values: Vec<String>,
    pub(super) place: Location,
}

impl CopyOption {
    pub(super) fn text(&self) -> Result<&str> {
        match self.values.as_slice() {
            [value] => Ok(value),
            _ => Err(invalid_at(
                self.place,
                format!("`{}` takes one value", self.key),
            )),
        }
    }

    /// `HEADER` alone means true.
    pub(super) fn switch(&self) -> Result<bool> {
        let text = match self.values.as_slice() {
            [] => return Ok(true),
            _ => self.text()?,
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" => Ok(true),
            "false" | "0" | "off" => Ok(false),
            _ => Err(invalid_at(
                self.place,
                format!("`{}` is true or false, found '{text}'", self.key),
            )),
        }
    }

    pub(super) fn byte(&self) -> Result<u8> {
        match self.text()? {
            "\\t" => Ok(b'\t'),
            text => match text.as_bytes() {
                [byte] if byte.is_ascii() => Ok(*byte),
                _ => Err(invalid_at(
                    self.place,
                    format!("`{}` is one ASCII character, found '{text}'", self.key),
                )),
            },
        }
    }
}

/// Reads the options behind a file, if there are some.
pub(super) fn read(cursor: &mut Cursor) -> Result<CopyOptions> {
    let mut options = CopyOptions::default();
    if cursor.peek_words(&["WITH"]) && *cursor.peek_nth(1) == Token::LParen {
        cursor.advance();
    }
    // Databricks' and Snowflake's words for the format.
    if let Some(word) = cursor.accept_one(&["FILEFORMAT", "FILE_FORMAT"]) {
        let place = cursor.location();
        cursor.expect_token(&Token::Eq)?;
        let value = value(cursor, word)?;
        options.push("format", vec![value], place)?;
    }
    if !cursor.accept_token(&Token::LParen) {
        return Ok(options);
    }
    loop {
        let place = cursor.location();
        let word = cursor.identifier("an option such as FORMAT")?.value;
        let key = known(&word, place)?;
        cursor.accept_token(&Token::Eq);
        let values = match cursor.peek() {
            Token::Comma | Token::RParen => Vec::new(),
            Token::LParen => list(cursor, &word)?,
            _ => vec![value(cursor, &word)?],
        };
        options.push(key, values, place)?;
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

fn known(word: &str, place: Location) -> Result<&'static str> {
    let key = word.to_ascii_lowercase();
    let key = match key.as_str() {
        "delim" | "sep" => "delimiter",
        "nullstr" => "null",
        other => other,
    };
    if let Some(known) = KNOWN.iter().find(|known| **known == key) {
        return Ok(known);
    }
    let hint = match nearest(key, KNOWN) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known are {}", KNOWN.join(", ")),
    };
    let message = format!("option `{word}` is not known in COPY: {hint}");
    Err(invalid_at(place, message))
}

fn list(cursor: &mut Cursor, word: &str) -> Result<Vec<String>> {
    cursor.expect_token(&Token::LParen)?;
    let mut values = vec![value(cursor, word)?];
    while cursor.accept_token(&Token::Comma) {
        values.push(value(cursor, word)?);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(values)
}

fn value(cursor: &mut Cursor, word: &str) -> Result<String> {
    let text = match cursor.peek() {
        Token::SingleQuotedString(text) => text.clone(),
        Token::Number(number, _) => number.clone(),
        Token::Word(word) => word.value.clone(),
        _ => return Err(cursor.expected(&format!("a value of `{word}`"))),
    };
    cursor.advance();
    Ok(text)
}

/// Cuts the options of ours off a `COPY … TO`, whose other clauses are the engine's. Gives them and
/// the place of the target.
pub(super) fn cut_to(cursor: &mut Cursor) -> Result<(CopyOptions, Location)> {
    let tokens = cursor.tokens().to_vec();
    let mut depth = 0_usize;
    let target = tokens.iter().position(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => {
                return word.value.eq_ignore_ascii_case("TO");
            }
            _ => {}
        }
        false
    });
    let Some(options_at) = target.map(|to| to + 2) else {
        return Ok((CopyOptions::default(), cursor.location()));
    };
    let mut place = cursor.location();
    while cursor.position() < options_at && !cursor.at_end() {
        place = cursor.location();
        cursor.advance();
    }
    let is_ours = *cursor.peek() == Token::LParen
        || (cursor.peek_words(&["WITH"]) && *cursor.peek_nth(1) == Token::LParen);
    if !is_ours {
        cursor.go_back_to(0);
        return Ok((CopyOptions::default(), place));
    }
    let options = read(cursor)?;
    cursor.expect_end()?;
    cursor.restart(tokens[..options_at].to_vec());
    Ok((options, place))
}

impl CopyOptions {
    fn push(&mut self, key: &'static str, values: Vec<String>, place: Location) -> Result<()> {
        if self.given.iter().any(|known| known.key == key) {
            return Err(invalid_at(place, format!("`{key}` is given twice")));
        }
        self.given.push(CopyOption { key, values, place });
        Ok(())
    }

    pub(super) fn get(&self, key: &str) -> Option<&CopyOption> {
        self.given.iter().find(|option| option.key == key)
    }

    /// The first option that is not among `keys`.
    pub(super) fn refuse_others(&self, keys: &[&str], what: &str) -> Result<()> {
        match self.given.iter().find(|option| !keys.contains(&option.key)) {
            None => Ok(()),
            Some(other) => Err(invalid_at(
                other.place,
                format!("`{}` is no option of {what}", other.key),
            )),
        }
    }

    /// The format and packing of a file that is read.
    pub(super) fn of_source(
        &self,
        location: &str,
        place: Location,
    ) -> Result<(CopyFormat, Option<String>)> {
        let (named, at) = match self.get("format") {
            Some(option) => (option.text()?.to_ascii_lowercase(), option.place),
            None => (ending(location), place),
        };
        let compression = self.get("compression");
        let compression = compression.map(|option| option.text().map(str::to_lowercase));
        let compression = compression.transpose()?.filter(|name| name != "auto");
        const CSV: &[&str] = &[
            "format",
            "header",
            "delimiter",
            "quote",
            "escape",
            "null",
            "compression",
        ];
        let format = match named.as_str() {
            "csv" | "tsv" => {
                self.refuse_others(CSV, "COPY … FROM a CSV file")?;
                CopyFormat::Csv(self.csv_form(named == "tsv")?)
            }
            "json" | "ndjson" | "jsonl" => {
                self.refuse_others(&["format", "compression"], "COPY … FROM a JSON file")?;
                CopyFormat::Json
            }
            "parquet" => {
                self.refuse_others(&["format"], "COPY … FROM a Parquet file")?;
                CopyFormat::Parquet
            }
            other => {
                return Err(unsupported_at(
                    at,
                    format!(
                        "COPY … FROM reads CSV, JSON and Parquet, found {other:?}; say which with \
                         (FORMAT csv)"
                    ),
                ));
            }
        };
        Ok((format, compression))
    }

    /// How values stand in a CSV file.
    ///
    /// # Errors
    /// For characters that mean two things, by their place: such a file is read as other values.
    pub(super) fn csv_form(&self, is_tabbed: bool) -> Result<CsvForm> {
        let byte = |key: &str| self.get(key).map(CopyOption::byte).transpose();
        let header = self.get("header").map(CopyOption::switch).transpose()?;
        let null = self
            .get("null")
            .map(|option| option.text().map(str::to_owned));
        let form = CsvForm {
            header: header.unwrap_or(true),
            delimiter: byte("delimiter")?.unwrap_or(if is_tabbed { b'\t' } else { b',' }),
            quote: byte("quote")?.unwrap_or(b'"'),
            escape: byte("escape")?,
            null: null.transpose()?.filter(|text| !text.is_empty()),
        };
        self.refuse_two_meanings(&form)?;
        Ok(form)
    }

    fn refuse_two_meanings(&self, form: &CsvForm) -> Result<()> {
        let place = |keys: &[&str]| {
            let option = keys.iter().find_map(|key| self.get(key));
            option.map_or_else(Location::empty, |option| option.place)
        };
        if form.delimiter == form.quote || form.escape == Some(form.delimiter) {
            let at = place(&["delimiter", "quote", "escape"]);
            let message = "`delimiter` is another character than `quote` and `escape`";
            return Err(invalid_at(at, message));
        }
        let special = [form.delimiter, form.quote, b'\n', b'\r'];
        let ends_lines = |byte: u8| byte == b'\n' || byte == b'\r';
        if ends_lines(form.delimiter) || ends_lines(form.quote) {
            let at = place(&["delimiter", "quote"]);
            return Err(invalid_at(
                at,
                "`delimiter` and `quote` are no ends of lines",
            ));
        }
        let null = form.null.iter().flat_map(|text| text.bytes());
        if null.clone().any(|byte| special.contains(&byte)) {
            let message = "the text of `null` holds the delimiter, the quote or an end of line, by \
                           which it would be read as something else";
            return Err(invalid_at(place(&["null"]), message));
        }
        Ok(())
    }
}

/// The ending of a file's name, that of its packing apart.
pub(super) fn ending(location: &str) -> String {
    let name = location.to_lowercase();
    let packed = [".gz", ".bz2", ".xz", ".zst"];
    let plain = packed.iter().find_map(|end| name.strip_suffix(end));
    let plain = plain.unwrap_or(&name);
    plain
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_owned())
        .unwrap_or_default()
}
