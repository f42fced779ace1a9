//! Rewritten chunks hold the rows, bounds and places that a file written from rows would hold.

#![expect(
    clippy::cast_possible_truncation,
    reason = "numbers of rows and bytes of small files"
)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::ZstdLevel;
use parquet::column::page::{CompressedPage, PageWriter};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedPageWriter;
use proptest::prelude::*;

use super::super::file_encoder::{FileEncoder, FileOptions, ReadyColumn};
use super::super::metrics::MetricsPlan;
use super::super::new_values::encode_values;
use super::super::parquet_file::FileFormat;
use super::*;
use crate::runtime::contained;

/// How a file is laid out.
#[derive(Debug, Clone)]
struct Layout {
    is_packed: bool,
    page_rows: usize,
    dictionary_bytes: usize,
    second_version: bool,
    /// Of 16 values so many are NULL.
    nulls: u8,
    /// How many values there are to choose from.
    distinct: u32,
    /// Whether the file says where its pages are.
    is_indexed: bool,
}

fn layouts() -> impl Strategy<Value = Layout> {
    (
        any::<bool>(),
        prop::sample::select(vec![1_usize, 7, 64, 1000]),
        prop::sample::select(vec![1_usize, 200, 1 << 20]),
        any::<bool>(),
        prop::sample::select(vec![0_u8, 3, 16]),
        prop::sample::select(vec![1_u32, 2, 40, 100_000]),
        any::<bool>(),
    )
        .prop_map(|choice| Layout {
            is_packed: choice.0,
            page_rows: choice.1,
            dictionary_bytes: choice.2,
            second_version: choice.3,
            nulls: choice.4,
            distinct: choice.5,
            is_indexed: choice.6,
        })
}

/// A row group of all types that are taken apart, beside one that is not.
fn rows(layout: &Layout, seeds: &[u32]) -> RecordBatch {
    let value = |seed: &u32| seed % layout.distinct;
    let is_null = |seed: &u32| (seed >> 7) % 16 < u32::from(layout.nulls);
    let some = |seed: &u32| (!is_null(seed)).then(|| value(seed));
    let wide = |n: u32| i64::from(n).wrapping_mul(-1_000_003);
    let text = |n: u32| "ä".repeat(n as usize % 90) + &n.to_string();
    let required = Int64Array::from_iter_values(seeds.iter().map(|seed| wide(value(seed))));
    let numbers = seeds.iter().map(|seed| some(seed).map(|n| n as i32 - 50));
    let numbers = Int32Array::from_iter(numbers);
    let days = Date32Array::from_iter(seeds.iter().map(|seed| some(seed).map(|n| n as i32)));
    let amounts = seeds.iter().map(|seed| some(seed).map(|n| -i128::from(n)));
    let amounts = Decimal128Array::from_iter(amounts);
    let amounts = amounts.with_precision_and_scale(15, 2).unwrap();
    let texts = StringArray::from_iter(seeds.iter().map(|seed| some(seed).map(text)));
    let bytes = seeds
        .iter()
        .map(|seed| some(seed).map(|n| vec![255; n as usize % 100]));
    let bytes = BinaryArray::from_iter(bytes);
    let inner = Int64Array::from_iter(seeds.iter().map(|seed| some(seed).map(wide)));
    let inner: ArrayRef = Arc::new(inner);
    let fields = Fields::from(vec![Field::new("n", DataType::Int64, true)]);
    let nulls = seeds.iter().map(|seed| seed % 5 != 0).collect::<Vec<_>>();
    let part = StructArray::new(fields, vec![inner], Some(nulls.into()));
    let flags = BooleanArray::from_iter(seeds.iter().map(|seed| Some(seed % 2 == 0)));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("required", Arc::new(required), false),
        ("number", Arc::new(numbers), true),
        ("day", Arc::new(days), true),
        ("amount", Arc::new(amounts), true),
        ("text", Arc::new(texts), true),
        ("bytes", Arc::new(bytes), true),
        ("part", Arc::new(part), true),
        ("flag", Arc::new(flags), true),
    ];
    let field = |(name, column, nullable): &(&str, ArrayRef, bool)| {
        Field::new(*name, column.data_type().clone(), *nullable)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, column, _)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn options(rows: &RecordBatch, layout: &Layout) -> FileOptions {
    let schema = ArrowSchemaConverter::new().convert(&rows.schema()).unwrap();
    let version = match layout.second_version {
        true => WriterVersion::PARQUET_2_0,
        false => WriterVersion::PARQUET_1_0,
    };
    let compression = match layout.is_packed {
        true => Compression::ZSTD(ZstdLevel::default()),
        false => Compression::UNCOMPRESSED,
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(version)
        .set_write_batch_size(layout.page_rows)
        .set_data_page_row_count_limit(layout.page_rows)
        .set_dictionary_page_size_limit(layout.dictionary_bytes)
        .set_statistics_truncate_length(Some(64))
        .build();
    FileOptions {
        properties: Arc::new(properties),
        schema: schema.root_schema_ptr(),
    }
}

fn file_of(rows: &RecordBatch, options: &FileOptions) -> Bytes {
    let mut encoder = FileEncoder::try_new(&rows.schema(), options).unwrap();
    encoder.write(rows).unwrap();
    encoder.finish().unwrap();
    Bytes::from(encoder.take_encoded())
}

fn footer_of(file: &Bytes) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(file).unwrap()
}

fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader
        .build()
        .unwrap()
        .map(|batch| batch.unwrap())
        .collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The values of all columns, as new ones by leaf.
fn new_ones(rows: &RecordBatch, options: &FileOptions) -> HashMap<usize, NewValues> {
    let schema = rows.schema();
    let format = FileFormat {
        metrics: MetricsPlan::default(),
        options: options.clone(),
        stored: Arc::clone(&schema),
        spec_id: 0,
        sort_order_id: None,
        content: iceberg::spec::DataContentType::Data,
    };
    let columns: Vec<_> = rows.columns().iter().cloned().enumerate().collect();
    encode_values(&format, &columns).unwrap()
}

/// A file whose only row group is that of `file` after some edits; the columns that are not taken
/// apart come from `kept`.
fn rewritten(
    file: &Bytes,
    edits: &[RowEdit],
    new: &HashMap<usize, NewValues>,
    kept: &RecordBatch,
    (options, is_indexed): (&FileOptions, bool),
) -> Bytes {
    let footer = footer_of(file);
    let column_index = footer.column_index().filter(|_| is_indexed);
    let offset_index = footer.offset_index().filter(|_| is_indexed);
    let group = footer.row_group(0);
    let decoded = footer_of(&file_of(kept, options));
    let decoded_file = file_of(kept, options);
    let mut columns = Vec::new();
    for (leaf, metadata) in group.columns().iter().enumerate() {
        let source = |footer: &'_ ParquetMetaData, file: &Bytes| {
            let (start, length) = footer.row_group(0).column(leaf).byte_range();
            file.slice(start as usize..(start + length) as usize)
        };
        let chunk = SourceChunk {
            metadata,
            column_index: column_index.map(|index| &index[0][leaf]),
            offset_index: offset_index.map(|index| &index[0][leaf]),
            bytes: source(&footer, file),
            rows: group.num_rows() as u64,
        };
        let column = metadata.column_descr();
        let is_known = can_copy(metadata, column, &options.properties) && can_edit(metadata);
        let taken = match is_known {
            true => take_over(
                &chunk,
                edits,
                new.get(&leaf).unwrap_or(&NewValues::default()),
                &options.properties,
            )
            .unwrap(),
            false => None,
        };
        let is_flat = column.physical_type() != PhysicalType::BOOLEAN;
        let is_old = options.properties.writer_version() == WriterVersion::PARQUET_1_0;
        assert!(taken.is_some() || !(is_flat && is_old), "{metadata:?}");
        columns.push(ReadyColumn::Pages(taken.unwrap_or_else(|| {
            copy(&SourceChunk {
                metadata: decoded.row_group(0).column(leaf),
                column_index: decoded.column_index().map(|index| &index[0][leaf]),
                offset_index: decoded.offset_index().map(|index| &index[0][leaf]),
                bytes: source(&decoded, &decoded_file),
                rows: kept.num_rows() as u64,
            })
        })));
    }
    let mut encoder = FileEncoder::try_new(&kept.schema(), options).unwrap();
    encoder.append(columns).unwrap();
    encoder.finish().unwrap();
    Bytes::from(encoder.take_encoded())
}

