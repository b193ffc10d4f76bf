//! Every setting but the lists of tables, once: its name, how it is read and checked, how it is shown.

use std::time::Duration;

use fulmar_core::model::{Address, Domain};
use toml::Value;
use tracing::Level;

use super::hosts::{endpoint, name_server, store_url};
use super::tls;
use super::value::{
    count, duration, flag, list, mail_name, networks, plain, secret, show_duration, show_size, size, word,
};
use super::written::{Written, Wrong};
use super::{LogFormat, Settings};

/// One setting.
pub(super) struct Key {
    /// The table it stands in; empty at the top level.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// Reads a value into the settings.
    pub(super) set: fn(&mut Settings, &Written) -> Result<(), Vec<Wrong>>,
    /// The value in effect; nothing where there is none.
    pub(super) show: fn(&Settings) -> Option<Value>,
}

impl Key {
    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        let dash = if self.section.is_empty() { "" } else { "_" };
        format!("FULMAR_{}{dash}{}", self.section, self.name).to_ascii_uppercase()
    }
}

pub(super) const DAY: Duration = Duration::from_hours(24);
/// Mailboxes remember deliveries for 30 days; an entry that is tried longer could be delivered twice.
const EXPIRE_LIMIT: Duration = Duration::from_hours(25 * 24);
const WINDOW_LIMIT: Duration = Duration::from_secs(10);
const RETRY_FLOOR: Duration = Duration::from_millis(100);
pub(super) const TIMEOUT_FLOOR: Duration = Duration::from_secs(1);
pub(super) const TIMEOUT_LIMIT: Duration = Duration::from_hours(1);
/// A resolver asks no more than that.
const NAME_SERVER_LIMIT: usize = 8;
/// RFC 8767 §5 takes one to three days for enough.
const STALE_LIMIT: Duration = Duration::from_hours(72);
const GRACE_LIMIT: Duration = Duration::from_hours(1);
/// RFC 1939 §3.
const AUTOLOGOUT_FLOOR: Duration = Duration::from_mins(10);

const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const LOG_LEVELS: [(&str, Level); 4] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG)];

