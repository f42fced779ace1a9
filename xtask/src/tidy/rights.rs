//! The rights of the roles that Terraform makes are those of the calls that were recorded.
//!
//! Tests record what each kind of work asks of AWS; from that come `actions.json`, of which the
//! policies are made, and the table in the manual. `cargo xtask rights` writes both.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Finding;
use crate::workspace;

const RECORDED: &str = "lakehouse-aws/recorded-actions.json";
const GRANTED: &str = "terraform/modules/access/actions.json";
const MANUAL: &str = "docs/aws.md";
const BEGIN: &str = "<!-- rights, by cargo xtask rights -->\n";
const END: &str = "<!-- end -->";

const ROLES: [&str; 4] = ["engine", "ingestion", "maintenance", "reader"];

/// What rights are about, in the order of the policies, and what they are on.
const ABOUT: [(&str, &str); 7] = [
    ("catalog", "catalog, databases and their tables"),
    ("bucket", "buckets"),
    ("list", "buckets, below the lake's prefixes"),
    ("tables", "files of tables"),
    ("landing", "raw files"),
    ("data_key", "the key of the files, through S3"),
    ("catalog_key", "the key of the catalog, through Glue"),
];

/// What is granted without a call of ours: to whom, about what, which action, and why.
const BESIDES: [(&[&str], &str, &str, &str); 2] = [
    (
        &ROLES,
        "bucket",
        "s3:GetBucketLocation",
        "Athena, Spark and AWS' own tools ask for it when they take the role",
    ),
    (
        &["engine", "ingestion", "maintenance"],
        "list",
        "s3:ListBucket",
        "S3 says that a file is missing only to those who may list, orphans are found by listing, and \
         `lake doctor` asks for buckets",
    ),
];

/// Actions of a role, by what they are about.
type Rights = BTreeMap<String, Vec<String>>;

/// Compares what is granted, and what the manual says, with what was recorded.
pub(super) fn check() -> Result<Vec<Finding>, String> {
    let wanted = wanted()?;
    let mut findings = Vec::new();
    let again = "run `cargo xtask rights`, and look at what changes";
    if workspace::read(GRANTED)? != as_json(&wanted) {
        findings.push(format!(
            "{GRANTED}: other rights than those of {RECORDED} and of what is granted besides; {again}"
        ));
    }
    let manual = workspace::read(MANUAL)?;
    if with_table(&manual, &as_table(&wanted))? != manual {
        findings.push(format!(
            "{MANUAL}: the table of rights is an old one; {again}"
        ));
    }
    Ok(findings)
}

/// Writes both.
pub(super) fn update() -> Result<(), String> {
    let wanted = wanted()?;
    let manual = with_table(&workspace::read(MANUAL)?, &as_table(&wanted))?;
    for (file, text) in [(GRANTED, as_json(&wanted)), (MANUAL, manual)] {
        std::fs::write(workspace::root().join(file), text)
            .map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// The rights of each role: recorded ones, and those besides.
fn wanted() -> Result<Vec<(&'static str, Rights)>, String> {
    let recorded: Value = serde_json::from_str(&workspace::read(RECORDED)?)
        .map_err(|error| format!("{RECORDED}: {error}"))?;
    ROLES
        .iter()
        .map(|role| Ok((*role, rights_of(role, &recorded[role])?)))
        .collect()
}

fn rights_of(role: &str, recorded: &Value) -> Result<Rights, String> {
    let strange = || format!("{RECORDED}: {role} is no object of lists of actions");
    let mut rights = Rights::new();
    for (about, actions) in recorded.as_object().ok_or_else(strange)? {
        if !ABOUT.iter().any(|(known, _)| known == about) {
            return Err(format!(
                "{RECORDED}: nothing is known of {role}'s {about:?}"
            ));
        }
        let actions = actions.as_array().ok_or_else(strange)?.iter();
        let actions: Option<Vec<String>> = actions
            .map(|action| action.as_str().map(str::to_owned))
            .collect();
        rights.insert(about.clone(), actions.ok_or_else(strange)?);
    }
    for (roles, about, action, _) in BESIDES {
        if roles.contains(&role) {
            rights
                .entry(about.to_owned())
                .or_default()
                .push(action.to_owned());
        }
    }
    for (about, _) in ABOUT {
        let actions = rights.entry(about.to_owned()).or_default();
        actions.sort_unstable();
        actions.dedup();
    }
    Ok(rights)
}

/// A line for each statement, so that a change of rights is a change of few lines.
fn as_json(roles: &[(&str, Rights)]) -> String {
    let roles: Vec<String> = roles
        .iter()
        .map(|(role, rights)| {
            let lines: Vec<String> = ABOUT
                .iter()
                .map(|(about, _)| {
                    let actions: Vec<String> = rights[*about]
                        .iter()
                        .map(|action| format!("\"{action}\""))
                        .collect();
                    format!("    \"{about}\": [{}]", actions.join(", "))
                })
                .collect();
            format!("  \"{role}\": {{\n{}\n  }}", lines.join(",\n"))
        })
        .collect();
    format!("{{\n{}\n}}\n", roles.join(",\n"))
}

fn as_table(roles: &[(&str, Rights)]) -> String {
    let mut table = String::from("\n| Role | On | Actions |\n|---|---|---|\n");
    for (role, rights) in roles {
        for (about, on) in ABOUT {
            let actions: Vec<String> = rights[about]
                .iter()
                .map(|action| format!("`{action}`"))
                .collect();
            if !actions.is_empty() {
                table.push_str(&format!("| `{role}` | {on} | {} |\n", actions.join(" ")));
            }
        }
    }
    table.push_str("\nGranted though no test has seen the call:\n\n");
    for (roles, _, action, why) in BESIDES {
        let roles: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
        table.push_str(&format!("- `{action}` to {}: {why}.\n", roles.join(", ")));
    }
    table.push('\n');
    table
}

/// The manual with another table in the place of its own.
fn with_table(manual: &str, table: &str) -> Result<String, String> {
    let parts = manual.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}{table}{END}{after}"))
    });
    parts.ok_or_else(|| {
        format!(
            "{MANUAL}: there is no place for the table, {}",
            BEGIN.trim()
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rights_are_those_recorded_and_those_besides() {
        let recorded = json!({"catalog": ["glue:GetTable"], "tables": ["s3:GetObject"]});
        let rights = rights_of("reader", &recorded).unwrap();
        assert_eq!(rights["catalog"], ["glue:GetTable"]);
        assert_eq!(rights["bucket"], ["s3:GetBucketLocation"]);
        assert!(rights["landing"].is_empty());
        assert!(rights_of("reader", &json!({"moon": []})).is_err());
        let json = as_json(&[("reader", rights)]);
        assert!(json.contains("\"tables\": [\"s3:GetObject\"],\n"), "{json}");
        serde_json::from_str::<Value>(&json).unwrap();
    }

    #[test]
    fn the_table_takes_the_place_of_the_old_one() {
        let manual = format!("a\n{BEGIN}old\n{END}\nb\n");
        let changed = with_table(&manual, "new\n").unwrap();
        assert_eq!(changed, format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert!(with_table("a", "new").is_err());
    }
}
