//! The one error type of the workspace.
//!
//! A kind says what the caller should do next; the message says where, what was expected and what
//! to do; a lower error is kept as source and never changes the kind on its way up.

use std::error::Error as StdError;
use std::fmt;

use datafusion::error::DataFusionError;

/// The result of every fallible function of the workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller of a failed operation should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong: correct it and ask again.
    InvalidInput,
    /// The named object does not exist: check the name.
    NotFound,
    /// An object of that name exists already: choose another name.
    AlreadyExists,
    /// The request is understood and not offered: use what the message names instead.
    Unsupported,
    /// Stored metadata or data does not say what its format demands: restore the file.
    Corrupt,
    /// Somebody else committed first and both cannot stand: read again and decide anew.
    Conflict,
    /// The outcome of a commit is not known: look at the table's history before anything else.
    Unknown,
    /// The caller may not do this: ask for the right or use other credentials.
    PermissionDenied,
    /// A budget (memory, spill, disk, files) is used up: raise it or ask for less.
    ResourcesExhausted,
    /// Storage or catalog did not answer as expected: try again later.
    Unavailable,
    /// The work was cancelled before it ended: nothing was changed.
    Cancelled,
    /// A defect of this library: please report it.
    Internal,
}

impl ErrorKind {
    /// The kind as it is written in messages and logs, in kebab case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown-outcome",
            Self::PermissionDenied => "permission-denied",
            Self::ResourcesExhausted => "resources-exhausted",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong: kind, message, context pairs and the lower error that caused it.
///
/// `Display` is one line for people; `Debug` has a line per context pair and source.
///
/// ```
/// use lakehouse_core::error::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "table \"orders\" does not exist")
///     .with_context("namespace", "sales");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "table \"orders\" does not exist (namespace: sales)");
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind`; the message says where, what was expected and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                context: Vec::new(),
                source: None,
            }),
        }
    }

    /// An error of kind [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// An error of kind [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An error of kind [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// An error of kind [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An error of kind [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds a fact that a reader needs to find the cause, such as a file or a table.
    ///
    /// The keys `line` and `column` name a place in the caller's text and are written first.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.inner.context.push((key, value.to_string()));
        self
    }

    /// Adds the file that it is about, unless one is named already.
    #[must_use]
    pub(crate) fn in_file(self, location: impl fmt::Display) -> Self {
        match self.inner.context.iter().any(|(key, _)| *key == "file") {
            true => self,
            false => self.with_context("file", location),
        }
    }

    /// Keeps the lower error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The message without context and source.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The context pairs in the order they were added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.inner.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A place in the text of the caller comes first, as compilers write it.
        let place = |wanted: &str| {
            self.inner
                .context
                .iter()
                .find(|(key, _)| *key == wanted)
                .map(|(_, value)| value)
        };
        if let (Some(line), Some(column)) = (place("line"), place("column")) {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.inner.message)?;
        let pairs: Vec<String> = self
            .inner
            .context
            .iter()
            .filter(|(key, _)| !matches!(*key, "line" | "column"))
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        if !pairs.is_empty() {
            write!(f, " ({})", pairs.join(", "))?;
        }
        // The cause is part of the one line a person sees, unless the message tells it already.
        if let Some(source) = &self.inner.source {
            let cause = source.to_string();
            if !self.inner.message.contains(&cause) {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.kind, self.inner.message)?;
        for (key, value) in &self.inner.context {
            write!(f, "\n  {key}: {value}")?;
        }
        if let Some(source) = &self.inner.source {
            write!(f, "\n  caused by: {source:?}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<iceberg::Error> for Error {
    fn from(error: iceberg::Error) -> Self {
        use iceberg::ErrorKind as Format;
        let kind = match error.kind() {
            Format::DataInvalid => ErrorKind::Corrupt,
            Format::FeatureUnsupported => ErrorKind::Unsupported,
            Format::TableNotFound | Format::NamespaceNotFound => ErrorKind::NotFound,
            Format::TableAlreadyExists | Format::NamespaceAlreadyExists => ErrorKind::AlreadyExists,
            Format::CatalogCommitConflicts => ErrorKind::Conflict,
            Format::PreconditionFailed => ErrorKind::InvalidInput,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, error.message().to_owned()).with_source(error)
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Store;
        let error = match error {
            Store::Generic { store, source } => match source.downcast::<Self>() {
                Ok(ours) => return *ours,
                Err(source) => Store::Generic { store, source },
            },
            other => other,
        };
        let (kind, message) = match &error {
            Store::NotFound { path, .. } => {
                (ErrorKind::NotFound, format!("file {path} does not exist"))
            }
            Store::AlreadyExists { path, .. } => (
                ErrorKind::AlreadyExists,
                format!("file {path} exists already"),
            ),
            Store::PermissionDenied { path, .. } | Store::Unauthenticated { path, .. } => (
                ErrorKind::PermissionDenied,
                format!("no permission for file {path}"),
            ),
            Store::InvalidPath { .. } => (ErrorKind::InvalidInput, "invalid path".to_owned()),
            Store::NotSupported { .. } | Store::NotImplemented { .. } => (
                ErrorKind::Unsupported,
                "the store does not offer this operation".to_owned(),
            ),
            _ => io_cause(&error),
        };
        Self::new(kind, message).with_source(error)
    }
}

/// Finds the operating system's error below a store's generic one.
fn io_cause(error: &(dyn StdError + 'static)) -> (ErrorKind, String) {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return (io_kind(io), format!("storage failed: {io}"));
        }
        cause = current.source();
    }
    (ErrorKind::Unavailable, "storage failed".to_owned())
}

fn io_kind(error: &std::io::Error) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound => ErrorKind::NotFound,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        Io::AlreadyExists => ErrorKind::AlreadyExists,
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge | Io::OutOfMemory => {
            ErrorKind::ResourcesExhausted
        }
        Io::InvalidInput | Io::InvalidFilename | Io::NotADirectory | Io::IsADirectory => {
            ErrorKind::InvalidInput
        }
        _ => ErrorKind::Unavailable,
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(io_kind(&error), format!("input or output failed: {error}")).with_source(error)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        match error {
            ArrowError::ExternalError(inner) => from_external(inner),
            other => {
                let kind = match &other {
                    ArrowError::IoError(_, io) => io_kind(io),
                    ArrowError::MemoryError(_) => ErrorKind::ResourcesExhausted,
                    ArrowError::NotYetImplemented(_) => ErrorKind::Unsupported,
                    _ => ErrorKind::InvalidInput,
                };
                Self::new(kind, other.to_string()).with_source(other)
            }
        }
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError;
        match error {
            ParquetError::External(inner) => match from_known(inner) {
                Ok(known) => known,
                // The decoder's own: of text that is none, or a number that is too large.
                Err(inner) => {
                    Self::corrupt(format!("invalid Parquet file: {inner}")).with_source(inner)
                }
            },
            other => {
                let kind = match &other {
                    ParquetError::NYI(_) => ErrorKind::Unsupported,
                    _ => ErrorKind::Corrupt,
                };
                Self::new(kind, format!("invalid Parquet file: {other}")).with_source(other)
            }
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::new(ErrorKind::Corrupt, format!("invalid JSON: {error}")).with_source(error)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let kind = match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => ErrorKind::Unavailable,
            Some(
                Code::PermissionDenied | Code::ReadOnly | Code::AuthorizationForStatementDenied,
            ) => ErrorKind::PermissionDenied,
            Some(Code::DiskFull | Code::OutOfMemory) => ErrorKind::ResourcesExhausted,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, format!("the catalog file failed: {error}")).with_source(error)
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => from_external(inner),
            DataFusionError::ArrowError(inner, _) => Self::from(*inner),
            DataFusionError::ParquetError(inner) => Self::from(*inner),
            DataFusionError::ObjectStore(inner) => Self::from(*inner),
            DataFusionError::IoError(inner) => Self::from(inner),
            DataFusionError::Context(text, inner) if is_rule(&text) || is_advice(&text) => {
                Self::from(*inner)
            }
            DataFusionError::Context(context, inner) => {
                Self::from(*inner).with_context("while", context)
            }
            DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            DataFusionError::Shared(inner) => from_shared(&inner),
            DataFusionError::Collection(mut errors) if !errors.is_empty() => {
                Self::from(errors.swap_remove(0))
            }
            DataFusionError::ResourcesExhausted(_) => exhausted(&error),
            other => {
                let kind = match &other {
                    DataFusionError::Plan(_)
                    | DataFusionError::SQL(..)
                    | DataFusionError::SchemaError(..)
                    | DataFusionError::Configuration(_)
                    | DataFusionError::Execution(_) => ErrorKind::InvalidInput,
                    DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
                    _ => ErrorKind::Internal,
                };
                let text = other.strip_backtrace();
                match without_stage(&text) {
                    // The engine's error tells nothing that the message does not.
                    Some(message) => Self::new(kind, message),
                    None => Self::new(kind, text).with_source(other),
                }
            }
        }
    }
}

/// The engine's message without the stage it came from, `None` when it names none: the kind says
/// as much.
fn without_stage(text: &str) -> Option<&str> {
    const STAGES: [&str; 4] = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
    ];
    STAGES.iter().find_map(|stage| text.strip_prefix(stage))
}

/// Whether what the engine was doing is the name of a rule of its own, which says nothing to users.
fn is_rule(context: &str) -> bool {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    context.starts_with("Optimizer rule '") || context.chars().all(is_name)
}

/// Whether what the engine was doing ends in settings of its own, which ours are not.
fn is_advice(context: &str) -> bool {
    context.contains("'datafusion.runtime.memory_limit'")
}

/// A budget that the engine found used up: which of ours it is.
fn exhausted(error: &DataFusionError) -> Error {
    let text = error.strip_backtrace();
    let text = text.strip_prefix("Resources exhausted: ").unwrap_or(&text);
    let (budget, setting) = match text.contains("used disk space") {
        true => ("disk for what does not fit memory", "spill.bytes_max"),
        false => ("memory budget", "memory_budget_bytes"),
    };
    let message = format!("the {budget} is used up; raise {setting} or ask for less: {text}");
    Error::new(ErrorKind::ResourcesExhausted, message)
}

/// An error of ours that travelled through another library comes back as it was.
fn from_external(inner: Source) -> Error {
    from_known(inner).unwrap_or_else(|inner| {
        Error::new(ErrorKind::Internal, inner.to_string()).with_source(inner)
    })
}

fn from_known(inner: Source) -> Result<Error, Source> {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return Ok(*ours),
        Err(other) => other,
    };
    let inner = match inner.downcast::<DataFusionError>() {
        Ok(engine) => return Ok(Error::from(*engine)),
        Err(other) => other,
    };
    let inner = match inner.downcast::<parquet::errors::ParquetError>() {
        Ok(parquet) => return Ok(Error::from(*parquet)),
        Err(other) => other,
    };
    match inner.downcast::<object_store::Error>() {
        Ok(store) => Ok(Error::from(*store)),
        Err(other) => Err(other),
    }
}

/// A shared engine error cannot be taken apart, so kind, message and context are copied.
fn from_shared(shared: &std::sync::Arc<DataFusionError>) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(shared.as_ref());
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<Error>() {
            let mut copy = Error::new(ours.kind(), ours.message());
            copy.inner.context = ours.inner.context.clone();
            return copy;
        }
        cause = current.source();
    }
    let root = shared.find_root();
    if let DataFusionError::ArrowError(inner, _) = root
        && let arrow::error::ArrowError::IoError(_, io) = inner.as_ref()
    {
        return Error::new(io_kind(io), inner.to_string());
    }
    let kind = match root {
        DataFusionError::ResourcesExhausted(_) => return exhausted(root),
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        _ => ErrorKind::InvalidInput,
    };
    let text = shared.strip_backtrace();
    Error::new(kind, without_stage(&text).unwrap_or(&text))
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<Error> for parquet::errors::ParquetError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_parquet_decoder_cannot_read_is_a_corrupt_file() {
        let no_text = String::from_utf8(vec![0xFF]).unwrap_err();
        let error = Error::from(parquet::errors::ParquetError::External(no_text.into()));
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_full_disk_is_one_whoever_shares_the_error() {
        let full = || {
            let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
            DataFusionError::from(arrow::error::ArrowError::from(io))
        };
        let alone = Error::from(full());
        let shared = Error::from(DataFusionError::Shared(std::sync::Arc::new(full())));
        assert_eq!(alone.kind(), ErrorKind::ResourcesExhausted);
        assert_eq!(shared.kind(), alone.kind());
        assert_eq!(shared.message(), alone.message());
    }
}
