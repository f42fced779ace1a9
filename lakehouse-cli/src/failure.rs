//! How a run of the command can fail, and what the process then says and returns.

use std::io;
use std::process::ExitCode;

use lakehouse::Error;

use crate::message::tell;
use crate::stop::Stop;

/// What is said of work that was cancelled and changed nothing.
pub(crate) const CANCELLED: &str = "cancelled";

/// Why the command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be done.
    Usage(String),
    /// A statement, the lake or a file failed.
    Lake(Error),
    /// Whoever read standard output has seen enough.
    PipeClosed,
    /// The user pressed Ctrl-C, or the system ended the work.
    Cancelled {
        /// Who it was.
        by: Stop,
        /// What to say of it.
        message: &'static str,
    },
    /// So many steps of an examination failed, and have been told.
    #[cfg(feature = "aws")]
    Steps(usize),
}

impl Failure {
    /// Work that was ended early, and of which nothing is left.
    pub(crate) fn cancelled(by: Stop) -> Self {
        Self::Cancelled {
            by,
            message: CANCELLED,
        }
    }

    /// Tells standard error what happened, and the process what to return.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                tell(format_args!(
                    "error: {message}\n\nFor more information, try 'lake sql --help'."
                ));
                ExitCode::from(2)
            }
            Self::Lake(error) => {
                tell(format_args!("error: {error}"));
                ExitCode::FAILURE
            }
            Self::PipeClosed => ExitCode::SUCCESS,
            Self::Cancelled { by, message } => {
                tell(message);
                ExitCode::from(by.code())
            }
            #[cfg(feature = "aws")]
            Self::Steps(failed) => {
                tell(format_args!("error: steps that failed: {failed}"));
                ExitCode::FAILURE
            }
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Lake(error.into())
    }
}

/// What failed when standard output was written to.
pub(crate) fn stdout_failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::PipeClosed
    } else {
        Failure::Lake(Error::from(error).with_context("while", "writing to standard output"))
    }
}
