//! What nobody asked for is not compiled: the default build knows no cloud.

use super::Finding;
use crate::workspace;

/// Packages whose default builds are looked at.
const PACKAGES: [&str; 2] = ["lakehouse", "lakehouse-cli"];

/// How names of packages begin that belong to features which are off by default.
const OF_FEATURES: [&str; 3] = ["aws-", "lakehouse-aws", "rustls"];

/// Checks the dependencies of the default builds.
pub(super) fn check() -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for package in PACKAGES {
        let tree = [
            "tree",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ];
        let output = workspace::cargo()
            .args(tree)
            .args(["--package", package])
            .output()
            .map_err(|error| format!("cannot run cargo tree: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "cargo tree failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        findings.extend(named(package, &String::from_utf8_lossy(&output.stdout)));
    }
    Ok(findings)
}

fn named(package: &str, tree: &str) -> Vec<Finding> {
    let mut found: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| OF_FEATURES.iter().any(|start| name.starts_with(start)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|name| {
            format!("{package}: its default build compiles {name}; put it behind a feature")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_features_are_found_in_a_tree() {
        let tree = "lakehouse v0.1.0\naws-config v1.8.0\nring v0.17.0\naws-config v1.8.0 (*)\n";
        assert_eq!(named("lakehouse", tree).len(), 1);
        assert!(named("lakehouse", "lakehouse v0.1.0\nring v0.17.0\n").is_empty());
    }
}
