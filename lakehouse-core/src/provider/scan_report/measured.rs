//! What running one scan took.

use std::collections::HashMap;

use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};

use super::super::account::ScanAccount;
use super::super::scan_counters::names;
use super::{Line, counted, parts_text, with_skipped};

/// From here on bytes are told in MiB.
const MIB: u64 = 1 << 20;

/// The lines of a scan that has run.
pub(super) fn lines(account: &ScanAccount, metrics: &MetricsSet) -> Vec<Line> {
    let sums = Sums::of(metrics);
    let mut lines = Vec::new();
    if account.subject().is_some() {
        lines.push(("planning", planning_text(account)));
    }
    lines.push(("files opened", files_text(account, &sums)));
    lines.push(("row groups", row_groups_text(&sums)));
    let (pages, read) = (sums.get(names::PAGES), sums.get(names::PAGES_READ));
    if pages > 0 {
        let needless = [(pages.saturating_sub(read), "without a wanted row")];
        let text = with_skipped(format!("{read} of {pages} read"), &needless);
        lines.push(("pages", text));
    }
    let (columns, cached) = (sums.get(names::COLUMNS), sums.get(names::COLUMNS_CACHED));
    if cached > 0 {
        let text = format!("{columns}; in the cache: {cached}");
        lines.push(("column chunks", text));
    }
    lines.push(("rows decoded", rows_text(&sums)));
    lines.push(("bytes read", read_text(account, &sums)));
    let delete_files = sums.get(names::DELETE_FILES_READ);
    if delete_files > 0 {
        let bytes = bytes_text(sums.get(names::BYTES_DELETES));
        lines.push(("delete files read", format!("{delete_files}, {bytes}")));
    }
    lines.push(("time", times_text(&sums)));
    lines
}

/// Sums of metrics by name; a part of a metric has a name like `name/part`.
struct Sums(HashMap<String, u64>);

impl Sums {
    fn of(metrics: &MetricsSet) -> Self {
        let mut sums = Self(HashMap::new());
        for metric in metrics.iter() {
            let value = metric.value();
            let name = value.name();
            match value {
                MetricValue::PruningMetrics {
                    pruning_metrics, ..
                } => {
                    sums.add(format!("{name}/pruned"), pruning_metrics.pruned());
                    sums.add(format!("{name}/matched"), pruning_metrics.matched());
                }
                MetricValue::Count { count, .. } => {
                    let labels = metric.labels().iter();
                    let by = labels.filter(|label| label.name() == names::BY);
                    by.for_each(|by| sums.add(format!("{name}/{}", by.value()), count.value()));
                    sums.add(name.to_owned(), count.value());
                }
                MetricValue::Time { time, .. } => sums.add(name.to_owned(), time.value()),
                MetricValue::OutputRows(rows) => sums.add(name.to_owned(), rows.value()),
                _ => {}
            }
        }
        sums
    }

