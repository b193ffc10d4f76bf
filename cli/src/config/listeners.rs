//! The listeners: `[[listener]]` tables in the file, or `FULMAR_LISTEN=smtp=ADDRESS,...`.

use std::net::SocketAddr;

use fulmar_core::config::{Listener, Protocol};
use toml::Spanned;
use toml::de::DeValue;

use super::value::{list, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_LISTEN";

const FIELDS: [&str; 2] = ["protocol", "address"];
const PROTOCOLS: [(&str, Protocol); 2] = [("smtp", Protocol::Smtp), ("pop3", Protocol::Pop3)];
const PROTOCOL_NAMES: &str = "smtp, pop3";
/// What the documentation names and this version does not speak yet.
const LATER_PROTOCOLS: [&str; 7] = ["submission", "submissions", "lmtp", "pop3s", "imap", "imaps", "http"];
const ADDRESSES: &str = r#"an IP address with a port, such as "0.0.0.0:25" or "[::]:25""#;

/// The name of a protocol in configuration and output.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(_, known)| *known == protocol).map_or("?", |(name, _)| name)
}

/// Reads the file's `[[listener]]` tables. Each mistake goes to `mistake` with the name of its field, if it has one.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mut mistake: impl FnMut(&str, Wrong),
) -> Vec<Listener> {
    let whole = Written::in_file(lines, value);
    let tables = match value.get_ref() {
        DeValue::Array(tables) if !tables.is_empty() => tables,
        _ => {
            mistake("", whole.wrong("is not a list of listeners", "tables with the heading [[listener]]"));
            return Vec::new();
        }
    };
    let mut listeners = Vec::new();
    for table in tables.iter() {
        let written = Written::in_file(lines, table);
        let DeValue::Table(fields) = table.get_ref() else {
            mistake("", written.wrong("is not a listener", "a table with protocol and address"));
            continue;
        };
        for (name, _) in fields.iter().filter(|(name, _)| !FIELDS.contains(&name.get_ref().as_ref())) {
            let line = Some(lines.line_of(name.span()));
            let problem = format!("not a setting of this version; allowed: {}", FIELDS.join(", "));
            mistake(name.get_ref(), Wrong { line, problem });
        }
        let mut field = |name: &str, allowed: &str| {
            let found = fields.iter().find(|(key, _)| key.get_ref() == name);
            if found.is_none() {
                mistake(name, Wrong { line: written.line, problem: format!("missing; allowed: {allowed}") });
            }
            found.map(|(_, value)| Written::in_file(lines, value))
        };
        let protocol = field("protocol", PROTOCOL_NAMES).map(|written| protocol(&written));
        let address = field("address", ADDRESSES).map(|written| address(&written));
        if let (Some(Ok(protocol)), Some(Ok(address))) = (&protocol, &address) {
            listeners.push(Listener { protocol: *protocol, address: *address });
        }
        protocol.and_then(Result::err).into_iter().for_each(|wrong| mistake("protocol", wrong));
        address.and_then(Result::err).into_iter().for_each(|wrong| mistake("address", wrong));
    }
    listeners
}

/// Reads `smtp=127.0.0.1:2525,pop3=127.0.0.1:1110`.
pub(super) fn from_variable(written: &Written) -> Result<Vec<Listener>, Vec<Wrong>> {
    const FORM: &str = r#""smtp=127.0.0.1:2525", several separated by commas"#;
    let listeners = list(written, |item| {
        let Value::Raw(text) = &item.value else { return Err(item.wrong("is not a listener", FORM)) };
        let (name, at) = text.split_once('=').ok_or_else(|| item.wrong("is not a listener", FORM))?;
        Ok(Listener {
            protocol: protocol(&Written::in_variable(name))?,
            address: address(&Written::in_variable(at))?,
        })
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
