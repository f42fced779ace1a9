//! Lakes on AWS through SQL, against an emulator behind a proxy that counts.

mod athena;
mod rights;
mod shared_names;

use std::sync::Arc;

use aws_credential_types::Credentials;
use lakehouse::core::catalog::CatalogParts;
use lakehouse::core::clock::{Clock, SystemClock};
use lakehouse::core::settings::{CatalogSettings, Durability};
use lakehouse::core::storage::Storage;
use lakehouse::{ErrorKind, GlueSettings, Lakehouse, Session, Settings};
use lakehouse_testkit::{AwsAccount, HttpCall};

/// A lake on an account of its own. `cold` opens it anew, with nothing read before.
struct OnAws {
    account: AwsAccount,
}

impl OnAws {
    fn start() -> Option<Self> {
        let account = AwsAccount::start().unwrap()?;
        Some(Self { account })
    }

    fn settings(&self) -> GlueSettings {
        GlueSettings {
            region: Some(self.account.region.clone()),
            warehouse: Some(format!("s3://{}/lake", self.account.bucket)),
            endpoint: Some(self.account.proxy.endpoint()),
            s3_endpoint: Some(self.account.proxy.endpoint()),
            ..GlueSettings::default()
        }
    }

    async fn catalog(&self) -> lakehouse_aws::GlueCatalog {
        self.catalog_at(Arc::new(SystemClock)).await
    }

    async fn catalog_at(&self, clock: Arc<dyn Clock>) -> lakehouse_aws::GlueCatalog {
        let storage = Storage::new(&SystemClock, Durability::None).unwrap();
        let parts = CatalogParts::new(storage, clock);
        let keys = Credentials::new(&self.account.key, AwsAccount::SECRET, None, None, "test");
        let settings = self.settings();
        let catalog = lakehouse_aws::open_glue_with("glue", &settings, parts, keys);
        catalog.await.unwrap()
    }

    async fn cold(&self) -> Session {
        let lake = Lakehouse::builder()
            .catalog("glue", Arc::new(self.catalog().await))
            .location("memory:")
            .build();
        lake.await.unwrap().session().unwrap()
    }

    /// As [`Self::cold`], with the time of a clock, and names without a catalog in Glue.
    async fn at(&self, clock: Arc<dyn Clock>) -> Session {
        let catalog = self.catalog_at(Arc::clone(&clock)).await;
        let lake = Lakehouse::builder()
            .catalog("glue", Arc::new(catalog))
            .clock(clock)
            .build();
        lake.await.unwrap().session().unwrap()
    }

    fn calls(&self, service: &str) -> Vec<HttpCall> {
        let calls = self.account.proxy.journal().into_iter();
        calls.filter(|call| call.service == service).collect()
    }
}

async fn run(session: &Session, sql: &str) -> String {
    let answer = session.sql(sql).await;
    let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer
        .to_table()
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn refused(session: &Session, sql: &str) -> lakehouse::Error {
    match session.sql(sql).await {
        Err(error) => error,
        Ok(answer) => answer.to_table().await.unwrap_err(),
    }
}

async fn with_orders(on_aws: &OnAws) -> Session {
    let session = on_aws.cold().await;
    for sql in [
        "CREATE NAMESPACE glue.silver",
        "CREATE TABLE glue.silver.orders (id BIGINT, \"Name\" STRING)",
        "INSERT INTO glue.silver.orders VALUES (1, 'one'), (2, 'two')",
    ] {
        run(&session, sql).await;
    }
    session
}

/// The first row of a small table costs one question to Glue and four to S3: the metadata file, the
/// manifest list, the manifest, and the data file as a whole. Nobody asks how long a file is that
/// a manifest tells the length of.
#[tokio::test]
async fn the_first_row_of_a_small_table_costs_five_requests() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    with_orders(&on_aws).await;
    let session = on_aws.cold().await;
    on_aws.account.proxy.forget();
    let rows = run(&session, "SELECT * FROM glue.silver.orders LIMIT 1").await;
    assert!(rows.contains("one"), "{rows}");
    let glue: Vec<String> = on_aws
        .calls("glue")
        .into_iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(glue, ["GetTable"]);
    let s3 = on_aws.calls("s3");
    let told: Vec<String> = s3
        .iter()
        .map(|call| format!("{} {} {:?}", call.method, call.path, call.range))
        .collect();
    assert!(s3.len() <= 4, "{told:#?}");
    assert!(s3.iter().all(|call| call.method == "GET"), "{told:#?}");
}

/// Names of databases and tables are found in any case and made in lower case only; columns keep
/// their case.
#[tokio::test]
async fn names_are_folded_and_columns_are_not() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = with_orders(&on_aws).await;
    let rows = run(
        &session,
        "SELECT \"Name\" FROM GLUE.Silver.ORDERS WHERE id = 2",
    )
    .await;
    assert!(rows.contains("Name") && rows.contains("two"), "{rows}");
    let upper = refused(&session, "CREATE TABLE glue.silver.\"Items\" (id INT)").await;
    assert_eq!(upper.kind(), ErrorKind::InvalidInput);
    assert!(upper.to_string().contains("\"items\""), "{upper}");
    let nested = refused(&session, "CREATE NAMESPACE glue.silver.inner").await;
    assert_eq!(nested.kind(), ErrorKind::Unsupported, "{nested}");
    let missing = refused(&session, "SELECT * FROM glue.silver.order").await;
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("orders"), "{missing}");
    // Whoever is in the wrong region sees nothing at all.
    for sql in [
        "SELECT * FROM glue.silver.x",
        "SHOW TABLES IN glue.elsewhere",
        "CREATE TABLE glue.elsewhere.t (id INT)",
    ] {
        let missing = refused(&session, sql).await.to_string();
        let place = format!("looked for in Glue in {}", on_aws.account.region);
        assert!(missing.contains(&place), "{sql}: {missing}");
    }
    let shown = run(&session, "SHOW TABLES IN glue.silver").await;
    assert!(shown.contains("orders"), "{shown}");
}

