//! One change of one file, as a seed says, and what a reader could know of it.

use bytes::Bytes;
use lakehouse_testkit::Random;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::json;
use crate::tables::{Kind, TableFile, TestTable};

/// A changed file.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Which of the table's files.
    pub(crate) file: usize,
    pub(crate) bytes: Vec<u8>,
    /// What was done, for people.
    pub(crate) what: String,
    pub(crate) rule: Rule,
}

/// What reading a damaged table may give, beside a clear error and the right rows.
///
/// No part of an Iceberg table has a checksum of its own: a number that became another number of
/// the same form is something that no reader can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Nothing else: the form of the file is hurt (it is cut off, longer than it was, another
    /// kind of file, or its lengths, counts and markers do not fit each other).
    Detectable,
    /// Other rows, but as many as there were: bytes of a data file changed, the manifest says
    /// how many rows it has, and none are deleted by their values.
    SameCount,
    /// Anything that ends: a value in metadata became another one.
    Anything,
}

/// The change of one case.
pub(crate) fn change(tables: &[TestTable], random: &mut Random) -> (usize, Change) {
    let table = random.within(0..tables.len());
    let files = &tables[table].files;
    let kinds = [
        Kind::Metadata,
        Kind::List,
        Kind::Manifest,
        Kind::Data,
        Kind::Delete,
    ];
    let of_kinds: Vec<Vec<usize>> = kinds
        .iter()
        .map(|kind| {
            (0..files.len())
                .filter(|at| files[*at].kind == *kind)
                .collect()
        })
        .filter(|of_kind: &Vec<usize>| !of_kind.is_empty())
        .collect();
    let of_kind = random.pick(&of_kinds);
    let file = *random.pick(of_kind);
    let kind = files[file].kind;
    let is_parquet = files[file].location.ends_with(".parquet");
    let (bytes, what, rule) = match (random.within(0..8), kind) {
        (0, _) => cut(&files[file], random),
        (1, _) => longer(&files[file], random),
        (2, _) => foreign(tables, table, file, random),
        (3, _) => splice(tables, table, file, random),
        (4 | 5, Kind::Metadata) => json::edit(&files[file].bytes, random),
        (4, Kind::List | Kind::Manifest) => avro_block(&files[file].bytes, random),
        (4 | 5, _) if is_parquet => footer(&files[file], random),
        (5, _) => inflate(&files[file], random),
        _ => bytes(&files[file], random),
    };
    let rule = match rule {
        Rule::SameCount if tables[table].is_keyed() => Rule::Anything,
        rule => rule,
    };
    let change = Change {
        file,
        bytes,
        what: format!("{kind:?} {what}"),
        rule,
    };
    (table, change)
}

type Changed = (Vec<u8>, String, Rule);

/// What a changed value may lead to.
fn of_values(kind: Kind) -> Rule {
    match kind {
        Kind::Data => Rule::SameCount,
        _ => Rule::Anything,
    }
}

fn cut(file: &TableFile, random: &mut Random) -> Changed {
    let length = file.bytes.len();
    let end = match random.within(0..4) {
        0 => 0,
        1 => length - 1,
        2 => length - 1 - random.within(0..length.min(40)),
        _ => random.within(0..length),
    };
    let what = format!("cut to {end} of {length}");
    // A list without blocks is one of an empty table, unless its snapshot says how many files it
    // has, which not every writer does.
    let is_empty_list = file.kind == Kind::List
        && avro_parts(&file.bytes).is_some_and(|(_, first_block)| first_block == end);
    let rule = if is_empty_list {
        Rule::Anything
    } else {
        Rule::Detectable
    };
    (file.bytes[..end].to_vec(), what, rule)
}

fn longer(file: &TableFile, random: &mut Random) -> Changed {
    let mut bytes = file.bytes.to_vec();
    let count = 1 + random.within(0..64);
    let zero = random.within(0..2) == 0;
    for _ in 0..count {
        let byte = if zero { 0 } else { random.byte() };
        bytes.push(byte);
    }
    let what = format!("longer by {count} {}", if zero { "zeros" } else { "bytes" });
    // White space is no part of JSON's form, and zeros behind gzip are padding.
    (bytes, what, Rule::Detectable)
}

/// How many rows the footer of a Parquet file says it has.
fn parquet_rows(bytes: &Bytes) -> Option<i64> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(bytes).ok()?;
    Some(footer.file_metadata().num_rows())
}

/// A whole other file: of another kind or table.
fn foreign(tables: &[TestTable], table: usize, file: usize, random: &mut Random) -> Changed {
    let own = &tables[table].files[file];
    let other = random_file(tables, random).clone();
    let is_other_data = own.kind == Kind::Data && other.bytes.len() != own.bytes.len();
    // Manifests say of these delete files how many rows they have, and no sizes of columns.
    let rows = parquet_rows(&own.bytes);
    let may_be_delete =
        own.kind == Kind::Delete && rows.is_some() && rows == parquet_rows(&other.bytes);
    let rule = if (other.kind != own.kind || is_other_data) && !may_be_delete {
        Rule::Detectable
    } else {
        // Metadata that is whole, of another table or state: nothing says that it is not ours.
        Rule::Anything
    };
    let what = format!("replaced by {}", other.location);
    (other.bytes.to_vec(), what, rule)
}

