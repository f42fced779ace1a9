//! One table in three versions over the same data files: without deletes, with deletion vectors,
//! with equality deletes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use iceberg::spec::{DataFile, DataFileBuilder, Schema as TableSchema, Struct, TableMetadata};
use lakehouse::{Error, Lakehouse, Result};
use lakehouse_testkit::{RowDelta, write_deletion_vectors, write_equality_deletes};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};

use super::super::engine::{Files, TableFiles, data_files};
use super::no_version;
use crate::tpch;

/// The table that is loaded; its data files are everybody's.
pub(super) const LINES: &str = "lineitem";

/// The table whose branches are the versions.
pub(super) const TABLE: &str = "lineitem_deletes";

/// One row in so many is in a deletion vector.
const ROWS_PER_DELETED: u64 = 100;

/// Files of equality deletes, and keys in each of them.
pub(super) const KEY_FILES: usize = 50;
pub(super) const KEYS_PER_FILE: usize = 1_000;

/// A version of the table.
#[derive(Debug)]
pub(super) struct TableVersion {
    /// The branch that holds it.
    pub(super) branch: &'static str,
    pub(super) title: &'static str,
    /// The rows that are left, asked of the bare data files.
    pub(super) without: &'static str,
}

/// The versions; the first one is what the others are measured by.
pub(super) const VERSIONS: [TableVersion; 3] = [
    TableVersion {
        branch: "undeleted",
        title: "no deletes",
        without: "SELECT * FROM lineitem",
    },
    TableVersion {
        branch: "vectors",
        title: "deletion vectors",
        without: "SELECT * FROM lineitem l WHERE NOT EXISTS (SELECT 1 FROM deleted_rows d \
                  WHERE d.d_orderkey = l.l_orderkey AND d.d_linenumber = l.l_linenumber)",
    },
    TableVersion {
        branch: "equality_keys",
        title: "equality deletes",
        without: "SELECT * FROM lineitem l WHERE l.l_orderkey NOT IN \
                  (SELECT d.l_orderkey FROM deleted_keys d)",
    },
];

/// Where everything is.
#[derive(Debug)]
pub(super) struct Deletes {
    metadata: String,
    snapshot_ids: Vec<i64>,
    data: Vec<String>,
    /// Keys of the rows in deletion vectors, and those of the equality deletes.
    rows_file: String,
    key_files: Vec<String>,
}

impl Deletes {
    /// What another engine needs to read one version as a table.
    pub(super) fn version(&self, version: usize) -> Result<TableFiles> {
        let snapshot_id = self.snapshot_ids.get(version);
        Ok(TableFiles {
            name: LINES,
            metadata: self.metadata.clone(),
            snapshot_id: Some(*snapshot_id.ok_or_else(|| no_version(version))?),
            data: Vec::new(),
        })
    }

    /// The data files and the lists of what is deleted, as tables.
    pub(super) fn bare_files(&self) -> Result<Files> {
        let table = |name, data: &[String]| TableFiles {
            name,
            metadata: String::new(),
            snapshot_id: None,
            data: data.to_vec(),
        };
        Ok(Files(vec![
            table(LINES, &self.data),
            table("deleted_rows", std::slice::from_ref(&self.rows_file)),
            table("deleted_keys", &self.key_files),
        ]))
    }
}

/// The tables that [`make`] made.
pub(super) async fn found(lake: &Lakehouse, folder: &Path) -> Result<Deletes> {
    let table = lake.table(&format!("default.{TABLE}")).await?;
    let mut snapshot_ids = Vec::new();
    for version in VERSIONS {
        let snapshot = table.metadata().snapshot_for_ref(version.branch);
        let missing = || Error::not_found(format!("the table has no branch {}", version.branch));
        snapshot_ids.push(snapshot.ok_or_else(missing)?.snapshot_id());
    }
    let by_hand = by_hand(folder);
    Ok(Deletes {
        metadata: table.metadata_location().to_owned(),
        snapshot_ids,
        data: data_files(&lake.session()?, LINES).await?,
        rows_file: rows_file(&by_hand),
        key_files: (0..KEY_FILES).map(|n| key_file(&by_hand, n)).collect(),
    })
}

/// Loads the order lines and makes the versions.
pub(super) async fn make(lake: &Lakehouse, folder: &Path, scale: f64) -> Result<()> {
    let load = tpch::Load::at_scale(scale);
    let properties = "TBLPROPERTIES ('format-version' = '3')";
    tpch::load(lake, load, |name| name == LINES, properties).await?;
    let session = lake.session()?;
    let by_hand = by_hand(folder);
    std::fs::create_dir_all(&by_hand)?;
    let data = data_files(&session, LINES).await?;
    let chosen = Chosen::of(&data)?;
    let table = lake.table(&format!("default.{LINES}")).await?;
    let metadata = TableMetadata::clone(table.metadata());

    let vectors = vectors(&by_hand, &data, &chosen)?;
    let keys = equality_deletes(&by_hand, metadata.current_schema(), &chosen)?;
    let current = metadata.current_snapshot_id();
    let current = current.ok_or_else(|| Error::not_found("the table has no rows"))?;
    let mut changed = metadata;
    for (version, files) in VERSIONS.iter().zip([Vec::new(), vectors, keys]) {
        changed = match files.is_empty() {
            true => with_branch(changed, version.branch, current)?,
            false => {
                let mut delta = RowDelta::new(by_hand.as_str());
                for file in files {
                    delta = delta.add(file);
                }
                let snapshot = delta.snapshot(&changed).await?;
                let builder = changed.into_builder(Some(table.metadata_location().to_owned()));
                let builder = builder.set_branch_snapshot(snapshot, version.branch)?;
                builder.build()?.metadata
            }
        };
    }
    let location = format!("{by_hand}/v9.metadata.json");
    std::fs::write(&location, serde_json::to_vec(&changed)?)?;
    let location = location.replace('\'', "''");
    let register = format!("CALL system.register_table('{TABLE}', '{location}')");
    session.sql(&register).await?.collect().await?;
    Ok(())
}

