//! What planning found of one scan.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_dynamic_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicate;

use super::super::account::{Planned, TableSubject};
use super::super::condition_text::{column_names, condition_text};
use super::{Line, Scan, bytes_text, counted, with_skipped};

/// The lines of a scan.
pub(super) fn lines(scan: &Scan) -> Vec<Line> {
    let mut lines = Vec::new();
    let planned = scan.account.planned();
    if let Some(subject) = scan.account.subject() {
        lines.extend(subject_lines(subject));
        if planned.is_complete {
            lines.extend(file_lines(&planned));
        } else {
            lines.push(("files", "planned as the scan runs".to_owned()));
        }
        lines.extend(Conditions::of(scan, subject).lines());
    }
    lines
}

fn subject_lines(subject: &TableSubject) -> Vec<Line> {
    let snapshot = match &subject.snapshot {
        Some((id, committed)) => format!("{id}, committed {committed}"),
        None => "none: nothing was written yet".to_owned(),
    };
    let version = subject.version.iter();
    let mut lines: Vec<Line> = version.map(|v| ("asked for", v.clone())).collect();
    lines.push(("snapshot", snapshot));
    lines
}

fn file_lines(planned: &Planned) -> Vec<Line> {
    let counts = &planned.counts;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let other = counts.manifests_skipped_empty + counts.manifests_skipped_limit;
    let manifests = with_skipped(
        format!(
            "{} of {} read",
            counts.manifests_total - counts.manifests_skipped,
            counts.manifests_total
        ),
        &[
            (
                number(counts.manifests_skipped.saturating_sub(other)),
                "by partition",
            ),
            (number(counts.manifests_skipped_empty), "without live files"),
            (number(counts.manifests_skipped_limit), "by the limit"),
        ],
    );
    let files = with_skipped(
        format!("{} of {} to scan", planned.files, counts.files_total),
        &[
            (number(counts.files_skipped_partition), "by partition"),
            (number(counts.files_skipped_bounds), "by bounds"),
            (number(counts.files_skipped_metadata), "by metadata columns"),
            (number(counts.files_skipped_empty), "without rows"),
            (number(counts.files_skipped_limit), "by the limit"),
        ],
    );
    let mut lines = vec![("manifests", manifests)];
    if counts.delete_manifests_total > 0 {
        let skipped = counts.delete_manifests_skipped;
        let read = counts.delete_manifests_total - skipped;
        let read = format!("{read} of {} read", counts.delete_manifests_total);
        let needless = &[(number(skipped), "by partition or without live files")];
        lines.push(("delete manifests", with_skipped(read, needless)));
    }
    lines.push(("files", files));
    let scanned = bytes_text(planned.files_bytes);
    let all = bytes_text(counts.files_total_bytes);
    lines.push(("file sizes", format!("{scanned} of {all} to scan")));
    lines.push(("rows", rows_text(planned)));
    lines.push(("deletes", deletes_text(planned)));
    lines
}

/// How many rows the files have, before filters.
fn rows_text(planned: &Planned) -> String {
    match (planned.is_exact, planned.rows_live) {
        (true, live) => format!("{live}, before filters"),
        (false, 0) => format!("at most {}, before filters", planned.rows),
        (false, live) => format!("{live} to {}, before filters", planned.rows),
    }
}

fn deletes_text(planned: &Planned) -> String {
    let kind = |count: usize, one, many| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        (count > 0).then(|| counted(count, one, many))
    };
    let kinds = [
        kind(
            planned.position_deletes,
            "position delete file",
            "position delete files",
        ),
        kind(planned.vectors, "deletion vector", "deletion vectors"),
        kind(
            planned.equality_deletes,
            "equality delete file",
            "equality delete files",
        ),
    ];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    match kinds.is_empty() {
        true => "none".to_owned(),
        false => kinds.join(", "),
    }
}

/// What a scan is filtered by, sorted by what the parts can do.
#[derive(Default)]
struct Conditions {
    /// They skip manifests and files, and whatever else can be skipped.
    files: Vec<String>,
    /// They skip only within files.
    row_groups: Vec<String>,
    /// They skip nothing: rows are read and filtered.
    rows: Vec<String>,
    /// Columns that filters speak of which are made while the query runs.
    dynamic: Vec<String>,
}

impl Conditions {
    fn of(scan: &Scan, subject: &TableSubject) -> Self {
        let mut conditions = Self::default();
        let Some(schema) = scan.sources().next().map(|s| &s.shape().columns.read) else {
            return conditions;
        };
        let filters = subject.filters.iter();
        conditions.files = filters.map(|filter| filter_text(filter, schema)).collect();
        let mut seen: HashSet<String> = conditions.files.iter().cloned().collect();
        for source in scan.sources() {
            let predicate = source.predicate().into_iter();
            for part in predicate.flat_map(split_conjunction) {
                // What such a filter holds are values of rows, and those are not told.
                if is_dynamic_physical_expr(part) {
                    conditions.dynamic.extend(column_names(part));
                    continue;
                }
                let text = condition_text(part);
                if !seen.insert(text.clone()) {
                    continue;
                }
                if may_skip(part, schema) {
                    conditions.row_groups.push(text);
                } else {
                    conditions.rows.push(text);
                }
            }
        }
        conditions.dynamic.sort_unstable();
        conditions.dynamic.dedup();
        conditions
    }

    fn lines(self) -> impl Iterator<Item = Line> {
        let dynamic = match self.dynamic.is_empty() {
            true => String::new(),
            false => format!("on {}, made as the query runs", self.dynamic.join(", ")),
        };
        let lines = [
            ("skips files by", self.files.join(" AND ")),
            ("skips within by", self.row_groups.join(" AND ")),
            ("filters rows by", self.rows.join(" AND ")),
            ("dynamic filter", dynamic),
        ];
        lines.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// Whether statistics of a row group or page could decide a condition.
fn may_skip(condition: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> bool {
    PruningPredicate::try_new(Arc::clone(condition), Arc::clone(schema))
        .is_ok_and(|pruning| !pruning.always_true())
}

fn filter_text(filter: &Expr, schema: &SchemaRef) -> String {
    let physical = DFSchema::try_from(Arc::clone(schema))
        .and_then(|schema| create_physical_expr(filter, &schema, &ExecutionProps::new()));
    match physical {
        Ok(condition) => condition_text(&condition),
        Err(_) => filter.to_string(),
    }
}
