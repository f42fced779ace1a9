//! Tests that hold a known bug carry its id, and `docs/cases.md` lists each id with its bug.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::sizes::function_name;
use super::source::Source;
use crate::workspace;

const CASES: &str = "docs/cases.md";

/// The letters of the groups of cases.
const GROUPS: &str = "TDMSCGPJ";

/// Compares the ids in tests with the table.
pub(super) fn check(sources: &[Source], files: &[String]) -> Result<Vec<Finding>, String> {
    Ok(compare(
        &tested_ids(sources, files)?,
        &workspace::read(CASES)?,
    ))
}

/// Sets the table's last column to what the tests say.
pub(super) fn update(sources: &[Source], files: &[String]) -> Result<(), String> {
    let updated = with_status(&tested_ids(sources, files)?, &workspace::read(CASES)?);
    std::fs::write(workspace::root().join(CASES), updated)
        .map_err(|error| format!("{CASES}: {error}"))
}

fn with_status(tested: &BTreeMap<String, String>, table: &str) -> String {
    let mut updated = String::new();
    for line in table.lines() {
        let id = line.split('|').nth(1).map(str::trim).unwrap_or_default();
        let status = if tested.contains_key(id) {
            "tested"
        } else {
            "later"
        };
        match line.trim_end_matches('|').rsplit_once('|') {
            Some((before, _)) if is_id(id) => updated.push_str(&format!("{before}| {status} |")),
            _ => updated.push_str(line),
        }
        updated.push('\n');
    }
    updated
}

/// The ids that tests carry, each with a file that holds it.
fn tested_ids(sources: &[Source], files: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut tested: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        for line in &source.code {
            if let Some(id) = function_name(line).and_then(id_of_test) {
                tested.entry(id).or_insert_with(|| source.path.clone());
            }
        }
    }
    for file in files.iter().filter(|file| file.ends_with(".slt")) {
        for id in ids_of_script(&workspace::read(file)?) {
            tested.entry(id).or_insert_with(|| file.clone());
        }
    }
    Ok(tested)
}

/// `t01_floor_before_1970` is T01.
fn id_of_test(name: &str) -> Option<String> {
    let (id, _) = name.split_once('_')?;
    is_id(&id.to_uppercase()).then(|| id.to_uppercase())
}

/// Comments of a script that name ids: `# T01: …`.
fn ids_of_script(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(ids, _)| ids.split([',', ' ']).map(str::to_owned).collect::<Vec<_>>())
        .filter(|id| is_id(id))
        .collect()
}

fn is_id(text: &str) -> bool {
    let digits = text.get(1..).unwrap_or_default();
    text.starts_with(|first| GROUPS.contains(first))
        && digits.len() == 2
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn compare(tested: &BTreeMap<String, String>, table: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut listed = BTreeSet::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, sentence, upstream, status, _] = cells.as_slice() else {
            continue;
        };
        if !is_id(id) {
            continue;
        }
        if !listed.insert((*id).to_owned()) {
            findings.push(format!("{CASES}: {id} is listed twice"));
        }
        if sentence.is_empty() || !upstream.contains("https://") {
            findings.push(format!(
                "{CASES}: {id} needs a sentence and its public source"
            ));
        }
        match (*status, tested.get(*id)) {
            ("tested", Some(_)) | ("later", None) => {}
            ("tested", None) => findings.push(format!("{CASES}: no test carries {id}")),
            ("later", Some(file)) => {
                findings.push(format!("{CASES}: {id} is tested in {file}: say so"));
            }
            (other, _) => findings.push(format!("{CASES}: {id} is {other:?}: tested or later")),
        }
    }
    for (id, file) in tested {
        if !listed.contains(id) {
            findings.push(format!("{file}: {CASES} does not list {id}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_names_and_scripts() {
        assert_eq!(id_of_test("t01_floor").as_deref(), Some("T01"));
        assert_eq!(id_of_test("s3_store"), None);
        assert_eq!(id_of_test("x01_odd"), None);
        assert_eq!(
            ids_of_script("# T01, M02: both\n# plain words\nT03"),
            ["T01", "M02"]
        );
    }

    #[test]
    fn table_and_tests_must_agree() {
        let tested = BTreeMap::from([("T01".to_owned(), "a.rs".to_owned())]);
        let row = |id: &str, status: &str| format!("| {id} | Words. | https://x | {status} |\n");
        assert_eq!(compare(&tested, &row("T01", "tested")).len(), 0);
        assert_eq!(compare(&tested, &row("T01", "later")).len(), 1);
        assert_eq!(compare(&tested, &row("T02", "tested")).len(), 2);
        assert_eq!(compare(&tested, &row("T01", "soon")).len(), 1);
        let both = row("T01", "later") + &row("T02", "tested");
        let updated = row("T01", "tested") + &row("T02", "later");
        assert_eq!(with_status(&tested, &both), updated);
    }
}
