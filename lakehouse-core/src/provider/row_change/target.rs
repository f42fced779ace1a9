//! The data files that a change may touch, and how they are read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use iceberg::spec::{FormatVersion, NestedField, Transform, Type};

use super::RowChange;
use super::patch::PatchShape;
use crate::error::{Error, Result};
use crate::provider::account::ScanAccount;
use crate::provider::deletes::{DeleteMetrics, ScanDeletes};
use crate::provider::equality_delete::{Prepared, ScanInputs};
use crate::provider::file::LakeFile;
use crate::provider::opener::LakeOpener;
use crate::provider::scan_counters::{ReadMeter, ScanCounters};
use crate::provider::table::LakeTable;
use crate::scan::{self, DeletedRows, MetadataColumn, ScanFile};
use crate::table::Table;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 16 << 10;

/// The files of the snapshot in which rows were found.
#[derive(Debug)]
pub(super) struct Target {
    /// By location; whoever changes a file takes it out.
    files: Mutex<HashMap<String, TargetFile>>,
    opener: LakeOpener,
    /// How patched batches look.
    pub(super) shape: PatchShape,
    /// The table's format version.
    pub(super) format: FormatVersion,
    /// The partition spec of new files.
    pub(super) spec_id: i32,
    /// Whether an update may move rows into another partition.
    pub(super) moves_partitions: bool,
}

/// A data file before its change.
#[derive(Debug, Clone)]
pub(super) struct TargetFile {
    /// The file as planning found it.
    pub(super) planned: ScanFile,
    key_sets: Vec<usize>,
}

impl TargetFile {
    /// The live rows among `chosen`, of which `deleted` are not.
    pub(super) fn live_rows(
        &self,
        deleted: Option<&Arc<DeletedRows>>,
        chosen: Option<DeletedRows>,
    ) -> LakeFile {
        let file = LakeFile::new(self.planned.clone())
            .with_key_sets(self.key_sets.clone())
            .with_deleted_rows(deleted.map(Arc::clone));
        match chosen {
            Some(chosen) => file.with_chosen_rows(Arc::new(chosen)),
            None => file,
        }
    }

    /// Whether no equality deletes apply to it.
    pub(super) fn is_without_keys(&self) -> bool {
        self.key_sets.is_empty()
    }

    /// Rows that are known to be live.
    pub(super) fn rows(&self, chosen: DeletedRows) -> LakeFile {
        LakeFile::new(self.planned.clone())
            .with_deleted_rows(None)
            .with_chosen_rows(Arc::new(chosen))
    }
}