    fn add(&mut self, name: String, value: usize) {
        let sum = self.0.entry(name).or_default();
        *sum = sum.saturating_add(u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    fn deleted(&self, by: &str) -> u64 {
        self.get(&format!("{}/{by}", names::ROWS_DELETED))
    }
}

fn planning_text(account: &ScanAccount) -> String {
    let reads = account.reads();
    let manifests = |count| counted(count, "manifest", "manifests");
    let kept = reads.asked().saturating_sub(reads.loaded());
    let mut stored = Vec::new();
    let mut cached = Vec::new();
    match reads.lists_loaded() {
        0 => cached.push("the manifest list".to_owned()),
        _ => stored.push("the manifest list".to_owned()),
    }
    if reads.loaded() > 0 {
        stored.push(manifests(reads.loaded()));
    }
    if kept > 0 {
        cached.push(manifests(kept));
    }
    let mut text = time_text(u64::try_from(account.planning.value()).unwrap_or(u64::MAX));
    let has_snapshot = account.subject().is_some_and(|s| s.snapshot.is_some());
    if has_snapshot && !stored.is_empty() {
        let bytes = bytes_text(reads.loaded_bytes());
        text += &format!("; read: {}, {bytes}", stored.join(", "));
    }
    if has_snapshot && !cached.is_empty() {
        text += &format!("; in the cache: {}", cached.join(", "));
    }
    text
}

fn files_text(account: &ScanAccount, sums: &Sums) -> String {
    let opened = sums.get(names::FILES_OPENED);
    let late = sums.get(names::FILES_SKIPPED_LATE);
    let mut text = match account.subject() {
        Some(_) => {
            let planned = u64::try_from(account.planned().files).unwrap_or(u64::MAX);
            let needless = planned.saturating_sub(opened).saturating_sub(late);
            let skipped = [
                (late, "by a filter when their turn came"),
                (needless, "because no more rows were needed"),
            ];
            with_skipped(format!("{opened} of {planned}"), &skipped)
        }
        None => opened.to_string(),
    };
    let left = sums.get(names::FILES_LEFT_EARLY);
    if left > 0 {
        text += &format!("; left early by a filter: {left}");
    }
    text
}

fn row_groups_text(sums: &Sums) -> String {
    let by_statistics = sums.get("row_groups_pruned_statistics/pruned");
    with_skipped(
        format!(
            "{} of {} read",
            sums.get(names::ROW_GROUPS_READ),
            sums.get(names::ROW_GROUPS)
        ),
        &[
            (
                by_statistics + sums.get(names::ROW_GROUPS_NO_MATCH),
                "by statistics",
            ),
            (
                sums.get("row_groups_pruned_bloom_filter/pruned"),
                "by bloom filters",
            ),
            (sums.get(names::ROW_GROUPS_NO_PAGE), "by the page index"),
            (
                sums.get(names::ROW_GROUPS_DELETED),
                "because all rows are deleted",
            ),
        ],
    )
}

fn rows_text(sums: &Sums) -> String {
    let mut text = format!(
        "{} of {}",
        sums.get(names::ROWS_SELECTED),
        sums.get(names::ROWS)
    );
    let deleted = parts_text(&[
        (sums.deleted(names::BY_POSITIONS), "by position deletes"),
        (sums.deleted(names::BY_VECTORS), "by deletion vectors"),
        (sums.deleted(names::BY_KEYS), "by equality deletes"),
    ]);
    if !deleted.is_empty() {
        text += &format!("; deleted: {deleted}");
    }
    text + &format!("; given: {}", sums.get("output_rows"))
}

fn read_text(account: &ScanAccount, sums: &Sums) -> String {
    let kinds = [
        (sums.get(names::BYTES_DATA), "of columns"),
        (sums.get(names::BYTES_FOOTERS), "of footers"),
        (sums.get(names::BYTES_PAGE_INDEXES), "of page indexes"),
        (sums.get(names::BYTES_BLOOM_FILTERS), "of bloom filters"),
    ];
    let total: u64 = kinds.iter().map(|(bytes, _)| bytes).sum();
    let mut text = bytes_text(total);
    let kinds = kinds.into_iter().filter(|(bytes, _)| *bytes > 0);
    let kinds = kinds.map(|(bytes, of)| format!("{} {of}", bytes_text(bytes)));
    let kinds: Vec<String> = kinds.collect();
    if !kinds.is_empty() {
        text += &format!(" ({})", kinds.join(", "));
    }
    if account.subject().is_some() {
        let sizes = bytes_text(account.planned().files_bytes);
        text += &format!("; the files have {sizes}");
    }
    text
}

fn times_text(sums: &Sums) -> String {
    let time = |name| time_text(sums.get(name));
    let mut text = format!("opening {}", time(names::TIME_OPENING));
    if sums.get(names::DELETE_FILES_READ) > 0 {
        text += &format!(" (deletes {})", time(names::TIME_DELETES));
    }
    text + &format!(
        ", reading {}, decoding {}; summed over files and partitions",
        time(names::TIME_READING),
        time(names::TIME_DECODING)
    )
}

/// A duration with its unit, such as `1.2 ms`.
#[must_use]
pub fn time_text(ns: u64) -> String {
    // Digits beyond those that are shown do not matter.
    let tenths = |unit_ns: u64| {
        let tenths = ns / (unit_ns / 10);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match ns {
        0..1_000_000 => format!("{} µs", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} ms", tenths(1_000_000)),
        _ => format!("{} s", tenths(1_000_000_000)),
    }
}

/// A number of bytes with its unit: exact below one MiB.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..MIB => counted(bytes, "byte", "bytes"),
        _ => {
            let tenths = bytes / (MIB / 10);
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (ns, text) in [
            (0, "0.0 µs"),
            (1_250, "1.2 µs"),
            (999_999, "999.9 µs"),
            (1_000_000, "1.0 ms"),
            (61_230_000_000, "61.2 s"),
        ] {
            assert_eq!(time_text(ns), text);
        }
    }

    #[test]
    fn bytes_are_exact_below_a_mebibyte() {
        assert_eq!(bytes_text(1), "1 byte");
        assert_eq!(bytes_text(MIB - 1), "1048575 bytes");
        assert_eq!(bytes_text(MIB * 5 / 2), "2.5 MiB");
    }
}
