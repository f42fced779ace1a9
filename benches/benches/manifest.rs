//! What planning costs for each file of a table with statistics of twenty columns, beside the format
//! crate's own decoding and planning of the same manifests.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use futures::TryStreamExt;
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Manifest,
    ManifestListWriter, ManifestWriterBuilder, NestedField, Operation, PrimitiveType, Schema,
    Snapshot, SortOrder, Struct, Summary, TableMetadata, TableMetadataBuilder, Type,
    UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, TableIdent};
use lakehouse_core::catalog::TablePointer;
use lakehouse_core::clock::SystemClock;
use lakehouse_core::scan::{self, Comparison, ManifestCache, Predicate};
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_core::table::Table;
use tokio::runtime::Runtime;

const FILES: u32 = 10_000;
const COLUMNS: i32 = 20;
const SNAPSHOT: i64 = 1;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = Runtime::new()?;
    let mut criterion = Criterion::default().configure_from_args();
    // One manifest is decoded by one thread, ten by as many as there are.
    for manifests in [1, 10] {
        let folder = tempfile::tempdir()?;
        let location = folder.path().to_string_lossy().into_owned();
        let made = runtime.block_on(Made::new(location, manifests))?;
        measure(&mut criterion, &runtime, &made, manifests)?;
    }
    criterion.final_summary();
    Ok(())
}

/// A table whose files exist in manifests only.
struct Made {
    location: String,
    metadata: TableMetadata,
    manifests: Vec<Vec<u8>>,
}

fn measure(
    criterion: &mut Criterion,
    runtime: &Runtime,
    made: &Made,
    manifests: u32,
) -> Outcome<()> {
    let table = made.table()?;
    let peer = made.peer(runtime)?;
    let one = Predicate::Compare {
        field_id: 1,
        comparison: Comparison::Eq,
        literal: Datum::long(7),
    };
    let mut group = criterion.benchmark_group(format!("10,000 files, {manifests} manifests"));
    group.throughput(Throughput::Elements(FILES.into()));
    for (name, predicate) in [("all", Predicate::AlwaysTrue), ("one", one)] {
        group.bench_function(format!("planned, {name}, cold"), |bencher| {
            bencher
                .to_async(runtime)
                .iter(|| async { scan::plan(&table, &predicate, &ManifestCache::new(0)).await });
        });
        let warm = ManifestCache::new(1 << 30);
        group.bench_function(format!("planned, {name}, warm"), |bencher| {
            bencher
                .to_async(runtime)
                .iter(|| scan::plan(&table, &predicate, &warm));
        });
    }
    group.bench_function("the format crate, decoded", |bencher| {
        bencher.iter(|| {
            let decoded = made
                .manifests
                .iter()
                .map(|bytes| Manifest::parse_avro(bytes));
            decoded.collect::<Result<Vec<_>, _>>()
        });
    });
    group.bench_function("the format crate, planned, all, cold", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let scan = peer.scan().build()?;
            let files = scan.plan_files().await?;
            files.try_collect::<Vec<_>>().await
        });
    });
    group.finish();
    Ok(())
}

