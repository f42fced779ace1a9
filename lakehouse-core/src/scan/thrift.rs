//! Parquet's own structures in thrift's compact form, measured before they are decoded.
//!
//! The decoder of the format crate believes each list's length and makes room for it, and takes
//! fields for what their ids say, whatever type stands beside. Here every length is held against
//! the bytes that are there, and every known field against its type, without making room for
//! anything; what passes can be decoded in memory proportional to its size.

/// Deeper structures than those of any Parquet file.
const DEPTH_MAX: u32 = 24;
/// Deeper nested columns than those of any table.
const SCHEMA_DEPTH_MAX: usize = 128;

/// The type of a field, as the format has it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Byte,
    /// 16, 32 or 64 bits: all are written alike.
    Int,
    Double,
    Binary,
    List(&'static Kind),
    Struct(Fields),
}

/// The known fields of a structure by id; others are skipped by the type that they name.
type Fields = &'static [(i16, Kind)];

use Kind::{Binary, Bool, Byte, Double, Int, List, Struct};

const KEY_VALUE: Fields = &[(1, Binary), (2, Binary)];
const TIME_UNIT: Fields = &[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))];
const TIME: Fields = &[(1, Bool), (2, Struct(TIME_UNIT))];
const LOGICAL_TYPE: Fields = &[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    (5, Struct(&[(1, Int), (2, Int)])),
    (6, Struct(&[])),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Int)])),
];
const SCHEMA_ELEMENT: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Binary),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Int),
    (9, Int),
    (10, Struct(LOGICAL_TYPE)),
];
const STATISTICS: Fields = &[
    (1, Binary),
    (2, Binary),
    (3, Int),
    (4, Int),
    (5, Binary),
    (6, Binary),
    (7, Bool),
    (8, Bool),
];
const SIZES: Fields = &[(1, Int), (2, List(&Int)), (3, List(&Int))];
const BOX: Fields = &[
    (1, Double),
    (2, Double),
    (3, Double),
    (4, Double),
    (5, Double),
    (6, Double),
    (7, Double),
    (8, Double),
];
const COLUMN_METADATA: Fields = &[
    (1, Int),
    (2, List(&Int)),
    (3, List(&Binary)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, List(&Struct(KEY_VALUE))),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (14, Int),
    (15, Int),
    (16, Struct(SIZES)),
    (17, Struct(&[(1, Struct(BOX)), (2, List(&Int))])),
];
const COLUMN_CHUNK: Fields = &[
    (1, Binary),
    (2, Int),
    (3, Struct(COLUMN_METADATA)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (9, Binary),
];
const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Bool), (3, Bool)]))),
    (5, Int),
    (6, Int),
    (7, Int),
];
/// The field of the schema in a footer's metadata, and of the number of children in its elements.
const SCHEMA: i16 = 2;
const CHILDREN: i16 = 5;
const FILE_METADATA: Fields = &[
    (1, Int),
    (2, List(&Struct(SCHEMA_ELEMENT))),
    (3, Int),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(KEY_VALUE))),
    (6, Binary),
    (7, List(&Struct(&[(1, Struct(&[]))]))),
    (9, Binary),
];
const OFFSET_INDEX: Fields = &[
    (1, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (2, List(&Int)),
];
const COLUMN_INDEX: Fields = &[
    (1, List(&Bool)),
    (2, List(&Binary)),
    (3, List(&Binary)),
    (4, Int),
    (5, List(&Int)),
    (6, List(&Int)),
    (7, List(&Int)),
];
const DATA_PAGE: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Int),
    (5, Struct(STATISTICS)),
];
const DATA_PAGE_V2: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Bool),
    (8, Struct(STATISTICS)),
];
const PAGE_HEADER: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Int),
    (5, Struct(DATA_PAGE)),
    (6, Struct(&[])),
    (7, Struct(&[(1, Int), (2, Int), (3, Bool)])),
    (8, Struct(DATA_PAGE_V2)),
];

/// Whether the bytes are a footer's metadata, with a schema that is one tree.
pub(crate) fn is_file_metadata(bytes: &[u8]) -> bool {
    let mut walk = Walk { bytes };
    let walked = walk.fields(DEPTH_MAX, |walk, id, wire, depth| {
        if id == SCHEMA && wire == Wire::LIST {
            Walk { bytes: walk.bytes }.schema_tree(depth)?;
        }
        walk.field(FILE_METADATA, id, wire, depth)
    });
    walked.is_some()
}

/// Whether the bytes are the offset index of a column.
pub(crate) fn is_offset_index(bytes: &[u8]) -> bool {
    Walk { bytes }.structure(OFFSET_INDEX, DEPTH_MAX).is_some()
}

