//! From Arrow batches to data files: values, partitions, metrics and limits.

mod bounds;
mod layout;
mod reference;
mod rows;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema as ArrowSchema};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool, UnboundedMemoryPool};
use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, Literal, NestedField, PrimitiveLiteral, PrimitiveType, Schema, SortOrder,
    TableMetadataBuilder, Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};
use lakehouse_core::catalog::TablePointer;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::error::{ErrorKind, Result};
use lakehouse_core::name::TableIdent;
use lakehouse_core::runtime::{Reservation, Runtime};
use lakehouse_core::settings::{Durability, Settings};
use lakehouse_core::storage::Storage;
use lakehouse_core::table::Table;
use lakehouse_core::write::{TableWriter, WriteOptions, WrittenFile};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, LogicalType};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

const LOCATION: &str = "memory:///lake/t";

/// A table in memory: columns by name and type (required when the name ends with `!`), partition
/// fields by column and transform, properties.
pub(crate) fn table(
    columns: &[(&str, Type)],
    partitions: &[(&str, Transform)],
    properties: &[(&str, &str)],
    format: FormatVersion,
) -> Table {
    let fields = columns
        .iter()
        .enumerate()
        .map(|(index, (name, field_type))| {
            let id = i32::try_from(index).unwrap() + 1;
            let plain = name.trim_end_matches('!');
            Arc::new(NestedField::new(
                id,
                plain,
                field_type.clone(),
                plain.len() < name.len(),
            ))
        });
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let fields = partitions
        .iter()
        .map(|(column, transform)| UnboundPartitionField {
            source_id: schema.field_id_by_name(column).unwrap(),
            field_id: None,
            name: match transform {
                Transform::Identity => (*column).to_owned(),
                _ => format!("{column}_part"),
            },
            transform: *transform,
        });
    let spec = UnboundPartitionSpec::builder()
        .add_partition_fields(fields)
        .unwrap()
        .build();
    let properties: HashMap<String, String> = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let metadata = TableMetadataBuilder::new(
        schema,
        spec,
        SortOrder::unsorted_order(),
        LOCATION.to_owned(),
        format,
        properties,
    )
    .unwrap()
    .build()
    .unwrap()
    .metadata;
    let pointer = TablePointer {
        ident: TableIdent::from_strs(["n", "t"]).unwrap(),
        metadata_location: format!("{LOCATION}/metadata/0.json"),
        metadata: Arc::new(metadata),
    };
    Table::new(
        pointer,
        Storage::new(&SystemClock, Durability::None).unwrap(),
    )
}

pub(crate) fn primitive(primitive: PrimitiveType) -> Type {
    Type::Primitive(primitive)
}

fn unbounded() -> Arc<dyn MemoryPool> {
    Arc::new(UnboundedMemoryPool::default())
}

pub(crate) fn options(pool: &Arc<dyn MemoryPool>) -> WriteOptions {
    WriteOptions::new(Reservation::new(pool, "a test"), SystemClock.new_uuid())
}

/// Writes are polled by whatever thread is free.
fn sendable<T: Send>(future: T) -> T {
    future
}

pub(crate) async fn write(table: &Table, batches: Vec<RecordBatch>) -> Result<Vec<WrittenFile>> {
    let mut writer = TableWriter::try_new(table, options(&unbounded()))?;
    for batch in batches {
        if let Err(error) = sendable(writer.write(batch)).await {
            sendable(writer.abort()).await?;
            return Err(error);
        }
    }
    sendable(writer.close()).await
}

/// The memory of a write, and whether what does not fit is spilled.
pub(crate) enum Space {
    Spilled(usize),
    NotSpilled(usize),
}

pub(crate) async fn write_within(
    table: &Table,
    batches: Vec<RecordBatch>,
    space: Space,
) -> Result<Vec<WrittenFile>> {
    let runtime = Runtime::new(&Settings::default(), table.storage())?;
    let (bytes, spills) = match space {
        Space::Spilled(bytes) => (bytes, true),
        Space::NotSpilled(bytes) => (bytes, false),
    };
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
    let mut options = options(&pool);
    if spills {
        options = options.with_spill_space(runtime.spill_space());
    }
    let mut writer = TableWriter::try_new(table, options)?;
    for batch in batches {
        if let Err(error) = writer.write(batch).await {
            writer.abort().await?;
            return Err(error);
        }
        assert!(pool.reserved() <= bytes);
    }
    let files = writer.close().await?;
    assert_eq!(pool.reserved(), 0);
    Ok(files)
}