/// The bounds that the page index gives each page are those of the rows that it says stand there.
fn check_pages(file: &Bytes, options: &FileOptions) {
    let footer = footer_of(file);
    let all = read(file);
    for leaf in 0..footer.row_group(0).num_columns() {
        let places = footer.offset_index().unwrap()[0][leaf].page_locations();
        let found = footer.row_group(0).column(leaf);
        for (page, place) in places.iter().enumerate() {
            let end = places
                .get(page + 1)
                .map_or(all.num_rows(), |next| next.first_row_index as usize);
            let start = place.first_row_index as usize;
            let alone = file_of(&all.slice(start, end - start), &one_page(options));
            let alone = footer_of(&alone);
            let expected = &alone.column_index().unwrap()[0][leaf];
            let index = &footer.column_index().unwrap()[0][leaf];
            let name = found.column_path();
            assert_eq!(
                index.is_null_page(page),
                expected.is_null_page(0),
                "{name} {page}"
            );
            assert_eq!(
                index.null_count(page),
                expected.null_count(0),
                "{name} {page}"
            );
            assert_eq!(
                bounds_at(index, page),
                bounds_at(expected, 0),
                "{name} {page}"
            );
        }
    }
}

fn one_page(options: &FileOptions) -> FileOptions {
    let properties = WriterProperties::clone(&options.properties).into_builder();
    FileOptions {
        properties: Arc::new(
            properties
                .set_data_page_row_count_limit(1 << 20)
                .set_write_batch_size(1 << 20)
                .build(),
        ),
        schema: Arc::clone(&options.schema),
    }
}

