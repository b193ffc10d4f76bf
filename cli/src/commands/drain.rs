//! `fulmar drain`.

use std::io::{self, Write};

use async_signal::{Signal, Signals};
use fulmar_core::engine::{DrainReport, DrainSettings, Engine};
use futures::stream::StreamExt;
use serde_json::json;

use super::Context;
use crate::arguments::Drain;
use crate::failure::Failure;

pub(super) async fn drain(context: &Context, arguments: Drain) -> Result<(), Failure> {
    let mut signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let stop = async {
        signals.next().await;
    };
    let settings = DrainSettings { deadline: arguments.deadline, until_empty: arguments.until_empty };
    let (config, platform) = (context.settings.engine.clone(), context.platform.clone());
    let drained =
        Engine::drain(config, platform, context.host(), context.journal.clone(), settings, stop).await;
    let report = drained?;
    let DrainReport { delivered, deferred, remaining, next_due, is_done } = report;
    let next_due = next_due.map(|due| due.to_string());
    let object =
        json!({"delivered": delivered, "deferred": deferred, "remaining": remaining, "next_due": next_due});
    writeln!(io::stdout().lock(), "{object}")?;
    match is_done {
        true => Ok(()),
        false => Err(Failure::TryAgain("something is due that could not be done".to_owned())),
    }
}
