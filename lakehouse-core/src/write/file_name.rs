//! Where new data files stand: the data folder, the partition's folders and a unique name.

use std::fmt::Write as _;

use iceberg::spec::{Datum, PartitionSpec, PrimitiveLiteral, Struct, StructType, Transform};
use iceberg::transform::create_transform_function;
use uuid::Uuid;

use super::partition::PartitionColumn;
use super::properties::Properties;
use crate::catalog::stated_folder;
use crate::error::{Error, Result};
use crate::storage::join;
use crate::table::value_text::partition_value_text;

/// The most bytes a partition field's name or its value takes in a path: both stand in one folder's
/// name, for which file systems allow 255. The path is for people: the partition value itself
/// stands in the metadata.
const SEGMENT_BYTES_MAX: usize = 120;
/// What stands for a value that is NULL.
const NULL: &str = "null";
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
    /// [`crate::error::ErrorKind::Unsupported`] when the table asks for a naming class of its own;
    /// [`crate::error::ErrorKind::InvalidInput`] for a data folder that is no location.
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
        let stated = ["write.data.path", older]
            .into_iter()
            .find_map(|key| Some((key, properties.text(key)?)));
        let folder = match stated {
            Some((key, text)) => stated_folder(key, text)?.to_owned(),
            None => join(location, "data"),
        };
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
        let value = partition_value_text(field.transform, &field.result, value);
        let part = |text: &str| escape(text, SEGMENT_BYTES_MAX);
        format!("{}={}", part(&field.name), part(&value))
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The name of a partition of a spec, whose values are of these types: that of its folders, whole.
pub(crate) fn partition_name(
    spec: &PartitionSpec,
    partition_type: &StructType,
    partition: &Struct,
) -> String {
    let types = partition_type.fields().iter();
    let types = types.map(|field| field.field_type.as_primitive_type());
    let fields = spec.fields().iter().zip(types).zip(partition.iter());
    let segments = fields.map(|((field, kind), value)| {
        let value = value.filter(|_| field.transform != Transform::Void);
        let value = kind.map_or_else(
            || NULL.to_owned(),
            |kind| partition_value_text(field.transform, kind, value),
        );
        let part = |text: &str| escape(text, usize::MAX);
        format!("{}={}", part(&field.name), part(&value))
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Form encoding, as other engines write partition folders; cut to a length that a file system
/// takes.
fn escape(text: &str, bytes_max: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if escaped.len() + 3 > bytes_max {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t14_partition_values_are_encoded_once() {
        let all = |text| escape(text, usize::MAX);
        assert_eq!(all("a#b?c/d%e f=ä"), "a%23b%3Fc%2Fd%25e+f%3D%C3%A4");
        assert_eq!(all(".."), "..");
        assert!(escape(&"/".repeat(1000), SEGMENT_BYTES_MAX).len() <= SEGMENT_BYTES_MAX);
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
