//! Connections that are opened before a run begins: those of sessions that say EHLO and then nothing, and of those that log in.

use std::time::Duration;

use fulmar_core::transport::TlsClient;
use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};

use super::connection::{Connection, Progress, Watch};
use super::options::Options;

/// How many are opened at a time: fewer than wait in any listener's backlog.
const OPENED_AT_A_TIME: usize = 50;

/// The idle sessions of a run.
pub(super) struct Idle {
    asked: u64,
    connections: Vec<Connection>,
}

impl Idle {
    /// Opens as many as were asked for, as far as the server lets it.
    pub(super) async fn open(options: &Options, tls: Option<&TlsClient>) -> Self {
        Self { asked: options.idle, connections: open(options.idle, options, tls).await }
    }

    /// Looks which of them the server has kept till now.
    pub(super) async fn into_json(mut self) -> Value {
        let opened = self.connections.len();
        let mut kept = 0;
        for connection in &mut self.connections {
            kept += u64::from(connection.is_silent().await);
        }
        json!({ "asked": self.asked, "opened": opened, "kept": kept })
    }
}

/// Opens so many connections, as far as the server lets it.
pub(super) async fn open(count: u64, options: &Options, tls: Option<&TlsClient>) -> Vec<Connection> {
    let opened = stream::iter(0..count).map(|_| async move {
        let progress = Progress::new();
        let mut watch = Watch::new(&progress, Duration::from_secs_f64(options.timeout));
        watch.over(Connection::open(options, tls, &progress)).await.ok()
    });
    opened.buffer_unordered(OPENED_AT_A_TIME).filter_map(std::future::ready).collect().await
}