pub(crate) fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap()
}

fn ints(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int32Array>())
}

fn texts<const N: usize>(values: [Option<&str>; N]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) async fn rows_of(
    table: &Table,
    file: &WrittenFile,
) -> (Vec<RecordBatch>, ParquetMetaData) {
    let bytes = table
        .storage()
        .read(file.data_file.file_path())
        .await
        .unwrap();
    assert_eq!(bytes.len() as u64, file.data_file.file_size_in_bytes());
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
    let footer = builder.metadata().as_ref().clone();
    let batches: Vec<_> = builder.build().unwrap().collect::<Result<_, _>>().unwrap();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows as u64, file.data_file.record_count());
    (batches, footer)
}

async fn all_ints(table: &Table, files: &[WrittenFile], column: usize) -> Vec<Option<i32>> {
    let mut all = Vec::new();
    for file in files {
        for batch in rows_of(table, file).await.0 {
            all.extend(batch.column(column).as_primitive::<Int32Type>().iter());
        }
    }
    all.sort();
    all
}

async fn stored_files(table: &Table) -> BTreeSet<String> {
    let files = table
        .storage()
        .list(LOCATION)
        .unwrap()
        .map_ok(|file| file.location);
    files.try_collect().await.unwrap()
}

#[tokio::test]
async fn a_file_has_field_ids_zstd_page_index_and_counts() {
    let uuid = primitive(PrimitiveType::Uuid);
    let columns = [("id!", primitive(PrimitiveType::Int)), ("u", uuid)];
    let table = table(
        &columns,
        &[],
        &[("write.parquet.bloom-filter-enabled.column.id", "true")],
        FormatVersion::V2,
    );
    let uuids = FixedSizeBinaryArray::try_from_iter([[1_u8; 16], [2; 16]].into_iter()).unwrap();
    let rows = batch([("id", ints([Some(7), Some(3)])), ("u", Arc::new(uuids))]);
    let files = write(&table, vec![rows]).await.unwrap();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    assert_eq!(file.spec_id, 0);
    let (_, footer) = rows_of(&table, file).await;
    let schema = footer.file_metadata().schema_descr();
    assert_eq!(schema.column(0).self_type().get_basic_info().id(), 1);
    assert_eq!(
        schema.column(1).logical_type_ref(),
        Some(&LogicalType::Uuid)
    );
    assert!(footer.offset_index().is_some() && footer.column_index().is_some());
    let chunk = footer.row_group(0).column(0);
    assert!(matches!(chunk.compression(), Compression::ZSTD(_)));
    assert!(chunk.bloom_filter_offset().is_some());
    assert!(
        footer
            .row_group(0)
            .column(1)
            .bloom_filter_offset()
            .is_none()
    );
    let keys = footer.file_metadata().key_value_metadata().unwrap();
    assert!(keys.iter().any(|pair| pair.key == "iceberg.schema"));
    let data = &file.data_file;
    assert_eq!(data.split_offsets(), Some(&[4][..]));
    assert_eq!(data.value_counts()[&1], 2);
    assert_eq!(data.null_value_counts()[&2], 0);
    assert_eq!(data.lower_bounds()[&1].literal(), &PrimitiveLiteral::Int(3));
    assert_eq!(
        data.upper_bounds()[&2].literal(),
        &PrimitiveLiteral::UInt128(u128::from_be_bytes([2; 16]))
    );
}

/// The bytes of the bloom filter of a column of 2000 values that all differ.
async fn bloom_filter_bytes(properties: &[(&str, &str)]) -> i32 {
    let columns = [("id!", primitive(PrimitiveType::Int))];
    let enabled = ("write.parquet.bloom-filter-enabled.column.id", "true");
    let properties = [&[enabled], properties].concat();
    let table = table(&columns, &[], &properties, FormatVersion::V2);
    let rows = batch([("id", ints((0..2000).map(Some)))]);
    let files = write(&table, vec![rows]).await.unwrap();
    let (_, footer) = rows_of(&table, &files[0]).await;
    footer.row_group(0).column(0).bloom_filter_length().unwrap()
}

