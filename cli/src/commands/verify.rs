//! `fulmar verify`.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use fulmar_core::admin::{self, Arrival};
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant};
use fulmar_core::resolver::{Recorder, Recording};
use serde_json::json;

use super::Context;
use super::send::{read, with_crlf};
use crate::arguments::Verify;
use crate::failure::Failure;

/// Octets of a recording that is read: more than the resolver would let in for as many questions as one may hold is no recording.
const RECORDING_OCTETS: u64 = 64 << 20;

pub(super) async fn verify(context: &Context, arguments: Verify) -> Result<(), Failure> {
    let config = &context.settings.engine;
    let text = read(&arguments.file, config.smtp.message_size).map_err(Failure::Failed)?;
    let content = with_crlf(&text).map_err(|line| {
        Failure::Failed(format!("{}:{line}: a CR that no LF follows", arguments.file.display()))
    })?;
    let mut platform = context.platform.clone();
    let mut recorder = None;
    let utc = match &arguments.replay {
        Some(path) => {
            let lines = read(path, RECORDING_OCTETS).map_err(Failure::Failed)?;
            let recording = Recording::parse(&String::from_utf8_lossy(&lines))
                .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
            let utc = recording.recorded_at;
            platform.dns = Arc::new(recording);
            utc
        }
        None => {
            let utc = platform.clock.utc();
            let recording = Arc::new(Recorder::new(platform.dns.clone(), utc));
            platform.dns = recording.clone();
            recorder = Some(recording);
            utc
        }
    };
    platform.clock = Arc::new(Dated { utc, clock: platform.clock.clone() });
    let arrival =
        Arrival { client: arguments.client, greeting: arguments.helo, reverse_path: arguments.from };
    let result = admin::verify(&platform, &config.verification, &config.hostname, arrival, &content).await;
    if let Some((path, recorder)) = arguments.record.as_ref().zip(recorder) {
        let told = |error| Failure::Failed(format!("{}: {error}", path.display()));
        fs::write(path, recorder.recording().to_lines()).map_err(told)?;
    }
    let fields = result?.replace("\r\n", "\n");
    Ok(context.output.fact(fields.trim_end(), &json!({"fields": fields}))?)
}

/// A clock on whose wall stands one time; what elapses, elapses.
struct Dated {
    utc: UtcTime,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Clock for Dated {
    fn utc(&self) -> UtcTime {
        self.utc
    }

    fn instant(&self) -> Instant {
        self.clock.instant()
    }

    async fn sleep_until(&self, instant: Instant) {
        self.clock.sleep_until(instant).await;
    }
}
