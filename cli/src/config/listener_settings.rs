//! What a `[[listener]]` for SMTP, submission or LMTP may have different from the others.

use std::time::Duration;

use fulmar_core::config::{Authentication, ListenerSettings};
use fulmar_core::model::Domain;
use toml::Value;

use super::door::{banner, list_name};
use super::keys::{TIMEOUT_FLOOR, TIMEOUT_LIMIT, number, octets, string, strings};
use super::tables::{field, list_field};
use super::value::{NETWORKS, count, duration, flag, list, mail_name, networks, show_duration, size, word};
use super::written::{Written, Wrong};

const NAMES: &str = r#"a name such as "mx1.example.org""#;
const AUTHENTICATIONS: [(&str, Authentication); 3] = [
    ("none", Authentication::None),
    ("optional", Authentication::Optional),
    ("required", Authentication::Required),
];

/// How many fields these are.
pub(super) const COUNT: usize = 12;
/// The fields: name, and what is allowed there.
pub(super) const FIELDS: [(&str, &str); COUNT] = [
    ("hostname", NAMES),
    ("banner", "text"),
    ("message_size", "a size"),
    ("recipients", "a number"),
    ("command_timeout", "a duration"),
    ("content_timeout", "a duration"),
    ("access", "names of access lists"),
    ("auth", "\"none\", \"optional\" or \"required\""),
    ("allow_plaintext_auth", "true or false"),
    ("bare_newlines_from", NETWORKS),
    ("xclient_from", NETWORKS),
    ("xforward_from", NETWORKS),
];

/// Reads the fields of one listener; `is_smtp` says whether it speaks what they are about.
pub(super) fn read(
    written: &[Option<Written>; COUNT],
    is_smtp: bool,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> ListenerSettings {
    let mut settings = ListenerSettings::new();
    if !is_smtp {
        for ((name, _), written) in FIELDS.iter().zip(written) {
            if let Some(written) = written {
                mistake(name, written.wrong("is only for SMTP", "nothing, where protocol is another"));
            }
        }
        return settings;
    }
    let [
        hostname,
        banner_text,
        message_size,
        recipients,
        command_timeout,
        content_timeout,
        access,
        auth,
        allow_plaintext_auth,
        bare_newlines_from,
        xclient_from,
        xforward_from,
    ] = written.each_ref().map(Option::as_ref);
    let name = |written: &Written| mail_name(written, "a domain", NAMES, Domain::parse);
    settings.hostname = field("hostname", hostname, name, mistake);
    settings.banner = field("banner", banner_text, banner, mistake);
    let octets = |written: &Written| size(written, 64 << 10..=1 << 30);
    settings.message_size = field("message_size", message_size, octets, mistake);
    settings.recipients = field("recipients", recipients, |written| count(written, 100..=100_000), mistake);
    let timeout =
        |written: &Written| -> Result<Duration, Wrong> { duration(written, TIMEOUT_FLOOR..=TIMEOUT_LIMIT) };
    settings.command_timeout = field("command_timeout", command_timeout, timeout, mistake);
    settings.content_timeout = field("content_timeout", content_timeout, timeout, mistake);
    let lists = |written: &Written| list(written, list_name);
    settings.access = list_field("access", access, lists, mistake).unwrap_or_default();
    settings.auth = field("auth", auth, |written| word(written, &AUTHENTICATIONS), mistake);
    let plaintext = field("allow_plaintext_auth", allow_plaintext_auth, flag, mistake);
    settings.allow_plaintext_auth = plaintext.unwrap_or_default();
    let mut hosts = |name: &str, written: Option<&Written>| {
        list_field(name, written, networks, mistake).unwrap_or_default()
    };
    settings.bare_newlines_from = hosts("bare_newlines_from", bare_newlines_from);
    settings.xclient_from = hosts("xclient_from", xclient_from);
    settings.xforward_from = hosts("xforward_from", xforward_from);
    settings
}

/// What is different, as it is written.
pub(super) fn shown(settings: &ListenerSettings) -> Vec<(&'static str, Value)> {
    fn texts<T: ToString>(values: &[T]) -> Option<Value> {
        if values.is_empty() { None } else { strings(values, T::to_string) }
    }
    let ListenerSettings { message_size, command_timeout, content_timeout, auth, .. } = settings;
    let auth = auth.and_then(|auth| AUTHENTICATIONS.iter().find(|(_, known)| *known == auth));
    let fields = [
        settings.hostname.as_ref().and_then(string),
        settings.banner.as_ref().and_then(|banner| string(banner.as_str())),
        message_size.and_then(octets),
        settings.recipients.and_then(|recipients| number(recipients as u64)),
        command_timeout.and_then(|timeout| string(show_duration(timeout))),
        content_timeout.and_then(|timeout| string(show_duration(timeout))),
        texts(&settings.access),
        auth.and_then(|(name, _)| string(name)),
        settings.allow_plaintext_auth.then_some(Value::Boolean(true)),
        texts(&settings.bare_newlines_from),
        texts(&settings.xclient_from),
        texts(&settings.xforward_from),
    ];
    FIELDS.iter().zip(fields).filter_map(|((name, _), value)| Some((*name, value?))).collect()
}
