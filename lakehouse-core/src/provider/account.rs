//! The account of one scan: what was asked for, and what planning kept and skipped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::logical_expr::Expr;
use datafusion::physical_plan::metrics::Time;

use crate::scan::{DeleteKind, ManifestCache, ManifestReads, PlanCounts, ScanPlan};
use crate::table::{Table, time_text};

/// What EXPLAIN tells of a scan beside what the engine measures.
///
/// It can be filled while the scan runs: each part of a plan is added as it is known, and
/// [`Self::complete`] says that there are no more. Adding is cheap; texts are made by whoever asks.
#[derive(Debug)]
pub(crate) struct ScanAccount {
    subject: Subject,
    reads: Arc<ManifestReads>,
    /// How long planning took, as far as it has come.
    pub(super) planning: Time,
    planned: Mutex<Planned>,
}

/// Whose rows are read.
#[derive(Debug)]
enum Subject {
    /// A table's.
    Table(TableSubject),
    /// Those of the equality delete files of a table.
    EqualityDeletes { table: String },
}

/// A table at a version, and the filters it was asked with.
#[derive(Debug)]
pub(super) struct TableSubject {
    /// The table's name.
    pub(super) table: String,
    /// The version that was asked for, if one was.
    pub(super) version: Option<String>,
    /// The snapshot's id and the time of its commit.
    pub(super) snapshot: Option<(i64, String)>,
    /// The filters that skip files, as the engine gave them.
    pub(super) filters: Vec<Expr>,
}

/// What planning has found so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Planned {
    /// Whether planning has ended.
    pub(super) is_complete: bool,
    /// What was looked at and skipped.
    pub(super) counts: PlanCounts,
    /// Files to scan.
    pub(super) files: usize,
    /// Bytes of those files.
    pub(super) files_bytes: u64,
    /// Rows in those files, deleted ones among them.
    pub(super) rows: u64,
    /// How many rows are live at least.
    pub(super) rows_live: u64,
    /// Whether no more than that are.
    pub(super) is_exact: bool,
    /// Position delete files that apply to the files.
    pub(super) position_deletes: usize,
    /// Deletion vectors that apply to the files.
    pub(super) vectors: usize,
    /// Equality delete files that apply to the files.
    pub(super) equality_deletes: usize,
}

impl ScanAccount {
    /// An account of a scan of `table`, of which nothing was planned yet. `filters` are those that
    /// may skip files.
    pub(super) fn of_table(table: &Table, filters: Vec<Expr>) -> Self {
        let snapshot = table.snapshot().map(|snapshot| {
            let committed = time_text(snapshot.timestamp_ms());
            (snapshot.snapshot_id(), committed)
        });
        Self::new(Subject::Table(TableSubject {
            table: table.ident().to_string(),
            version: table.version().map(ToString::to_string),
            snapshot,
            filters,
        }))
    }

    /// An account of reading equality deletes of `table`.
    pub(super) fn of_equality_deletes(table: &Table) -> Self {
        let table = table.ident().to_string();
        Self::new(Subject::EqualityDeletes { table })
    }

    fn new(subject: Subject) -> Self {
        Self {
            subject,
            reads: Arc::default(),
            planning: Time::new(),
            planned: Mutex::new(Planned {
                is_exact: true,
                ..Planned::default()
            }),
        }
    }

    /// `cache`, counting what is read through it for this scan.
    pub(super) fn counted(&self, cache: &ManifestCache) -> ManifestCache {
        cache.counted(&self.reads)
    }

    /// Adds a part of the scan's plan. A delete file that applies to files of several parts is
    /// counted in each.
    pub(super) fn add(&self, plan: &ScanPlan) {
        let (live, is_exact) = plan.live_rows();
        let deletes = match plan.has_deletes() {
            true => plan.delete_files(),
            false => Vec::new(),
        };
        let of_kind = |kind| deletes.iter().filter(|file| file.kind() == kind).count();
        let mut planned = self.lock();
        planned.counts += plan.counts;
        planned.files += plan.files.len();
        planned.files_bytes = planned.files_bytes.saturating_add(plan.size_bytes());
        planned.rows = planned.rows.saturating_add(plan.row_count());
        planned.rows_live = planned.rows_live.saturating_add(live);
        planned.is_exact &= is_exact;
        planned.position_deletes += of_kind(DeleteKind::Positions);
        planned.vectors += of_kind(DeleteKind::Vector);
        planned.equality_deletes += of_kind(DeleteKind::Equality);
    }

    /// Says that all parts of the plan were added.
    pub(super) fn complete(&self) {
        self.lock().is_complete = true;
    }

    /// What planning has found so far.
    pub(super) fn planned(&self) -> Planned {
        self.lock().clone()
    }

    /// The manifests that were read for planning.
    pub(super) fn reads(&self) -> &ManifestReads {
        &self.reads
    }

    /// The table that is scanned; `None` for a scan of delete files.
    pub(super) fn subject(&self) -> Option<&TableSubject> {
        match &self.subject {
            Subject::Table(subject) => Some(subject),
            Subject::EqualityDeletes { .. } => None,
        }
    }

    /// What is scanned, by name.
    pub(super) fn name(&self) -> String {
        match &self.subject {
            Subject::Table(subject) => subject.table.clone(),
            Subject::EqualityDeletes { table } => format!("equality deletes of {table}, joined"),
        }
    }

    /// One line on what is scanned and how much of it: `table=s.t, snapshot=3, files=1/7, …`.
    pub(super) fn label(&self) -> String {
        let subject = match &self.subject {
            Subject::Table(subject) => subject,
            Subject::EqualityDeletes { table } => {
                return format!("equality deletes of table={table}");
            }
        };
        let mut label = format!("table={}", subject.table);
        if let Some(version) = &subject.version {
            label.push_str(&format!(", version={version}"));
        }
        match &subject.snapshot {
            Some((id, _)) => label.push_str(&format!(", snapshot={id}")),
            None => label.push_str(", snapshot=none"),
        }
        let planned = self.lock();
        let counts = &planned.counts;
        if !planned.is_complete {
            label.push_str(", files planned as the scan runs");
            return label;
        }
        label.push_str(&format!(
            ", files={}/{}, manifests={}/{}",
            planned.files,
            counts.files_total,
            counts.manifests_total - counts.manifests_skipped,
            counts.manifests_total,
        ));
        let deletes = planned.position_deletes + planned.vectors + planned.equality_deletes;
        if deletes > 0 {
            label.push_str(&format!(", delete_files={deletes}"));
        }
        label
    }

    fn lock(&self) -> MutexGuard<'_, Planned> {
        // Nothing that can panic runs under the lock.
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
