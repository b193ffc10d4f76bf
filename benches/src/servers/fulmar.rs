//! Fulmar, on a directory or on an S3 server.

use std::env::temp_dir;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use fulmar_tests::Fallible;
use fulmar_tests::process::{Server, Settings, Site, free_address};
use fulmar_tests::relay_run::s3_environment;
use fulmar_tests::s3_server::{S3Server, SeaweedFs};
use tempfile::TempDir;

use super::sink::SINK_ADDRESS;
use super::{Contender, exactly, recipients};
use crate::cells::Flow;
use crate::process_tree::ProcessTree;
use crate::report::Round;
use crate::requests;

/// A Fulmar on an empty store.
#[derive(Debug)]
pub(crate) struct Fulmar {
    site: Site,
    pub(crate) server: Server,
    flow: Flow,
    /// What its configuration file says.
    file: String,
    /// Its S3 server, where it has one; ended with it.
    _store: Option<(SeaweedFs, TempDir)>,
}

impl Fulmar {
    /// One on a directory.
    pub(crate) fn start(program: &Path, flow: Flow) -> Fallible<Self> {
        Self::with(program, flow, Settings::default())
    }

    /// One on a SeaweedFS of its own. That its store is sound it has seen in an earlier life, as it does once in 30 days.
    pub(crate) fn on_s3(program: &Path, flow: Flow) -> Fallible<Self> {
        let folder = TempDir::with_prefix("fulmar-bench-s3-")?;
        let store = SeaweedFs::start(folder.path())?;
        let settings = Settings { environment: s3_environment(store.bucket()), ..Settings::default() };
        let first = Self::with(program, flow, settings)?;
        let Self { site, server, file, .. } = first;
        server.stop()?;
        let server = site.serve(free_address()?)?;
        Ok(Self { site, server, flow, file, _store: Some((store, folder)) })
    }

    fn with(program: &Path, flow: Flow, settings: Settings) -> Fallible<Self> {
        let (file, accounts) = match flow {
            Flow::Mailbox(_) => (String::new(), recipients(flow)),
            // It relays for anybody here, and to the sink.
            Flow::Relay => (
                format!(
                    "[relay]\nnetworks = [\"127.0.0.0/8\"]\n\n\
                     [[route]]\ndomain = \"relay.test\"\nnext_hop = \"{SINK_ADDRESS}\"\n"
                ),
                Vec::new(),
            ),
        };
        let settings = Settings { file: file.clone(), ..settings };
        let site = Site::with(&temp_dir(), program, &accounts, settings)?;
        let server = site.serve(free_address()?)?;
        Ok(Self { site, server, flow, file, _store: None })
    }
}

impl Contender for Fulmar {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.server.pid() }
    }

    /// By its log, which costs it a line for each message as Postfix's log does.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        self.server.wait_for_log(r#""event":"attempted""#, messages)
    }

    /// The mailboxes themselves are counted.
    fn finish(self: Box<Self>, messages: usize) -> Fallible<Round> {
        let round = requests::per_message(&self.server.stop()?, messages)?;
        if let Flow::Mailbox(_) = self.flow {
            let mut arrived = 0;
            for account in self.site.list(&["account", "list", "--json"])? {
                let count = account["messages"].as_u64().ok_or_else(|| format!("no count in {account}"))?;
                arrived += usize::try_from(count)?;
            }
            exactly(arrived, messages)?;
        }
        Ok(round)
    }

    fn settings(&self) -> Fallible<String> {
        let in_effect = self.site.run(["config", "check"], b"")?;
        let in_effect = String::from_utf8_lossy(&in_effect);
        Ok(format!("its file:\n{}\nin effect:\n{}", self.file.trim_end(), in_effect.trim_end()))
    }
}
