//! What a `COPY … TO` says of its files, as the engine takes it.

use std::ops::RangeInclusive;
use std::path::is_separator;

use datafusion::sql::parser::CopyToStatement;
use datafusion::sql::sqlparser::ast::Value;
use datafusion::sql::sqlparser::tokenizer::Location;
use lakehouse_core::error::Result;

use super::options::{CopyOption, CopyOptions, ending};
use crate::parse::{invalid_at, unsupported_at};

/// Methods of packing a file of text: the engine's name, then what else they are called.
const PACKINGS: &[(&str, &[&str])] = &[
    ("gzip", &["gz"]),
    ("bzip2", &["bz2"]),
    ("xz", &[]),
    ("zstd", &["zst"]),
    ("uncompressed", &["none"]),
];

/// The levels of a method, and the one that is meant without.
type Levels = (RangeInclusive<u32>, u32);

/// Methods of packing pages of Parquet.
const CODECS: &[(&str, Option<Levels>)] = &[
    ("zstd", Some((1..=22, 3))),
    ("snappy", None),
    ("gzip", Some((0..=9, 6))),
    ("brotli", Some((0..=11, 1))),
    ("lz4", None),
    ("lz4_raw", None),
    ("uncompressed", None),
];

/// What options begin with that name the columns of `PARTITION_BY`, followed by their places.
pub(crate) const PARTITION_COLUMN: &str = "partition_by.";

/// Numbers of the engine's own options that are not to be zero.
const NOT_ZERO: &[&str] = &["max_row_group_size", "write_batch_size"];

/// Options of every format.
const OF_ALL: &[&str] = &["format", "partition_by"];
const OF_CSV: &[&str] = &[
    "header",
    "delimiter",
    "quote",
    "escape",
    "null",
    "compression",
];
const OF_JSON: &[&str] = &["compression"];
const OF_PARQUET: &[&str] = &["compression", "compression_level", "row_group_size"];

/// The engine's options of one copy.
struct Said<'a>(&'a mut CopyToStatement);

impl Said<'_> {
    fn set(&mut self, key: &str, value: impl ToString) {
        let value = Value::SingleQuotedString(value.to_string());
        self.0.options.push((format!("format.{key}"), value));
    }

    fn has(&self, key: &str) -> bool {
        self.0.options.iter().any(|(known, _)| known.ends_with(key))
    }
}

/// Says `options` to the engine's `copy`, whose target stands at `place`.
pub(super) fn apply(
    options: &CopyOptions,
    copy: &mut CopyToStatement,
    place: Location,
) -> Result<()> {
    let target = copy.target.trim_end_matches(is_separator).to_lowercase();
    let name = target.rsplit(is_separator).next().unwrap_or_default();
    let (format, at) = match (options.get("format"), copy.stored_as.take()) {
        (Some(option), _) => (option.text()?.to_lowercase(), option.place),
        (None, Some(format)) => (format.to_lowercase(), place),
        (None, None) => (ending(name), place),
    };
    let columns = match options.get("partition_by") {
        Some(option) => partition_columns(option)?,
        None => std::mem::take(&mut copy.partitioned_by),
    };
    refuse_zeros(copy, place)?;
    // The engine would look for them without regard to how names match.
    for (at, column) in columns.into_iter().enumerate() {
        let column = Value::SingleQuotedString(column);
        copy.options
            .push((format!("{PARTITION_COLUMN}{at}"), column));
    }
    let mut said = Said(copy);
    let stored_as = match format.as_str() {
        "csv" | "tsv" => {
            options.refuse_others(&[OF_ALL, OF_CSV].concat(), "COPY … TO a CSV file")?;
            say_csv(options, &mut said, format == "tsv")?;
            say_packing(options, &mut said, name)?;
            "CSV"
        }
        "json" | "ndjson" | "jsonl" => {
            options.refuse_others(&[OF_ALL, OF_JSON].concat(), "COPY … TO a JSON file")?;
            say_packing(options, &mut said, name)?;
            "JSON"
        }
        "parquet" => {
            options.refuse_others(&[OF_ALL, OF_PARQUET].concat(), "COPY … TO a Parquet file")?;
            refuse_packed_name(name, place)?;
            say_parquet(options, &mut said)?;
            "PARQUET"
        }
        "arrow" => {
            options.refuse_others(OF_ALL, "COPY … TO an Arrow file")?;
            refuse_packed_name(name, place)?;
            "ARROW"
        }
        "" => {
            let message = "the target's name has no ending that tells the format; say which with \
                           (FORMAT csv), json or parquet";
            return Err(invalid_at(place, message));
        }
        other => {
            let message = format!(
                "COPY … TO writes CSV, JSON and Parquet, found {other:?}; say which with \
                 (FORMAT csv)"
            );
            return Err(unsupported_at(at, message));
        }
    };
    copy.stored_as = Some(stored_as.to_owned());
    Ok(())
}

