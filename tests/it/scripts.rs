//! The SQL scripts of `tests/slt`, each on a lake in memory and on one in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sqllogictest::{Runner, default_normalizer, default_validator, strict_column_validator};

use crate::lake::TestLake;
use crate::script::Script;

/// Writes the engine's answers into the scripts instead of comparing.
const COMPLETE: &str = "LAKE_COMPLETE";

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() {
                super::run(stringify!($name), crate::lake::TestLake::memory().await, true).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn folder() {
                super::run(stringify!($name), crate::lake::TestLake::folder().await, false).await;
            }
        })*
    };
}

scripts!(
    aggregates,
    alter_columns,
    alter_defaults,
    alter_partitions,
    alter_table,
    assignments,
    bounded_calls,
    change_errors,
    change_explain,
    clauses,
    column_aliases,
    compared_values,
    create_insert_select,
    ctas,
    ctas_types,
    decimal_digits,
    decimals,
    delete,
    dated_times,
    dialects,
    drop_purge,
    drop_several,
    engine_faults,
    errors,
    everyday_calls,
    explain,
    far_dates,
    fixed_partitions,
    floats,
    information_schema,
    insert_errors,
    insert_forms,
    join_filters,
    joins,
    lengths_of_time,
    local_times,
    map_keys,
    merge,
    merge_schema,
    metadata_tables,
    metadata_tables_versions,
    named_joins,
    names,
    namespaces,
    null_order,
    overwrite_partitions,
    partitions,
    qualifiers,
    recursion,
    refs,
    replace_table,
    rewritten_files,
    rollback,
    set_operations,
    settings,
    shared_subplans,
    show_describe,
    struct_fields,
    subqueries,
    subquery_values,
    texts_as_values,
    time_formats,
    time_travel,
    time_zones,
    types,
    update,
    uuids,
    wap_branch,
    wide_arithmetic,
    windows,
    write_options,
);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("slt")
}

async fn run(name: &str, lake: TestLake, may_complete: bool) {
    let file = folder().join(format!("{name}.slt"));
    let names: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let mut runner = Runner::new(|| {
        let script = Script::new(&lake, Arc::clone(&names));
        async move { Ok(script.expect("a session")) }
    });
    runner.with_column_validator(strict_column_validator);
    if std::env::var_os(COMPLETE).is_some() {
        if may_complete {
            let columns = strict_column_validator;
            let updated =
                runner.update_test_file(file, " ", default_validator, default_normalizer, columns);
            updated.await.unwrap();
        }
        return;
    }
    if let Err(error) = runner.run_file_async(file).await {
        panic!("{}", error.display(false));
    }
}

#[test]
fn every_script_is_run() {
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed);
}
