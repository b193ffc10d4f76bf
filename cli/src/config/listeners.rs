//! The listeners: `[[listener]]` tables in the file, or `FULMAR_LISTEN=smtp=ADDRESS,...`.

use std::net::SocketAddr;

use fulmar_core::config::{Listener, ListenerSettings, ListenerTls, Protocol};
use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use super::listener_settings;
use super::tables::{self, Form, field, list_field};
use super::tls;
use super::value::{NETWORKS, list, networks, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_LISTEN";

const HTTP: &str = "http";
const PROTOCOL_NAMES: &str = "smtp, submission, submissions, lmtp, pop3, pop3s, http";
const MAIL_PROTOCOLS: [Protocol; 6] = [
    Protocol::Smtp,
    Protocol::Submission,
    Protocol::Submissions,
    Protocol::Lmtp,
    Protocol::Pop3,
    Protocol::Pop3s,
];
/// What the documentation names and this version does not speak yet.
const LATER_PROTOCOLS: [&str; 2] = ["imap", "imaps"];
const ADDRESSES: &str = r#"an IP address with a port, such as "0.0.0.0:25" or "[::]:25""#;
const BALANCERS: &str = "proxy_protocol_from";
/// The fields before those of TLS and of [`listener_settings`].
const FIRST: [(&str, &str); 3] =
    [("protocol", PROTOCOL_NAMES), ("address", ADDRESSES), (BALANCERS, NETWORKS)];
/// Fields of a listener, all of them.
const FIELDS: usize = FIRST.len() + tls::OF_LISTENER.len() + listener_settings::COUNT;
const FORM: Form<FIELDS> = Form { heading: "listener", fields: fields(), required: 2 };

const fn fields() -> [(&'static str, &'static str); FIELDS] {
    let mut fields = [("", ""); FIELDS];
    let (first, rest) = fields.split_at_mut(FIRST.len());
    first.copy_from_slice(&FIRST);
    let (of_tls, rest) = rest.split_at_mut(tls::OF_LISTENER.len());
    of_tls.copy_from_slice(&tls::OF_LISTENER);
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
    for [protocol, address, balancers, mode, minimum, wanted, authorities, settings @ ..] in
        tables::read(&FORM, lines, value, mistake)
    {
        let protocol = field("protocol", protocol.as_ref(), self::protocol, mistake);
        let address = field("address", address.as_ref(), self::address, mistake);
        let of_mail =
            |written: &Written| written.wrong("is only for mail", "nothing, where protocol is http");
        let read_balancers = |written: &Written| match protocol {
            Some(None) => Err(of_mail(written).into()),
            _ => networks(written),
        };
        let balancers = list_field(BALANCERS, balancers.as_ref(), read_balancers, mistake);
        let of_tls = [mode, minimum, wanted, authorities];
        let tls = match protocol {
            Some(Some(protocol)) => {
                Some(tls::of_listener(protocol, of_tls.each_ref().map(Option::as_ref), mistake))
            }
            Some(None) => {
                for ((name, _), written) in tls::OF_LISTENER.iter().zip(&of_tls) {
                    field(name, written.as_ref(), |written| Err::<(), _>(of_mail(written)), mistake);
                }
                None
            }
            None => None,
        };
        // What is wrong about the protocol has been told.
        let is_smtp = protocol.is_none_or(|protocol| protocol.is_some_and(speaks_smtp));
        let settings = listener_settings::read(&settings, is_smtp, mistake);
        if let (Some(protocol), Some(address)) = (protocol, address) {
            listeners.push(listening(protocol, address, balancers.unwrap_or_default(), tls, settings));
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
        Ok(listening(
            protocol,
            address(&Written::in_variable(at))?,
            Vec::new(),
            None,
            ListenerSettings::new(),
        ))
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
    tls: Option<ListenerTls>,
    settings: ListenerSettings,
) -> Listening {
    match protocol {
        Some(protocol) => {
            let tls = tls.unwrap_or_else(|| ListenerTls::of(protocol));
            Listening::Mail(Listener { protocol, address, proxy_protocol_from, tls, settings })
        }
        None => Listening::Http(address),
    }
}

/// Whether sessions are of SMTP or a relative of it.
fn speaks_smtp(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Pop3 | Protocol::Pop3s)
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
