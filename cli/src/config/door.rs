//! Settings of the door: `[policy]`, `[limits]`, `[replies]`, and the `[[access]]` tables.

use std::fmt;
use std::time::Duration;

use fulmar_core::config::{
    AccessAction, AccessRule, AddressPattern, Banner, DomainPattern, EarlyTalkers, Footer,
};
use fulmar_core::model::reply::Severity;
use fulmar_core::model::{EnhancedStatus, Reply};
use toml::Spanned;
use toml::de::DeValue;

use super::keys::{Key, number, put, string, strings};
use super::tables::{self, Form, field, list_field};
use super::value::{
    NETWORKS, count, duration, list, mail_name, name_of, networks, show_duration, text, word,
};
use super::written::{Lines, Written, Wrong};

/// As long as clients wait for a greeting (RFC 5321 §4.5.3.2.1), and others for what comes after it.
const DELAY_LIMIT: Duration = Duration::from_mins(4);
/// What a limit may be at most; 0 is none.
const LIMIT: u64 = 1_000_000_000;
/// Octets in the name of a list.
const NAME_LIMIT: usize = 64;

pub(super) const ACCESS: &str = "access";
const NAMES: &str = "a name without spaces";
const HELLOS: &str = r#"domains such as "x.test", ".x.test" with all below it, or "*""#;
const ADDRESSES: &str = r#"addresses, domains such as "x.test" or ".x.test", "<>" or "*""#;
const ACTIONS: [(&str, AccessAction); 3] =
    [("allow", AccessAction::Allow), ("deny", AccessAction::Deny), ("defer", AccessAction::Defer)];
const ACTION_NAMES: &str = r#""allow", "deny" or "defer""#;
const REPLIES: &str = r#"a code, a status if any, and text, such as "550 5.7.1 not from you""#;
const TEXTS: &str = "1 to 200 printable ASCII characters";
const FOOTERS: &str =
    "1 to 200 printable ASCII characters, with {peer}, {session} and {hostname} in braces and nothing else";
const TALKERS: [(&str, EarlyTalkers); 2] = [("refuse", EarlyTalkers::Refuse), ("delay", EarlyTalkers::Delay)];

const FORM: Form<7> = Form {
    heading: ACCESS,
    fields: [
        ("action", ACTION_NAMES),
        ("list", NAMES),
        ("client", NETWORKS),
        ("helo", HELLOS),
        ("sender", ADDRESSES),
        ("recipient", ADDRESSES),
        ("reply", REPLIES),
    ],
    required: 1,
};

