//! The listeners: `[[listener]]` tables in the file, or `FULMAR_LISTEN=smtp=ADDRESS,...`.

use std::net::SocketAddr;

use fulmar_core::config::{Listener, Protocol};
use toml::Spanned;
use toml::de::DeValue;

use super::tables::{self, Form, field, list_field};
use super::value::{NETWORKS, list, networks, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_LISTEN";

const PROTOCOLS: [(&str, Protocol); 2] = [("smtp", Protocol::Smtp), ("pop3", Protocol::Pop3)];
const PROTOCOL_NAMES: &str = "smtp, pop3";
/// What the documentation names and this version does not speak yet.
const LATER_PROTOCOLS: [&str; 7] = ["submission", "submissions", "lmtp", "pop3s", "imap", "imaps", "http"];
const ADDRESSES: &str = r#"an IP address with a port, such as "0.0.0.0:25" or "[::]:25""#;
const FORM: Form<3> = Form {
    heading: "listener",
    fields: [("protocol", PROTOCOL_NAMES), ("address", ADDRESSES), ("proxy_protocol_from", NETWORKS)],
    required: 2,
};

/// The name of a protocol in configuration and output.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(_, known)| *known == protocol).map_or("?", |(name, _)| name)
}

/// Reads the file's `[[listener]]` tables. Each mistake goes to `mistake` with the name of its field, if it has one.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for [protocol, address, balancers] in tables::read(&FORM, lines, value, mistake) {
        let protocol = field("protocol", protocol.as_ref(), self::protocol, mistake);
        let address = field("address", address.as_ref(), self::address, mistake);
        let balancers = list_field("proxy_protocol_from", balancers.as_ref(), networks, mistake);
        if let (Some(protocol), Some(address)) = (protocol, address) {
            let proxy_protocol_from = balancers.unwrap_or_default();
            listeners.push(Listener { protocol, address, proxy_protocol_from });
        }
    }
    listeners
}

/// Reads `smtp=127.0.0.1:2525,pop3=127.0.0.1:1110`.
pub(super) fn from_variable(written: &Written) -> Result<Vec<Listener>, Vec<Wrong>> {
    const FORM: &str = r#""smtp=127.0.0.1:2525", several separated by commas"#;
    let listeners = list(written, |item| {
        let Value::Raw(text) = &item.value else { return Err(item.wrong("is not a listener", FORM)) };
        let (name, at) = text.split_once('=').ok_or_else(|| item.wrong("is not a listener", FORM))?;
        let protocol = protocol(&Written::in_variable(name))?;
        Ok(Listener::new(protocol, address(&Written::in_variable(at))?))
    })?;
    if listeners.is_empty() {
        return Err(written.wrong("names no listener", FORM).into());
    }
    Ok(listeners)
}

fn protocol(written: &Written) -> Result<Protocol, Wrong> {
    let name = text(written, "a protocol", PROTOCOL_NAMES, Some)?;
    match PROTOCOLS.iter().find(|(known, _)| *known == name) {
        Some((_, protocol)) => Ok(*protocol),
        None if LATER_PROTOCOLS.contains(&name) => Err(written.wrong("is not built yet", PROTOCOL_NAMES)),
        None => Err(written.wrong("is not a protocol", PROTOCOL_NAMES)),
    }
}

fn address(written: &Written) -> Result<SocketAddr, Wrong> {
    text(written, "an address to listen on", ADDRESSES, |text| text.parse().ok())
}
