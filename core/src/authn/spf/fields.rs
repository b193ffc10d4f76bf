//! What is written into the header about a check.

use super::{Client, Identity, Verdict};
use crate::authn::property::{comment, pvalue, quoted_string};
use crate::model::verdict::SpfResult;

impl Verdict {
    /// The `Received-SPF` field, folded, with its final CRLF (RFC 7208 §9.1).
    pub fn to_received_spf(&self, client: &Client<'_>) -> String {
        let address = client.address.to_canonical();
        let remark = format!("{}: {}", client.receiver, self.remark(client));
        let mut field = format!("Received-SPF: {} ({})", self.result, comment(&remark));
        let identity = match self.identity {
            Identity::Helo => "helo",
            Identity::MailFrom => "mailfrom",
        };
        let mechanism = self.mechanism.as_deref().unwrap_or("default");
        let pairs = [
            ("client-ip", Some(key_value(&address.to_string()))),
            ("envelope-from", (self.identity == Identity::MailFrom).then(|| quoted_string(&self.sender()))),
            ("helo", Some(key_value(client.helo))),
            ("receiver", Some(key_value(client.receiver.as_str()))),
            ("identity", Some(identity.to_owned())),
            ("mechanism", self.problem.is_none().then(|| key_value(mechanism))),
            ("problem", self.problem.as_deref().map(key_value)),
        ];
        let mut separator = "";
        for (key, value) in pairs {
            if let Some(value) = value {
                field.push_str(&format!("{separator}\r\n\t{key}={value}"));
                separator = ";";
            }
        }
        field.push_str("\r\n");
        field
    }

    /// The method's part of an Authentication-Results field (RFC 8601 §2.7.2): `spf=pass smtp.mailfrom=ann@example.org`.
    pub fn to_method(&self) -> String {
        let problem = self.problem.as_deref().map_or(String::new(), |why| format!(" ({})", comment(why)));
        let property = match self.identity {
            Identity::Helo => format!("helo={}", pvalue(&self.domain)),
            Identity::MailFrom => format!("mailfrom={}", pvalue(&self.sender())),
        };
        format!("spf={}{problem} smtp.{property}", self.result)
    }

    fn sender(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    /// The result in words.
    fn remark(&self, client: &Client<'_>) -> String {
        let address = client.address.to_canonical();
        let domain = &self.domain;
        match self.result {
            SpfResult::Pass => format!("{domain} permits {address} to send for it"),
            SpfResult::Fail => format!("{domain} does not permit {address} to send for it"),
            SpfResult::SoftFail => format!("{domain} would rather not have {address} send for it"),
            SpfResult::Neutral => format!("{domain} says nothing about {address}"),
            SpfResult::None => format!("{domain} has no policy"),
            SpfResult::TempError => format!("the policy of {domain} could not be looked up"),
            SpfResult::PermError => format!("the policy of {domain} cannot be understood"),
        }
    }
}

/// `dot-atom / quoted-string` (RFC 7208 §9.1).
fn key_value(text: &str) -> String {
    let is_atom = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if text.len() <= 255 && text.split('.').all(is_atom) { text.to_owned() } else { quoted_string(text) }
}