/// The settings of these sections.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: "policy",
        name: "greet_delay",
        set: |s, w| put(&mut s.engine.policy.manners.greet_delay, duration(w, Duration::ZERO..=DELAY_LIMIT)),
        show: |s| string(show_duration(s.engine.policy.manners.greet_delay)),
    },
    Key {
        section: "policy",
        name: "early_talkers",
        set: |s, w| put(&mut s.engine.policy.manners.early_talkers, word(w, &TALKERS)),
        show: |s| name_of(&TALKERS, s.engine.policy.manners.early_talkers).and_then(string),
    },
    Key {
        section: "policy",
        name: "tarpit_after",
        set: |s, w| put(&mut s.engine.policy.manners.tarpit_after, count(w, 0..=10_000)),
        show: |s| number(s.engine.policy.manners.tarpit_after as u64),
    },
    Key {
        section: "policy",
        name: "tarpit_delay",
        set: |s, w| put(&mut s.engine.policy.manners.tarpit_delay, duration(w, Duration::ZERO..=DELAY_LIMIT)),
        show: |s| string(show_duration(s.engine.policy.manners.tarpit_delay)),
    },
    Key {
        section: "limits",
        name: "exempt",
        set: |s, w| {
            s.engine.policy.limits.exempt = networks(w)?;
            Ok(())
        },
        show: |s| strings(&s.engine.policy.limits.exempt, ToString::to_string),
    },
    Key {
        section: "limits",
        name: "connections_per_address",
        set: |s, w| put(&mut s.engine.policy.limits.connections_per_address, limit(w)),
        show: |s| number(s.engine.policy.limits.connections_per_address.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "connections_per_network",
        set: |s, w| put(&mut s.engine.policy.limits.connections_per_network, limit(w)),
        show: |s| number(s.engine.policy.limits.connections_per_network.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "connections_per_minute",
        set: |s, w| put(&mut s.engine.policy.limits.connections_per_minute, limit(w)),
        show: |s| number(s.engine.policy.limits.connections_per_minute.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "messages_per_minute",
        set: |s, w| put(&mut s.engine.policy.limits.messages_per_minute, limit(w)),
        show: |s| number(s.engine.policy.limits.messages_per_minute.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "messages_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.messages_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.messages_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "recipients_per_minute",
        set: |s, w| put(&mut s.engine.policy.limits.recipients_per_minute, limit(w)),
        show: |s| number(s.engine.policy.limits.recipients_per_minute.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "recipients_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.recipients_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.recipients_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "user_messages_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.user_messages_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.user_messages_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "user_recipients_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.user_recipients_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.user_recipients_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "domain_messages_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.domain_messages_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.domain_messages_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "domain_recipients_per_hour",
        set: |s, w| put(&mut s.engine.policy.limits.domain_recipients_per_hour, limit(w)),
        show: |s| number(s.engine.policy.limits.domain_recipients_per_hour.unwrap_or(0).into()),
    },
    Key {
        section: "limits",
        name: "remembered",
        set: |s, w| put(&mut s.engine.policy.limits.remembered, count(w, 1_000..=10_000_000)),
        show: |s| number(s.engine.policy.limits.remembered as u64),
    },
    Key {
        section: "replies",
        name: "banner",
        set: |s, w| put(&mut s.engine.policy.replies.banner, banner(w).map(Some)),
        show: |s| string(s.engine.policy.replies.banner.as_ref()?.as_str()),
    },
    Key {
        section: "replies",
        name: "footer",
        set: |s, w| {
            put(&mut s.engine.policy.replies.footer, text(w, "a footer", FOOTERS, Footer::parse).map(Some))
        },
        show: |s| string(s.engine.policy.replies.footer.as_ref()?.as_str()),
    },
];

/// Reads the file's `[[access]]` tables. Each mistake goes to `mistake` with the name of its field, if it has one.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<AccessRule> {
    let mut rules = Vec::new();
    for [action, name, clients, hellos, senders, recipients, reply] in
        tables::read(&FORM, lines, value, mistake)
    {
        let action = field("action", action.as_ref(), |written| word(written, &ACTIONS), mistake);
        let name = field("list", name.as_ref(), list_name, mistake);
        let clients = list_field("client", clients.as_ref(), networks, mistake);
        let hellos = list_field("helo", hellos.as_ref(), |written| list(written, hello), mistake);
        let senders = list_field("sender", senders.as_ref(), |written| list(written, address), mistake);
        let recipients =
            list_field("recipient", recipients.as_ref(), |written| list(written, address), mistake);
        let said = |written: &Written| said(written, action);
        let reply = field("reply", reply.as_ref(), said, mistake);
        let Some(action) = action else { continue };
        rules.push(AccessRule {
            list: name,
            clients: clients.unwrap_or_default(),
            hellos: hellos.unwrap_or_default(),
            senders: senders.unwrap_or_default(),
            recipients: recipients.unwrap_or_default(),
            action,
            reply,
        });
    }
    rules
}

/// A rule's fields as they are written, in the order of its form.
pub(super) fn shown(rule: &AccessRule) -> Vec<(&'static str, toml::Value)> {
    fn texts<T: fmt::Display>(values: &[T]) -> Option<toml::Value> {
        if values.is_empty() { None } else { strings(values, T::to_string) }
    }
    let AccessRule { list, clients, hellos, senders, recipients, action, reply } = rule;
    let fields = [
        ("action", name_of(&ACTIONS, *action).and_then(string)),
        ("list", list.as_ref().and_then(string)),
        ("client", texts(clients)),
        ("helo", texts(hellos)),
        ("sender", texts(senders)),
        ("recipient", texts(recipients)),
        ("reply", reply.as_ref().and_then(string)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The name of an access list.
pub(super) fn list_name(written: &Written) -> Result<String, Wrong> {
    text(written, "the name of a list", NAMES, |name| {
        let is_plain = name.bytes().all(|b| b.is_ascii_graphic());
        (is_plain && (1..=NAME_LIMIT).contains(&name.len())).then(|| name.to_owned())
    })
}

/// Text for a greeting.
pub(super) fn banner(written: &Written) -> Result<Banner, Wrong> {
    text(written, "a banner", TEXTS, Banner::parse)
}

fn limit(written: &Written) -> Result<Option<u32>, Wrong> {
    count(written, 0..=LIMIT).map(|limit: u32| (limit > 0).then_some(limit))
}

fn hello(written: &Written) -> Result<DomainPattern, Wrong> {
    mail_name(written, "a domain", HELLOS, str::parse)
}

fn address(written: &Written) -> Result<AddressPattern, Wrong> {
    mail_name(written, "an address or a domain", ADDRESSES, str::parse)
}

/// What a rule with this action says.
fn said(written: &Written, action: Option<AccessAction>) -> Result<Reply, Wrong> {
    let reply = text(written, "a reply", REPLIES, reply)?;
    let expected = match action {
        Some(AccessAction::Allow) => {
            return Err(written.wrong("is not said by a rule that allows", "nothing"));
        }
        Some(AccessAction::Deny) => Severity::Permanent,
        Some(AccessAction::Defer) => Severity::Transient,
        // That has been told.
        None => reply.severity(),
    };
    match reply.severity() == expected {
        true => Ok(reply),
        false => Err(written.wrong("does not do what action says", r#"5yz for "deny", 4yz for "defer""#)),
    }
}

/// `550 5.7.1 text`; without a status it is that of the code's class for what policy forbids (RFC 3463 §3.8).
fn reply(text: &str) -> Option<Reply> {
    let (code, words) = text.split_once(' ')?;
    let code: u16 = code.parse().ok().filter(|code| (400..600).contains(code))?;
    let (status, words) =
        match words.split_once(' ').and_then(|(status, words)| Some((status_of(status)?, words))) {
            Some(found) => found,
            None => (EnhancedStatus((code / 100) as u8, 7, 1), words),
        };
    let EnhancedStatus(class, subject, detail) = status;
    let is_sound = u16::from(class) == code / 100 && Banner::parse(words).is_some();
    is_sound.then(|| Reply::new(code, (class, subject, detail), words.to_owned()))
}

fn status_of(text: &str) -> Option<EnhancedStatus> {
    let mut parts = text.split('.');
    let status =
        EnhancedStatus(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(status)
}