fn with_branch(metadata: TableMetadata, branch: &str, snapshot_id: i64) -> Result<TableMetadata> {
    let reference = serde_json::from_value(serde_json::json!({
        "snapshot-id": snapshot_id,
        "type": "branch",
    }))?;
    let builder = metadata.into_builder(None);
    Ok(builder.set_ref(branch, reference)?.build()?.metadata)
}

fn by_hand(folder: &Path) -> String {
    folder.join("by_hand").to_string_lossy().into_owned()
}

fn rows_file(by_hand: &str) -> String {
    format!("{by_hand}/deleted_rows.parquet")
}

fn key_file(by_hand: &str, number: usize) -> String {
    format!("{by_hand}/deleted_keys-{number}.parquet")
}

/// What is deleted: the same rows and keys in each making of the tables.
struct Chosen {
    /// For each data file the places of rows.
    places: Vec<Vec<u64>>,
    /// Order and line of these rows.
    rows: (Vec<i64>, Vec<i32>),
    /// Keys of orders.
    keys: Vec<i64>,
}

impl Chosen {
    fn of(data: &[String]) -> Result<Self> {
        let mut chosen = Self {
            places: Vec::new(),
            rows: (Vec::new(), Vec::new()),
            keys: Vec::new(),
        };
        let mut orders = Vec::new();
        let mut row = 0;
        for path in data {
            let mut places = Vec::new();
            let first = row;
            for batch in key_columns(path)? {
                let batch = batch?;
                let keys = batch.column(0).as_primitive::<Int64Type>().values();
                let lines = batch.column(1).as_primitive::<Int32Type>().values();
                for (key, line) in keys.iter().zip(lines) {
                    if scattered(row).is_multiple_of(ROWS_PER_DELETED) {
                        places.push(row - first);
                        chosen.rows.0.push(*key);
                        chosen.rows.1.push(*line);
                    }
                    row += 1;
                    orders.push(*key);
                }
            }
            chosen.places.push(places);
        }
        orders.sort_unstable();
        orders.dedup();
        orders.sort_by_cached_key(|key| scattered(key.unsigned_abs()));
        // In small tables half of the orders are left.
        orders.truncate((KEY_FILES * KEYS_PER_FILE).min(orders.len() / 2));
        chosen.keys = orders;
        Ok(chosen)
    }
}

/// A number that looks random and follows from another one (the finalizer of SplitMix64).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Order and line of the rows of a data file, in the file's order.
fn key_columns(path: &str) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let file = File::open(path.strip_prefix("file://").unwrap_or(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let columns = ["l_orderkey", "l_linenumber"];
    let columns = ProjectionMask::columns(builder.parquet_schema(), columns);
    let reader = builder.with_projection(columns).build()?;
    Ok(reader.map(|batch| Ok(batch?)))
}

fn vectors(by_hand: &str, data: &[String], chosen: &Chosen) -> Result<Vec<DataFile>> {
    let (orders, lines) = &chosen.rows;
    let schema = Schema::new(vec![
        Field::new("d_orderkey", DataType::Int64, false),
        Field::new("d_linenumber", DataType::Int32, false),
    ]);
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int64Array::from(orders.clone())),
            Arc::new(Int32Array::from(lines.clone())),
        ],
    )?;
    let file = File::create(rows_file(by_hand))?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;

    let of_files: Vec<_> = data
        .iter()
        .zip(&chosen.places)
        .filter(|(_, places)| !places.is_empty())
        .map(|(path, places)| {
            let runs = places.iter().map(|place| *place..*place + 1).collect();
            (path.as_str(), runs)
        })
        .collect();
    let files = write_deletion_vectors(&format!("{by_hand}/vectors.puffin"), &of_files)?;
    files.into_iter().map(unpartitioned).collect()
}

fn equality_deletes(by_hand: &str, schema: &TableSchema, chosen: &Chosen) -> Result<Vec<DataFile>> {
    let key = schema.field_by_name("l_orderkey");
    let key = key.ok_or_else(|| Error::not_found("the table has no column l_orderkey"))?;
    let keys = TableSchema::builder()
        .with_fields([Arc::clone(key)])
        .build()?;
    let per_file = chosen.keys.len().div_ceil(KEY_FILES).max(1);
    let mut files = Vec::new();
    for number in 0..KEY_FILES {
        let first = (number * per_file).min(chosen.keys.len());
        let last = (first + per_file).min(chosen.keys.len());
        let column = Int64Array::from(chosen.keys[first..last].to_vec());
        let path = key_file(by_hand, number);
        let file = write_equality_deletes(&path, &keys, &[Arc::new(column)])?;
        files.push(unpartitioned(file)?);
    }
    Ok(files)
}

fn unpartitioned(mut file: DataFileBuilder) -> Result<DataFile> {
    file.partition(Struct::empty()).partition_spec_id(0);
    file.build()
        .map_err(|error| Error::internal(format!("a delete file is not described: {error}")))
}
