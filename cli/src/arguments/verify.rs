//! `fulmar verify`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use fulmar_core::model::ReversePath;

use super::reverse_path;

pub(super) const EXAMPLES: &str = "\
Example, of a message as it came, and the same again later:
  fulmar verify --client 192.0.2.1 --helo mx.example.org --from bob@example.org \\
      --record answers.jsonl message.eml
  fulmar verify --client 192.0.2.1 --helo mx.example.org --from bob@example.org \\
      --replay answers.jsonl message.eml";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The address of the client that brought it
    #[arg(long, value_name = "IP")]
    pub(crate) client: IpAddr,
    /// What the client called itself in HELO or EHLO
    #[arg(long, value_name = "NAME")]
    pub(crate) helo: String,
    /// The reverse-path; '' for none
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    pub(crate) from: ReversePath,
    /// Write the time, and all that name servers say, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Take the time, and all that name servers would say, from this file, and ask nobody
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub(crate) replay: Option<PathBuf>,
    /// The message as it came, header and body; - for standard input
    #[arg(value_name = "FILE.eml")]
    pub(crate) file: PathBuf,
}
