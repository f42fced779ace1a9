//! The scans of one physical plan, told to a person: what was planned, and what running it took.

mod measured;
mod planned;

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;

use super::account::ScanAccount;
use super::source::LakeSource;
use super::streamed_scan::StreamedScan;
pub use measured::{bytes_text, time_text};

/// How wide the names before the lines of a scan are.
const NAME_WIDTH: usize = 18;

/// The scans of tables within one physical plan, numbered in the order in which the plan shows them.
///
/// Holds the plan's operators, so that their measurements can be told once the plan has run.
#[derive(Debug)]
pub struct ScanReport {
    scans: Vec<Scan>,
}

/// One scan: mostly one operator, two where equality deletes of some files are joined.
#[derive(Debug)]
struct Scan {
    account: Arc<ScanAccount>,
    operators: Vec<Arc<dyn ExecutionPlan>>,
}

/// An operator of this crate that scans files.
fn source_of(plan: &dyn ExecutionPlan) -> Option<(&FileScanConfig, &LakeSource)> {
    let operator = plan.as_any().downcast_ref::<DataSourceExec>()?;
    let scan = operator.data_source().as_any();
    let config = match scan.downcast_ref::<StreamedScan>() {
        Some(streamed) => streamed.template(),
        None => scan.downcast_ref::<FileScanConfig>()?,
    };
    let source = config.file_source().as_any().downcast_ref::<LakeSource>()?;
    Some((config, source))
}

impl ScanReport {
    /// The scans of `plan`.
    #[must_use]
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut scans: Vec<Scan> = Vec::new();
        let walked = plan.apply(|operator| {
            if let Some((_, source)) = source_of(operator.as_ref()) {
                let account = &source.shape().account;
                let operator = Arc::clone(operator);
                let known = scans.iter_mut().find(|scan| scan.is_of(account));
                match known {
                    Some(scan) => scan.operators.push(operator),
                    None => scans.push(Scan {
                        account: Arc::clone(account),
                        operators: vec![operator],
                    }),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        // The walk itself does not fail.
        debug_assert!(walked.is_ok());
        Self { scans }
    }

    /// An operator of the plan on one line, if it scans a table: `TableScan 1: table=s.t, …`.
    #[must_use]
    pub fn operator(&self, plan: &dyn ExecutionPlan) -> Option<String> {
        let (config, source) = source_of(plan)?;
        let account = &source.shape().account;
        let place = self.scans.iter().position(|scan| scan.is_of(account))?;
        let mut line = format!("{}: {}", self.scans[place].title(place), account.label());
        let projection = source.projection().map(projection_text).unwrap_or_default();
        // Formatting into a string cannot fail.
        let _ = write!(line, ", projection=[{projection}]");
        if let Some(limit) = config.limit {
            let _ = write!(line, ", limit={limit}");
        }
        Some(line)
    }

    /// How long an operator of the plan worked, in nanoseconds over all its partitions, if it scans
    /// a table.
    #[must_use]
    pub fn elapsed_ns(&self, plan: &dyn ExecutionPlan) -> Option<u64> {
        source_of(plan)?;
        let worked = plan.metrics()?.sum_by_name("time_elapsed_processing")?;
        u64::try_from(worked.as_usize()).ok()
    }

    /// What was planned of each scan, a line for each fact; nothing when no table is scanned.
    #[must_use]
    pub fn planned(&self) -> Option<String> {
        self.text(|_| Vec::new())
    }

    /// What was planned of each scan, and what running the plan took.
    #[must_use]
    pub fn measured(&self) -> Option<String> {
        self.text(|scan| measured::lines(&scan.account, &scan.metrics()))
    }

    fn text(&self, more: impl Fn(&Scan) -> Vec<Line>) -> Option<String> {
        let texts = self.scans.iter().enumerate().map(|(place, scan)| {
            let mut lines = planned::lines(scan);
            lines.extend(more(scan));
            let mut text = format!("{}: {}", scan.title(place), scan.account.name());
            for (name, value) in lines {
                let _ = write!(text, "\n  {name:NAME_WIDTH$}{value}");
            }
            text
        });
        let texts: Vec<String> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}

/// The name of a fact, and what it is.
type Line = (&'static str, String);

impl Scan {
    fn is_of(&self, account: &Arc<ScanAccount>) -> bool {
        Arc::ptr_eq(&self.account, account)
    }

    fn title(&self, place: usize) -> String {
        let kind = match self.account.subject() {
            Some(_) => "TableScan",
            None => "DeleteScan",
        };
        format!("{kind} {}", place + 1)
    }

    fn sources(&self) -> impl Iterator<Item = &LakeSource> {
        let sources = self.operators.iter().filter_map(|o| source_of(o.as_ref()));
        sources.map(|(_, source)| source)
    }

    /// The metrics of all operators together.
    fn metrics(&self) -> MetricsSet {
        let mut all = MetricsSet::new();
        for set in self.operators.iter().filter_map(|o| o.metrics()) {
            set.iter().for_each(|metric| all.push(Arc::clone(metric)));
        }
        all
    }
}

fn projection_text(projection: &ProjectionExprs) -> String {
    let parts = projection.as_ref().iter().map(|part| {
        let column = part.expr.as_any().downcast_ref::<Column>();
        match column.filter(|column| column.name() == part.alias) {
            Some(column) => column.name().to_owned(),
            None => format!("{} as {}", part.expr, part.alias),
        }
    });
    let parts: Vec<String> = parts.collect();
    parts.join(", ")
}

/// Counts with their names, without those that are 0: `2 by partition, 1 by bounds`.
fn parts_text(parts: &[(u64, &str)]) -> String {
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, of)| format!("{count} {of}")).collect();
    parts.join(", ")
}

/// `text`, and after it what was skipped, if anything was.
fn with_skipped(mut text: String, skipped: &[(u64, &str)]) -> String {
    let skipped = parts_text(skipped);
    if !skipped.is_empty() {
        let _ = write!(text, "; skipped: {skipped}");
    }
    text
}

/// `1 file`, `2 files`.
fn counted(count: u64, one: &str, many: &str) -> String {
    let name = if count == 1 { one } else { many };
    format!("{count} {name}")
}
