//! What an operator has replies say beside what they must.

use std::net::IpAddr;

use crate::config::{Footer, ReplySettings};
use crate::model::Domain;

/// What placeholders stand for.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// The client's address.
    pub peer: IpAddr,
    /// The session's number on this node.
    pub session: u64,
    /// The name under which the client was greeted.
    pub hostname: Domain,
}

/// The last line of whatever refuses something to this client, where the operator has one.
pub fn footer(settings: &ReplySettings, facts: &SessionFacts) -> Option<String> {
    let values =
        [facts.peer.to_canonical().to_string(), facts.session.to_string(), facts.hostname.to_string()];
    let mut text = settings.footer.as_ref()?.as_str().to_owned();
    for (name, value) in Footer::PLACEHOLDERS.iter().zip(values) {
        text = text.replace(&format!("{{{name}}}"), &value);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_names_what_its_placeholders_stand_for() {
        let (peer, hostname) = ("::ffff:192.0.2.1".parse().unwrap(), Domain::parse("mx.test").unwrap());
        let facts = SessionFacts { peer, session: 7, hostname };
        let text = Footer::parse("see help.test/{session} ({peer} at {hostname})");
        let with = ReplySettings { footer: text, banner: None };
        assert_eq!(footer(&with, &facts).unwrap(), "see help.test/7 (192.0.2.1 at mx.test)");
        assert_eq!(footer(&ReplySettings::default(), &facts), None);
    }
}
