//! What the machine and the build are, and how much memory the process holds.

use std::path::PathBuf;

use lakehouse::{Error, Result};

/// How many threads an engine may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The folder this program was built into, above the profile's.
pub(super) fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .nth(2)
        .map(PathBuf::from)
        .ok_or_else(|| Error::internal("this program stands in no folder"))
}

/// Forgets the peak so far, so that the next one belongs to what runs now. Linux only.
pub(super) fn reset_peak() {
    // Elsewhere, or without the right, peaks are those since the start.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory this process held since the last reset. Linux only.
pub(super) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The processor's name and number of cores, and the memory.
pub(super) fn description() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name")
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or_else(String::new, |kilobytes| {
            format!(", {} GiB", (kilobytes + (1 << 19)) >> 20)
        });
    format!(
        "{processor}, {} cores{memory}, {}",
        cores(),
        std::env::consts::OS
    )
}

/// The versions of the crates that matter, as they are locked.
pub(super) fn versions() -> Vec<(String, String)> {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    const NAMES: [&str; 6] = [
        "lakehouse",
        "datafusion",
        "arrow",
        "parquet",
        "iceberg",
        "iceberg-datafusion",
    ];
    let mut versions = Vec::new();
    let mut lines = LOCK.lines();
    while let Some(line) = lines.next() {
        let quoted =
            |line: &str, key: &str| line.strip_prefix(key)?.strip_suffix('"').map(str::to_owned);
        if let Some(name) = quoted(line, "name = \"")
            && NAMES.contains(&name.as_str())
            && let Some(version) = lines.next().and_then(|line| quoted(line, "version = \""))
        {
            versions.push((name, version));
        }
    }
    versions
}

/// How this program was compiled.
pub(super) fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "debug: the times say nothing"
    } else {
        "release"
    }
}
