//! The listeners: `[[listener]]` tables in the file, or `FULMAR_LISTEN=smtp=ADDRESS,...`.

use std::net::SocketAddr;

use fulmar_core::config::{Listener, ListenerSettings, Protocol};
use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use super::listener_settings;
use super::tables::{self, Form, field, list_field};
use super::value::{NETWORKS, list, networks, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_LISTEN";

const HTTP: &str = "http";
const PROTOCOL_NAMES: &str = "smtp, pop3, http";
const MAIL_PROTOCOLS: [Protocol; 2] = [Protocol::Smtp, Protocol::Pop3];
/// What the documentation names and this version does not speak yet.
const LATER_PROTOCOLS: [&str; 6] = ["submission", "submissions", "lmtp", "pop3s", "imap", "imaps"];
const ADDRESSES: &str = r#"an IP address with a port, such as "0.0.0.0:25" or "[::]:25""#;
const BALANCERS: &str = "proxy_protocol_from";
/// The fields before those of [`listener_settings`].
const FIRST: [(&str, &str); 3] =
    [("protocol", PROTOCOL_NAMES), ("address", ADDRESSES), (BALANCERS, NETWORKS)];
const FORM: Form<{ FIRST.len() + listener_settings::COUNT }> =
    Form { heading: "listener", fields: fields(), required: 2 };

const fn fields() -> [(&'static str, &'static str); FIRST.len() + listener_settings::COUNT] {
    let mut fields = [("", ""); FIRST.len() + listener_settings::COUNT];
    let (first, rest) = fields.split_at_mut(FIRST.len());
    first.copy_from_slice(&FIRST);
    rest.copy_from_slice(&listener_settings::FIELDS);
    fields
}

/// One address to listen on, and for what.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a node has a handful of them")]
pub(crate) enum Listening {
    /// Mail: the engine's.
    Mail(Listener),
    /// HTTP: pages about this node.
    Http(SocketAddr),
}

impl Listening {
    /// Where.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Mail(listener) => listener.address,
            Self::Http(address) => *address,
        }
    }

    /// The name of what is spoken there, in configuration and output.
    pub(crate) fn protocol_name(&self) -> &'static str {
        match self {
            Self::Mail(listener) => listener.protocol.name(),
            Self::Http(_) => HTTP,
        }
    }

    /// The listener, where it is for mail.
    pub(crate) fn mail(&self) -> Option<&Listener> {
        match self {
            Self::Mail(listener) => Some(listener),
            Self::Http(_) => None,
        }
    }

    /// The networks of its load balancers.
    pub(super) fn balancers(&self) -> &[IpNet] {
        match self {
            Self::Mail(listener) => &listener.proxy_protocol_from,
            Self::Http(_) => &[],
        }
    }

    /// The same at the address that the system gave.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        match self {
            Self::Mail(listener) => Self::Mail(Listener { address, ..listener.clone() }),
            Self::Http(_) => Self::Http(address),
        }
    }
}

/// Reads the file's `[[listener]]` tables. Each mistake goes to `mistake` with the name of its field, if it has one.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<Listening> {
    let mut listeners = Vec::new();
    for [protocol, address, balancers, settings @ ..] in tables::read(&FORM, lines, value, mistake) {
        let protocol = field("protocol", protocol.as_ref(), self::protocol, mistake);
        let address = field("address", address.as_ref(), self::address, mistake);
        let read_balancers = |written: &Written| match protocol {
            Some(None) => Err(written.wrong("is only for mail", "nothing, where protocol is http").into()),
            _ => networks(written),
        };
        let balancers = list_field(BALANCERS, balancers.as_ref(), read_balancers, mistake);
        // What is wrong about the protocol has been told.
        let is_smtp = protocol.is_none_or(|protocol| protocol.is_some_and(speaks_smtp));
        let settings = listener_settings::read(&settings, is_smtp, mistake);
        if let (Some(protocol), Some(address)) = (protocol, address) {
            listeners.push(listening(protocol, address, balancers.unwrap_or_default(), settings));
        }
    }
    listeners
}

/// Reads `smtp=127.0.0.1:2525,pop3=127.0.0.1:1110`.
pub(super) fn from_variable(written: &Written) -> Result<Vec<Listening>, Vec<Wrong>> {
    const FORM: &str = r#""smtp=127.0.0.1:2525", several separated by commas"#;
    let listeners = list(written, |item| {
        let Value::Raw(text) = &item.value else { return Err(item.wrong("is not a listener", FORM)) };
        let (name, at) = text.split_once('=').ok_or_else(|| item.wrong("is not a listener", FORM))?;
        let protocol = protocol(&Written::in_variable(name))?;
        Ok(listening(protocol, address(&Written::in_variable(at))?, Vec::new(), ListenerSettings::new()))
    })?;
    if listeners.is_empty() {
        return Err(written.wrong("names no listener", FORM).into());
    }
    Ok(listeners)
}

fn listening(
    protocol: Option<Protocol>,
    address: SocketAddr,
    proxy_protocol_from: Vec<IpNet>,
    settings: ListenerSettings,
) -> Listening {
    match protocol {
        Some(protocol) => Listening::Mail(Listener { protocol, address, proxy_protocol_from, settings }),
        None => Listening::Http(address),
    }
}

/// Whether sessions are of SMTP or a relative of it.
fn speaks_smtp(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Pop3)
}

/// A protocol of mail; nothing stands for HTTP.
fn protocol(written: &Written) -> Result<Option<Protocol>, Wrong> {
    let name = text(written, "a protocol", PROTOCOL_NAMES, Some)?;
    match MAIL_PROTOCOLS.into_iter().find(|known| known.name() == name) {
        Some(protocol) => Ok(Some(protocol)),
        None if name == HTTP => Ok(None),
        None if LATER_PROTOCOLS.contains(&name) => Err(written.wrong("is not built yet", PROTOCOL_NAMES)),
        None => Err(written.wrong("is not a protocol", PROTOCOL_NAMES)),
    }
}

fn address(written: &Written) -> Result<SocketAddr, Wrong> {
    text(written, "an address to listen on", ADDRESSES, |text| text.parse().ok())
}
