//! What others make of a Glue database, and what they find of ours in it.

use std::collections::HashMap;

use aws_sdk_glue::types::{Column, StorageDescriptor, TableInput};
use iceberg::TableUpdate;
use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use lakehouse_core::catalog::{Catalog, CommitOutcome};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::name::NamespaceIdent;

use crate::emulated::{Emulated, ident, make, make_table, set_property};

fn hive_table(name: &str) -> TableInput {
    let at = StorageDescriptor::builder()
        .location("s3://raw/x/")
        .columns(Column::builder().name("a").r#type("int").build().unwrap())
        .build();
    TableInput::builder()
        .name(name)
        .table_type("EXTERNAL_TABLE")
        .parameters("classification", "parquet")
        .storage_descriptor(at)
        .build()
        .unwrap()
}

async fn put(emulated: &Emulated, input: TableInput) {
    let call = emulated.glue().create_table().database_name("silver");
    call.table_input(input).send().await.unwrap();
}

/// A table that others made of other files is listed as what it is, and neither read, replaced nor
/// dropped.
#[tokio::test]
async fn tables_of_other_formats_are_listed_as_such_and_left_alone() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    put(&emulated, hive_table("raw")).await;
    let silver = NamespaceIdent::new("silver".to_owned());
    let names = catalog.list_tables(&silver).await.unwrap();
    assert_eq!(names, [ident("silver", "t")]);
    let others = catalog.list_other_tables(&silver).await.unwrap();
    assert_eq!(others.len(), 1);
    assert_eq!(
        (others[0].name.as_str(), others[0].kind.as_str()),
        ("raw", "hive table")
    );
    let raw = ident("silver", "raw");
    let read = catalog.load_table(&raw).await.unwrap_err();
    assert_eq!(read.kind(), ErrorKind::Unsupported);
    assert!(read.to_string().contains("FROM 's3://raw/x/'"), "{read}");
    let made = crate::emulated::try_make(&catalog, &raw).await.unwrap_err();
    assert_eq!(made.kind(), ErrorKind::AlreadyExists);
    for refused in [
        catalog.drop_table(&raw).await,
        catalog.rename_table(&raw, &ident("silver", "new")).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let drop = catalog.drop_namespace(&silver).await.unwrap_err();
    assert_eq!(drop.kind(), ErrorKind::InvalidInput);
    assert!(
        emulated
            .glue_table("silver", "raw")
            .await
            .parameters()
            .is_some()
    );
}

/// Infrastructure as code that wrote the table anew has lost the metadata file: cloudformation#1919,
/// terraform#36641.
#[tokio::test]
async fn demand_27_terraform_36641_a_table_without_its_metadata_file_says_what_to_do() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    let lost = TableInput::builder().name("lost");
    let lost = lost.parameters("table_type", "ICEBERG").build().unwrap();
    put(&emulated, lost).await;
    let error = catalog.load_table(&ident("silver", "lost")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(
        text.contains("metadata_location") && text.contains("register"),
        "{text}"
    );

    let gone = TableInput::builder().name("gone");
    let gone = gone
        .parameters("table_type", "ICEBERG")
        .parameters(
            "metadata_location",
            format!("s3://{}/gone/metadata/v3.metadata.json", emulated.bucket),
        )
        .build()
        .unwrap();
    put(&emulated, gone).await;
    let error = catalog.load_table(&ident("silver", "gone")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("restore the file"), "{error}");
}

/// What Athena needs to list and query a table is there after it was made and after each commit;
/// what others wrote beside it stays. py#216, java#8013, trino#23870.
#[tokio::test]
async fn j03_demand_27_py_216_athena_finds_columns_and_location() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let made = make_table(&catalog).await;
    let table = emulated.glue_table("silver", "t").await;
    let descriptor = table.storage_descriptor().unwrap();
    assert_eq!(table.table_type(), Some("EXTERNAL_TABLE"));
    assert_eq!(table.parameters().unwrap()["table_type"], "ICEBERG");
    assert_eq!(descriptor.location(), Some(made.metadata.location()));
    assert_eq!(
        descriptor.columns()[0].name(),
        "id",
        "Glue keeps lower case"
    );
    assert_eq!(descriptor.columns()[0].r#type(), Some("bigint"));

    // Somebody tags the table.
    let mut parameters = table.parameters().unwrap().clone();
    parameters.insert("team".to_owned(), "payments".to_owned());
    let tagged = TableInput::builder()
        .name("t")
        .owner("ann")
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(parameters))
        .set_storage_descriptor(table.storage_descriptor.clone())
        .build()
        .unwrap();
    let update = emulated.glue().update_table().database_name("silver");
    update.table_input(tagged).send().await.unwrap();

    let field = |id, name: &str| {
        NestedField::optional(id, name, Type::Primitive(PrimitiveType::Date)).into()
    };
    let schema = Schema::builder()
        .with_fields([field(2, "Day")])
        .build()
        .unwrap();
    let updates = vec![
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    let outcome = catalog.commit(&made, vec![], updates).await.unwrap();
    let CommitOutcome::Committed(now) = outcome else {
        panic!("{outcome:?}");
    };
    let names: Vec<&str> = now
        .metadata
        .current_schema()
        .as_struct()
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(names, ["Day"], "Iceberg keeps a column's case");
    let table = emulated.glue_table("silver", "t").await;
    let parameters = table.parameters().unwrap();
    assert_eq!(table.owner(), Some("ann"));
    assert_eq!(parameters["team"], "payments");
    assert_eq!(parameters["metadata_location"], now.metadata_location);
    assert_eq!(
        parameters["previous_metadata_location"],
        made.metadata_location
    );
    let columns = table.storage_descriptor().unwrap().columns();
    let told: Vec<(&str, &str)> = columns
        .iter()
        .map(|column| {
            let parameters = column.parameters().unwrap();
            (column.name(), parameters["iceberg.field.current"].as_str())
        })
        .collect();
    assert_eq!(told, [("day", "true"), ("id", "false")]);
}

/// Glue keeps 100 000 versions of a table and no more: java#5965, java#6916, trino#13413,
/// dbt-athena#267.
#[tokio::test]
async fn demand_25_java_6916_commits_archive_no_versions_unless_asked() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    assert!(emulated.settings().skip_archive);
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    let changed = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(matches!(changed, Ok(CommitOutcome::Committed(_))));
    // What the request says is held by a test of the request's form; here, that Glue took it.
    assert_eq!(emulated.proxy.counts().of("glue", "UpdateTable"), 1);
}

