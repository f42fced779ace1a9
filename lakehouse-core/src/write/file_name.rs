//! Where new data files stand: the data folder, the partition's folders and a unique name.

use std::fmt::Write as _;

use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType, Struct, Transform};
use iceberg::transform::create_transform_function;
use uuid::Uuid;

use super::partition::PartitionColumn;
use super::properties::Properties;
use crate::error::{Error, Result};
use crate::storage::join;
use crate::table::calendar::{DAY_US, date_text, time_text};

/// The most bytes a partition field's name or its value takes in a path: both stand in one folder's
/// name, for which file systems allow 255. The path is for people: the partition value itself
/// stands in the metadata.
const SEGMENT_BYTES_MAX: usize = 120;
/// Bits of a name's hash that spread files over an object store's prefixes.
const HASH_BITS: usize = 20;
/// Folders the hash is cut into, each of [`HASH_FOLDER_BITS`] bits; the rest is one more.
const HASH_FOLDERS: usize = 3;
/// Bits of one hash folder.
const HASH_FOLDER_BITS: usize = 4;

/// Names new data files of one table, as Iceberg's Java library does.
#[derive(Debug)]
pub(super) struct FileNames {
    folder: String,
    layout: Layout,
    query_id: Uuid,
    task: u32,
    next: u32,
}

#[derive(Debug)]
enum Layout {
    /// `<folder>/<partition>/<name>`
    Folders,
    /// `<folder>/<hash>/[<context>/][<partition>/]<name>`
    Hashed {
        context: Option<String>,
        partitioned_paths: bool,
    },
}

impl FileNames {
    /// Names below the table's data folder; `query_id` and `task` are used once together.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] when the table asks for a naming class of its own.
    pub(super) fn try_new(
        location: &str,
        properties: Properties<'_>,
        query_id: Uuid,
        task: u32,
    ) -> Result<Self> {
        if let Some(class) = properties.text("write.location-provider.impl") {
            return Err(Error::unsupported(format!(
                "the table's files are named by the class {class:?} of \
                 write.location-provider.impl, which only a JVM runs; unset the property to write"
            )));
        }
        let hashed = properties
            .switch("write.object-storage.enabled")?
            .unwrap_or(false);
        let older = match hashed {
            true => "write.object-storage.path",
            false => "write.folder-storage.path",
        };
        let folder = properties
            .text("write.data.path")
            .or_else(|| properties.text(older));
        let folder = folder.map_or_else(|| join(location, "data"), str::to_owned);
        let layout = match hashed {
            false => Layout::Folders,
            true => Layout::Hashed {
                context: context(location, &folder),
                partitioned_paths: properties
                    .switch("write.object-storage.partitioned-paths")?
                    .unwrap_or(true),
            },
        };
        Ok(Self {
            folder,
            layout,
            query_id,
            task,
            next: 0,
        })
    }

    /// The location of the next file of a partition.
    pub(super) fn next(
        &mut self,
        fields: &[PartitionColumn],
        partition: &Struct,
    ) -> Result<String> {
        let file = self.next_name(".parquet");
        self.located(partition_path(fields, partition), file)
    }

    /// The location of the next delete file, outside of partitions' folders: it may be for files of
    /// several specs.
    pub(super) fn next_delete_file(&mut self, extension: &str) -> Result<String> {
        let file = self.next_name(&format!("-deletes.{extension}"));
        self.located(String::new(), file)
    }

    fn next_name(&mut self, end: &str) -> String {
        self.next += 1;
        format!("{:05}-{}-{:05}{end}", self.task, self.query_id, self.next)
    }

    fn located(&self, partition: String, file: String) -> Result<String> {
        let mut name = partition;
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&file);
        match &self.layout {
            Layout::Folders => Ok(join(&self.folder, &name)),
            Layout::Hashed {
                context,
                partitioned_paths,
            } => {
                let name = if *partitioned_paths { name } else { file };
                let mut path = hash_path(&name)?;
                if let Some(context) = context {
                    path = join(&path, context);
                }
                // Without partition folders the last part of the hash begins the file's name.
                let path = match partitioned_paths {
                    true => join(&path, &name),
                    false => format!("{path}-{name}"),
                };
                Ok(join(&self.folder, &path))
            }
        }
    }
}

/// The last two folders of a table whose data stands outside of it, so that tables do not mix.
fn context(location: &str, folder: &str) -> Option<String> {
    let location = location.trim_end_matches('/');
    if folder.starts_with(location) {
        return None;
    }
    let path = location.split_once(':').map_or(location, |(_, path)| path);
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let table = parts.next()?;
    Some(
        parts
            .next()
            .map_or_else(|| table.to_owned(), |parent| format!("{parent}/{table}")),
    )
}

/// The low bits of the name's hash as folders: `0101/0110/1001/10110010`.
fn hash_path(name: &str) -> Result<String> {
    // A bucket count that is a power of two leaves exactly the low bits of the hash.
    let low_bits = create_transform_function(&Transform::Bucket(1 << HASH_BITS))?;
    let hash = low_bits.transform_literal_result(&Datum::string(name))?;
    let PrimitiveLiteral::Int(hash) = hash.literal() else {
        return Err(Error::internal("the hash of a name must be an integer"));
    };
    let bits = format!("{hash:0HASH_BITS$b}");
    let mut path = String::with_capacity(HASH_BITS + HASH_FOLDERS);
    let (folders, rest) = bits.split_at(HASH_FOLDERS * HASH_FOLDER_BITS);
    for (index, bit) in folders.chars().enumerate() {
        path.push(bit);
        if (index + 1) % HASH_FOLDER_BITS == 0 {
            path.push('/');
        }
    }
    path.push_str(rest);
    Ok(path)
}