fn random_file<'a>(tables: &'a [TestTable], random: &mut Random) -> &'a TableFile {
    let table = random.pick(tables);
    random.pick(&table.files)
}

/// A region replaced by one of another file.
fn splice(tables: &[TestTable], table: usize, file: usize, random: &mut Random) -> Changed {
    let own = &tables[table].files[file];
    let other = random_file(tables, random).clone();
    let mut bytes = own.bytes.to_vec();
    let length = 1 + random.within(0..bytes.len().min(other.bytes.len()).min(200));
    let from = random.within(0..other.bytes.len() - length + 1);
    let at = random.within(0..bytes.len() - length + 1);
    bytes[at..at + length].copy_from_slice(&other.bytes[from..from + length]);
    let what = format!("{length} bytes at {at} from {from} of {}", other.location);
    (bytes, what, of_values(own.kind))
}

/// Single bits and bytes.
fn bytes(file: &TableFile, random: &mut Random) -> Changed {
    let mut bytes = file.bytes.to_vec();
    let mut what = String::new();
    for _ in 0..1 + random.within(0..3) {
        let at = random.within(0..bytes.len());
        let before = bytes[at];
        bytes[at] = match random.within(0..4) {
            0 => 0,
            1 => 0xFF,
            2 => random.byte(),
            _ => before ^ (1 << random.within(0..8)),
        };
        what.push_str(&format!("byte {at} {before:#04x} to {:#04x} ", bytes[at]));
    }
    (bytes, what, of_values(file.kind))
}

/// A huge number in the place of a byte.
fn inflate(file: &TableFile, random: &mut Random) -> Changed {
    let mut bytes = file.bytes.to_vec();
    let at = random.within(0..bytes.len());
    let number = huge(random);
    let what = format!("{} bytes of a huge number at {at}", number.len());
    bytes.splice(at..=at, number);
    (bytes, what, of_values(file.kind))
}

/// A varint of up to ten bytes.
fn huge(random: &mut Random) -> Vec<u8> {
    let mut number = vec![0x80 | random.byte(); 1 + random.within(0..9)];
    number.push(1 + random.byte() % 0x7F);
    number
}

/// The numbers and the marker of a block of rows.
fn avro_block(file: &[u8], random: &mut Random) -> Changed {
    let (sync, count) = avro_parts(file).unwrap();
    let mut bytes = file.to_vec();
    let what = match random.within(0..4) {
        0 => {
            let at = sync + random.within(0..16);
            bytes[at] ^= 1 << random.within(0..8);
            format!("marker at {at}")
        }
        1 => {
            let before = bytes[count];
            bytes[count] = random.byte() & 0x7F;
            if bytes[count] == before {
                bytes[count] = 0;
            }
            format!("block count {before} to {}", bytes[count])
        }
        2 => {
            let number = huge(random);
            bytes.splice(count..=count, number);
            "block count huge".to_owned()
        }
        _ => {
            let mut size = count;
            while bytes[size] & 0x80 != 0 {
                size += 1;
            }
            size += 1;
            let number = huge(random);
            let end = (size..).find(|at| bytes[*at] & 0x80 == 0).unwrap();
            bytes.splice(size..=end, number);
            "block size huge".to_owned()
        }
    };
    (bytes, what, Rule::Detectable)
}

/// Where the sync marker and the first block's count stand.
fn avro_parts(file: &[u8]) -> Option<(usize, usize)> {
    let marker = &file[file.len() - 16..];
    let at = file.windows(16).position(|window| window == marker)?;
    Some((at, at + 16))
}

/// The length of a Parquet footer, or bytes of it.
fn footer(file: &TableFile, random: &mut Random) -> Changed {
    let kind = file.kind;
    let mut bytes = file.bytes.to_vec();
    let end = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
    let start = end - usize::try_from(length).unwrap();
    match random.within(0..4) {
        0 => {
            let other = match random.within(0..3) {
                0 => u32::MAX,
                1 => length + 1 + u32::from(random.byte()),
                _ => length - 1 - u32::from(random.byte()) % length,
            };
            bytes[end..end + 4].copy_from_slice(&other.to_le_bytes());
            let what = format!("footer length {length} to {other}");
            (bytes, what, of_values(kind))
        }
        1 => {
            // A number that grows, the rest of the footer as it was.
            let at = random.within(start..end);
            let number = huge(random);
            let grown = u32::try_from(number.len() - 1).unwrap() + length;
            bytes.splice(at..=at, number);
            let end = bytes.len() - 8;
            bytes[end..end + 4].copy_from_slice(&grown.to_le_bytes());
            (bytes, format!("footer grown at {at}"), of_values(kind))
        }
        _ => {
            let at = random.within(start..end);
            let before = bytes[at];
            bytes[at] = match random.within(0..4) {
                0 => before.wrapping_add(2),
                1 => before.wrapping_sub(2),
                2 => random.byte(),
                _ => before ^ (1 << random.within(0..8)),
            };
            let what = format!("footer byte {at} {before:#04x} to {:#04x}", bytes[at]);
            (bytes, what, of_values(kind))
        }
    }
}