/// Whether the bytes are the column index of a column.
pub(crate) fn is_column_index(bytes: &[u8]) -> bool {
    Walk { bytes }.structure(COLUMN_INDEX, DEPTH_MAX).is_some()
}

/// What a page's header says of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSizes {
    /// Bytes of the header itself.
    pub(crate) header: usize,
    /// Bytes of the page that follow the header.
    pub(crate) stored: usize,
    /// Bytes of the page when it is unpacked.
    pub(crate) unpacked: usize,
    /// Values of a data page, NULLs included; 0 for other pages.
    pub(crate) values: u64,
}

impl PageSizes {
    /// The header that `bytes` begin with; `None` when they begin with none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut walk = Walk { bytes };
        let (mut unpacked, mut stored, mut values) = (None, None, 0);
        walk.fields(DEPTH_MAX, |walk, id, kind, depth| {
            match id {
                2 if kind.is_int() => unpacked = Some(walk.int()?),
                3 if kind.is_int() => stored = Some(walk.int()?),
                5 | 8 if kind.0 == Wire::STRUCT.0 => {
                    let page = if id == 5 { DATA_PAGE } else { DATA_PAGE_V2 };
                    // Both kinds of page begin with the number of values.
                    let first = Walk { bytes: walk.bytes }.first_int()?;
                    values = u64::try_from(first).ok()?;
                    walk.structure(page, depth)?;
                }
                _ => walk.field(PAGE_HEADER, id, kind, depth)?,
            }
            Some(())
        })?;
        Some(Self {
            header: bytes.len() - walk.bytes.len(),
            stored: usize::try_from(stored?).ok()?,
            unpacked: usize::try_from(unpacked?).ok()?,
            values,
        })
    }
}

/// The type of a field or element as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wire(u8);

impl Wire {
    const TRUE: Self = Self(1);
    const FALSE: Self = Self(2);
    const BYTE: Self = Self(3);
    const DOUBLE: Self = Self(7);
    const BINARY: Self = Self(8);
    const LIST: Self = Self(9);
    const SET: Self = Self(10);
    const MAP: Self = Self(11);
    const STRUCT: Self = Self(12);

    fn is_int(self) -> bool {
        (4..=6).contains(&self.0)
    }

    fn is_bool(self) -> bool {
        self == Self::TRUE || self == Self::FALSE
    }

    fn is(self, kind: Kind) -> bool {
        match kind {
            Bool => self.is_bool(),
            Byte => self == Self::BYTE,
            Int => self.is_int(),
            Double => self == Self::DOUBLE,
            Binary => self == Self::BINARY,
            List(_) => self == Self::LIST,
            Struct(_) => self == Self::STRUCT,
        }
    }
}

