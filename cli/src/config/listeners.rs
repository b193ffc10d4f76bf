//! The listeners: `[[listener]]` tables in the file, or `FULMAR_LISTEN=smtp=ADDRESS,...`.

use std::net::SocketAddr;

use fulmar_core::config::{Listener, Protocol};
use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use super::tables::{self, Form, field, list_field};
use super::tls;
use super::value::{NETWORKS, list, networks, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_LISTEN";

const HTTP: &str = "http";
const PROTOCOL_NAMES: &str = "smtp, pop3, pop3s, http";
const MAIL_PROTOCOLS: [Protocol; 3] = [Protocol::Smtp, Protocol::Pop3, Protocol::Pop3s];
/// What the documentation names and this version does not speak yet.
const LATER_PROTOCOLS: [&str; 5] = ["submission", "submissions", "lmtp", "imap", "imaps"];
const ADDRESSES: &str = r#"an IP address with a port, such as "0.0.0.0:25" or "[::]:25""#;
const BALANCERS: &str = "proxy_protocol_from";
const FORM: Form<7> = Form {
    heading: "listener",
    fields: [
        ("protocol", PROTOCOL_NAMES),
        ("address", ADDRESSES),
        (BALANCERS, NETWORKS),
        tls::OF_LISTENER[0],
        tls::OF_LISTENER[1],
        tls::OF_LISTENER[2],
        tls::OF_LISTENER[3],
    ],
    required: 2,
};

/// One address to listen on, and for what.
#[derive(Clone, Debug)]
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

    /// The networks of its load balancers.
    pub(super) fn balancers(&self) -> &[IpNet] {
        match self {
            Self::Mail(listener) => &listener.proxy_protocol_from,
            Self::Http(_) => &[],
        }
    }

    /// What is said of TLS there, as it is written.
    pub(super) fn tls(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Mail(listener) => tls::shown(listener.protocol, &listener.tls),
            Self::Http(_) => Vec::new(),
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
    for [protocol, address, of_mail @ ..] in tables::read(&FORM, lines, value, mistake) {
        let protocol = field("protocol", protocol.as_ref(), self::protocol, mistake);
        let address = field("address", address.as_ref(), self::address, mistake);
        match (protocol, address) {
            (Some(Some(protocol)), address) => {
                let [balancers, tls @ ..] = &of_mail;
                let balancers = list_field(BALANCERS, balancers.as_ref(), networks, mistake);
                let tls = tls::of_listener(protocol, tls.each_ref().map(Option::as_ref), mistake);
                let proxy_protocol_from = balancers.unwrap_or_default();
                listeners.extend(address.map(|address| {
                    Listening::Mail(Listener { proxy_protocol_from, tls, ..Listener::new(protocol, address) })
                }));
            }
            (Some(None), address) => {
                for ((name, _), written) in FORM.fields[2..].iter().zip(&of_mail) {
                    let allowed = "nothing, where protocol is http";
                    let read = |written: &Written| Err::<(), _>(written.wrong("is only for mail", allowed));
                    field(name, written.as_ref(), read, mistake);
                }
                listeners.extend(address.map(Listening::Http));
            }
            (None, _) => {}
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
        let address = address(&Written::in_variable(at))?;
        Ok(match protocol {
            Some(protocol) => Listening::Mail(Listener::new(protocol, address)),
            None => Listening::Http(address),
        })
    })?;
    if listeners.is_empty() {
        return Err(written.wrong("names no listener", FORM).into());
    }
    Ok(listeners)
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
