//! Cases about names in catalogs that keep lower case and whose namespaces do not nest.

use std::collections::HashMap;
use std::sync::Arc;

use lakehouse_core::catalog::{Catalog, NameCase};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::error::Result;

use super::{assert_kind, make_table, namespace, new_metadata, table};

/// Namespaces are listed in order of name.
///
/// # Errors
/// When the catalog fails.
pub async fn namespaces_of_one_level_are_listed_in_order(catalog: Arc<dyn Catalog>) -> Result<()> {
    assert_eq!(catalog.name_case(), NameCase::Lower);
    for name in ["b", "a", "c"] {
        let made = namespace(&[name])?;
        catalog.create_namespace(&made, HashMap::new()).await?;
    }
    let listed = catalog.list_namespaces().await?;
    let listed: Vec<String> = listed.iter().map(|one| one.join("/")).collect();
    assert_eq!(listed, ["a", "b", "c"]);
    catalog.drop_namespace(&namespace(&["b"])?).await?;
    assert_eq!(catalog.list_namespaces().await?.len(), 2);
    Ok(())
}

/// A refused change of namespaces says why by its kind and leaves everything as it was.
///
/// # Errors
/// When the catalog fails.
pub async fn namespaces_that_do_not_nest_are_refused_and_change_nothing(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let held = make_table(catalog.as_ref(), &["a", "t"]).await?;
    let before = catalog.list_namespaces().await?;
    let (a, missing) = (namespace(&["a"])?, namespace(&["missing"])?);
    for (parts, kind) in [
        (&["a"][..], ErrorKind::AlreadyExists),
        (&["a", "inner"], ErrorKind::Unsupported),
        (&["Upper"], ErrorKind::InvalidInput),
        (&[""], ErrorKind::InvalidInput),
    ] {
        let refused = namespace(parts)?;
        let made = catalog.create_namespace(&refused, HashMap::new()).await;
        assert_kind(&made, kind);
    }
    assert_kind(&catalog.drop_namespace(&missing).await, ErrorKind::NotFound);
    assert_kind(&catalog.drop_namespace(&a).await, ErrorKind::InvalidInput);
    let nested = namespace(&["a", "t"])?;
    for absent in [&missing, &nested] {
        assert_kind(&catalog.list_tables(absent).await, ErrorKind::NotFound);
        let properties = catalog.namespace_properties(absent).await;
        assert_kind(&properties, ErrorKind::NotFound);
    }
    let inner = table(&["a", "inner", "t"])?;
    assert_kind(&catalog.load_table(&inner).await, ErrorKind::NotFound);
    assert_eq!(catalog.list_namespaces().await?, before);
    assert!(catalog.load_table(&held.ident).await.is_ok());
    Ok(())
}

/// A name in any case finds what is kept in lower case; a new one in another case is refused with a
/// hint, and so is a new name of a table.
///
/// # Errors
/// When the catalog fails.
pub async fn names_in_another_case_are_found_and_not_made(catalog: Arc<dyn Catalog>) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "orders"]).await?;
    let shouted = table(&["N", "ORDERS"])?;
    let found = catalog.load_table(&shouted).await?;
    assert_eq!(found.metadata_location, made.metadata_location);
    assert_eq!(catalog.list_tables(&namespace(&["N"])?).await?.len(), 1);
    let upper = table(&["n", "Items"])?;
    let metadata = new_metadata(catalog.as_ref(), &made.ident).await?;
    let refused = catalog.create_table(&upper, metadata).await;
    assert_kind(&refused, ErrorKind::InvalidInput);
    let text = refused.err().map(|error| error.to_string());
    assert!(text.is_some_and(|text| text.contains("\"items\"")));
    let renamed = catalog.rename_table(&made.ident, &upper).await;
    assert_kind(&renamed, ErrorKind::InvalidInput);
    assert_eq!(catalog.list_tables(&namespace(&["n"])?).await?.len(), 1);
    Ok(())
}

/// Names in lower case come back as they are, whatever their script.
///
/// # Errors
/// When the catalog fails.
pub async fn names_of_every_script_are_kept_in_lower_case(catalog: Arc<dyn Catalog>) -> Result<()> {
    let names = ["straße", "表", "it's", "a b", "a-b", "_", "t.dot", "x;--"];
    for name in names {
        let made = make_table(catalog.as_ref(), &["ünï", name]).await?;
        let loaded = catalog.load_table(&made.ident).await?;
        assert_eq!(loaded.metadata, made.metadata);
    }
    let mut expected: Vec<&str> = names.to_vec();
    expected.sort_unstable();
    let listed = catalog.list_tables(&namespace(&["ünï"])?).await?;
    let listed: Vec<&str> = listed.iter().map(|ident| ident.name()).collect();
    assert_eq!(listed, expected);
    Ok(())
}
