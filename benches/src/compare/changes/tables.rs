//! The tables before any change: order lines in both versions of the format and by month, and the
//! rows that are merged.

use std::path::{Path, PathBuf};

use lakehouse::{Error, Lakehouse, Result};
use serde_json::Value;

use super::super::engine::{Files, TableFiles, data_files};
use super::cases::{Case, Keys, LINES, Mode, key_max, source_rows};
use crate::tpch;

/// The statements whose mode is a property of the table.
const MODES: [&str; 3] = ["write.delete.mode", "write.update.mode", "write.merge.mode"];

/// The level of Zstandard that Spark and DuckDB write by when nothing is said; the lake's is 1.
const LEVEL: (&str, &str) = ("write.parquet.compression-level", "3");

/// The table of the third version of the format.
const LINES_3: &str = "lineitem_3";

/// The table that is partitioned by the month of shipping.
const LINES_BY_MONTH: &str = "lineitem_by_month";

/// In how many commits a table is filled from another.
const COMMITS: i64 = 7;

const MERGED: [Keys; 3] = [Keys::Scattered, Keys::Recent, Keys::Few];

/// The tables that [`make`] made.
#[derive(Debug)]
pub(super) struct Tables {
    /// The bare files of the order lines, and of the rows that are merged.
    pub(super) bare: Files,
    /// Mean bytes of a row in those files.
    pub(super) row_bytes: f64,
    /// Name and metadata file of each table of rows that are merged.
    pub(super) sources: Vec<(String, String)>,
    folder: PathBuf,
    bases: Vec<(&'static str, String)>,
}

/// A table as it is before a change: what each engine gives a name of its own.
#[derive(Debug)]
pub(super) struct Base {
    /// Where the metadata file is.
    pub(super) metadata: String,
    /// The folder of the table.
    pub(super) folder: PathBuf,
}

/// Loads the order lines and fills the other tables from them.
pub(super) async fn make(lake: &Lakehouse, scale: f64) -> Result<()> {
    let load = tpch::Load::at_scale(scale);
    tpch::load(lake, load, |name| name == LINES, "").await?;
    let columns = tpch::definition(LINES)?;
    let session = lake.session()?;
    for (table, clauses) in [
        (LINES_3, "TBLPROPERTIES ('format-version' = '3')"),
        (LINES_BY_MONTH, "PARTITIONED BY (months(l_shipdate))"),
    ] {
        let create = format!("CREATE TABLE {table} ({columns}) {clauses}");
        session.sql(&create).await?.collect().await?;
    }
    let by_month = format!("INSERT INTO {LINES_BY_MONTH} SELECT * FROM {LINES}");
    session.sql(&by_month).await?.collect().await?;
    let last_key = key_max(scale);
    // As many commits as the loaded table has, so that files are of the same sizes.
    for commit in 0..COMMITS {
        let (first, last) = (
            last_key * commit / COMMITS,
            last_key * (commit + 1) / COMMITS,
        );
        let insert = format!(
            "INSERT INTO {LINES_3} SELECT * FROM {LINES} \
             WHERE l_orderkey > {first} AND l_orderkey <= {last}"
        );
        session.sql(&insert).await?.collect().await?;
    }
    for keys in MERGED {
        let source = keys.source();
        let create = format!("CREATE TABLE {source} ({columns})");
        session.sql(&create).await?.collect().await?;
        let insert = format!("INSERT INTO {source} {}", source_rows(keys, scale));
        session.sql(&insert).await?.collect().await?;
    }
    Ok(())
}

/// Asks the lake where its tables are.
pub(super) async fn found(lake: &Lakehouse, folder: &Path) -> Result<Tables> {
    let session = lake.session()?;
    let mut bare = Vec::new();
    let mut sources = Vec::new();
    let lines = data_files(&session, LINES).await?;
    let bytes = lines.iter().map(|file| {
        let path = file.strip_prefix("file://").unwrap_or(file);
        Ok(std::fs::metadata(path)?.len())
    });
    let bytes: u64 = bytes.sum::<Result<u64>>()?;
    let table = async |name: &str| lake.table(&format!("default.{name}")).await;
    for (keys, name) in [
        (Keys::Scattered, "changes_scattered"),
        (Keys::Recent, "changes_recent"),
        (Keys::Few, "changes_few"),
    ] {
        let source = keys.source();
        let metadata = table(&source).await?.metadata_location().to_owned();
        let data = data_files(&session, &source).await?;
        bare.push(bare_files(name, data));
        sources.push((source, metadata));
    }
    bare.push(bare_files(LINES, lines));
    let mut bases = Vec::new();
    let mut rows = 0.0;
    for name in [LINES, LINES_3, LINES_BY_MONTH] {
        let table = table(name).await?;
        bases.push((name, table.metadata_location().to_owned()));
        let snapshot = table.metadata().current_snapshot();
        let summary = snapshot.map(|snapshot| &snapshot.summary().additional_properties);
        let total = summary.and_then(|summary| summary.get("total-records")?.parse().ok());
        rows = total.ok_or_else(|| Error::not_found(format!("{name} has no rows")))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean for a ratio")]
    let row_bytes = bytes as f64 / rows;
    Ok(Tables {
        bare: Files(bare),
        row_bytes,
        sources,
        folder: folder.to_owned(),
        bases,
    })
}

fn bare_files(name: &'static str, data: Vec<String>) -> TableFiles {
    TableFiles {
        name,
        metadata: String::new(),
        snapshot_id: None,
        data,
    }
}

impl Tables {
    /// The table that a case changes, with the mode among its properties, and what makes engines
    /// pack equally well.
    pub(super) fn base(&self, case: &Case) -> Result<Base> {
        let name = match (case.keys, case.version) {
            (Keys::Month, _) => LINES_BY_MONTH,
            (_, 3) => LINES_3,
            _ => LINES,
        };
        let base = self.bases.iter().find(|(known, _)| *known == name);
        let (_, location) = base.ok_or_else(|| Error::not_found(format!("no table {name}")))?;
        let path = local(location);
        let folder = path.parent().and_then(Path::parent);
        let folder = folder.ok_or_else(|| Error::internal("a metadata file in no folder"))?;
        if !folder.starts_with(&self.folder) {
            return Err(Error::invalid(format!("{location} is not in the lake")));
        }
        let mut metadata: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let properties = &mut metadata["properties"];
        if case.mode != Mode::Unset {
            for property in MODES {
                properties[property] = case.mode.to_string().into();
            }
        }
        let (property, level) = LEVEL;
        properties[property] = level.into();
        let file = folder
            .join("metadata")
            .join(format!("00099-{}.metadata.json", case.mode));
        std::fs::write(&file, serde_json::to_vec(&metadata)?)?;
        Ok(Base {
            metadata: format!("file://{}", file.display()),
            folder: folder.to_owned(),
        })
    }
}

/// The path of a `file:` URL, as each engine writes it.
pub(super) fn local(location: &str) -> PathBuf {
    let path = location.strip_prefix("file:").unwrap_or(location);
    Path::new("/").join(path.trim_start_matches('/'))
}
