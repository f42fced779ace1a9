//! Files that a statement writes outside of a lake: they appear when all of them are complete.

mod folder;
mod sink;

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

use super::WorkGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;
use folder::LocalExport;
use sink::Sink;

/// Whether one file is written or a folder of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportForm {
    /// One file, in place of one that may be there.
    File,
    /// A folder, which must not be there or be empty.
    Folder,
}

/// Where files are to go.
#[derive(Debug, Clone)]
pub struct ExportTarget {
    text: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Local(PathBuf),
    Remote { url: Url, path: Path },
}

impl ExportTarget {
    /// Reads a path or URL as a user writes it. In a path every character is part of a name.
    ///
    /// # Errors
    /// For a URL that names no file.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |error: Error| error.with_context("target", text);
        let url = match std::path::Path::new(text).is_absolute() {
            true => None,
            // A text without a scheme is a path.
            false => Url::parse(text).ok(),
        };
        let place = match url {
            None => Place::Local(PathBuf::from(text)),
            Some(url) if url.scheme() == "file" => Place::Local(
                url.to_file_path()
                    .map_err(|()| refused(Error::invalid("the URL names no file here")))?,
            ),
            Some(url) => {
                let path = Path::from_url_path(url.path());
                let path =
                    path.map_err(|error| refused(object_store::Error::from(error).into()))?;
                Place::Remote { url, path }
            }
        };
        let text = text.to_owned();
        Ok(Self { text, place })
    }

    /// Whether the text ends as names of folders do.
    pub fn is_folder(&self) -> bool {
        self.text.ends_with(std::path::is_separator)
    }

    /// The URL by which the engine knows the target's store.
    ///
    /// # Errors
    /// When a store cannot be named so.
    pub fn store_url(&self) -> Result<Url> {
        let text = match &self.place {
            Place::Local(_) => "file:///",
            Place::Remote { url, .. } => {
                &url[url::Position::BeforeScheme..url::Position::BeforePath]
            }
        };
        Url::parse(text).map_err(|error| {
            Error::invalid("the URL names no store")
                .with_context("target", &self.text)
                .with_source(error)
        })
    }
}

/// Files on their way to their target. When it is dropped before its end, they are removed, and
/// nothing that stood there before is touched.
#[derive(Debug)]
pub struct Export {
    sink: Arc<Sink>,
    staged: Option<Staged>,
    work: WorkGuard,
}

/// Where the files are until they are complete.
#[derive(Debug)]
enum Staged {
    /// Below a name of their own, beside the target or in it.
    Local(LocalExport),
    /// One object, beside the target.
    Object {
        store: Arc<dyn ObjectStore>,
        staged: Path,
        target: Path,
    },
    /// At their places, where no objects were.
    InPlace { store: Arc<dyn ObjectStore> },
}

impl Export {
    /// Makes the place for files of `form`. `id` names what is not complete; it is also cut off
    /// the names of the folders that the engine makes for partitions, with a point.
    ///
    /// # Errors
    /// When something is in the way at the target, and what the store answers.
    pub async fn begin(
        target: ExportTarget,
        form: ExportForm,
        id: Uuid,
        store: Arc<dyn ObjectStore>,
        work: WorkGuard,
    ) -> Result<Self> {
        let ExportTarget { text, place } = target;
        let begun = match place {
            Place::Local(path) => {
                let work = work.another();
                let begun =
                    runtime::blocking(move || LocalExport::begin(&path, form, id, work)).await;
                begun.flatten().and_then(|local| {
                    let staged = Path::from_absolute_path(local.staged());
                    let staged = staged.map_err(object_store::Error::from)?;
                    Ok((staged, Staged::Local(local)))
                })
            }
            Place::Remote { path, .. } => begin_remote(Arc::clone(&store), path, form, id).await,
        };
        let (base, staged) = begun.map_err(|error| error.with_context("target", &text))?;
        Ok(Self {
            sink: Arc::new(Sink::new(store, base, form, text, id)),
            staged: Some(staged),
            work,
        })
    }

    /// Where the engine writes the files.
    pub fn sink(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.sink) as Arc<dyn ObjectStore>
    }

    /// Puts the complete files in their places.
    ///
    /// # Errors
    /// What the store answers; the files are removed then.
    pub async fn complete(mut self) -> Result<()> {
        let placed = match self.staged.take() {
            None | Some(Staged::InPlace { .. }) => Ok(()),
            Some(Staged::Local(local)) => {
                runtime::blocking(move || local.complete()).await.flatten()
            }
            Some(Staged::Object {
                store,
                staged,
                target,
            }) => {
                let renamed = store.rename(&staged, &target).await;
                if renamed.is_err() {
                    // The error of the first is the one to tell.
                    let _ = store.delete(&staged).await;
                }
                renamed.map_err(Error::from)
            }
        };
        placed.map_err(|error| error.with_context("target", self.sink.target()))
    }

    /// Removes what was written. Gives the store's own error where it had one, else `error`.
    pub async fn give_up(mut self, error: Error) -> Error {
        if let Some(staged) = self.staged.take() {
            let remove = remove(staged, Arc::clone(&self.sink));
            // The error of the statement is the one to tell.
            let _ = runtime::finish(self.work.another(), remove).await;
        }
        self.sink.take_failure().unwrap_or(error)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take() {
            let sink = Arc::clone(&self.sink);
            runtime::detach(self.work.another(), remove(staged, sink));
        }
    }
}

/// The first error of the statement is the one to tell, so none of these is.
async fn remove(staged: Staged, sink: Arc<Sink>) {
    let begun = sink.close().await;
    let (store, files) = match staged {
        Staged::Local(local) => {
            let _ = runtime::blocking(move || drop(local)).await;
            return;
        }
        Staged::Object { store, staged, .. } => (store, vec![staged]),
        Staged::InPlace { store } => (store, begun),
    };
    for file in files {
        let _ = store.delete(&file).await;
    }
}

async fn begin_remote(
    store: Arc<dyn ObjectStore>,
    target: Path,
    form: ExportForm,
    id: Uuid,
) -> Result<(Path, Staged)> {
    match form {
        ExportForm::File => {
            let mut parts: Vec<_> = target.parts().collect();
            let name = parts.pop().ok_or_else(names_no_file)?;
            let staged = format!(".{id}.{}", name.as_ref());
            let staged: Path = parts.into_iter().chain([staged.into()]).collect();
            let base = staged.clone();
            Ok((
                base,
                Staged::Object {
                    store,
                    staged,
                    target,
                },
            ))
        }
        ExportForm::Folder => match store.list(Some(&target)).next().await.transpose()? {
            Some(_) => Err(is_not_empty()),
            None => Ok((target, Staged::InPlace { store })),
        },
    }
}

fn is_not_empty() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "the folder is not empty, and its files would be mixed with new ones; name another folder, \
         or empty this one",
    )
}

fn names_no_file() -> Error {
    Error::invalid("the target names no file; write a name such as 'folder/file.parquet'")
}