impl Target {
    /// Plans the files that the change may touch.
    ///
    /// # Errors
    /// As [`crate::scan::plan`]; [`crate::error::ErrorKind::Unsupported`] for a table with a column
    /// of its own that hides the rows' places or lineage.
    pub(super) async fn plan(change: &RowChange) -> Result<Self> {
        let table = change.table();
        let scans = change.lake.scans();
        let (provider, wanted) = numbered(change)?;
        let plan = scan::plan(table, &change.conflict_filter, scans.manifests()).await?;
        let env = change.lake.runtime().env();
        let deletes = ScanDeletes::new(&plan, table, &env.memory_pool);
        let inputs = ScanInputs {
            table,
            columns: provider.columns()?,
            footers: scans.footers(),
            pool: &env.memory_pool,
            // Files are read one by one, so no join applies their equality deletes.
            key_bytes_max: Some(u64::MAX),
        };
        let prepared = Prepared::new(inputs, plan)?;
        let own = table.schema().as_struct().fields().len();
        let account = Arc::new(ScanAccount::of_table(table, Vec::new()));
        let mut shape = provider.shape(deletes, prepared.columns, account);
        shape.deleted_keys = prepared.deleted_keys;
        let all: Vec<usize> = (0..own + wanted.len()).collect();
        let read = Arc::clone(&shape.columns.read);
        let patched = all.iter().filter(|position| **position != own);
        let patched = patched.map(|position| {
            let field = read.field(*position);
            Field::new(field.name(), field.data_type().clone(), true)
        });
        let files = prepared.files.into_iter().map(|file| {
            let (planned, key_sets) = (file.planned().clone(), file.key_sets().to_vec());
            (planned.path().to_owned(), TargetFile { planned, key_sets })
        });
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self {
            files: Mutex::new(files.collect()),
            shape: PatchShape {
                update_columns: change.update_columns.clone(),
                values: (0..change.update_columns.len()).collect(),
                width: own,
                schema: Arc::new(ArrowSchema::new(patched.collect::<Vec<_>>())),
                has_row_lineage: change.has_row_lineage(),
            },
            format: table.format_version(),
            spec_id: table.partition_spec().spec_id(),
            moves_partitions: makes_partitions(table, &change.update_columns),
            opener: LakeOpener {
                projection: ProjectionExprs::from_indices(&all, &read),
                shape: Arc::new(shape),
                partition: 0,
                predicate: None,
                batch_size: BATCH_ROWS,
                limit: None,
                row_filter: None,
                counters: ScanCounters::new(&metrics, 0),
                metrics,
            },
        })
    }

    /// Takes the file at a location; each can be changed once.
    pub(super) fn take(&self, path: &str) -> Result<TargetFile> {
        // Nothing that can panic runs under the lock.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(path).ok_or_else(|| {
            Error::internal(
                "rows were found in a file that the change does not know, or in a file whose rows \
                 came in two parts",
            )
            .with_context("file", path)
        })
    }

    /// What opens files.
    pub(super) fn opener(&self) -> &LakeOpener {
        &self.opener
    }

    /// What opens files for some columns of new files, and how their batches are patched.
    pub(super) fn of_columns(&self, columns: &[usize]) -> (LakeOpener, PatchShape) {
        let shape = &self.shape;
        // Each row's place stands between the table's columns and its lineage.
        let (own, lineage): (Vec<usize>, Vec<usize>) =
            columns.iter().partition(|column| **column < shape.width);
        let behind = lineage.iter().map(|column| column + 1);
        let read: Vec<usize> = own
            .iter()
            .copied()
            .chain([shape.width])
            .chain(behind)
            .collect();
        let fields = columns
            .iter()
            .map(|column| shape.schema.field(*column).clone());
        let updated = shape.update_columns.iter().enumerate();
        let (values, update_columns) = updated
            .filter_map(|(values, column)| {
                let at = own.iter().position(|known| known == column)?;
                Some((values, at))
            })
            .unzip();
        let schema = &self.opener.shape.columns.read;
        let opener = LakeOpener {
            projection: ProjectionExprs::from_indices(&read, schema),
            ..self.opener.clone()
        };
        let patched = PatchShape {
            update_columns,
            values,
            width: own.len(),
            schema: Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())),
            has_row_lineage: shape.has_row_lineage,
        };
        (opener, patched)
    }

    /// The rows of a file that position deletes and deletion vectors delete.
    pub(super) async fn deleted_rows(&self, file: &TargetFile) -> Result<Option<Arc<DeletedRows>>> {
        let location = file.planned.path();
        let metrics = DeleteMetrics {
            file: ParquetFileMetrics::new(0, location, &self.opener.metrics),
            files_read: self.opener.counters.delete_files_read.clone(),
            read: ReadMeter::default(),
        };
        let found = self.opener.shape.deletes.rows_of(&file.planned, &metrics);
        Ok(found.await?.keep())
    }
}

/// The table with its rows' places and lineage behind its columns.
fn numbered(change: &RowChange) -> Result<(LakeTable, Vec<MetadataColumn>)> {
    let mut wanted = vec![MetadataColumn::Pos];
    if change.has_row_lineage() {
        wanted.push(MetadataColumn::RowId);
        wanted.push(MetadataColumn::LastUpdatedSequenceNumber);
    }
    let provider = LakeTable::new(change.table().clone(), change.lake.scans().clone())?;
    let provider = provider.with_metadata_columns(&wanted)?;
    if provider.metadata_columns() != wanted {
        let names: Vec<&str> = wanted.iter().map(|column| column.name()).collect();
        return Err(Error::unsupported(format!(
            "rows are changed by columns {}, and the table has one of its own of such a name; \
             rename it",
            names.join(", ")
        )));
    }
    Ok((provider, wanted))
}

/// Whether partitions are made of some of the table's columns, which are given by position.
fn makes_partitions(table: &Table, columns: &[usize]) -> bool {
    let (spec, schema) = (table.partition_spec(), table.schema());
    let fields = spec.fields().iter();
    let mut fields = fields.filter(|field| field.transform != Transform::Void);
    fields.any(|field| {
        let mut roots = schema.as_struct().fields().iter();
        let root = roots.position(|root| holds(root, field.source_id));
        root.is_none_or(|root| columns.contains(&root))
    })
}

/// Whether a field is that of an id, or a struct with it inside.
fn holds(field: &NestedField, id: i32) -> bool {
    let inner = match &*field.field_type {
        Type::Struct(inner) => inner.fields(),
        Type::Primitive(_) | Type::List(_) | Type::Map(_) => &[],
    };
    field.id == id || inner.iter().any(|field| holds(field, id))
}
