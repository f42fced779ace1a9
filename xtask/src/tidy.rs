//! The house rules that a machine can hold: `cargo xtask tidy`, and a test.

mod cases;
mod default_build;
mod dependencies;
mod floors;
mod links;
mod modules;
mod sizes;
mod source;
mod words;

use source::Source;

use crate::workspace;

/// One breach of a rule: where, and what to do.
pub(crate) type Finding = String;

/// Prints all findings; true if there are none.
pub(crate) fn run() -> Result<bool, String> {
    let report = check()?;
    for finding in &report.findings {
        println!("{finding}");
    }
    println!("{}", report.sizes);
    println!("{} findings", report.findings.len());
    Ok(report.findings.is_empty())
}

/// Writes into the table of cases which of them are tested.
pub(crate) fn update_cases() -> Result<bool, String> {
    let files = workspace::files()?;
    cases::update(&sources(&files)?, &files)?;
    Ok(true)
}

/// What the checks found.
#[derive(Debug)]
struct Report {
    findings: Vec<Finding>,
    sizes: String,
}

/// Runs all checks over the whole repository.
fn check() -> Result<Report, String> {
    let files = workspace::files()?;
    let sources = sources(&files)?;
    let metadata = workspace::metadata()?;
    let mut findings = Vec::new();
    findings.extend(floors::check(&metadata));
    findings.extend(modules::check(&sources));
    let (too_big, sizes) = sizes::check(&sources);
    findings.extend(too_big);
    findings.extend(words::check(&sources, &files)?);
    findings.extend(dependencies::check(&metadata));
    findings.extend(default_build::check()?);
    findings.extend(cases::check(&sources, &files)?);
    findings.extend(links::check(&files)?);
    Ok(Report { findings, sizes })
}

fn sources(files: &[String]) -> Result<Vec<Source>, String> {
    files
        .iter()
        .filter(|file| file.ends_with(".rs"))
        .map(|file| workspace::read(file).map(|text| Source::new(file, &text)))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let report = super::check().unwrap();
        assert!(report.findings.is_empty(), "{}", report.findings.join("\n"));
    }
}
