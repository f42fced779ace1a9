//! Links between the documents and into the code lead somewhere.

use std::path::Path;

use super::Finding;
use crate::workspace;

/// Checks the relative links of every Markdown file.
pub(super) fn check(files: &[String]) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for (line, target) in targets(&workspace::read(file)?) {
            if !workspace::root().join(folder).join(&target).exists() {
                findings.push(format!(
                    "{file}:{line}: links to {target}, which is not there"
                ));
            }
        }
    }
    Ok(findings)
}

/// The files that links name, with the line's number; other sites and places in a page left out.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((at + 1, target.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_targets() {
        let text = "[a](b.md)\n[c](https://d) and [e](#f), [g](h.md#i)";
        let expected = [(1, "b.md".to_owned()), (2, "h.md".to_owned())];
        assert_eq!(targets(text), expected);
    }
}
