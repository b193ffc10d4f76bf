//! The routes: `[[route]]` tables in the file, or `FULMAR_ROUTE=relay.test=HOST:PORT,*=HOST`.

use fulmar_core::config::{NextHop, Route};
use fulmar_core::model::Domain;
use toml::Spanned;
use toml::de::DeValue;

use super::hosts::host_and_port;
use super::tables::{self, Form, field};
use super::value::{list, mail_name, text};
use super::written::{Lines, Value, Written, Wrong};

/// The variable that replaces the file's list.
pub(super) const VARIABLE: &str = "FULMAR_ROUTE";

/// Stands for every domain without a route of its own.
const EVERY_OTHER: &str = "*";
const DOMAINS: &str = r#"a domain such as "relay.test", or "*" for every other one"#;
const NEXT_HOPS: &str =
    r#"a host with or without a port, such as "smarthost", "192.0.2.1:2525" or "[2001:db8::1]:25""#;
const FORM: Form<2> =
    Form { heading: "route", fields: [("domain", DOMAINS), ("next_hop", NEXT_HOPS)], required: 2 };
/// RFC 5321 §4.5.4.2.
const SMTP_PORT: u16 = 25;

/// How a route's domain is written.
pub(super) fn domain_name(route: &Route) -> &str {
    route.domain.as_ref().map_or(EVERY_OTHER, Domain::as_str)
}

/// Reads the file's `[[route]]` tables. Each mistake goes to `mistake` with the name of its field, if it has one.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for [domain, next_hop] in tables::read(&FORM, lines, value, mistake) {
        let read = |written: &Written| self::domain(written, &routes);
        let domain = field("domain", domain.as_ref(), read, mistake);
        let next_hop = field("next_hop", next_hop.as_ref(), self::next_hop, mistake);
        if let (Some(domain), Some(next_hop)) = (domain, next_hop) {
            routes.push(Route { domain, next_hop });
        }
    }
    routes
}

/// Reads `relay.test=127.0.0.1:2525,*=smarthost`.
pub(super) fn from_variable(written: &Written) -> Result<Vec<Route>, Vec<Wrong>> {
    const PAIRS: &str = r#""relay.test=127.0.0.1:2525", several separated by commas"#;
    let pairs = list(written, |item| {
        let pair = match &item.value {
            Value::Raw(text) => text.split_once('='),
            _ => None,
        };
        let (domain, next_hop) = pair.ok_or_else(|| item.wrong("is not a route", PAIRS))?;
        Ok((Written::in_variable(domain), self::next_hop(&Written::in_variable(next_hop))?))
    })?;
    let mut routes: Vec<Route> = Vec::new();
    for (domain, next_hop) in pairs {
        let domain = self::domain(&domain, &routes)?;
        routes.push(Route { domain, next_hop });
    }
    Ok(routes)
}

/// A domain that has no route yet; nothing stands for every other one.
fn domain(written: &Written, routes: &[Route]) -> Result<Option<Domain>, Wrong> {
    let domain = mail_name(written, "a domain", DOMAINS, |text| match text {
        EVERY_OTHER => Ok(None),
        domain => Domain::parse(domain).map(Some),
    })?;
    match routes.iter().find(|route| route.domain == domain) {
        Some(first) => {
            let problem = format!("has a route already, to {}", first.next_hop);
            Err(written.wrong(&problem, "one route for each domain"))
        }
        None => Ok(domain),
    }
}

fn next_hop(written: &Written) -> Result<NextHop, Wrong> {
    text(written, "a next hop", NEXT_HOPS, |text| {
        let (host, port) = host_and_port(text, SMTP_PORT)?;
        Some(NextHop { host: host.to_owned(), port })
    })
}
