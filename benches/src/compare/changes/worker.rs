//! The lake in a process of its own that changes tables on request, as the other engines do, so that
//! its memory is its own.

use std::io::Write;
use std::path::Path;

use lakehouse::{Clock, Error, Lakehouse, Result, Session, Settings, SystemClock};
use lakehouse_testkit::{Answer, Kind};
use serde_json::{Value, json};

use super::super::{Options, machine};

/// Answers requests until the input ends; the lake is made in `folder`.
///
/// # Errors
/// When the lake cannot be made or the pipes break. A request that fails is told in its answer.
pub async fn serve_changes(folder: &Path, options: &Options) -> Result<()> {
    let mut settings = Settings {
        memory_budget_bytes: options.memory_budget_mib.map(|mib| mib << 20),
        ..Settings::default()
    };
    // What a statement costs is measured, not what an earlier one left in memory.
    settings.caches.column_bytes_max = Some(0);
    let builder = Lakehouse::builder().location(folder.to_string_lossy());
    let lake = builder.settings(settings).build().await?;
    let session = lake.session()?;
    let mut stdout = std::io::stdout();
    for line in std::io::stdin().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let response = match answer(&lake, &session, &request).await {
            Ok(response) => response,
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(stdout, "{response}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn answer(lake: &Lakehouse, session: &Session, request: &Value) -> Result<Value> {
    let text = |key: &'static str| {
        let missing = || Error::invalid(format!("the request has no {key}"));
        request[key].as_str().ok_or_else(missing)
    };
    match text("do")? {
        "start" => Ok(json!({ "version": env!("CARGO_PKG_VERSION") })),
        "name" => {
            let (table, metadata) = (text("table")?, text("metadata")?.replace('\'', "''"));
            let call = format!("CALL system.register_table('default.{table}', '{metadata}')");
            session.sql(&call).await?.collect().await?;
            Ok(json!({}))
        }
        "change" => {
            machine::reset_peak();
            let clock = SystemClock;
            let started = clock.instant();
            session.sql(text("sql")?).await?.collect().await?;
            let elapsed = clock.instant().duration_since(started);
            let peak = machine::peak_bytes();
            let table = lake.table(&format!("default.{}", text("table")?)).await?;
            Ok(json!({
                "seconds": elapsed.as_secs_f64(),
                "metadata": table.metadata_location(),
                "peak_bytes": peak,
            }))
        }
        "ask" => {
            let batches = session.sql(text("sql")?).await?.collect().await?;
            let answer = Answer::of(&batches)?;
            let kinds = answer.kinds.iter().map(|kind| match kind {
                Kind::Exact => "exact",
                Kind::Float => "float",
                Kind::Text => "text",
            });
            let kinds: Vec<&str> = kinds.collect();
            Ok(json!({ "names": answer.names, "kinds": kinds, "rows": answer.rows }))
        }
        other => Err(Error::invalid(format!("there is no request {other}"))),
    }
}