/// A table that is there is neither made again nor hidden by one of another case.
#[tokio::test]
async fn a_table_that_is_there_is_not_made_again() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = with_orders(&on_aws).await;
    let again = "CREATE TABLE IF NOT EXISTS glue.silver.Orders AS SELECT 7 AS id";
    run(&session, again).await;
    let taken = refused(&session, "CREATE TABLE glue.silver.ORDERS (id INT)").await;
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    let count = "SELECT count(*) FROM glue.silver.orders";
    assert!(run(&session, count).await.contains("| 2"));
    let replaced = "CREATE OR REPLACE TABLE glue.silver.orders AS SELECT 7 AS id";
    run(&session, replaced).await;
    assert!(run(&session, count).await.contains("| 1"));
}

/// Rows are changed, versions read and a table brought back, as on a local lake.
#[tokio::test]
async fn a_table_in_glue_does_what_any_table_does() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = with_orders(&on_aws).await;
    for sql in [
        "ALTER TABLE glue.silver.orders CREATE TAG first",
        "ALTER TABLE glue.silver.orders ADD COLUMN segment STRING AFTER id",
        "UPDATE glue.silver.orders SET segment = 'vip' WHERE id = 1",
        "DELETE FROM glue.silver.orders WHERE id = 2",
        "MERGE INTO glue.silver.orders t USING (SELECT 3 AS id) s ON t.id = s.id \
         WHEN NOT MATCHED THEN INSERT (id, segment) VALUES (s.id, 'new')",
    ] {
        run(&session, sql).await;
    }
    let now = run(
        &session,
        "SELECT id, segment FROM glue.silver.orders ORDER BY id",
    )
    .await;
    assert!(
        now.contains("vip") && now.contains("new") && !now.contains("| 2"),
        "{now}"
    );
    let before = "SELECT count(*) FROM glue.silver.orders FOR VERSION AS OF 'first'";
    assert!(run(&session, before).await.contains("| 2"));
    run(
        &session,
        "ALTER TABLE glue.silver.orders RENAME TO glue.silver.renamed",
    )
    .await;
    assert!(
        run(&session, "SELECT count(*) FROM glue.silver.renamed")
            .await
            .contains("| 2")
    );
    run(&session, "DROP TABLE glue.silver.renamed").await;
    run(&session, "DROP NAMESPACE glue.silver").await;
}

/// A bucket of another lake is none of a local lake's.
#[tokio::test]
async fn a_lake_without_aws_has_no_buckets() {
    let lake = Lakehouse::open("memory:").await.unwrap();
    let session = lake.session().unwrap();
    let location = "CREATE TABLE t (id INT) LOCATION 's3://bucket/t'";
    let error = refused(&session, location).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("feature `aws`"), "{error}");
}

/// A settings file describes a Glue catalog as it does any other.
#[tokio::test]
async fn a_settings_file_opens_glue() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lake.toml");
    let text = "
[catalogs.glue_catalog]
type = \"glue\"
region = \"eu-central-1\"
warehouse = \"s3://lake/warehouse/\"
kms_key = \"alias/lake\"

[[catalogs.glue_catalog.prefixes]]
prefix = \"s3://partner/\"
role_arn = \"arn:aws:iam::111122223333:role/reader\"
role_session_name = \"lake\"
requester_pays = true
";
    std::fs::write(&file, text).unwrap();
    let settings: Settings = lakehouse::read_settings(&file).unwrap();
    let CatalogSettings::Glue(glue) = &settings.catalogs["glue_catalog"] else {
        panic!("{settings:?}");
    };
    assert!(glue.skip_archive && glue.prefixes[0].requester_pays);
    let lake = Lakehouse::from_settings(settings).await.unwrap();
    assert_eq!(lake.default_catalog(), "glue_catalog");

    std::fs::write(&file, text.replace("kms_key", "kms_kye")).unwrap();
    let misspelt = lakehouse::read_settings(&file).unwrap_err();
    assert!(misspelt.to_string().contains("kms_kye"), "{misspelt}");
}

/// Two catalogs of one name are refused, whichever way they were named.
#[tokio::test]
async fn glue_catalogs_are_named_once() {
    let settings = GlueSettings {
        region: Some("eu-central-1".to_owned()),
        ..GlueSettings::default()
    };
    let lake = Lakehouse::builder().glue_with(settings.clone()).build();
    assert_eq!(lake.await.unwrap().default_catalog(), "glue_catalog");
    let twice = Lakehouse::builder()
        .glue("a")
        .glue_with(settings.clone())
        .glue("a")
        .glue_with(settings)
        .build();
    assert_eq!(twice.await.unwrap_err().kind(), ErrorKind::InvalidInput);
}