#[tokio::test]
async fn an_adaptive_bloom_filter_is_as_large_as_its_values_need_whatever_was_guessed() {
    let guess = ("write.parquet.bloom-filter-ndv.column.id", "10");
    let adaptive = |text| ("write.parquet.bloom-filter-adaptive-enabled", text);
    let max = ("write.parquet.bloom-filter-max-bytes", "1024");
    let guessed = bloom_filter_bytes(&[guess]).await;
    assert!(guessed < 200, "{guessed}");
    assert_eq!(
        bloom_filter_bytes(&[guess, adaptive("false")]).await,
        guessed
    );
    // About ten bits for each value at one false positive in a hundred.
    let adapted = bloom_filter_bytes(&[guess, adaptive("true")]).await;
    assert!((2000..8500).contains(&adapted), "{adapted}");
    assert_eq!(bloom_filter_bytes(&[]).await, adapted);
    let bounded = bloom_filter_bytes(&[guess, adaptive("true"), max]).await;
    assert!((guessed + 1..1200).contains(&bounded), "{bounded}");
}

#[tokio::test]
async fn no_rows_make_no_files() {
    let table = table(
        &[("id", primitive(PrimitiveType::Int))],
        &[],
        &[],
        FormatVersion::V2,
    );
    let empty = batch([("id", ints([]))]);
    assert!(write(&table, vec![empty]).await.unwrap().is_empty());
    assert!(stored_files(&table).await.is_empty());
}

#[tokio::test]
async fn t14_partition_folders_survive_special_characters() {
    let columns = [("p", primitive(PrimitiveType::String))];
    let table = table(
        &columns,
        &[("p", Transform::Identity)],
        &[],
        FormatVersion::V2,
    );
    let values = ["a#b", "a?b", "a/b", "a%2Fb", "a b", "ä😀", "..", "", "+"];
    let rows = batch([(
        "p",
        Arc::new(StringArray::from(values.to_vec())) as ArrayRef,
    )]);
    let files = write(&table, vec![rows]).await.unwrap();
    assert_eq!(files.len(), values.len());
    let mut seen = BTreeSet::new();
    for file in &files {
        let (rows, _) = rows_of(&table, file).await;
        let value = rows[0].column(0).as_string::<i32>().value(0).to_owned();
        let expected = Literal::Primitive(PrimitiveLiteral::String(value.clone()));
        assert_eq!(file.data_file.partition().fields(), [Some(expected)]);
        seen.insert(value);
    }
    assert_eq!(seen.len(), values.len());
    let paths: Vec<&str> = files
        .iter()
        .map(|file| file.data_file.file_path())
        .collect();
    let data = format!("{LOCATION}/data");
    for folder in [
        "p=a%23b",
        "p=a%3Fb",
        "p=a%2Fb",
        "p=a%252Fb",
        "p=a+b",
        "p=%C3%A4%F0%9F%98%80",
    ] {
        let prefix = format!("{data}/{folder}/");
        assert_eq!(
            paths
                .iter()
                .filter(|path| path.starts_with(&prefix))
                .count(),
            1,
            "{paths:?}"
        );
    }
    // A listing of the store finds the same names.
    assert_eq!(
        stored_files(&table).await,
        paths.iter().map(|path| (*path).to_owned()).collect()
    );
}

#[tokio::test]
async fn null_is_a_partition_of_its_own() {
    let columns = [
        ("p", primitive(PrimitiveType::Int)),
        ("v", primitive(PrimitiveType::Int)),
    ];
    let partitions = [("p", Transform::Identity), ("v", Transform::Void)];
    let table = table(&columns, &partitions, &[], FormatVersion::V1);
    let rows = batch([
        ("p", ints([Some(1), None, Some(1), None])),
        ("v", ints([Some(1), Some(2), Some(3), Some(4)])),
    ]);
    let files = write(&table, vec![rows]).await.unwrap();
    assert_eq!(files.len(), 2);
    for file in &files {
        let path = file.data_file.file_path();
        let (folder, expected) = match file.data_file.partition().is_null_at_index(0) {
            true => ("/p=null/v_part=null/", [Some(2), Some(4)]),
            false => ("/p=1/v_part=null/", [Some(1), Some(3)]),
        };
        assert!(path.contains(folder), "{path}");
        assert_eq!(
            all_ints(&table, std::slice::from_ref(file), 1).await,
            expected
        );
        assert!(file.data_file.partition().is_null_at_index(1));
    }
}

