//! Headers, names, and words that do not belong into the repository.

use super::Finding;
use super::source::Source;
use crate::workspace;

/// Names that say nothing: name the noun instead.
const EMPTY_NAMES: [&str; 7] = [
    "utils", "util", "helpers", "helper", "common", "misc", "mod",
];

/// Code that is not finished.
const UNFINISHED_CODE: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Remarks that something is not finished: put it into the code or into a decision record.
const UNFINISHED_WORDS: [&str; 2] = ["FIXME", "XXX"];

/// Folders that exist on somebody's machine only. Written apart, or this file would hold them.
const MACHINE_FOLDERS: [&str; 4] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

/// Kinds of files that are read as text.
const TEXT_KINDS: [&str; 10] = [
    ".rs", ".md", ".toml", ".py", ".sql", ".slt", ".sh", ".txt", ".json", ".yml",
];

/// Checks sources, and all text files for machine folders.
pub(super) fn check(sources: &[Source], files: &[String]) -> Result<Vec<Finding>, String> {
    let mut findings: Vec<Finding> = sources.iter().flat_map(check_source).collect();
    for file in files {
        let text_kind = TEXT_KINDS.iter().any(|kind| file.ends_with(kind));
        if text_kind || file.starts_with(".ci/") || file.starts_with(".cargo/") {
            findings.extend(machine_folders(file, &workspace::read(file)?));
        }
    }
    Ok(findings)
}

fn check_source(source: &Source) -> Vec<Finding> {
    let path = &source.path;
    let mut findings = Vec::new();
    if !source
        .raw
        .first()
        .is_some_and(|line| line.starts_with("//! "))
    {
        findings.push(format!(
            "{path}:1: open with `//!` and the file's one responsibility"
        ));
    }
    for part in path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            findings.push(format!("{path}: `{part}` says nothing: name what is in it"));
        }
    }
    for (at, code) in source.code.iter().enumerate() {
        let place = format!("{path}:{}", at + 1);
        for name in UNFINISHED_CODE
            .iter()
            .filter(|name| contains_word(code, name))
        {
            findings.push(format!("{place}: `{name}` is left over"));
        }
        if code.contains("#[ignore]") {
            findings.push(format!(
                "{place}: an ignored test says why: `#[ignore = \"…\"]`"
            ));
        }
        if let Some(name) = module_name(code).filter(|name| EMPTY_NAMES.contains(name)) {
            findings.push(format!(
                "{place}: module `{name}` says nothing: name what is in it"
            ));
        }
    }
    for (at, said) in source.said.iter().enumerate() {
        for word in UNFINISHED_WORDS
            .iter()
            .filter(|word| contains_word(said, word))
        {
            findings.push(format!("{path}:{}: `{word}` is left over", at + 1));
        }
    }
    findings
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_'))
}

/// The module a line declares.
fn module_name(line: &str) -> Option<&str> {
    let (_, rest) = line
        .split_once("mod ")
        .filter(|(before, _)| before.trim().is_empty() || before.trim_start().starts_with("pub"))?;
    rest.split(|char: char| !char.is_alphanumeric() && char != '_')
        .next()
}

fn machine_folders(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            let absolute = line.match_indices(folder).any(|(start, _)| {
                !line[..start]
                    .ends_with(|char: char| char.is_alphanumeric() || "._-~}".contains(char))
            });
            if absolute {
                findings.push(format!(
                    "{file}:{}: {folder} is on one machine only",
                    at + 1
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check_source(&Source::new(path, text))
    }

    #[test]
    fn each_rule_finds_its_breach() {
        assert_eq!(findings("src/a.rs", "//! A.\nfn a() {}").len(), 0);
        assert_eq!(findings("src/a.rs", "fn a() {}").len(), 1);
        assert_eq!(findings("src/utils.rs", "//! A.").len(), 1);
        assert_eq!(findings("src/a/mod.rs", "//! A.").len(), 1);
        assert_eq!(
            findings("src/a.rs", "//! A.\npub(crate) mod helpers;").len(),
            1
        );
        assert_eq!(findings("src/a.rs", "//! A.\nfn a() { todo!() }").len(), 1);
        assert_eq!(
            findings("src/a.rs", "//! A.\nconst A: &str = \"todo!\";").len(),
            0
        );
        assert_eq!(findings("src/a.rs", "//! A.\n// FIXME: b").len(), 1);
        assert_eq!(
            findings("src/a.rs", "//! A.\n#[test]\n#[ignore]\nfn a() {}").len(),
            1
        );
        assert_eq!(
            findings("src/a.rs", "//! A.\n#[ignore = \"needs b\"]\nfn a() {}").len(),
            0
        );
    }

    #[test]
    fn machine_folders_are_found() {
        let one = format!("see {}x", MACHINE_FOLDERS[0]);
        assert_eq!(machine_folders("a.md", &one).len(), 1);
        let url = format!("https://example.org{}x", MACHINE_FOLDERS[2]);
        assert_eq!(machine_folders("a.md", &url).len(), 0);
    }
}
