//! Files, functions and lines stay small enough to read.

use super::Finding;
use super::source::{Source, item_end};

const FILE_LINES_MAX: usize = 800;
const FILE_LINES_MEDIAN_MAX: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
/// rustfmt's 100, and the column behind in which it lets an opening brace stand.
const LINE_WIDTH_MAX: usize = 101;

/// Functions that may be longer, because all they do is dispatch: (file, function, why).
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// The findings, and one line on how large the files are.
pub(super) fn check(sources: &[Source]) -> (Vec<Finding>, String) {
    let mut findings = Vec::new();
    for source in sources {
        let lines = source.lines_counted();
        if lines > FILE_LINES_MAX {
            let path = &source.path;
            findings.push(format!(
                "{path}: {lines} lines, at most {FILE_LINES_MAX}: split it"
            ));
        }
        findings.extend(long_functions(source));
        findings.extend(wide_lines(source));
    }
    let mut sizes: Vec<usize> = sources
        .iter()
        .filter(|source| source.is_production())
        .map(Source::lines_counted)
        .collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    let largest = sizes.last().copied().unwrap_or_default();
    if median > FILE_LINES_MEDIAN_MAX {
        findings.push(format!(
            "median file: {median} lines, at most {FILE_LINES_MEDIAN_MAX}"
        ));
    }
    let summary = format!(
        "{} files, median {median} lines, largest {largest}",
        sizes.len()
    );
    (findings, summary)
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let lines = item_end(&source.code, at) - at;
        let listed = LONG_FUNCTIONS
            .iter()
            .any(|(file, function, _why)| *file == source.path && *function == name);
        if lines > FUNCTION_LINES_MAX && !source.test[at] && !listed {
            let place = format!("{}:{}", source.path, at + 1);
            findings.push(format!(
                "{place}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: split it"
            ));
        }
    }
    findings
}

/// The name of the function a line opens.
pub(super) fn function_name(line: &str) -> Option<&str> {
    const QUALIFIERS: [&str; 6] = ["pub", "const", "async", "unsafe", "extern", "default"];
    let (before, rest) = line.split_once("fn ")?;
    let qualified = before
        .split_whitespace()
        .all(|word| QUALIFIERS.contains(&word) || word.starts_with("pub(") || word == "\"C\"");
    let name = rest
        .split(|char: char| !char.is_alphanumeric() && char != '_')
        .next()?;
    (qualified && !name.is_empty()).then_some(name)
}

fn wide_lines(source: &Source) -> Vec<Finding> {
    let lines = source.said.iter().zip(&source.raw).enumerate();
    lines
        .filter(|(_, (said, raw))| said.chars().count() > LINE_WIDTH_MAX && !cannot_break(raw))
        .map(|(at, (said, _))| {
            let width = said.chars().count();
            format!(
                "{}:{}: {width} columns, at most {LINE_WIDTH_MAX}",
                source.path,
                at + 1
            )
        })
        .collect()
}

/// Addresses and rows of tables in documentation stay in one line.
fn cannot_break(raw: &str) -> bool {
    let words = raw.trim_start().trim_start_matches(['/', '!']).trim_start();
    raw.contains("://") || words.starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named() {
        assert_eq!(
            function_name("    pub(crate) async fn open(path: &str) {"),
            Some("open")
        );
        assert_eq!(function_name("fn a<T>() {}"), Some("a"));
        assert_eq!(function_name("let f: fn (u8) -> u8 = g;"), None);
        assert_eq!(function_name("type F = Box<dyn Fn(u8)>;"), None);
    }

    #[test]
    fn long_functions_are_found() {
        let long = format!("fn a() {{\n{}}}\nfn b() {{}}", "    c();\n".repeat(70));
        assert_eq!(long_functions(&Source::new("src/a.rs", &long)).len(), 1);
        let short = long.replacen("    c();\n", "", 2);
        assert_eq!(long_functions(&Source::new("src/a.rs", &short)).len(), 0);
    }

    #[test]
    fn words_may_be_wide_and_code_may_not() {
        let text = format!("let a = \"{}\";", "x".repeat(120));
        assert_eq!(wide_lines(&Source::new("src/a.rs", &text)).len(), 0);
        let code = format!("let {} = 1;", "x".repeat(120));
        assert_eq!(wide_lines(&Source::new("src/a.rs", &code)).len(), 1);
    }
}