#[tokio::test]
async fn more_partitions_than_open_files_lose_no_row() {
    let columns = [
        ("id", primitive(PrimitiveType::Int)),
        ("p", primitive(PrimitiveType::Int)),
    ];
    let table = table(
        &columns,
        &[("p", Transform::Identity)],
        &[],
        FormatVersion::V2,
    );
    let batches = (0..2).map(|round| {
        let id = (0..600).map(|row| Some(round * 600 + row));
        batch([
            ("id", ints(id)),
            ("p", ints((0..600).map(|row| Some(row % 300)))),
        ])
    });
    let files = write(&table, batches.collect()).await.unwrap();
    assert_eq!(files.len(), 300);
    let expected: Vec<_> = (0..1200).map(Some).collect();
    assert_eq!(all_ints(&table, &files, 0).await, expected);
    let paths: BTreeSet<_> = files
        .iter()
        .map(|file| file.data_file.file_path())
        .collect();
    assert_eq!(paths.len(), files.len());
}

#[tokio::test]
async fn little_memory_makes_more_files_and_gives_it_back() {
    let columns = [
        ("id", primitive(PrimitiveType::Int)),
        ("p", primitive(PrimitiveType::Int)),
    ];
    let table = table(
        &columns,
        &[("p", Transform::Identity)],
        &[],
        FormatVersion::V2,
    );
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(64 << 10));
    let mut writer = TableWriter::try_new(&table, options(&pool)).unwrap();
    for round in 0..4 {
        let id = ints((0..2000).map(|row| Some(round * 2000 + row)));
        let rows = batch([("id", id), ("p", ints((0..2000).map(|row| Some(row % 50))))]);
        writer.write(rows).await.unwrap();
        assert!(pool.reserved() <= 64 << 10);
    }
    let files = writer.close().await.unwrap();
    assert!(files.len() > 50, "{}", files.len());
    assert_eq!(pool.reserved(), 0);
    let expected: Vec<_> = (0..8000).map(Some).collect();
    assert_eq!(all_ints(&table, &files, 0).await, expected);
}

#[tokio::test]
async fn files_roll_at_the_target_size_and_one_write_may_ask_for_another() {
    let table = table(
        &[("id", primitive(PrimitiveType::Int))],
        &[],
        &[],
        FormatVersion::V2,
    );
    let small = options(&unbounded()).with_property("write.target-file-size-bytes", "2000");
    let mut writer = TableWriter::try_new(&table, small.with_task(3)).unwrap();
    for round in 0..10 {
        let rows = batch([("id", ints((0..1000).map(|row| Some(round * 1000 + row))))]);
        writer.write(rows).await.unwrap();
    }
    let files = writer.close().await.unwrap();
    assert_eq!(files.len(), 10);
    assert!(files[0].data_file.file_path().contains("/data/00003-"));
    assert_eq!(all_ints(&table, &files, 0).await.len(), 10_000);
}

#[tokio::test]
async fn files_of_several_parts_are_whole() {
    let properties = [
        ("write.parquet.compression-codec", "uncompressed"),
        ("write.parquet.row-group-size-bytes", "3000000"),
    ];
    let columns = [("s", primitive(PrimitiveType::String))];
    let table = table(&columns, &[], &properties, FormatVersion::V2);
    let text = |row: usize| format!("{row:0>1000}");
    let batches = (0..20).map(|round| {
        let rows = (0..1000).map(|row| text(round * 1000 + row));
        batch([(
            "s",
            Arc::new(StringArray::from_iter_values(rows)) as ArrayRef,
        )])
    });
    let files = write(&table, batches.collect()).await.unwrap();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    assert!(file.data_file.file_size_in_bytes() > 16 << 20);
    let (rows, footer) = rows_of(&table, file).await;
    assert!(footer.num_row_groups() > 3);
    assert_eq!(
        file.data_file.split_offsets().unwrap().len(),
        footer.num_row_groups()
    );
    let mut row = 0;
    for batch in &rows {
        for value in batch.column(0).as_string::<i32>() {
            assert_eq!(value.unwrap(), text(row));
            row += 1;
        }
    }
}

#[tokio::test]
async fn an_aborted_write_leaves_nothing() {
    let columns = [("p", primitive(PrimitiveType::Int))];
    let table = table(
        &columns,
        &[("p", Transform::Identity)],
        &[],
        FormatVersion::V2,
    );
    // Every file is ended by its first rows, so that some stand already.
    let small = options(&unbounded()).with_property("write.target-file-size-bytes", "1");
    let mut writer = TableWriter::try_new(&table, small).unwrap();
    writer
        .write(batch([("p", ints((0..400).map(Some)))]))
        .await
        .unwrap();
    assert!(!stored_files(&table).await.is_empty());
    writer.abort().await.unwrap();
    assert!(stored_files(&table).await.is_empty());
}

