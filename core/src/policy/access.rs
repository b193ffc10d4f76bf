//! Access lists: whom an operator lets in or keeps out, asked as a session goes on.
//!
//! A rule is looked at when all that it asks for is known, in one of four stages. The first that holds decides that stage. One that allows
//! decides for the later stages too: for those of the session, of the transaction or of the recipient, by where it stood.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::config::{AccessAction, AccessRule, Config, DomainPattern, Listener, Stage};
use crate::model::{Address, Domain, Reply, ReversePath};

/// What comes of the rules of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No rule is about this.
    Continue,
    /// A rule lets it pass, and what else would be refused because of where it comes from.
    Allow,
    /// The client is told this.
    Refuse(Reply),
}

/// What the access lists say of one session. Each stage is asked in its turn, and any of them again when a client repeats it.
#[derive(Clone, Debug)]
pub struct Screening<'a> {
    rules: Vec<&'a AccessRule>,
    client: IpAddr,
    hello: Option<Domain>,
    reverse_path: ReversePath,
    /// Where a rule that stands now has allowed what is to come.
    allowed: Option<Stage>,
}

impl<'a> Screening<'a> {
    /// A session with a client of a listener.
    pub fn new(config: &'a Config, listener: &Listener, client: IpAddr) -> Self {
        let is_on = |rule: &&AccessRule| {
            rule.list.as_ref().is_none_or(|list| listener.settings.access.contains(list))
        };
        let rules = config.policy.access.iter().filter(is_on).collect();
        Self { rules, client, hello: None, reverse_path: ReversePath::Null, allowed: None }
    }

    /// The client has connected.
    pub fn at_connect(&mut self) -> Verdict {
        self.judge(Stage::Connect, None)
    }

    /// It has given itself a name, in HELO or EHLO. One that is no domain is meant by rules that are about any name, and by no others.
    pub fn at_hello(&mut self, name: &str) -> Verdict {
        self.hello = Domain::parse_utf8(name).ok();
        self.judge(Stage::Hello, None)
    }

    /// It has begun a transaction.
    pub fn at_mail(&mut self, reverse_path: &ReversePath) -> Verdict {
        self.reverse_path = reverse_path.clone();
        self.judge(Stage::Mail, None)
    }

    /// It has named a recipient.
    pub fn at_recipient(&mut self, recipient: &Address) -> Verdict {
        self.judge(Stage::Recipient, Some(recipient))
    }

    fn judge(&mut self, stage: Stage, recipient: Option<&Address>) -> Verdict {
        if self.allowed.is_some_and(|allowed| allowed < stage) {
            return Verdict::Allow;
        }
        self.allowed = None;
        let found = self.rules.iter().find(|rule| rule.stage() == stage && self.holds(rule, recipient));
        match found {
            None => Verdict::Continue,
            Some(AccessRule { action: AccessAction::Allow, .. }) => {
                self.allowed = Some(stage);
                Verdict::Allow
            }
            Some(rule) => Verdict::Refuse(refusal(rule, stage)),
        }
    }

    fn holds(&self, rule: &AccessRule, recipient: Option<&Address>) -> bool {
        let AccessRule { clients, hellos, senders, recipients, .. } = rule;
        let client = self.client.to_canonical();
        let is_named = |pattern: &DomainPattern| match &self.hello {
            Some(name) => pattern.matches(name),
            None => *pattern == DomainPattern::Any,
        };
        (clients.is_empty() || clients.iter().any(|network| network.contains(&client)))
            && (hellos.is_empty() || hellos.iter().any(is_named))
            && (senders.is_empty()
                || senders.iter().any(|pattern| pattern.matches_sender(&self.reverse_path)))
            && (recipients.is_empty()
                || recipient
                    .is_some_and(|recipient| recipients.iter().any(|pattern| pattern.matches(recipient))))
    }
}

/// RFC 5321 §3.1 for connections, §7.8 and RFC 3463 §3.8 for the rest.
fn refusal(rule: &AccessRule, stage: Stage) -> Reply {
    if let Some(reply) = &rule.reply {
        return reply.clone();
    }
    match (rule.action, stage) {
        (AccessAction::Defer, Stage::Connect) => Reply::new(421, (4, 7, 1), "not now, try again later"),
        (AccessAction::Defer, _) => Reply::new(450, (4, 7, 1), "not now, try again later"),
        (_, Stage::Connect) => Reply::new(554, (5, 7, 1), "no mail from here"),
        _ => Reply::new(550, (5, 7, 1), "refused by local policy"),
    }
}
