//! What an operator has replies say beside what they must, and how long refusals are held back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{Banner, EarlyTalkers, Footer, Manners, ReplySettings};
use crate::model::reply::Severity;
use crate::model::{Domain, Reply};

/// What follows `ESMTP` in a greeting where nobody says otherwise.
const BANNER: &str = "Fulmar";

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

/// RFC 5321 §3.1, §4.2: the name comes first. Some clients say EHLO only to a server that says `ESMTP`.
pub fn greeting(hostname: &Domain, banner: Option<&Banner>) -> Reply {
    Reply::bare(220, format!("{hostname} ESMTP {}", banner.map_or(BANNER, Banner::as_str)))
}

/// What a client hears that has not waited for the greeting (RFC 5321 §3.1, §4.3.1).
pub fn spoke_too_early(hostname: &Domain) -> Reply {
    Reply::new(
        554,
        (5, 5, 1),
        format!("{hostname} the client speaks first after the greeting, not before it"),
    )
}

/// A reply as the client gets it: what refuses something has the operator's footer as its last line.
pub fn customize(reply: Reply, settings: &ReplySettings, facts: &SessionFacts) -> Reply {
    match &settings.footer {
        Some(footer) if reply.severity() != Severity::Positive => {
            let text = format!("{}\n{}", reply.text, fill(footer, facts));
            Reply { text: Cow::Owned(text), ..reply }
        }
        _ => reply,
    }
}

/// How long a refusal is held back when so many commands, this one with them, have been refused.
pub fn tarpit(manners: &Manners, refused: usize, spoke_too_early: bool) -> Duration {
    let is_late = refused > manners.tarpit_after;
    let is_rude = spoke_too_early && manners.early_talkers == EarlyTalkers::Delay;
    if is_late || is_rude { manners.tarpit_delay } else { Duration::ZERO }
}

/// The footer with its placeholders filled in.
fn fill(footer: &Footer, facts: &SessionFacts) -> String {
    let values =
        [facts.peer.to_canonical().to_string(), facts.session.to_string(), facts.hostname.to_string()];
    let mut text = footer.as_str().to_owned();
    for (name, value) in Footer::PLACEHOLDERS.iter().zip(values) {
        text = text.replace(&format!("{{{name}}}"), &value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> SessionFacts {
        let (peer, hostname) = ("::ffff:192.0.2.1".parse().unwrap(), Domain::parse("mx.test").unwrap());
        SessionFacts { peer, session: 7, hostname }
    }

    #[test]
    fn the_footer_is_the_last_line_of_what_refuses_and_of_nothing_else() {
        let footer = Footer::parse("see help.test/{session} ({peer} at {hostname})");
        let with = ReplySettings { footer, banner: None };
        let last = "see help.test/7 (192.0.2.1 at mx.test)";
        for (reply, expected) in [
            (Reply::new(550, (5, 1, 1), "nobody"), format!("550-5.1.1 nobody\r\n550 5.1.1 {last}\r\n")),
            (Reply::new(451, (4, 3, 0), "later"), format!("451-4.3.0 later\r\n451 4.3.0 {last}\r\n")),
            (Reply::new(250, (2, 0, 0), "ok"), "250 2.0.0 ok\r\n".to_owned()),
            (Reply::bare(354, "go ahead"), "354 go ahead\r\n".to_owned()),
        ] {
            let mut wire = Vec::new();
            customize(reply.clone(), &with, &facts()).write_to(&mut wire);
            assert_eq!(String::from_utf8(wire).unwrap(), expected);
            assert_eq!(customize(reply.clone(), &ReplySettings::default(), &facts()), reply);
        }
    }

    #[test]
    fn refusals_are_held_back_after_so_many_or_from_the_first_on() {
        let second = Duration::from_secs(1);
        let manners = |early_talkers| Manners { early_talkers, tarpit_delay: second, ..Manners::default() };
        for (early_talkers, refused, is_early, expected) in [
            (EarlyTalkers::Refuse, 5, false, Duration::ZERO),
            (EarlyTalkers::Refuse, 6, false, second),
            (EarlyTalkers::Delay, 1, true, second),
            (EarlyTalkers::Delay, 1, false, Duration::ZERO),
        ] {
            assert_eq!(
                tarpit(&manners(early_talkers), refused, is_early),
                expected,
                "{early_talkers:?} {refused}"
            );
        }
    }

    #[test]
    fn a_greeting_says_the_name_and_esmtp_before_anything_else() {
        let hostname = Domain::parse("mx.test").unwrap();
        assert_eq!(greeting(&hostname, None).to_string(), "220 mx.test ESMTP Fulmar");
        let banner = Banner::parse("no spam please").unwrap();
        assert_eq!(greeting(&hostname, Some(&banner)).to_string(), "220 mx.test ESMTP no spam please");
    }
}