#[tokio::test]
async fn object_storage_layout_spreads_files_by_hash() {
    let properties = [
        ("write.object-storage.enabled", "true"),
        ("write.data.path", "memory:///fast"),
    ];
    let columns = [("p", primitive(PrimitiveType::Int))];
    let table = table(
        &columns,
        &[("p", Transform::Identity)],
        &properties,
        FormatVersion::V2,
    );
    let files = write(&table, vec![batch([("p", ints([Some(1)]))])])
        .await
        .unwrap();
    let path = files[0].data_file.file_path();
    let rest: Vec<&str> = path
        .strip_prefix("memory:///fast/")
        .unwrap()
        .split('/')
        .collect();
    let [a, b, c, d, "lake", "t", "p=1", name] = rest.as_slice() else {
        panic!("{path}")
    };
    assert_eq!([a, b, c, d].map(|part| part.len()), [4, 4, 4, 8]);
    assert!(name.ends_with(".parquet"));
    assert_eq!(all_ints(&table, &files, 0).await, [Some(1)]);
}

#[tokio::test]
async fn a_data_folder_that_is_no_location_is_refused() {
    let columns = [("p", primitive(PrimitiveType::Int))];
    for (key, text) in [
        ("write.data.path", ""),
        ("write.data.path", "fast"),
        ("write.folder-storage.path", " "),
    ] {
        let table = table(&columns, &[], &[(key, text)], FormatVersion::V2);
        let error = TableWriter::try_new(&table, options(&unbounded()));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{key}: {error}");
        assert!(error.message().contains(key), "{error}");
    }
}

#[tokio::test]
async fn views_dictionaries_and_narrow_types_are_taken() {
    let columns = [
        ("s", primitive(PrimitiveType::String)),
        ("d", primitive(PrimitiveType::String)),
        ("b", primitive(PrimitiveType::Binary)),
        ("i", primitive(PrimitiveType::Long)),
        (
            "n",
            primitive(PrimitiveType::Decimal {
                precision: 10,
                scale: 2,
            }),
        ),
    ];
    let partitions = [("s", Transform::Truncate(1)), ("b", Transform::Bucket(4))];
    let table = table(&columns, &partitions, &[], FormatVersion::V2);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let (s, d) = (texts([Some("ab"), None]), texts([Some("x"), Some("y")]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"1"[..]), Some(b"1")]));
    let forms = [
        [
            DataType::Utf8View,
            dictionary,
            DataType::BinaryView,
            DataType::UInt8,
            DataType::Int32,
        ],
        [
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Binary,
            DataType::Int64,
            DataType::Decimal128(4, 1),
        ],
    ];
    let numbers = ints([Some(5), Some(6)]);
    let batches = forms.map(|[sf, df, bf, i, n]| {
        batch([
            ("s", cast(&s, &sf).unwrap()),
            ("d", cast(&d, &df).unwrap()),
            ("b", cast(&bytes, &bf).unwrap()),
            ("i", cast(&numbers, &i).unwrap()),
            ("n", cast(&numbers, &n).unwrap()),
        ])
    });
    let files = write(&table, batches.to_vec()).await.unwrap();
    // The same partition whatever form its values came in.
    assert_eq!(files.len(), 2);
    for file in &files {
        assert_eq!(file.data_file.record_count(), 2);
        let (rows, _) = rows_of(&table, file).await;
        let number = if rows[0].column(0).is_null(0) { 6 } else { 5 };
        assert_eq!(
            rows[0].column(3).as_primitive::<Int64Type>().values(),
            &[number, number]
        );
    }
}

