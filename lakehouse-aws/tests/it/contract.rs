//! The catalog contract on Glue.

use std::sync::Arc;

use lakehouse_core::catalog::Catalog;

use crate::emulated::Emulated;

async fn make() -> Option<(Arc<dyn Catalog>, Emulated)> {
    let emulated = Emulated::start().await?;
    let catalog = emulated.catalog().await;
    Some((Arc::new(catalog), emulated))
}

lakehouse_testkit::catalog_contract!(make, lower_case);
