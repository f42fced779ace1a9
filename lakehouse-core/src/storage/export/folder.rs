//! An export to this machine's files: written beside the target, then renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{ExportForm, is_not_empty, names_no_file};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::WorkGuard;

/// Names of an export. All of its calls block, and so does its end, which removes what was not
/// put in its place.
#[derive(Debug)]
pub(super) struct LocalExport {
    staged: PathBuf,
    target: PathBuf,
    /// Whether the target is a folder that was there.
    into: bool,
    /// The folders that were made on the way to the target, the innermost first.
    made: Vec<PathBuf>,
    is_placed: bool,
    _work: WorkGuard,
}

impl LocalExport {
    /// Looks at what is at the target, and makes the folders on the way to it.
    pub(super) fn begin(
        target: &Path,
        form: ExportForm,
        id: Uuid,
        work: WorkGuard,
    ) -> Result<Self> {
        let into = refuse_what_is_there(target, form)?;
        // Links and `..` are followed once, so that the names stay true.
        let target = match target.try_exists()? {
            true => fs::canonicalize(target)?,
            false => std::path::absolute(target)?,
        };
        let (folder, name) = match into {
            true => (target.as_path(), None),
            false => {
                let name = target.file_name().ok_or_else(names_no_file)?;
                (target.parent().ok_or_else(names_no_file)?, Some(name))
            }
        };
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let mut export = Self {
            staged: folder.join(format!(".{id}")),
            target: target.clone(),
            into,
            made: missing.map(Path::to_path_buf).collect(),
            is_placed: false,
            _work: work,
        };
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        export.staged = folder.join(format!(".{id}"));
        export.target = name.map_or_else(|| folder.clone(), |name| folder.join(name));
        // The store makes folders and tries again for as long as a file is told not to be found,
        // which is for ever where a system takes none.
        match form {
            ExportForm::Folder => fs::create_dir(&export.staged)?,
            ExportForm::File => drop(fs::File::create_new(&export.staged)?),
        }
        Ok(export)
    }

    /// Where the file or the folder is written.
    pub(super) fn staged(&self) -> &Path {
        &self.staged
    }

    /// Puts the files in their places.
    pub(super) fn complete(mut self) -> Result<()> {
        if !self.into {
            fs::rename(&self.staged, &self.target)?;
            self.is_placed = true;
            return Ok(());
        }
        let mut placed = Vec::new();
        let put = self.put_into(&mut placed);
        if put.is_err() {
            // The error of the first is the one to tell.
            for path in placed {
                let _ = remove_all(&path);
            }
        }
        self.is_placed = put.is_ok();
        put
    }

    /// Puts what is in the staged folder into the target, which may not be renamed itself: it may
    /// be where a disk is mounted, or where a program stands.
    fn put_into(&self, placed: &mut Vec<PathBuf>) -> Result<()> {
        let entries = fs::read_dir(&self.target)?.collect::<io::Result<Vec<_>>>()?;
        if entries.iter().any(|entry| entry.path() != self.staged) {
            return Err(is_not_empty());
        }
        for entry in fs::read_dir(&self.staged)? {
            let entry = entry?;
            let path = self.target.join(entry.file_name());
            fs::rename(entry.path(), &path)?;
            placed.push(path);
        }
        Ok(fs::remove_dir(&self.staged)?)
    }
}

impl Drop for LocalExport {
    fn drop(&mut self) {
        if self.is_placed {
            return;
        }
        let _ = remove_all(&self.staged);
        for folder in &self.made {
            let _is_in_use = fs::remove_dir(folder);
        }
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

/// Whether the target is a folder that files can go into.
fn refuse_what_is_there(target: &Path, form: ExportForm) -> Result<bool> {
    let found = match fs::metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let in_the_way = |message: &str| Err(Error::new(ErrorKind::AlreadyExists, message));
    match form {
        ExportForm::File if found.is_file() => Ok(false),
        ExportForm::File if found.is_dir() => {
            in_the_way("there is a folder of this name; to write files into it, end it with `/`")
        }
        // A rename would put a file in the place of a device.
        ExportForm::File => in_the_way("what is there is no file that can be replaced"),
        ExportForm::Folder if !found.is_dir() => {
            in_the_way("there is a file of this name; name another folder")
        }
        ExportForm::Folder => match fs::read_dir(target)?.next() {
            Some(_) => Err(is_not_empty()),
            None => Ok(true),
        },
    }
}