fn bounds_at(index: &ColumnIndexMetaData, page: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let of = |low: Option<&[u8]>, high: Option<&[u8]>| Some((low?.to_vec(), high?.to_vec()));
    match index {
        ColumnIndexMetaData::INT32(index) => {
            let bytes = |n: Option<&i32>| n.map(|n| n.to_le_bytes());
            let (low, high) = (bytes(index.min_value(page)), bytes(index.max_value(page)));
            of(low.as_ref().map(|b| &b[..]), high.as_ref().map(|b| &b[..]))
        }
        ColumnIndexMetaData::INT64(index) => {
            let bytes = |n: Option<&i64>| n.map(|n| n.to_le_bytes());
            let (low, high) = (bytes(index.min_value(page)), bytes(index.max_value(page)));
            of(low.as_ref().map(|b| &b[..]), high.as_ref().map(|b| &b[..]))
        }
        ColumnIndexMetaData::BYTE_ARRAY(index) => of(index.min_value(page), index.max_value(page)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rewritten_row_groups_are_those_of_the_rows_left(
        layout in layouts(),
        seeds in prop::collection::vec(any::<u32>(), 1..250),
        gone_of_16 in 0_u32..16,
        new_of_16 in 0_u32..8,
        run in any::<bool>(),
    ) {
        let all = rows(&layout, &seeds);
        let options = options(&all, &layout);
        let count = seeds.len() as u32;
        // Single rows, or all rows from one on; one row stays.
        let is_gone = |row: u32| row != count / 2 && match run {
            true => row * 16 >= count * (16 - gone_of_16),
            false => (seeds[row as usize] >> 20) & 15 < gone_of_16,
        };
        let is_new = |row: u32| (seeds[row as usize] >> 24) & 15 < new_of_16;
        let updated: Vec<u32> = (0..count).filter(|row| !is_gone(*row) && is_new(*row)).collect();
        let edits: Vec<RowEdit> = (0..count).filter_map(|row| {
            let new = updated.binary_search(&row).ok().map(|place| place as u32);
            (is_gone(row) || new.is_some()).then_some(RowEdit { row, new })
        }).collect();
        let new_seeds: Vec<u32> = updated.iter().map(|row| seeds[*row as usize] / 3 + 17).collect();
        let new_rows = rows(&Layout { nulls: 5, distinct: 90, ..layout.clone() }, &new_seeds);
        let wanted: Vec<(usize, usize)> = (0..count).filter(|row| !is_gone(*row)).map(|row| {
            updated.binary_search(&row).map_or((0, row as usize), |place| (1, place))
        }).collect();
        let kept = interleave_record_batch(&[&all, &new_rows], &wanted).unwrap();
        let file = file_of(&all, &options);
        let new = new_ones(&new_rows, &options);
        let new = rewritten(&file, &edits, &new, &kept, (&options, layout.is_indexed));
        prop_assert_eq!(read(&new), kept.clone());
        let (found, expected) = (footer_of(&new), footer_of(&file_of(&kept, &options)));
        let chunks = found.row_group(0).columns().iter().zip(expected.row_group(0).columns());
        for (found, expected) in chunks {
            prop_assert_eq!(found.statistics(), expected.statistics(), "{}", found.column_path());
            prop_assert_eq!(found.num_values(), expected.num_values());
        }
        check_pages(&new, &options);
    }
}

#[test]
fn what_was_deleted_is_in_no_dictionary() {
    let texts: Vec<String> = (0..300).map(|n| format!("secret {}", n % 40)).collect();
    let numbers: Vec<i64> = (0..300).map(|n| 0x5EC2_E700 + n % 40).collect();
    let schema = Schema::new(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("number", DataType::Int64, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(texts)),
        Arc::new(Int64Array::from(numbers)),
    ];
    let all = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let layout = Layout {
        is_packed: false,
        page_rows: 64,
        dictionary_bytes: 1 << 20,
        second_version: false,
        nulls: 0,
        distinct: 40,
        is_indexed: true,
    };
    let options = options(&all, &layout);
    let file = file_of(&all, &options);
    let rows = (0..300_u32).filter(|row| row % 40 == 17);
    let gone: Vec<RowEdit> = rows.map(|row| RowEdit { row, new: None }).collect();
    let left = (0..300_usize)
        .filter(|row| row % 40 != 17)
        .map(|row| (0, row));
    let kept = interleave_record_batch(&[&all], &left.collect::<Vec<_>>()).unwrap();
    let new = rewritten(&file, &gone, &HashMap::new(), &kept, (&options, true));
    assert_eq!(read(&new), kept);
    let has = |file: &Bytes, value: &[u8]| file.windows(value.len()).any(|bytes| bytes == value);
    let number = (0x5EC2_E700_i64 + 17).to_le_bytes();
    assert!(has(&file, b"secret 17") && has(&file, &number));
    assert!(!has(&new, b"secret 17") && !has(&new, &number));
    assert!(has(&new, b"secret 18"));
}

#[test]
fn columns_with_lists_get_no_new_values_by_pages() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        [Some(vec![Some(1), Some(2)]), None, Some(vec![None])].map(|list| list),
    );
    let rows = RecordBatch::try_from_iter([("list", Arc::new(lists) as ArrayRef)]).unwrap();
    let layout = Layout {
        is_packed: false,
        page_rows: 64,
        dictionary_bytes: 1 << 20,
        second_version: false,
        nulls: 0,
        distinct: 40,
        is_indexed: true,
    };
    assert!(new_ones(&rows, &options(&rows, &layout)).is_empty());
}

#[test]
fn values_that_make_pages_too_large_are_decoded() {
    let text = |length: usize| StringArray::from_iter_values((0..64).map(|_| "x".repeat(length)));
    let of = |length: usize| {
        let column: ArrayRef = Arc::new(text(length));
        RecordBatch::try_from_iter([("text", column)]).unwrap()
    };
    for dictionary_bytes in [1, 1 << 20] {
        let schema = ArrowSchemaConverter::new()
            .convert(&of(1).schema())
            .unwrap();
        let properties = WriterProperties::builder()
            .set_data_page_size_limit(1000)
            .set_dictionary_enabled(dictionary_bytes > 1)
            .set_dictionary_page_size_limit(1000)
            .build();
        let options = FileOptions {
            properties: Arc::new(properties),
            schema: schema.root_schema_ptr(),
        };
        let file = file_of(&of(1), &options);
        let footer = footer_of(&file);
        let metadata = footer.row_group(0).column(0);
        let (start, length) = metadata.byte_range();
        let source = SourceChunk {
            metadata,
            column_index: None,
            offset_index: None,
            bytes: file.slice(start as usize..(start + length) as usize),
            rows: 64,
        };
        let edits: Vec<RowEdit> = (0..8)
            .map(|row| RowEdit {
                row: row * 8,
                new: Some(row),
            })
            .collect();
        for (length, is_taken) in [(10, true), (1 << 20, false)] {
            let new = new_ones(&of(length), &options);
            let taken = take_over(&source, &edits, &new[&0], &options.properties).unwrap();
            assert_eq!(taken.is_some(), is_taken, "{dictionary_bytes} {length}");
        }
    }
}