/// A name is given anew by a copy that nobody can commit behind: whoever read the old entry finds it
/// gone, and whoever committed first makes the renaming a conflict.
#[tokio::test]
async fn a_commit_during_a_renaming_is_not_lost() {
    use lakehouse_testkit::{HttpCalls, HttpFault};
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = std::sync::Arc::new(emulated.catalog().await);
    let base = make_table(catalog.as_ref()).await;
    let (old, new) = (ident("silver", "t"), ident("silver", "new"));
    // The copy is made slowly; meanwhile somebody commits to the old name.
    let slow = HttpFault::DelayedAnswer { ms: 500 };
    emulated
        .proxy
        .fail_nth(HttpCalls::of("glue", "CreateTable"), 1, slow);
    emulated.proxy.forget();
    let renaming = {
        let (catalog, old, new) = (std::sync::Arc::clone(&catalog), old.clone(), new.clone());
        lakehouse_core::runtime::spawn(async move { catalog.rename_table(&old, &new).await })
    };
    while emulated.proxy.counts().of("glue", "CreateTable") == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let between = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(matches!(between, Ok(CommitOutcome::Committed(_))));
    let error = renaming.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let now = catalog.load_table(&old).await.unwrap();
    assert_eq!(now.metadata.properties()["a"], "1");
    let gone = catalog.load_table(&new).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    catalog.rename_table(&old, &new).await.unwrap();
    let late = catalog.commit(&now, vec![], set_property("b", "1")).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        catalog
            .load_table(&new)
            .await
            .unwrap()
            .metadata
            .properties()["a"],
        "1"
    );
}

/// A renaming that is cut off leaves a remainder that says where the table is, and can be dropped.
#[tokio::test]
async fn what_a_cut_renaming_leaves_says_where_the_table_is() {
    use lakehouse_testkit::{HttpCalls, HttpFault};
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    let (old, new) = (ident("silver", "t"), ident("silver", "new"));
    let deletes = HttpCalls::of("glue", "DeleteTable");
    emulated.proxy.fail_always(deletes, HttpFault::RequestLost);
    let error = catalog.rename_table(&old, &new).await.unwrap_err();
    assert!(error.to_string().contains("drop table"), "{error}");
    emulated.proxy.heal();
    catalog.load_table(&new).await.unwrap();
    let left = catalog.load_table(&old).await.unwrap_err().to_string();
    assert!(
        left.contains("silver.new") && left.contains("drop it"),
        "{left}"
    );
    catalog.drop_table(&old).await.unwrap();
    assert_eq!(
        catalog.load_table(&old).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// New tables go where their database says, else below the warehouse; with neither, nobody guesses.
#[tokio::test]
async fn new_tables_go_where_the_database_says() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let settings = lakehouse_aws::GlueSettings {
        warehouse: None,
        ..emulated.settings()
    };
    let catalog = emulated.catalog_with(&settings).await;
    let (homeless, housed) = ("homeless", "housed");
    let home = format!("s3://{}/housed", emulated.bucket);
    for (name, properties) in [
        (homeless, HashMap::new()),
        (
            housed,
            HashMap::from([("location".to_owned(), home.clone())]),
        ),
    ] {
        let namespace = NamespaceIdent::new(name.to_owned());
        catalog
            .create_namespace(&namespace, properties)
            .await
            .unwrap();
    }
    let error = catalog.new_table_location(&ident(homeless, "t")).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("warehouse") && error.contains("location"),
        "{error}"
    );
    let made = make(&catalog, &ident(housed, "t")).await;
    assert!(made.metadata.location().starts_with(&home));
}
