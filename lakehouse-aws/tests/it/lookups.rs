//! What names lead to where policies forbid some of the questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakehouse_aws::GlueSettings;
use lakehouse_core::catalog::Catalog;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::commit::Commits;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::governance::AdmitAll;
use lakehouse_core::lake::{Lake, LakeParts, Selector};
use lakehouse_core::name::{Name, NamespaceIdent};
use lakehouse_core::runtime::Runtime;
use lakehouse_core::scan::{MetadataTable, ScanContext};
use lakehouse_core::settings::Settings;
use serde_json::{Value, json};

use crate::emulated::ident;
use crate::scripted::{Scripted, not_found};
use crate::shared_catalogs::{stored, table};

fn denied() -> (u16, Value) {
    let message = "User: ann is not authorized to perform: glue:GetTable on resource: d";
    (
        400,
        json!({"__type": "AccessDeniedException", "Message": message}),
    )
}

fn lake(catalog: Arc<dyn Catalog>) -> Lake {
    let settings = Settings::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let storage = catalog.storage().clone();
    let parts = LakeParts {
        runtime: Runtime::new(&settings, &storage).unwrap(),
        scans: ScanContext::new(&settings),
        commits: Commits::new(Arc::clone(&clock)),
        policies: Arc::new(AdmitAll),
        settings,
        clock,
        storage,
        catalogs: BTreeMap::from([("glue".to_owned(), catalog)]),
        default_catalog: "glue".to_owned(),
    };
    Lake::new(parts).unwrap()
}

fn names(parts: &[&str]) -> Vec<Name> {
    parts.iter().map(|part| Name::new(*part)).collect()
}

/// `t.snapshots` may be a table of a namespace `t`, about which a policy of one namespace lets
/// nobody ask: it is the metadata table, and a refusal is the answer only where there is no other.
#[tokio::test]
async fn metadata_tables_need_no_right_to_a_namespace_of_the_tables_name() {
    let stored = stored();
    let location = stored.metadata_location.clone();
    let scripted = Scripted::start(move |operation, body| {
        match (
            operation,
            body["DatabaseName"].as_str(),
            body["Name"].as_str(),
        ) {
            ("GetTable", Some("silver"), Some("t")) => {
                (200, json!({"Table": table("t", &location)}))
            }
            ("GetTable", Some("silver"), Some(name)) if name.contains('$') => denied(),
            ("GetTable", Some("silver"), _) => not_found(),
            _ => denied(),
        }
    });
    let catalog = Arc::new(scripted.catalog(GlueSettings::default()).await);
    let lake = lake(catalog);
    let silver = NamespaceIdent::new("silver".to_owned());
    for parts in [
        names(&["t", "snapshots"]),
        names(&["t$snapshots"]),
        names(&["glue", "silver", "t", "snapshots"]),
        names(&["silver", "t$snapshots"]),
    ] {
        let found = lake.find_table(&parts, "glue", &silver).await.unwrap();
        assert_eq!(found.table.ident(), &ident("silver", "t"));
        let snapshots = Selector::Metadata(MetadataTable::Snapshots);
        assert_eq!(found.selector, Some(snapshots), "{parts:?}");
    }
    for parts in [names(&["bronze", "t"]), names(&["u", "snapshots"])] {
        let refused = lake.find_table(&parts, "glue", &silver).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    }
    // The database may not be looked at for a link: there is no such table, and that is the answer.
    let missing = lake
        .find_table(&names(&["silver", "u"]), "glue", &silver)
        .await;
    let missing = missing.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
}

/// A namespace that is not there is told as such to those who may not list all of them.
#[tokio::test]
async fn missing_namespaces_need_no_right_to_list_them() {
    let scripted = Scripted::start(|operation, _| match operation {
        "GetDatabase" => not_found(),
        _ => denied(),
    });
    let lake = lake(Arc::new(scripted.catalog(GlueSettings::default()).await));
    let missing = lake.find_namespace(&names(&["none"]), "glue").await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}