#[tokio::test]
async fn values_that_would_change_are_refused_by_column_and_value() {
    let timestamp = primitive(PrimitiveType::Timestamp);
    let decimal = |scale| {
        primitive(PrimitiveType::Decimal {
            precision: 4,
            scale,
        })
    };
    let ns = |value| Arc::new(TimestampNanosecondArray::from(vec![value])) as ArrayRef;
    let dec = |value, precision, scale| {
        let values = Decimal128Array::from(vec![value]);
        Arc::new(values.with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let cases: [(Type, ArrayRef, &str); 8] = [
        (
            timestamp.clone(),
            ns(1_001),
            "1970-01-01T00:00:00.000001001",
        ),
        (
            timestamp.clone(),
            Arc::new(Int64Array::from(vec![1])),
            "Int64",
        ),
        (
            primitive(PrimitiveType::Timestamptz),
            Arc::new(TimestampMicrosecondArray::from(vec![1])),
            "Timestamp",
        ),
        (
            primitive(PrimitiveType::Int),
            Arc::new(Int64Array::from(vec![3_000_000_000])),
            "3000000000",
        ),
        (
            primitive(PrimitiveType::Long),
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            "18446744073709551615",
        ),
        (decimal(1), dec(125, 4, 2), "1.25"),
        (decimal(0), dec(100_000, 4, 0), "too large"),
        (
            primitive(PrimitiveType::Fixed(3)),
            Arc::new(BinaryArray::from(vec![&b"ab"[..]])),
            "6162",
        ),
    ];
    for (field_type, column, expected) in cases {
        let table = table(&[("c", field_type)], &[], &[], FormatVersion::V2);
        let error = write(&table, vec![batch([("c", column)])])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let text = error.to_string();
        assert!(text.contains("\"c\"") && text.contains(expected), "{text}");
        assert!(stored_files(&table).await.is_empty());
    }
    // Whole microseconds lose nothing; format 3 keeps the rest too.
    let whole = table(&[("c", timestamp)], &[], &[], FormatVersion::V2);
    assert_eq!(
        write(&whole, vec![batch([("c", ns(-1_000))])])
            .await
            .unwrap()
            .len(),
        1
    );
    let nanos = [("c", primitive(PrimitiveType::TimestampNs))];
    let nanos = table(&nanos, &[("c", Transform::Day)], &[], FormatVersion::V3);
    let files = write(&nanos, vec![batch([("c", ns(-1))])]).await.unwrap();
    let day = Literal::Primitive(PrimitiveLiteral::Int(-1));
    assert_eq!(files[0].data_file.partition().fields(), [Some(day)]);
    assert_eq!(
        files[0].data_file.lower_bounds()[&1].literal(),
        &PrimitiveLiteral::Long(-1)
    );
}

#[tokio::test]
async fn null_in_a_required_column_is_refused_by_name() {
    let inner = NestedField::required(20, "inner", primitive(PrimitiveType::Int));
    let group = Type::Struct(iceberg::spec::StructType::new(vec![Arc::new(inner)]));
    let table = table(
        &[("g", group), ("r!", primitive(PrimitiveType::Int))],
        &[],
        &[],
        FormatVersion::V2,
    );
    let rows = |inner: Option<i32>, present: bool, r: Option<i32>| {
        let field = Arc::new(Field::new("inner", DataType::Int32, true));
        let nulls = Some(vec![present].into());
        let group = StructArray::new(vec![field].into(), vec![ints([inner])], nulls);
        batch([("g", Arc::new(group)), ("r", ints([r]))])
    };
    let error = write(&table, vec![rows(Some(1), true, None)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("\"r\" is required"), "{error}");
    let error = write(&table, vec![rows(None, true, Some(1))])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("\"g.inner\" is required"),
        "{error}"
    );
    // Below a NULL nothing is missing.
    let files = write(&table, vec![rows(None, false, Some(1))])
        .await
        .unwrap();
    let id = table.schema().field_id_by_name("g.inner").unwrap();
    assert_eq!(files[0].data_file.null_value_counts()[&id], 1);
    assert!(!files[0].data_file.lower_bounds().contains_key(&id));
}

#[tokio::test]
async fn tables_that_want_something_else_are_refused() {
    for (key, value, kind) in [
        ("write.format.default", "orc", ErrorKind::Unsupported),
        (
            "write.location-provider.impl",
            "com.example.Names",
            ErrorKind::Unsupported,
        ),
        ("encryption.key-id", "k", ErrorKind::Unsupported),
        (
            "write.parquet.compression-codec",
            "lzo",
            ErrorKind::Unsupported,
        ),
        ("write.parquet.page-row-limit", "0", ErrorKind::InvalidInput),
        (
            "write.target-file-size-bytes",
            "many",
            ErrorKind::InvalidInput,
        ),
        (
            "write.metadata.metrics.default",
            "truncate(0)",
            ErrorKind::InvalidInput,
        ),
    ] {
        let columns = [("id", primitive(PrimitiveType::Int))];
        let table = table(&columns, &[], &[(key, value)], FormatVersion::V2);
        let error = TableWriter::try_new(&table, options(&unbounded())).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
}