/// Bytes not walked over yet. Each step gives `None` when the bytes are no such thing.
struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn int(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// The first field of a structure, when it is a number with id 1.
    fn first_int(&mut self) -> Option<i64> {
        let header = self.byte()?;
        (header >> 4 == 1 && Wire(header & 0x0F).is_int()).then_some(())?;
        self.int()
    }

    fn structure(&mut self, known: Fields, depth: u32) -> Option<()> {
        self.fields(depth, |walk, id, wire, depth| {
            walk.field(known, id, wire, depth)
        })
    }

    /// Gives each field of a structure to `visit`, which walks over its value.
    fn fields(
        &mut self,
        depth: u32,
        mut visit: impl FnMut(&mut Self, i16, Wire, u32) -> Option<()>,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let mut last = 0_i16;
        loop {
            let header = self.byte()?;
            let wire = Wire(header & 0x0F);
            if wire.0 == 0 {
                return Some(());
            }
            let id = match header >> 4 {
                0 => i16::try_from(self.int()?).ok()?,
                delta => last.checked_add(i16::from(delta))?,
            };
            visit(self, id, wire, depth)?;
            last = id;
        }
    }

    fn field(&mut self, known: Fields, id: i16, wire: Wire, depth: u32) -> Option<()> {
        let kind = known.iter().find(|(known, _)| *known == id);
        match kind {
            Some((_, kind)) => {
                wire.is(*kind).then_some(())?;
                match kind {
                    // The value is in the type.
                    Bool => Some(()),
                    kind => self.value(*kind, depth),
                }
            }
            None if wire.is_bool() => Some(()),
            None => self.unknown(wire, depth),
        }
    }

    fn value(&mut self, kind: Kind, depth: u32) -> Option<()> {
        match kind {
            Bool | Byte => self.byte().map(drop),
            Int => self.unsigned().map(drop),
            Double => self.skip(8),
            Binary => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.skip(length)
            }
            Struct(fields) => self.structure(fields, depth),
            List(element) => {
                let (wire, count) = self.list()?;
                // An empty list may name any type.
                (count == 0 || wire.is(*element)).then_some(())?;
                let depth = depth.checked_sub(1)?;
                (0..count).try_for_each(|_| self.value(*element, depth))
            }
        }
    }

    /// Walks over the elements of a schema, which must be one tree: the decoder makes room for as
    /// many children as an element says.
    fn schema_tree(&mut self, depth: u32) -> Option<()> {
        let (wire, count) = self.list()?;
        (wire == Wire::STRUCT).then_some(())?;
        // Children still to come of the elements that are not complete.
        let mut missing = vec![1_usize];
        for _ in 0..count {
            *missing.last_mut()? -= 1;
            let mut children = 0;
            self.fields(depth, |walk, id, wire, depth| {
                if id == CHILDREN && wire.is_int() {
                    children = usize::try_from(walk.int()?).ok()?;
                    return Some(());
                }
                walk.field(SCHEMA_ELEMENT, id, wire, depth)
            })?;
            missing.push(children);
            while missing.pop_if(|missing| *missing == 0).is_some() {}
            (missing.len() <= SCHEMA_DEPTH_MAX).then_some(())?;
        }
        missing.is_empty().then_some(())
    }

    /// The element type and length of a list; no element takes less than a byte.
    fn list(&mut self) -> Option<(Wire, usize)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.unsigned()?).ok()?,
            count => usize::from(count),
        };
        (count <= self.bytes.len()).then_some((Wire(header & 0x0F), count))
    }

    fn unknown(&mut self, wire: Wire, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match wire {
            Wire::TRUE | Wire::FALSE | Wire::BYTE => self.byte().map(drop),
            Wire::DOUBLE => self.skip(8),
            Wire::BINARY => self.value(Binary, depth),
            Wire::LIST | Wire::SET => {
                let (wire, count) = self.list()?;
                (0..count).try_for_each(|_| self.unknown(wire, depth))
            }
            Wire::STRUCT => self.structure(&[], depth),
            // No Parquet structure has maps, and no decoder of it reads them.
            Wire::MAP => None,
            wire if wire.is_int() => self.unsigned().map(drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page header: type 0, unpacked 100, stored 50, and a data page of 7 values.
    const HEADER: [u8; 17] = [
        0x15, 0, 0x15, 0xC8, 1, 0x15, 100, 0x2C, 0x15, 14, 0x15, 0, 0x15, 6, 0x15, 6, 0,
    ];

    #[test]
    fn a_page_header_is_measured() {
        let mut bytes = HEADER.to_vec();
        bytes.extend([0, 9, 9]);
        let sizes = PageSizes::read(&bytes).unwrap();
        let expected = PageSizes {
            header: 18,
            stored: 50,
            unpacked: 100,
            values: 7,
        };
        assert_eq!(sizes, expected);
        for end in 0..expected.header {
            assert_eq!(PageSizes::read(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_list_longer_than_its_file_is_refused() {
        // Field 2, a list of 2^31 - 1 structures.
        let bytes = [0x29, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 7, 0];
        assert!(!is_file_metadata(&bytes));
        assert!(!is_offset_index(&[
            0x19, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 7, 0
        ]));
        assert!(is_offset_index(&[
            0x19, 0x1C, 0x16, 8, 0x15, 20, 0x16, 0, 0, 0
        ]));
    }

    #[test]
    fn a_schema_is_one_tree() {
        // Field 2, a list of structures that have field 5 alone, in the zigzag form.
        let metadata = |children: &[u8]| {
            let length = u8::try_from(children.len()).unwrap();
            let elements = children.iter().flat_map(|count| [0x55, count * 2, 0]);
            let list = [0x29, (length << 4) | 0x0C].into_iter().chain(elements);
            list.chain([0]).collect::<Vec<_>>()
        };
        for tree in [&[0][..], &[1, 0], &[2, 0, 0], &[2, 1, 0, 0], &[1, 1, 1, 0]] {
            assert!(is_file_metadata(&metadata(tree)), "{tree:?}");
        }
        for other in [&[1][..], &[0, 0], &[3, 0, 0], &[1, 0, 0], &[60, 0, 0]] {
            assert!(!is_file_metadata(&metadata(other)), "{other:?}");
        }
        assert!(!is_file_metadata(&metadata(&[])));
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        // The schema as a number: the decoder would read it as a list all the same.
        assert!(!is_file_metadata(&[0x26, 0xFC, 0]));
        // A field that is not known may be anything.
        assert!(is_file_metadata(&[0x05, 0xC8, 1, 0, 0]));
    }

    #[test]
    fn structures_without_end_are_refused() {
        assert!(!is_file_metadata(&[0xFC; 4096]));
        assert!(!is_file_metadata(&[0x1C; 4096]));
        assert!(!is_file_metadata(&[0x19; 4096]));
    }
}
