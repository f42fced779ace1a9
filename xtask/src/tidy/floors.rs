//! Crates import only downward, and siblings never import each other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Finding;

/// Which crates of ours a crate may depend on. A crate that is not named here is a finding.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("lakehouse-core", &[]),
    ("lakehouse-aws", &["lakehouse-core"]),
    ("lakehouse-sql", &["lakehouse-core"]),
    (
        "lakehouse",
        &["lakehouse-core", "lakehouse-aws", "lakehouse-sql"],
    ),
    ("lakehouse-cli", &["lakehouse"]),
    ("lakehouse-testkit", &["lakehouse-core"]),
    ("xtask", &[]),
    (
        "lakehouse-tests",
        &[
            "lakehouse",
            "lakehouse-core",
            "lakehouse-aws",
            "lakehouse-testkit",
            "lakehouse-test-allocator",
        ],
    ),
    ("lakehouse-test-allocator", &[]),
    (
        "lakehouse-benches",
        &[
            "lakehouse",
            "lakehouse-core",
            "lakehouse-sql",
            "lakehouse-testkit",
        ],
    ),
];

/// Crates only tests may use.
const FOR_TESTS: [&str; 2] = ["lakehouse-testkit", "lakehouse-test-allocator"];

/// What the root package's examples must not compile.
const NOT_FOR_EXAMPLES: [&str; 5] = [
    "criterion",
    "lakehouse-testkit",
    "lakehouse-test-allocator",
    "iceberg-datafusion",
    "proptest",
];

/// Crates whose tests may not use testkit either.
const NO_TEST_CRATES: [&str; 1] = ["xtask"];

/// Checks each package of the workspace against the table above.
pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let members = strings(&metadata["workspace_members"]);
    let packages: Vec<&Value> = items(&metadata["packages"])
        .filter(|package| members.contains(&text(&package["id"])))
        .collect();
    let ours: Vec<&str> = packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect();
    let floors: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    packages
        .iter()
        .flat_map(|package| check_package(package, &ours, &floors))
        .collect()
}

fn check_package(package: &Value, ours: &[&str], floors: &BTreeMap<&str, &[&str]>) -> Vec<Finding> {
    let name = text(&package["name"]);
    let Some(may_use) = floors.get(name) else {
        return vec![format!(
            "{name}: give the crate its floor in xtask/src/tidy/floors.rs"
        )];
    };
    let mut findings = Vec::new();
    for dependency in items(&package["dependencies"]) {
        let used = text(&dependency["name"]);
        let for_tests = dependency["kind"].as_str() == Some("dev");
        if name == "lakehouse" && NOT_FOR_EXAMPLES.contains(&used) {
            findings.push(format!(
                "{name}: depends on {used}, which every example would compile"
            ));
        }
        if !ours.contains(&used) || may_use.contains(&used) {
            continue;
        }
        if FOR_TESTS.contains(&used) && for_tests && !NO_TEST_CRATES.contains(&name) {
            continue;
        }
        let way = if for_tests { "in its tests " } else { "" };
        findings.push(format!(
            "{name}: may not depend {way}on {used}: import only downward"
        ));
    }
    findings
}

/// The elements of a JSON array; none if it is something else.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A JSON string; empty if it is something else.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn strings(value: &Value) -> Vec<&str> {
    items(value).map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(name: &str, used: &str, kind: Option<&str>) -> usize {
        let all = MAY_USE.map(|(name, _)| json!({"name": name, "id": name, "dependencies": []}));
        let mut packages = all.to_vec();
        packages.retain(|package| text(&package["name"]) != name);
        packages.push(json!({
            "name": name, "id": name, "dependencies": [{"name": used, "kind": kind}],
        }));
        let ids: Vec<&Value> = packages.iter().map(|package| &package["id"]).collect();
        check(&json!({"workspace_members": ids, "packages": packages})).len()
    }

    #[test]
    fn only_downward() {
        assert_eq!(findings("lakehouse-sql", "lakehouse-core", None), 0);
        assert_eq!(findings("lakehouse-core", "lakehouse-sql", None), 1);
        assert_eq!(findings("lakehouse-sql", "lakehouse-aws", None), 1);
        assert_eq!(findings("lakehouse-core", "lakehouse-sql", Some("dev")), 1);
        assert_eq!(findings("lakehouse-cli", "lakehouse-core", None), 1);
        assert_eq!(
            findings("lakehouse-cli", "lakehouse-benches", Some("dev")),
            1
        );
    }

    #[test]
    fn testkit_is_for_tests() {
        assert_eq!(
            findings("lakehouse-core", "lakehouse-testkit", Some("dev")),
            0
        );
        assert_eq!(findings("lakehouse-core", "lakehouse-testkit", None), 1);
        assert_eq!(findings("lakehouse", "lakehouse-testkit", Some("dev")), 1);
        assert_eq!(findings("lakehouse", "criterion", Some("dev")), 1);
    }
}
