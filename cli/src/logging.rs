//! Events on standard error, one line a fact, through `tracing`.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use fulmar_core::model::event::Journal;
use fulmar_core::model::{Event, Outcome, UtcTime};
use serde::Serialize;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber, debug, error, info, warn};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Subscriber as Lines};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, LogSettings};

/// Marks records whose message is a JSON object that holds everything.
const FACT: &str = "fact";

/// Begins to log. Called once.
pub(crate) fn begin(settings: LogSettings) {
    let lines = Lines::builder()
        .with_max_level(settings.level)
        .with_writer(std::io::stderr)
        .event_format(Line(settings.format))
        .finish();
    // Fails only on a second call.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// The journal through which the engine logs.
pub(crate) fn journal() -> Journal {
    Journal::new(|event| report(level(event), event))
}

/// Logs something that serialises to an object with its name under `event`.
pub(crate) fn report(level: Level, fact: &impl Serialize) {
    let fact = Json(fact);
    match level {
        Level::ERROR => error!(target: FACT, "{fact}"),
        Level::WARN => warn!(target: FACT, "{fact}"),
        Level::INFO => info!(target: FACT, "{fact}"),
        _ => debug!(target: FACT, "{fact}"),
    }
}

fn level(event: &Event) -> Level {
    match event {
        Event::ObjectDamaged { .. } => Level::ERROR,
        Event::Fenced { .. }
        | Event::StartDelayed { .. }
        | Event::StoreAway { .. }
        | Event::StoreNotProbed { .. }
        | Event::StoreTrouble { .. }
        | Event::PickupLeft { .. }
        | Event::CertificateRefused { .. }
        | Event::LockedOut { .. }
        | Event::Trouble { .. } => Level::WARN,
        Event::Attempted { outcome: Outcome::Failed(_), .. } | Event::BounceDropped { .. } => Level::WARN,
        Event::Verified { .. }
        | Event::Accepted { .. }
        | Event::Attempted { .. }
        | Event::Bounced { .. }
        | Event::Notified { .. }
        | Event::Ordered { .. }
        | Event::PickedUp { .. }
        | Event::LoggedIn { .. }
        | Event::ClientNamed { .. }
        | Event::LoginFailed { .. }
        | Event::ProxyHeaderRefused { .. }
        | Event::CertificateLoaded { .. }
        | Event::TlsFailed { .. }
        | Event::IncarnationBegun { .. }
        | Event::StoreBack { .. }
        | Event::DmarcReported { .. }
        | Event::DmarcFailureReported { .. }
        | Event::DmarcReportDropped { .. }
        | Event::DmarcReportReceived { .. }
        | Event::DmarcReportIgnored { .. }
        | Event::Swept { .. }
        | Event::Adopted { .. }
        | Event::Compacted { .. }
        | Event::AdoptionLeft { .. } => Level::INFO,
        Event::SessionOpened { .. }
        | Event::SessionClosed { .. }
        | Event::TlsAccepted { .. }
        | Event::Refused { .. } => Level::DEBUG,
    }
}

/// Serialises when written, so that a fact below the level costs nothing.
struct Json<'a, T>(&'a T);

impl<T: Serialize> fmt::Display for Json<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Writes records as lines.
struct Line(LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        record: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut text = Text::default();
        record.record(&mut text);
        let fact = (record.metadata().target() == FACT).then_some(text.0.as_str());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (time, level) = (UtcTime::default().after(now), record.metadata().level());
        match (self.0, fact) {
            (LogFormat::Text, None) => writeln!(writer, "{time} {level} {}", text.0),
            (LogFormat::Text, Some(fact)) => writeln!(writer, "{time} {level} {}", in_words(fact)),
            (LogFormat::Json, None) => {
                writeln!(writer, r#"{{"time":"{time}","level":"{level}","message":{}}}"#, Json(&text.0))
            }
            // The rest of the object, behind its opening brace.
            (LogFormat::Json, Some(fact)) => {
                writeln!(writer, r#"{{"time":"{time}","level":"{level}",{}"#, fact.get(1..).unwrap_or("}"))
            }
        }
    }
}

/// `{"event":"accepted","size":3}` as `accepted size=3`. Values with blanks stay as JSON writes them.
fn in_words(fact: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(fact) else { return fact.to_owned() };
    let mut words = fields.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "event") {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::Null => Ok(()),
            Value::String(text) if is_plain(text) => write!(words, " {name}={text}"),
            value => write!(words, " {name}={value}"),
        };
    }
    words
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// The message of a record with its fields behind it, control characters escaped.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = format!("{value:?}").replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => {
                self.0.insert_str(0, &shown);
                Ok(())
            }
            name => write!(self.0, " {name}={shown}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_in_words_is_one_line_that_a_script_can_split() {
        let event = Event::StoreTrouble { operation: "put spool/1".into(), error: "a\nb=\"c\"".into() };
        let fact = serde_json::to_string(&event).unwrap();
        assert_eq!(in_words(&fact), r#"store_trouble error="a\nb=\"c\"" operation="put spool/1""#);
        let event = Event::SessionOpened { session: 7, protocol: "smtp", peer: "[::1]:9".into() };
        assert_eq!(
            in_words(&serde_json::to_string(&event).unwrap()),
            "session_opened peer=[::1]:9 protocol=smtp session=7"
        );
    }
}