fn partition_columns(option: &CopyOption) -> Result<Vec<String>> {
    let columns = &option.values;
    let again = (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at]));
    match again {
        Some(at) => Err(invalid_at(
            option.place,
            format!("`partition_by` names {:?} twice", columns[at]),
        )),
        None if columns.is_empty() => Err(invalid_at(
            option.place,
            "`partition_by` takes columns, such as PARTITION_BY (day, sku)",
        )),
        None => Ok(columns.clone()),
    }
}

fn say_csv(options: &CopyOptions, said: &mut Said<'_>, is_tabbed: bool) -> Result<()> {
    let form = options.csv_form(is_tabbed)?;
    if let Some(option) = options.get("header") {
        said.set("has_header", option.switch()?);
    }
    for key in ["delimiter", "quote", "escape"] {
        match options.get(key) {
            Some(option) => said.set(key, char::from(option.byte()?)),
            None if key == "delimiter" && is_tabbed && !said.has(key) => said.set(key, '\t'),
            None => {}
        }
    }
    if let Some(escape) = form.escape {
        said.set("double_quote", escape == form.quote);
    }
    if let Some(option) = options.get("null") {
        said.set("null_value", option.text()?);
    }
    Ok(())
}

/// The packing of a file of text: by the ending of its name unless said, as it is read.
fn say_packing(options: &CopyOptions, said: &mut Said<'_>, name: &str) -> Result<()> {
    let option = options.get("compression");
    let asked = option.map(|option| option.text().map(str::to_lowercase));
    let asked = asked.transpose()?.filter(|name| name != "auto");
    let packing = match (&asked, option) {
        (Some(asked), Some(option)) => {
            let mut known = PACKINGS.iter();
            let known =
                known.find(|(known, others)| known == asked || others.contains(&asked.as_str()));
            let unknown = || {
                unsupported_at(
                    option.place,
                    format!(
                        "files of text are packed by gzip, bzip2, xz, zstd or none, found {asked:?}"
                    ),
                )
            };
            Some(known.ok_or_else(unknown)?.0)
        }
        _ if said.has("compression") => None,
        _ => packing_of(name),
    };
    if let Some(packing) = packing {
        said.set("compression", packing);
    }
    Ok(())
}

/// The packing that the ending of a name tells.
fn packing_of(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    let mut known = PACKINGS
        .iter()
        .filter(|(packing, _)| *packing != "uncompressed");
    let known = known.find(|(packing, others)| match others {
        [] => *packing == ending,
        others => others.contains(&ending),
    });
    known.map(|(packing, _)| *packing)
}

fn refuse_packed_name(name: &str, place: Location) -> Result<()> {
    match packing_of(name) {
        None => Ok(()),
        Some(_) => Err(unsupported_at(
            place,
            "only CSV and JSON files are packed as a whole; leave the last ending out",
        )),
    }
}

fn say_parquet(options: &CopyOptions, said: &mut Said<'_>) -> Result<()> {
    if let Some(option) = options.get("row_group_size") {
        said.set("max_row_group_size", number(option, 1..=u32::MAX)?);
    }
    let level = options.get("compression_level");
    let method = options.get("compression").filter(|option| {
        let text = option.text();
        !text.is_ok_and(|text| text.eq_ignore_ascii_case("auto"))
    });
    let (Some(method), level) = (method, level) else {
        return match level {
            None => Ok(()),
            Some(level) => Err(invalid_at(
                level.place,
                "`compression_level` needs a `compression`, such as COMPRESSION zstd",
            )),
        };
    };
    let asked = method.text()?.to_lowercase();
    let name = match asked.as_str() {
        "none" => "uncompressed",
        other => other,
    };
    let codec = CODECS.iter().find(|(known, _)| *known == name);
    let Some((name, levels)) = codec else {
        let message = format!(
            "Parquet files are packed by zstd, snappy, gzip, brotli, lz4, lz4_raw or none, found \
             {asked:?}"
        );
        return Err(unsupported_at(method.place, message));
    };
    let value = match (levels, level) {
        (Some((range, _)), Some(level)) => format!("{name}({})", number(level, range.clone())?),
        (Some((_, usual)), None) => format!("{name}({usual})"),
        (None, None) => (*name).to_owned(),
        (None, Some(level)) => {
            return Err(invalid_at(level.place, format!("{name} has no levels")));
        }
    };
    said.set("compression", value);
    Ok(())
}

fn number(option: &CopyOption, range: RangeInclusive<u32>) -> Result<u32> {
    let text = option.text()?;
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (from, to) = range.into_inner();
        let message = format!(
            "`{}` is a whole number from {from} to {to}, found '{text}'",
            option.key
        );
        invalid_at(option.place, message)
    })
}

/// Numbers in the engine's own spelling of options, of which it asks that they are not zero.
fn refuse_zeros(copy: &CopyToStatement, place: Location) -> Result<()> {
    for (key, value) in &copy.options {
        let is_number = NOT_ZERO.iter().any(|number| key.ends_with(number));
        let text = value.to_string();
        let digits = text.trim_matches('\'').trim();
        if is_number && !digits.is_empty() && digits.chars().all(|digit| digit == '0') {
            return Err(invalid_at(
                place,
                format!("option `{key}` is a whole number from 1, found {text}"),
            ));
        }
    }
    Ok(())
}
