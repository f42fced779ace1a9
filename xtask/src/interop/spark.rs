//! Spark with Iceberg's own library, beside the other engines: it wants Java and two jars.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::{Outcome, Steps};

const REQUIREMENTS: &str = "interop/requirements-spark.txt";
const JAVA_VERSIONS: [&str; 2] = ["17", "21"];
const NEEDS_JAVA: &str =
    "install Java 17 (Debian: openjdk-17-jre-headless); JAVA_HOME or PATH names it";
const JARS_VARIABLE: &str = "LAKEHOUSE_SPARK_JARS";

/// Adds the steps: Java and the rest of what Spark needs, its tables, both directions of reading.
///
/// Spark's tables and answers are kept in the target folder and used again while the scripts that
/// made them are the same.
pub(super) fn add_to(steps: &mut Steps, target: &Path, lake: &Path) {
    let venv = target.join("interop-spark-venv");
    let mut ready = Outcome::Failed;
    let mut jars = String::new();
    steps.work("spark: Java, Python environment, jars", || {
        ready = environment(&venv, &target.join("interop-jars"), &mut jars);
        ready.clone()
    });
    if ready != Outcome::Passed {
        return;
    }
    let folder = target.join("interop-spark");
    let python = |script: &str| {
        let mut command = super::script_of(&venv, script);
        command.env(JARS_VARIABLE, &jars);
        command
    };
    steps.command(
        "spark: Spark writes",
        python("write_spark_tables.py").arg(&folder),
    );
    for (name, way) in [
        ("spark: we read Spark's", "theirs"),
        ("spark: Spark reads ours", "ours"),
    ] {
        let mut command = python("compare_spark.py");
        steps.command(name, command.arg(way).arg(lake).arg(&folder));
    }
}

/// Checks Java, makes the virtual environment and fetches the jars, whose class path it sets.
fn environment(venv: &Path, folder: &Path, jars: &mut String) -> Outcome {
    let version = java_version();
    if !version
        .as_deref()
        .is_some_and(|found| JAVA_VERSIONS.contains(&found))
    {
        let found = version.map_or_else(|| "none".to_owned(), |version| format!("Java {version}"));
        return Outcome::NotRun(format!("{NEEDS_JAVA}; found {found}"));
    }
    let made = super::environment(venv, REQUIREMENTS);
    if made != Outcome::Passed {
        return made;
    }
    let mut command = super::script_of(venv, "spark_jars.py");
    match command.arg(folder).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => {
            *jars = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Outcome::Passed
        }
        Ok(_) => super::failed("the jars could not be had"),
        Err(error) => super::failed(&format!("spark_jars.py: {error}")),
    }
}

/// The main version of the Java that Spark will start, by the same rule: `JAVA_HOME`, then the path.
fn java_version() -> Option<String> {
    let java = match std::env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home).join("bin").join("java"),
        _ => PathBuf::from("java"),
    };
    let output = Command::new(java).arg("-version").output().ok()?;
    main_version(&String::from_utf8_lossy(&output.stderr))
}

/// `17` of `openjdk version "17.0.15" 2025-04-15`.
fn main_version(told: &str) -> Option<String> {
    let quoted = told.split('"').nth(1)?;
    let digits: String = quoted.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::main_version;

    #[test]
    fn the_main_version_is_before_the_first_dot() {
        let told = "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment";
        assert_eq!(main_version(told).as_deref(), Some("17"));
        assert_eq!(
            main_version("java version \"21\" 2023-09-19").as_deref(),
            Some("21")
        );
        assert_eq!(main_version("no such command"), None);
    }
}
