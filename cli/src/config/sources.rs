//! What configuration is read from: a file, variables, and the system's own names.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::Mistake;

/// Names the configuration file.
pub(super) const FILE_VARIABLE: &str = "FULMAR_CONFIG";
const PREFIX: &str = "FULMAR_";
const DEFAULT_FILES: [&str; 2] = ["fulmar.toml", "/etc/fulmar/fulmar.toml"];

/// Everything that settings are made of, as plain values.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Name and text of the configuration file, or why it cannot be read.
    pub(super) file: Option<Result<(String, String), Mistake>>,
    /// The `FULMAR_*` variables but for `FULMAR_CONFIG`, sorted by name.
    pub(super) variables: Vec<(String, String)>,
    /// What the system calls this machine.
    pub(super) node_name: String,
    /// Where the store is when nobody says.
    pub(super) data_folder: Option<PathBuf>,
}

impl Sources {
    /// Reads them from the system. The file is `chosen`, else the one that `FULMAR_CONFIG` names, else the first of the
    /// usual ones that exists.
    pub(crate) fn of_process(chosen: Option<&Path>) -> Self {
        let named = chosen.map(Path::to_owned).or_else(|| env::var_os(FILE_VARIABLE).map(PathBuf::from));
        let file = named.or_else(|| DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.exists()));
        let mut variables: Vec<_> = env::vars_os().filter_map(own_variable).collect();
        variables.sort();
        Self {
            file: file.map(|path| read(&path)),
            variables,
            node_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            data_folder: data_folder(),
        }
    }
}

/// Whether a variable is one of those that Kubernetes puts into every pod beside a Service that is named `fulmar`.
pub(super) fn is_from_an_orchestrator(name: &str) -> bool {
    name == "FULMAR_PORT" || name.starts_with("FULMAR_PORT_") || name.starts_with("FULMAR_SERVICE_")
}

fn own_variable((name, value): (OsString, OsString)) -> Option<(String, String)> {
    let name = name.into_string().ok()?;
    let own = name.starts_with(PREFIX) && name != FILE_VARIABLE;
    own.then(|| (name, value.to_string_lossy().into_owned()))
}

fn read(path: &Path) -> Result<(String, String), Mistake> {
    let name = path.display().to_string();
    match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok((name, text)),
        Ok(Err(_)) => Err(Mistake { place: name, problem: "not UTF-8; allowed: a TOML file".to_owned() }),
        Err(error) => Err(Mistake { place: name, problem: format!("cannot be read: {error}") }),
    }
}

/// `fulmar` in the user's folder for data. A relative `XDG_DATA_HOME` counts as unset, as its specification asks.
fn data_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data.map(|folder| folder.join("fulmar"))
}
