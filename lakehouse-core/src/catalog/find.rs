//! Tables without a catalog: by their metadata file, or by their folder.

use std::sync::Arc;

use futures::TryStreamExt;

use super::TablePointer;
use super::metadata_file::{self, MetadataName, stem};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{NamespaceIdent, TableIdent};
use crate::storage::{Storage, join};

/// The namespace in which a table without a catalog is shown.
const NO_CATALOG: &str = "file";
const HINT: &str = "version-hint.text";
/// A hint is a number or a file's name; what is larger is something else.
const HINT_BYTES_MAX: u64 = 1024;
/// Files that are listed at most before a folder counts as no metadata folder.
const FILES_MAX: usize = 100_000;
/// Files an error names at most.
const NAMED_MAX: usize = 20;

/// The table whose state `metadata_location` holds.
///
/// No catalog is asked, so nobody says whether a later state exists. The table is named after its
/// folder.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no file, [`ErrorKind::Corrupt`] when it is no metadata
/// file, [`ErrorKind::Unsupported`] for a table with features that are not offered.
pub async fn load_by_metadata_file(
    storage: &Storage,
    metadata_location: &str,
) -> Result<TablePointer> {
    let metadata = metadata_file::read(storage, metadata_location).await?;
    let folder = metadata.location().trim_end_matches('/');
    let name = folder.rsplit('/').next().unwrap_or_default();
    let ident = TableIdent::new(NamespaceIdent::new(NO_CATALOG.to_owned()), name.to_owned());
    Ok(TablePointer {
        ident,
        metadata_location: metadata_location.to_owned(),
        metadata: Arc::new(metadata),
    })
}

/// The metadata file of the table in `folder`, or in the folder above when `folder` is its
/// `metadata` folder.
///
/// `version-hint.text` decides, where a catalog that works by folders left one. Without it the
/// newest file by number may be the loser of a race that never became the table's state, so it is
/// taken only when `guess` is set.
///
/// # Errors
/// [`ErrorKind::NotFound`] when the folder holds no metadata file;
/// [`ErrorKind::InvalidInput`], naming the metadata files, when nothing says which one is current;
/// [`ErrorKind::Corrupt`] for a hint that names no file.
pub async fn find_metadata_file(storage: &Storage, folder: &str, guess: bool) -> Result<String> {
    let folder = folder.trim_end_matches('/');
    let metadata = if folder.ends_with("/metadata") {
        folder.to_owned()
    } else {
        join(folder, "metadata")
    };
    if let Some(hint) = read_hint(storage, &metadata).await? {
        return by_hint(storage, &metadata, &hint).await;
    }
    let mut files = list_metadata_files(storage, &metadata).await?;
    files.sort_by_key(Candidate::order);
    let Some(newest) = files.last() else {
        return Err(Error::not_found(
            "the folder holds no Iceberg table: no metadata file was found",
        )
        .with_context("folder", &metadata));
    };
    if guess {
        return Ok(newest.location.clone());
    }
    Err(Error::invalid(format!(
        "nothing in the folder says which metadata file is the table's current one; \
         name one, or ask for a guess: {}",
        names(&files)
    ))
    .with_context("folder", &metadata))
}

async fn read_hint(storage: &Storage, metadata: &str) -> Result<Option<String>> {
    let location = join(metadata, HINT);
    let size = match storage.size_bytes(&location).await {
        Ok(size) => size,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let hint = if size <= HINT_BYTES_MAX {
        let bytes = storage.read(&location).await?;
        String::from_utf8(bytes.to_vec()).ok()
    } else {
        None
    };
    let hint = hint
        .map(|hint| hint.trim().to_owned())
        .filter(|hint| !hint.is_empty() && !hint.contains('/'));
    match hint {
        Some(hint) => Ok(Some(hint)),
        None => Err(
            Error::corrupt(format!("{HINT} names no version; expected a number"))
                .with_context("file", location),
        ),
    }
}

/// The file that a hint names: by number, or by its whole name as some writers leave it.
async fn by_hint(storage: &Storage, metadata: &str, hint: &str) -> Result<String> {
    let stem_hint = stem(hint).unwrap_or(hint);
    let endings = ["metadata.json", "gz.metadata.json", "metadata.json.gz"];
    for form in ["v", ""] {
        for ending in endings {
            let location = join(metadata, &format!("{form}{stem_hint}.{ending}"));
            if storage.exists(&location).await? {
                return Ok(location);
            }
        }
    }
    let version = hint.parse::<u32>().ok();
    let mut files = list_metadata_files(storage, metadata).await?;
    files.retain(|file| version.is_some() && file.version == version);
    files.sort_by_key(Candidate::order);
    match files.as_slice() {
        [only] => Ok(only.location.clone()),
        [] => Err(Error::corrupt(format!(
            "{HINT} names version {hint:?}, but the folder has no metadata file of it"
        ))
        .with_context("folder", metadata)),
        several => Err(Error::invalid(format!(
            "{HINT} names version {hint:?}, of which there are several metadata files; \
             name one: {}",
            names(several)
        ))
        .with_context("folder", metadata)),
    }
}

/// A metadata file of a folder.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    location: String,
    /// `None` for a name that tells no number, which sorts before all others.
    version: Option<u32>,
    modified_at_ms: i64,
}

impl Candidate {
    /// By number, not by text: 10 comes after 9 (S07).
    fn order(&self) -> (Option<u32>, i64, String) {
        (self.version, self.modified_at_ms, self.location.clone())
    }
}

async fn list_metadata_files(storage: &Storage, metadata: &str) -> Result<Vec<Candidate>> {
    let mut listed = storage.list(metadata)?;
    let mut files = Vec::new();
    let mut seen = 0;
    loop {
        let file = match listed.try_next().await {
            Ok(Some(file)) => file,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        seen += 1;
        if seen > FILES_MAX {
            return Err(Error::new(
                ErrorKind::ResourcesExhausted,
                format!("the folder holds more than {FILES_MAX} files; name a metadata file"),
            )
            .with_context("folder", metadata));
        }
        if stem(&file.location).is_some() {
            files.push(Candidate {
                version: MetadataName::parse(&file.location).map(|name| name.version()),
                location: file.location,
                modified_at_ms: file.modified_at_ms,
            });
        }
    }
    Ok(files)
}

/// The newest files' names, as many as a person reads.
fn names(files: &[Candidate]) -> String {
    let named: Vec<&str> = files
        .iter()
        .rev()
        .take(NAMED_MAX)
        .filter_map(|file| file.location.rsplit('/').next())
        .collect();
    let more = files.len() - named.len();
    let rest = if more > 0 {
        format!(" and {more} older ones")
    } else {
        String::new()
    };
    format!("{}{rest}", named.join(", "))
}
