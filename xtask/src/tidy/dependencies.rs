//! Licences that may be in the tree, and packages that may be in it twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Finding;
use super::floors::{items, text};

/// Licences a program under Apache-2.0 may be built with.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Packages that are in the tree in several versions, and who brings them. Nothing of ours asks for
/// two; each goes when the dependency named catches up.
#[rustfmt::skip]
const SEVERAL_VERSIONS: &[(&str, &[&str], &str)] = &[
    ("base64", &["0.22.1", "0.23.1"], "datafusion and iceberg; serde_with and hyper-util are ahead"),
    ("block-buffer", &["0.10.4", "0.12.1"], "one for each digest"),
    ("cpufeatures", &["0.2.17", "0.3.1"], "aes of iceberg; blake3 of datafusion is ahead"),
    ("crypto-common", &["0.1.7", "0.2.2"], "one for each digest"),
    ("darling", &["0.20.11", "0.24.1"], "derive_builder of iceberg; serde_with is ahead"),
    ("darling_core", &["0.20.11", "0.24.1"], "derive_builder of iceberg; serde_with is ahead"),
    ("darling_macro", &["0.20.11", "0.24.1"], "derive_builder of iceberg; serde_with is ahead"),
    ("digest", &["0.10.7", "0.11.3"], "datafusion and object_store; aws-sigv4 is ahead"),
    ("foldhash", &["0.1.5", "0.2.0"], "one for each hashbrown"),
    ("getrandom", &["0.2.17", "0.3.4", "0.4.3"], "ring, ahash and uuid each ask for another"),
    ("hashbrown", &["0.12.3", "0.14.5", "0.15.5", "0.16.1", "0.17.1"], "petgraph, dashmap, datafusion and arrow each ask for another"),
    ("http", &["0.2.12", "1.5.0"], "the AWS SDK keeps adapters to the first one"),
    ("http-body", &["0.4.6", "1.1.0"], "the AWS SDK keeps adapters to the first one"),
    ("indexmap", &["1.9.3", "2.14.2"], "serde_with keeps an adapter to the first one"),
    ("itertools", &["0.13.0", "0.14.0"], "iceberg; datafusion is ahead"),
    ("miniz_oxide", &["0.8.9", "0.9.1"], "apache-avro; flate2 is ahead"),
    ("ordered-float", &["3.9.2", "4.6.0"], "thrift of iceberg; iceberg itself is ahead"),
    ("rand", &["0.8.8", "0.9.5", "0.10.3"], "sqllogictest; datafusion; proptest is ahead"),
    ("rand_chacha", &["0.3.1", "0.9.0"], "one for each rand"),
    ("rand_core", &["0.6.4", "0.9.5", "0.10.1"], "one for each rand, and crypto-common"),
    ("schemars", &["0.9.0", "1.2.3"], "serde_with keeps adapters to both"),
    ("sha2", &["0.10.9", "0.11.1"], "datafusion; aws-sigv4 is ahead"),
    ("syn", &["2.0.119", "3.0.9"], "macros of datafusion; serde's and async-trait's are ahead"),
    ("unicode-width", &["0.1.14", "0.2.3"], "sqllogictest; comfy-table is ahead"),
    ("winnow", &["0.7.15", "1.0.5"], "toml's two parsers"),
    ("zstd", &["0.13.4", "0.14.3"], "arrow and datafusion; compression-codecs is ahead"),
    ("zstd-safe", &["7.4.0", "8.2.0"], "one for each zstd"),
];

/// Checks all packages of the supported platforms.
pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in items(&metadata["packages"]) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        versions.entry(name).or_default().insert(version);
        let licence = text(&package["license"]);
        if !allowed(licence) {
            findings.push(format!(
                "{name} {version}: licence {licence:?} is not on the list"
            ));
        }
    }
    findings.extend(check_versions(&versions));
    findings
}

fn check_versions(versions: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, found) in versions.iter().filter(|(_, found)| found.len() > 1) {
        let listed = SEVERAL_VERSIONS.iter().find(|(listed, ..)| listed == name);
        let same = listed.is_some_and(|(_, versions, _why)| {
            versions.iter().copied().collect::<BTreeSet<_>>() == *found
        });
        if !same {
            findings.push(format!("{name}: versions {found:?} are not those listed"));
        }
    }
    for (name, ..) in SEVERAL_VERSIONS {
        if versions.get(name).is_none_or(|found| found.len() < 2) {
            findings.push(format!(
                "{name}: listed with several versions, but there is one"
            ));
        }
    }
    findings
}

/// Whether the licence expression can be met by licences on the list.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "\u{0}");
    let words: Vec<String> = spaced
        .split_whitespace()
        .map(|word| word.replace('\u{0}', " WITH "))
        .collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) && rest.is_empty()
}

fn any_of(rest: &mut &[String]) -> bool {
    let mut met = all_of(rest);
    while take(rest, "OR") {
        met |= all_of(rest);
    }
    met
}

fn all_of(rest: &mut &[String]) -> bool {
    let mut met = one(rest);
    while take(rest, "AND") {
        met &= one(rest);
    }
    met
}

fn one(rest: &mut &[String]) -> bool {
    if take(rest, "(") {
        let met = any_of(rest);
        return take(rest, ")") && met;
    }
    match rest.split_first() {
        Some((name, behind)) => {
            *rest = behind;
            LICENCES.contains(&name.as_str())
        }
        None => false,
    }
}

fn take(rest: &mut &[String], word: &str) -> bool {
    match rest.split_first() {
        Some((first, behind)) if first == word => {
            *rest = behind;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT)"] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_second_version_is_found() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "version": "1.0.0", "license": "MIT"},
            {"name": "a", "version": "2.0.0", "license": "MIT"},
        ]});
        let findings = check(&metadata);
        assert!(
            findings
                .iter()
                .any(|finding| finding.starts_with("a: versions"))
        );
    }
}
