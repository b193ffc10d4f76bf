//! `fulmar config check`: the settings in effect and where each came from.

use std::collections::BTreeMap;
use std::io::{self, Write};

use fulmar_core::config::Introspection;
use serde_json::json;
use toml::Value;

use super::issuers::{ListedIssuer, ListedKeys};
use super::listeners::Listening;
use super::routes::domain_name;
use super::sections::{SECTIONS, keys};
use super::{CertificatePaths, Loaded};
use super::{door, listener_settings};

impl Loaded {
    /// Writes a TOML file that sets what is in effect, with the origin of each setting beside it.
    pub(crate) fn write_toml(&self, out: &mut impl Write) -> io::Result<()> {
        for section in SECTIONS {
            if !section.is_empty() {
                writeln!(out, "\n[{section}]")?;
            }
            for key in keys().filter(|key| key.section == section) {
                match (key.show)(&self.settings) {
                    Some(value) => {
                        writeln!(out, "{} = {value}  # {}", key.name, self.origin(section, key.name))?;
                    }
                    None => writeln!(out, "# {} is not set", key.name)?,
                }
            }
        }
        for listener in &self.settings.listeners {
            writeln!(out, "\n[[listener]]  # {}", self.origin("listener", ""))?;
            writeln!(out, "protocol = {}", Value::from(listener.protocol_name()))?;
            writeln!(out, "address = {}", Value::from(listener.address().to_string()))?;
            if !listener.balancers().is_empty() {
                writeln!(out, "proxy_protocol_from = {}", Value::from(balancers(listener)))?;
            }
            for (name, value) in different(listener) {
                writeln!(out, "{name} = {value}")?;
            }
            for (name, value) in listener.tls() {
                writeln!(out, "{name} = {}", Value::from(value))?;
            }
        }
        for CertificatePaths { certificate, key, names } in &self.settings.tls.more {
            writeln!(out, "\n[[tls.certificates]]  # {}", self.origin("tls.certificates", ""))?;
            writeln!(out, "certificate = {}", Value::from(certificate.display().to_string()))?;
            if let Some(key) = key {
                writeln!(out, "key = {}", Value::from(key.display().to_string()))?;
            }
            if !names.is_empty() {
                writeln!(out, "names = {}", Value::from(names.clone()))?;
            }
        }
        for route in &self.settings.engine.relay.routes {
            writeln!(out, "\n[[route]]  # {}", self.origin("route", ""))?;
            writeln!(out, "domain = {}", Value::from(domain_name(route)))?;
            writeln!(out, "next_hop = {}", Value::from(route.next_hop.to_string()))?;
        }
        for issuer in &self.settings.issuers {
            writeln!(out, "\n[[auth.issuer]]  # {}", self.origin("auth.issuer", ""))?;
            for (name, value) in issuer_fields(issuer) {
                writeln!(out, "{name} = {}", Value::from(value))?;
            }
        }
        if let Some(server) = &self.settings.engine.auth.introspection {
            writeln!(out, "\n[[auth.introspection]]  # {}", self.origin("auth.introspection", ""))?;
            for (name, value) in introspection_fields(server) {
                writeln!(out, "{name} = {}", Value::from(value))?;
            }
        }
        for rule in &self.settings.engine.policy.access {
            writeln!(out, "\n[[access]]  # {}", self.origin("access", ""))?;
            for (name, value) in door::shown(rule) {
                writeln!(out, "{name} = {value}")?;
            }
        }
        Ok(())
    }

    /// Writes one JSON object a setting: `section`, `key`, `value`, `origin`.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for key in keys() {
            let (value, origin) = ((key.show)(&self.settings), self.origin(key.section, key.name));
            let line = json!({"section": key.section, "key": key.name, "value": value, "origin": origin});
            writeln!(out, "{line}")?;
        }
        let listeners = self.settings.listeners.iter().map(|listener| {
            let mut value = json!({
                "protocol": listener.protocol_name(),
                "address": listener.address(),
                "proxy_protocol_from": balancers(listener),
            });
            listener.tls().into_iter().for_each(|(name, said)| value[name] = said.into());
            for (name, different) in different(listener) {
                value[name] = json!(different);
            }
            ("listener", value)
        });
        let certificates = self.settings.tls.more.iter().map(|paths| {
            let CertificatePaths { certificate, key, names } = paths;
            ("tls.certificates", json!({"certificate": certificate, "key": key, "names": names}))
        });
        let routes = self.settings.engine.relay.routes.iter().map(|route| {
            let value = json!({"domain": domain_name(route), "next_hop": route.next_hop.to_string()});
            ("route", value)
        });
        let rules = self.settings.engine.policy.access.iter().map(|rule| {
            let fields = door::shown(rule).into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
            ("access", serde_json::Value::Object(fields.collect()))
        });
        let issuers = self.settings.issuers.iter().map(|issuer| {
            ("auth.issuer", json!(issuer_fields(issuer).into_iter().collect::<BTreeMap<_, _>>()))
        });
        let introspection = self.settings.engine.auth.introspection.iter().map(|server| {
            (
                "auth.introspection",
                json!(introspection_fields(server).into_iter().collect::<BTreeMap<_, _>>()),
            )
        });
        for (section, value) in
            listeners.chain(certificates).chain(routes).chain(issuers).chain(introspection).chain(rules)
        {
            let origin = self.origin(section, "");
            writeln!(out, "{}", json!({"section": section, "key": "", "value": value, "origin": origin}))?;
        }
        Ok(())
    }

    fn origin(&self, section: &'static str, name: &'static str) -> String {
        self.origins.get(&(section, name)).map_or_else(|| "default".to_owned(), ToString::to_string)
    }
}

fn issuer_fields(issuer: &ListedIssuer) -> Vec<(&'static str, String)> {
    let keys = match &issuer.keys {
        ListedKeys::Url(url) => ("jwks_url", url.clone()),
        ListedKeys::File(path) => ("jwks_file", path.display().to_string()),
    };
    vec![
        ("issuer", issuer.issuer.clone()),
        ("audience", issuer.audience.clone()),
        keys,
        ("account_claim", issuer.account_claim.clone()),
    ]
}

fn introspection_fields(server: &Introspection) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("url", server.url.clone()),
        ("client_id", server.client_id.clone()),
        ("client_secret", "***".to_owned()),
        ("account_claim", server.account_claim.clone()),
    ];
    fields.extend(server.audience.clone().map(|audience| ("audience", audience)));
    fields
}

/// What a listener has different from the others.
fn different(listener: &Listening) -> Vec<(&'static str, Value)> {
    listener.mail().map_or_else(Vec::new, |listener| listener_settings::shown(&listener.settings))
}

/// The networks of a listener's load balancers.
fn balancers(listener: &Listening) -> Vec<String> {
    listener.balancers().iter().map(ToString::to_string).collect()
}