/// The settings of most sections. Floors are those of RFC 5321 §4.5.3.1 and §6.3, and of RFC 1939 §3; what a limit means stands at the field that it sets.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: "",
        name: "hostname",
        set: |s, w| {
            put(
                &mut s.engine.hostname,
                mail_name(w, "a domain", r#"a name such as "mx1.example.org""#, Domain::parse),
            )
        },
        show: |s| string(s.engine.hostname.as_str()),
    },
    Key {
        section: "",
        name: "postmaster",
        set: |s, w| {
            put(
                &mut s.engine.postmaster,
                mail_name(w, "an address", r#"an address such as "admin@example.org""#, |text| {
                    Address::parse(text).map(Some)
                }),
            )
        },
        show: |s| string(s.engine.postmaster.as_ref()?),
    },
    Key {
        section: "store",
        name: "url",
        set: |s, w| put(&mut s.store, store_url(w)),
        show: |s| string(&s.store),
    },
    Key {
        section: "store",
        name: "single_node",
        set: |s, w| put(&mut s.engine.store.single_node, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.store.single_node)),
    },
    Key {
        section: "store",
        name: "endpoint",
        set: |s, w| put(&mut s.s3.endpoint, endpoint(w).map(Some)),
        show: |s| string(s.s3.endpoint.as_ref()?),
    },
    Key {
        section: "store",
        name: "region",
        set: |s, w| put(&mut s.s3.region, plain(w, "a region", r#"a name such as "eu-west-1""#).map(Some)),
        show: |s| string(s.s3.region.as_ref()?),
    },
    Key {
        section: "store",
        name: "virtual_host_style",
        set: |s, w| {
            let style = word(w, &[("auto", None)]).or_else(|_| flag(w).map(Some));
            put(
                &mut s.s3.virtual_host_style,
                style.map_err(|_| w.wrong("is unknown", r#"true, false or "auto""#)),
            )
        },
        show: |s| s.s3.virtual_host_style.map(Value::Boolean),
    },
    Key {
        section: "store",
        name: "profile",
        set: |s, w| {
            put(&mut s.s3.profile, plain(w, "a profile", "the name of one in the profile file").map(Some))
        },
        show: |s| string(s.s3.profile.as_ref()?),
    },
    Key {
        section: "store",
        name: "access_key_id",
        set: |s, w| put(&mut s.s3.access_key_id, plain(w, "an access key", "text without spaces").map(Some)),
        show: |s| string(s.s3.access_key_id.as_ref()?),
    },
    Key {
        section: "store",
        name: "secret_access_key",
        set: |s, w| put(&mut s.s3.secret_access_key, secret(w).map(Some)),
        show: |s| string(s.s3.secret_access_key.as_ref()?),
    },
    Key {
        section: "store",
        name: "session_token",
        set: |s, w| put(&mut s.s3.session_token, secret(w).map(Some)),
        show: |s| string(s.s3.session_token.as_ref()?),
    },
    Key {
        section: "dns",
        name: "servers",
        set: |s, w| {
            let servers = list(w, name_server)?;
            if servers.len() > NAME_SERVER_LIMIT {
                return Err(w.wrong("is too long", format!("at most {NAME_SERVER_LIMIT} servers")).into());
            }
            s.dns.servers.addresses = servers;
            Ok(())
        },
        show: |s| strings(&s.dns.servers.addresses, ToString::to_string),
    },
    Key {
        section: "dns",
        name: "validating",
        set: |s, w| put(&mut s.dns.servers.are_validating, flag(w)),
        show: |s| Some(Value::Boolean(s.dns.servers.are_validating)),
    },
    Key {
        section: "dns",
        name: "stale",
        set: |s, w| put(&mut s.dns.stale, duration(w, Duration::ZERO..=STALE_LIMIT)),
        show: |s| string(show_duration(s.dns.stale)),
    },
    Key {
        section: "relay",
        name: "networks",
        set: |s, w| {
            s.engine.relay.networks = networks(w)?;
            Ok(())
        },
        show: |s| strings(&s.engine.relay.networks, ToString::to_string),
    },
    Key {
        section: "relay",
        name: "private_networks",
        set: |s, w| {
            s.engine.relay.private_networks = networks(w)?;
            Ok(())
        },
        show: |s| strings(&s.engine.relay.private_networks, ToString::to_string),
    },
    Key {
        section: "relay",
        name: "port",
        set: |s, w| put(&mut s.engine.relay.port, count(w, 1..=65_535)),
        show: |s| number(s.engine.relay.port.into()),
    },
    Key {
        section: "relay",
        name: "attempts",
        set: |s, w| put(&mut s.engine.relay.attempts, count(w, 1..=10_000)),
        show: |s| number(s.engine.relay.attempts as u64),
    },
    Key {
        section: "relay",
        name: "attempts_per_destination",
        set: |s, w| put(&mut s.engine.relay.attempts_per_destination, count(w, 1..=1_000)),
        show: |s| number(s.engine.relay.attempts_per_destination as u64),
    },
    Key {
        section: "queue",
        name: "retry",
        set: |s, w| {
            let pauses = list(w, |item| duration(item, RETRY_FLOOR..=EXPIRE_LIMIT))?;
            if pauses.is_empty() {
                return Err(w.wrong("is empty", "at least one duration").into());
            }
            s.engine.queue.retry = pauses;
            Ok(())
        },
        show: |s| strings(&s.engine.queue.retry, |pause| show_duration(*pause)),
    },
    Key {
        section: "queue",
        name: "expire",
        set: |s, w| put(&mut s.engine.queue.expire, duration(w, TIMEOUT_FLOOR..=EXPIRE_LIMIT)),
        show: |s| string(show_duration(s.engine.queue.expire)),
    },
    Key {
        section: "queue",
        name: "delay_notice",
        set: |s, w| put(&mut s.engine.queue.delay_notice, duration(w, TIMEOUT_FLOOR..=EXPIRE_LIMIT)),
        show: |s| string(show_duration(s.engine.queue.delay_notice)),
    },
    Key {
        section: "queue",
        name: "window",
        set: |s, w| {
            let auto = word(w, &[("auto", None)]);
            put(&mut s.window, auto.or_else(|_| duration(w, Duration::ZERO..=WINDOW_LIMIT).map(Some)))
        },
        show: |s| string(show_duration(s.engine.queue.window)),
    },
    Key {
        section: "queue",
        name: "local_attempts",
        set: |s, w| put(&mut s.engine.queue.local_attempts, count(w, 1..=100_000)),
        show: |s| number(s.engine.queue.local_attempts as u64),
    },
    Key {
        section: "queue",
        name: "commit_wait",
        set: |s, w| put(&mut s.engine.queue.commit_wait, duration(w, TIMEOUT_FLOOR..=TIMEOUT_LIMIT)),
        show: |s| string(show_duration(s.engine.queue.commit_wait)),
    },
    Key {
        section: "queue",
        name: "delivery_wait",
        set: |s, w| put(&mut s.engine.queue.delivery_wait, duration(w, TIMEOUT_FLOOR..=DAY)),
        show: |s| string(show_duration(s.engine.queue.delivery_wait)),
    },
    Key {
        section: "queue",
        name: "intake",
        set: |s, w| put(&mut s.engine.queue.intake, size(w, 1 << 20..=1 << 40)),
        show: |s| octets(s.engine.queue.intake as u64),
    },
    Key {
        section: "queue",
        name: "entries",
        set: |s, w| put(&mut s.engine.queue.entries, count(w, 1..=1_000_000_000)),
        show: |s| number(s.engine.queue.entries as u64),
    },
    Key {
        section: "queue",
        name: "adopt_local",
        set: |s, w| put(&mut s.adopt_local, flag(w)),
        show: |s| Some(Value::Boolean(s.adopt_local)),
    },
    Key {
        section: "smtp",
        name: "command_line",
        set: |s, w| put(&mut s.engine.smtp.command_line, size(w, 512..=64 << 10)),
        show: |s| octets(s.engine.smtp.command_line as u64),
    },
    Key {
        section: "smtp",
        name: "content_line",
        set: |s, w| put(&mut s.engine.smtp.content_line, size(w, 1_000..=1 << 20)),
        show: |s| octets(s.engine.smtp.content_line as u64),
    },
    Key {
        section: "smtp",
        name: "message_size",
        set: |s, w| put(&mut s.engine.smtp.message_size, size(w, 64 << 10..=1 << 30)),
        show: |s| octets(s.engine.smtp.message_size),
    },
    Key {
        section: "smtp",
        name: "header_block",
        set: |s, w| put(&mut s.engine.smtp.header_block, size(w, 4 << 10..=256 << 10)),
        show: |s| octets(s.engine.smtp.header_block as u64),
    },
    Key {
        section: "smtp",
        name: "refused_content",
        set: |s, w| put(&mut s.engine.smtp.refused_content, size(w, 1 << 20..=1 << 40)),
        show: |s| octets(s.engine.smtp.refused_content),
    },
    Key {
        section: "smtp",
        name: "recipients",
        set: |s, w| put(&mut s.engine.smtp.recipients, count(w, 100..=100_000)),
        show: |s| number(s.engine.smtp.recipients as u64),
    },
    Key {
        section: "smtp",
        name: "hops",
        set: |s, w| put(&mut s.engine.smtp.hops, count(w, 100..=1_000)),
        show: |s| number(s.engine.smtp.hops as u64),
    },
    Key {
        section: "smtp",
        name: "errors",
        set: |s, w| put(&mut s.engine.smtp.errors, count(w, 1..=10_000)),
        show: |s| number(s.engine.smtp.errors as u64),
    },
    Key {
        section: "smtp",
        name: "fruitless_commands",
        set: |s, w| put(&mut s.engine.smtp.fruitless_commands, count(w, 100..=1_000_000)),
        show: |s| number(s.engine.smtp.fruitless_commands as u64),
    },
    Key {
        section: "smtp",
        name: "command_timeout",
        set: |s, w| put(&mut s.engine.smtp.command_timeout, duration(w, TIMEOUT_FLOOR..=TIMEOUT_LIMIT)),
        show: |s| string(show_duration(s.engine.smtp.command_timeout)),
    },
    Key {
        section: "smtp",
        name: "content_timeout",
        set: |s, w| put(&mut s.engine.smtp.content_timeout, duration(w, TIMEOUT_FLOOR..=TIMEOUT_LIMIT)),
        show: |s| string(show_duration(s.engine.smtp.content_timeout)),
    },
    Key {
        section: "smtp",
        name: "least_rate",
        set: |s, w| put(&mut s.engine.smtp.least_rate, size(w, 0..=1 << 30)),
        show: |s| octets(s.engine.smtp.least_rate),
    },
    Key {
        section: "smtp",
        name: "least_rate_grace",
        set: |s, w| put(&mut s.engine.smtp.least_rate_grace, duration(w, TIMEOUT_FLOOR..=DAY)),
        show: |s| string(show_duration(s.engine.smtp.least_rate_grace)),
    },
    Key {
        section: "smtp",
        name: "sessions",
        set: |s, w| put(&mut s.engine.smtp.sessions, count(w, 1..=1_000_000)),
        show: |s| number(s.engine.smtp.sessions as u64),
    },
    Key {
        section: "smtp",
        name: "crowd",
        set: |s, w| put(&mut s.engine.smtp.crowd, count(w, 0..=1_000_000)),
        show: |s| number(s.engine.smtp.crowd as u64),
    },
    Key {
        section: "smtp",
        name: "turn",
        set: |s, w| put(&mut s.engine.smtp.turn, duration(w, Duration::from_millis(1)..=TIMEOUT_LIMIT)),
        show: |s| string(show_duration(s.engine.smtp.turn)),
    },
    Key {
        section: "pop3",
        name: "allow_plaintext",
        set: |s, w| put(&mut s.engine.pop3.allow_plaintext, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.pop3.allow_plaintext)),
    },
    Key {
        section: "pop3",
        name: "idle_timeout",
        set: |s, w| put(&mut s.engine.pop3.idle_timeout, duration(w, AUTOLOGOUT_FLOOR..=DAY)),
        show: |s| string(show_duration(s.engine.pop3.idle_timeout)),
    },
    Key {
        section: "pop3",
        name: "sessions",
        set: |s, w| put(&mut s.engine.pop3.sessions, count(w, 1..=1_000_000)),
        show: |s| number(s.engine.pop3.sessions as u64),
    },
    Key {
        section: "tls",
        name: "certificate",
        set: |s, w| put(&mut s.tls.certificate, tls::file(w).map(Some)),
        show: |s| string(s.tls.certificate.as_ref()?.display()),
    },
    Key {
        section: "tls",
        name: "key",
        set: |s, w| put(&mut s.tls.key, tls::file(w).map(Some)),
        show: |s| string(s.tls.key.as_ref()?.display()),
    },
    Key {
        section: "tls",
        name: "minimum",
        set: |s, w| put(&mut s.engine.tls.minimum, tls::version(w)),
        show: |s| string(s.engine.tls.minimum.number()),
    },
    Key {
        section: "tls",
        name: "from_store",
        set: |s, w| put(&mut s.engine.tls.from_store, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.tls.from_store)),
    },
    Key {
        section: "shutdown",
        name: "grace",
        set: |s, w| put(&mut s.grace, duration(w, Duration::ZERO..=GRACE_LIMIT)),
        show: |s| string(show_duration(s.grace)),
    },
    Key {
        section: "log",
        name: "format",
        set: |s, w| put(&mut s.log.format, word(w, &LOG_FORMATS)),
        show: |s| {
            LOG_FORMATS.iter().find(|(_, format)| *format == s.log.format).and_then(|(name, _)| string(name))
        },
    },
    Key {
        section: "log",
        name: "level",
        set: |s, w| put(&mut s.log.level, word(w, &LOG_LEVELS)),
        show: |s| {
            LOG_LEVELS.iter().find(|(_, level)| *level == s.log.level).and_then(|(name, _)| string(name))
        },
    },
];

pub(super) fn put<T>(place: &mut T, value: Result<T, Wrong>) -> Result<(), Vec<Wrong>> {
    *place = value?;
    Ok(())
}

pub(super) fn string(value: impl ToString) -> Option<Value> {
    Some(Value::String(value.to_string()))
}

pub(super) fn strings<T>(values: &[T], show: impl Fn(&T) -> String) -> Option<Value> {
    Some(Value::Array(values.iter().map(|value| Value::String(show(value))).collect()))
}

pub(super) fn number(value: u64) -> Option<Value> {
    i64::try_from(value).ok().map(Value::Integer)
}

/// A size with a unit, or a plain number where none fits.
pub(super) fn octets(value: u64) -> Option<Value> {
    let shown = show_size(value);
    if shown.ends_with(|c: char| c.is_ascii_digit()) { number(value) } else { string(shown) }
}