impl Made {
    async fn new(location: String, manifests: u32) -> Outcome<Self> {
        let io = FileIO::new_with_fs();
        let metadata = TableMetadataBuilder::new(
            schema()?,
            UnboundPartitionSpec::builder().build(),
            SortOrder::unsorted_order(),
            location.clone(),
            FormatVersion::V2,
            HashMap::new(),
        )?
        .build()?
        .metadata;
        let list = format!("{location}/list.avro");
        let output = io.new_output(&list)?.writer().await?;
        let mut writer = ManifestListWriter::v2(output, SNAPSHOT, None, 1);
        let mut bytes = Vec::new();
        for manifest in 0..manifests {
            let path = format!("{location}/manifest-{manifest}.avro");
            let spec = metadata.default_partition_spec().as_ref().clone();
            let schema = Arc::clone(metadata.current_schema());
            let output = io.new_output(&path)?;
            let mut files =
                ManifestWriterBuilder::new(output, Some(SNAPSHOT), schema, spec).build_v2_data();
            let size = FILES / manifests;
            for number in manifest * size..(manifest + 1) * size {
                files.add_file(file(&location, number.into())?, 1)?;
            }
            writer.add_manifests([files.write_manifest_file().await?].into_iter())?;
            bytes.push(std::fs::read(&path)?);
        }
        writer.close().await?;
        let snapshot = Snapshot::builder()
            .with_snapshot_id(SNAPSHOT)
            .with_sequence_number(1)
            .with_timestamp_ms(metadata.last_updated_ms() + 1)
            .with_manifest_list(list)
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: HashMap::new(),
            })
            .with_schema_id(metadata.current_schema_id())
            .build();
        let metadata = metadata.into_builder(None);
        Ok(Self {
            location,
            metadata: metadata
                .set_branch_snapshot(snapshot, "main")?
                .build()?
                .metadata,
            manifests: bytes,
        })
    }

    fn ident() -> TableIdent {
        TableIdent::new(NamespaceIdent::new("s".to_owned()), "t".to_owned())
    }

    fn metadata_location(&self) -> String {
        format!("{}/v1.metadata.json", self.location)
    }

    fn table(&self) -> Outcome<Table> {
        let pointer = TablePointer {
            ident: Self::ident(),
            metadata_location: self.metadata_location(),
            metadata: Arc::new(self.metadata.clone()),
        };
        Ok(Table::new(
            pointer,
            Storage::new(&SystemClock, Durability::None)?,
        ))
    }

    /// The table as the format crate opens it, without its cache of manifests.
    fn peer(&self, runtime: &Runtime) -> Outcome<iceberg::table::Table> {
        let builder = iceberg::table::Table::builder()
            .identifier(Self::ident())
            .metadata(self.metadata.clone())
            .metadata_location(self.metadata_location())
            .file_io(FileIO::new_with_fs())
            .runtime(iceberg::Runtime::new(runtime))
            .disable_cache();
        Ok(builder.build()?)
    }
}

/// Columns of five types in turn.
fn schema() -> iceberg::Result<Schema> {
    let kinds = [
        PrimitiveType::Long,
        PrimitiveType::String,
        PrimitiveType::Double,
        PrimitiveType::Timestamp,
        PrimitiveType::Int,
    ];
    let columns = (1..=COLUMNS)
        .zip(kinds.into_iter().cycle())
        .map(|(id, kind)| {
            let name = format!("column_{id}");
            Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
        });
    Schema::builder().with_fields(columns).build()
}

/// A file with all statistics of all columns.
fn file(location: &str, number: i64) -> Outcome<DataFile> {
    let counts = |value: u64| {
        (1..=COLUMNS)
            .map(|id| (id, value))
            .collect::<HashMap<_, _>>()
    };
    let doubles = (1..=COLUMNS).filter(|id| id % 5 == 3);
    let bounds = |add: i64| -> Outcome<HashMap<i32, Datum>> {
        let value = number + add;
        let bound = |id: i32| -> Outcome<Datum> {
            Ok(match id % 5 {
                1 => Datum::long(value),
                2 => Datum::string(format!("value {value:08}")),
                3 => Datum::double(f64::from(i32::try_from(value)?)),
                4 => Datum::timestamp_micros(value),
                _ => Datum::int(i32::try_from(value)?),
            })
        };
        (1..=COLUMNS).map(|id| Ok((id, bound(id)?))).collect()
    };
    Ok(DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("{location}/data/{number:05}-8a3c5d1e-0001.parquet"))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .record_count(1_000_000)
        .file_size_in_bytes(128 << 20)
        .column_sizes(counts(6 << 20))
        .value_counts(counts(1_000_000))
        .null_value_counts(counts(17))
        .nan_value_counts(doubles.map(|id| (id, 0)).collect())
        .lower_bounds(bounds(0)?)
        .upper_bounds(bounds(999)?)
        .split_offsets(Some(vec![4]))
        .build()?)
}
