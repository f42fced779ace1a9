//! `lake doctor`: which catalog is examined, and what is printed of it.

use std::io::Write;
use std::sync::Arc;

use lakehouse::core::catalog::CatalogParts;
use lakehouse::core::clock::SystemClock;
use lakehouse::core::name::TableIdent;
use lakehouse::core::settings::{CatalogSettings, Durability};
use lakehouse::core::storage::Storage;
use lakehouse::doctor::{Examination, Finding, examine};
use lakehouse::{Error, GlueSettings, Settings};

use crate::arguments::DoctorArguments;
use crate::failure::{Failure, stdout_failure};
use crate::stop::Signals;

/// Runs `lake doctor`.
pub(crate) async fn run(arguments: DoctorArguments) -> Result<(), Failure> {
    let mut settings = match &arguments.config {
        Some(path) => {
            let read = lakehouse::read_settings(path)?;
            glue_of(read, arguments.catalog.as_deref())?
        }
        None => GlueSettings::default(),
    };
    if let Some(warehouse) = arguments.warehouse {
        settings.warehouse = Some(warehouse);
    }
    let examination = Examination {
        table: arguments.table.as_deref().map(table).transpose()?,
        writes: arguments.write,
        ..Examination::default()
    };
    let storage = Storage::new(&SystemClock, Durability::default())?;
    let parts = CatalogParts::new(storage, Arc::new(SystemClock));
    let work = async { Ok(examine(&settings, &examination, parts).await) };
    let diagnosis = Signals::listen()?.unless_stopped(work).await?;
    write!(std::io::stdout(), "{diagnosis}").map_err(stdout_failure)?;
    let failed = |finding: &Finding| matches!(finding, Finding::Failed(_));
    let steps = diagnosis.steps.iter();
    match steps.filter(|step| failed(&step.finding)).count() {
        0 => Ok(()),
        failed => Err(Failure::Steps(failed)),
    }
}

/// The Glue catalog of that name, or the only one.
fn glue_of(settings: Settings, name: Option<&str>) -> Result<GlueSettings, Error> {
    let mut glue: Vec<(String, GlueSettings)> = settings
        .catalogs
        .into_iter()
        .filter_map(|(name, settings)| match settings {
            CatalogSettings::Glue(glue) => Some((name, *glue)),
            _ => None,
        })
        .collect();
    if let Some(name) = name {
        glue.retain(|(found, _)| found == name);
    }
    let names: Vec<&str> = glue.iter().map(|(name, _)| name.as_str()).collect();
    match (names.as_slice(), name) {
        ([_], _) => Ok(glue.remove(0).1),
        ([], Some(name)) => Err(Error::not_found(format!(
            "the settings have no catalog {name:?} of type glue"
        ))),
        ([], None) => Err(Error::not_found(
            "the settings have no catalog of type glue; add one, or leave --config out",
        )),
        (several, _) => Err(Error::invalid(format!(
            "the settings have several catalogs of type glue: choose one with --catalog, of {}",
            several.join(", ")
        ))),
    }
}

fn table(named: &str) -> Result<TableIdent, Error> {
    let wrong = || Error::invalid(format!("{named:?} is no table: give it as database.table"));
    match named.split('.').collect::<Vec<_>>().as_slice() {
        [database, table] if !database.is_empty() && !table.is_empty() => {
            TableIdent::from_strs([database, table]).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}