/// A page whose header and levels tell of so many rows, all of them NULL, in a few bytes.
fn page_of_nulls(rows: u32, second_version: bool) -> Page {
    let mut run = Vec::new();
    let mut length = u64::from(rows) << 1;
    while length > 0x7F {
        run.push(length as u8 | 0x80);
        length >>= 7;
    }
    run.extend([length as u8, 0]);
    let size = run.len() as u32;
    match second_version {
        true => Page::DataPageV2 {
            buf: Bytes::from(run),
            num_values: rows,
            encoding: Encoding::PLAIN,
            num_nulls: rows,
            num_rows: rows,
            def_levels_byte_len: size,
            rep_levels_byte_len: 0,
            is_compressed: false,
            statistics: None,
        },
        false => Page::DataPage {
            buf: Bytes::from([size.to_le_bytes().to_vec(), run].concat()),
            num_values: rows,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        },
    }
}

#[test]
fn a_page_is_not_unfolded_to_more_rows_than_its_row_group_has() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![None; 3]));
    let rows = RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap();
    let schema = ArrowSchemaConverter::new().convert(&rows.schema()).unwrap();
    let properties = WriterProperties::builder().build();
    let none = NewValues::default();
    let edits = [RowEdit { row: 1, new: None }];
    for second_version in [false, true] {
        // Two pages: what the first one has is taken off what the second one may have.
        for (first, second, expected) in [
            (2, 1, Some(2)),
            (2, 2, None),
            (3, 1 << 30, None),
            (1 << 30, 1, None),
        ] {
            let mut sink = TrackedWrite::new(Vec::new());
            for rows in [first, second] {
                let page = page_of_nulls(rows, second_version);
                let size = page.buffer().len();
                let page = CompressedPage::new(page, size);
                SerializedPageWriter::new(&mut sink)
                    .write_page(page)
                    .unwrap();
            }
            let bytes = Bytes::from(sink.into_inner().unwrap());
            let metadata = ColumnChunkMetaData::builder(schema.column(0))
                .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
                .set_num_values(i64::from(first) + i64::from(second))
                .set_total_compressed_size(bytes.len() as i64)
                .set_data_page_offset(0)
                .build()
                .unwrap();
            let source = SourceChunk {
                metadata: &metadata,
                column_index: None,
                offset_index: None,
                bytes,
                rows: 3,
            };
            let taken = contained(|| take_over(&source, &edits, &none, &properties));
            match (expected, taken) {
                (Some(rows), taken) => assert_eq!(taken.unwrap().unwrap().rows(), rows),
                (None, Ok(_)) => panic!("{first} and {second} rows were taken"),
                (None, Err(error)) => {
                    let told = error.to_string();
                    assert!(told.contains("more rows than its row group"), "{told}");
                }
            }
        }
    }
}

#[test]
fn damaged_pages_are_errors() {
    let layout = Layout {
        is_packed: false,
        page_rows: 64,
        dictionary_bytes: 1 << 20,
        second_version: false,
        nulls: 3,
        distinct: 40,
        is_indexed: true,
    };
    let seeds: Vec<u32> = (0..500_u32)
        .map(|n| n.wrapping_mul(2_654_435_761))
        .collect();
    let all = rows(&layout, &seeds);
    let options = options(&all, &layout);
    let file = file_of(&all, &options);
    let footer = footer_of(&file);
    for leaf in 0..7 {
        let metadata = footer.row_group(0).column(leaf);
        let (start, length) = metadata.byte_range();
        let bytes = file.slice(start as usize..(start + length) as usize);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x55;
            let source = SourceChunk {
                metadata,
                column_index: None,
                offset_index: None,
                bytes: Bytes::from(damaged),
                rows: 500,
            };
            let gone = [3, 77, 300].map(|row| RowEdit { row, new: None });
            let none = NewValues::default();
            // It is found out, or another value of the same rows.
            let edited = contained(|| take_over(&source, &gone, &none, &options.properties));
            if let Ok(Some(chunk)) = edited {
                assert_eq!(chunk.rows(), 497, "{leaf} {at}");
            }
        }
    }
}
