//! `fulmar config check`: the settings in effect and where each came from.

use std::io::{self, Write};

use serde_json::json;
use toml::Value;

use super::keys::{KEYS, SECTIONS};
use super::listeners::Listening;
use super::routes::domain_name;
use super::{CertificatePaths, Loaded};

impl Loaded {
    /// Writes a TOML file that sets what is in effect, with the origin of each setting beside it.
    pub(crate) fn write_toml(&self, out: &mut impl Write) -> io::Result<()> {
        for section in SECTIONS {
            if !section.is_empty() {
                writeln!(out, "\n[{section}]")?;
            }
            for key in KEYS.iter().filter(|key| key.section == section) {
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
        Ok(())
    }

    /// Writes one JSON object a setting: `section`, `key`, `value`, `origin`.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for key in KEYS {
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
        for (section, value) in listeners.chain(certificates).chain(routes) {
            let origin = self.origin(section, "");
            writeln!(out, "{}", json!({"section": section, "key": "", "value": value, "origin": origin}))?;
        }
        Ok(())
    }

    fn origin(&self, section: &'static str, name: &'static str) -> String {
        self.origins.get(&(section, name)).map_or_else(|| "default".to_owned(), ToString::to_string)
    }
}

/// The networks of a listener's load balancers.
fn balancers(listener: &Listening) -> Vec<String> {
    listener.balancers().iter().map(ToString::to_string).collect()
}
