//! `lake doctor`, where nobody answers and where the settings are wrong.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::{stderr, stdout};

const SECRET: &str = "hush-secret-key";

/// A run with keys of the environment, and with services at a port that nobody listens on.
fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lake"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_step_that_fails_is_told_and_ends_the_run_with_code_1() {
    let output = doctor(&["--warehouse", "s3://lake/"]);
    let (told, errors) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{told}{errors}");
    assert!(
        told.contains("ok    settings        region eu-central-1"),
        "{told}"
    );
    assert!(told.contains("FAIL  credentials"), "{told}");
    assert!(told.contains("http://127.0.0.1:9"), "{told}");
    assert!(
        told.contains("check endpoint, region and network"),
        "{told}"
    );
    assert!(errors.contains("steps that failed: 1"), "{errors}");
    assert!(!told.contains(SECRET) && !errors.contains(SECRET));
}

#[test]
fn a_catalog_must_be_one_of_glue() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lake.toml");
    let file = file.to_str().unwrap();
    for (text, said) in [
        (
            "[catalogs.a]\ntype = \"memory\"\n",
            "no catalog of type glue",
        ),
        (
            "[catalogs.a]\ntype = \"glue\"\n[catalogs.b]\ntype = \"glue\"\n",
            "choose one with --catalog, of a, b",
        ),
    ] {
        fs::write(file, text).unwrap();
        let output = doctor(&["--config", file]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = doctor(&["--table", "orders"]);
    assert!(
        stderr(&output).contains("database.table"),
        "{}",
        stderr(&output)
    );
}