/// `name=value` for each partition field, as folders; empty for a table without partitions.
fn partition_path(fields: &[PartitionColumn], partition: &Struct) -> String {
    let segments = fields.iter().zip(partition.iter()).map(|(field, value)| {
        let value = value.map_or_else(|| "null".to_owned(), |value| value_text(field, value));
        format!("{}={}", escape(&field.name), escape(&value))
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Form encoding, as other engines write partition folders; cut to a length that a file system
/// takes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if escaped.len() + 3 > SEGMENT_BYTES_MAX {
            break;
        }
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

/// A partition value for people.
fn value_text(field: &PartitionColumn, value: &Literal) -> String {
    use PrimitiveLiteral as L;
    let Literal::Primitive(value) = value else {
        return String::new();
    };
    match (field.transform, value) {
        (Transform::Year, L::Int(years)) => format!("{:04}", 1970 + i64::from(*years)),
        (Transform::Month, L::Int(months)) => {
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
            format!("{:04}-{:02}", 1970 + i64::from(year), month + 1)
        }
        (Transform::Day, L::Int(days)) => date_text(i64::from(*days)),
        (Transform::Hour, L::Int(hours)) => {
            let (day, hour) = (hours.div_euclid(24), hours.rem_euclid(24));
            format!("{}-{hour:02}", date_text(i64::from(day)))
        }
        _ => plain_text(&field.result, value),
    }
}

fn plain_text(value_type: &PrimitiveType, value: &PrimitiveLiteral) -> String {
    use PrimitiveLiteral as L;
    match (value_type, value) {
        (PrimitiveType::Date, L::Int(days)) => date_text(i64::from(*days)),
        (PrimitiveType::Time, L::Long(us)) => time_text(*us, 1_000_000, 6),
        (PrimitiveType::Timestamp, L::Long(us)) => instant_text(*us, 1, ""),
        (PrimitiveType::Timestamptz, L::Long(us)) => instant_text(*us, 1, "+00:00"),
        (PrimitiveType::TimestampNs, L::Long(ns)) => instant_text(*ns, 1_000, ""),
        (PrimitiveType::TimestamptzNs, L::Long(ns)) => instant_text(*ns, 1_000, "+00:00"),
        (PrimitiveType::Decimal { scale, .. }, L::Int128(unscaled)) => {
            decimal_text(*unscaled, *scale as usize)
        }
        (_, L::Boolean(value)) => value.to_string(),
        (_, L::Int(value)) => value.to_string(),
        (_, L::Long(value)) => value.to_string(),
        (_, L::Float(value)) => value.to_string(),
        (_, L::Double(value)) => value.to_string(),
        (_, L::String(value)) => value.clone(),
        (_, L::UInt128(value)) => Uuid::from_u128(*value).to_string(),
        (_, L::Binary(bytes)) => bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
        (_, L::Int128(value)) => value.to_string(),
        (_, L::AboveMax | L::BelowMin) => String::new(),
    }
}

/// A timestamp of `per_us` ticks in a microsecond.
fn instant_text(ticks: i64, per_us: i64, zone: &str) -> String {
    let day = DAY_US * per_us;
    let digits = if per_us == 1 { 6 } else { 9 };
    let time = time_text(ticks.rem_euclid(day), 1_000_000 * per_us, digits);
    format!("{}T{time}{zone}", date_text(ticks.div_euclid(day)))
}

fn decimal_text(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t14_partition_values_are_encoded_once() {
        assert_eq!(escape("a#b?c/d%e f=ä"), "a%23b%3Fc%2Fd%25e+f%3D%C3%A4");
        assert_eq!(escape(".."), "..");
        assert!(escape(&"/".repeat(1000)).len() <= SEGMENT_BYTES_MAX);
    }

    #[test]
    fn values_read_like_their_type() {
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(1420, 2), "14.20");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(instant_text(-1, 1, ""), "1969-12-31T23:59:59.999999");
        assert_eq!(
            instant_text(0, 1_000, "+00:00"),
            "1970-01-01T00:00:00+00:00"
        );
    }

    #[test]
    fn hashed_names_are_those_of_other_engines() {
        // The examples of PyIceberg's and Java's tests of the object storage layout.
        assert_eq!(hash_path("a").unwrap(), "0101/0110/1001/10110010");
        assert_eq!(hash_path("b").unwrap(), "1110/0111/1110/00000011");
        assert_eq!(hash_path("c").unwrap(), "0010/1101/0110/01011111");
    }

    #[test]
    fn data_outside_of_the_table_names_the_table() {
        assert_eq!(
            context("/lake/sales/orders/", "/lake/sales/orders/data"),
            None
        );
        let elsewhere = context("memory:///lake/sales/orders", "memory:///fast");
        assert_eq!(elsewhere.as_deref(), Some("sales/orders"));
    }
}
