//! How a command fails, by its exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use fulmar_core::admin::AdminError;
use fulmar_core::engine::StartError;
use fulmar_core::model::reply::Severity;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::state::StateError;

use crate::config::Mistake;

/// Why a command did not do what it was asked. Displayed as whole lines for standard error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 1: it cannot be done.
    Failed(String),
    /// 2: it was not asked rightly.
    Usage(String),
    /// 2: the configuration is wrong.
    Config(Vec<Mistake>),
    /// 75: the store cannot be asked now, or something else has to come first (`EX_TEMPFAIL` of sysexits).
    TryAgain(String),
    /// 0: whoever read the output has seen enough.
    ReaderGone,
}

impl Failure {
    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::ReaderGone => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Config(_) => 2,
            Self::TryAgain(_) => 75,
        })
    }

    /// Of something that is made within a domain: what is not found is the domain.
    pub(crate) fn without_domain(error: AdminError, domain: &Domain) -> Self {
        match error {
            AdminError::NotFound(reason) => {
                Self::Failed(format!("{reason}; `fulmar domain add {domain}` makes this domain yours"))
            }
            error => error.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReaderGone => Ok(()),
            Self::Failed(reason) | Self::Usage(reason) => writeln!(f, "fulmar: {reason}"),
            Self::TryAgain(reason) => writeln!(f, "fulmar: {reason}; try again later"),
            Self::Config(mistakes) => mistakes.iter().try_for_each(|mistake| writeln!(f, "{mistake}")),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotYet(_) | AdminError::State(StateError::Unavailable(_)) => {
                Self::TryAgain(error.to_string())
            }
            AdminError::NotFound(_)
            | AdminError::Exists(_)
            | AdminError::Invalid(_)
            | AdminError::State(StateError::Refused(_) | StateError::Damaged { .. }) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        AdminError::from(error).into()
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => AdminError::from(error).into(),
            StartError::UnsafeStore { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<Reply> for Failure {
    /// A message that was not taken.
    fn from(reply: Reply) -> Self {
        match reply.severity() {
            Severity::Transient => Self::TryAgain(reply.to_string()),
            Severity::Positive | Severity::Permanent => Self::Failed(reply.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    /// For standard output and what is written through it; files say their names themselves.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}
