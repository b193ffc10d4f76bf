//! What may be different from one listener to another.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::relay::contain;
use super::{Banner, Config, SmtpLimits};
use crate::model::Domain;

/// What holds for sessions of one listener, where it is not to be as for all of them.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The name in its greetings, its answers to EHLO and its trace fields.
    pub hostname: Option<Domain>,
    /// What follows `ESMTP` in its greeting.
    pub banner: Option<Banner>,
    /// See [`SmtpLimits::message_size`].
    pub message_size: Option<u64>,
    /// See [`SmtpLimits::recipients`].
    pub recipients: Option<usize>,
    /// See [`SmtpLimits::command_timeout`].
    pub command_timeout: Option<Duration>,
    /// See [`SmtpLimits::content_timeout`].
    pub content_timeout: Option<Duration>,
    /// The access lists that hold there, beside the rules that belong to no list.
    pub access: Vec<String>,
    /// Whether clients log in; as its protocol has it where nobody says.
    pub auth: Option<Authentication>,
    /// Whether passwords are taken before the session is encrypted (RFC 8314 §3.3 forbids it).
    pub allow_plaintext_auth: bool,
    /// Clients whose bare CR and LF become line ends; others are refused for them (RFC 5321 §2.3.8).
    pub bare_newlines_from: Vec<IpNet>,
    /// Clients that may say by XCLIENT for whom they speak.
    pub xclient_from: Vec<IpNet>,
    /// Clients that may say by XFORWARD where a message came from.
    pub xforward_from: Vec<IpNet>,
}

/// Whether clients log in (RFC 4954 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// AUTH is not offered.
    None,
    /// Whoever wants to may.
    Optional,
    /// Nobody sends without: `530 5.7.0` (RFC 4954 §6).
    Required,
}

impl ListenerSettings {
    /// Nothing is different.
    pub const fn new() -> Self {
        Self {
            hostname: None,
            banner: None,
            message_size: None,
            recipients: None,
            command_timeout: None,
            content_timeout: None,
            access: Vec::new(),
            auth: None,
            allow_plaintext_auth: false,
            bare_newlines_from: Vec::new(),
            xclient_from: Vec::new(),
            xforward_from: Vec::new(),
        }
    }

    /// The name under which its clients know this node.
    pub fn hostname<'a>(&'a self, config: &'a Config) -> &'a Domain {
        self.hostname.as_ref().unwrap_or(&config.hostname)
    }

    /// What its greeting says.
    pub fn banner<'a>(&'a self, config: &'a Config) -> Option<&'a Banner> {
        self.banner.as_ref().or(config.policy.replies.banner.as_ref())
    }

    /// The bounds of its sessions.
    pub fn limits(&self, all: &SmtpLimits) -> SmtpLimits {
        SmtpLimits {
            message_size: self.message_size.unwrap_or(all.message_size),
            recipients: self.recipients.unwrap_or(all.recipients),
            command_timeout: self.command_timeout.unwrap_or(all.command_timeout),
            content_timeout: self.content_timeout.unwrap_or(all.content_timeout),
            ..all.clone()
        }
    }

    /// Whether a client's bare CR and LF become line ends.
    pub fn mends_newlines_of(&self, client: IpAddr) -> bool {
        contain(&self.bare_newlines_from, client)
    }

    /// Whether a client may say for whom it speaks.
    pub fn takes_xclient_from(&self, client: IpAddr) -> bool {
        contain(&self.xclient_from, client)
    }

    /// Whether a client may say where a message came from.
    pub fn takes_xforward_from(&self, client: IpAddr) -> bool {
        contain(&self.xforward_from, client)
    }
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_does_not_say_is_as_for_all() {
        let mut config = Config::new(Domain::parse("mx.test").unwrap());
        config.policy.replies.banner = Banner::parse("all");
        config.smtp.recipients = 500;
        let plain = ListenerSettings::new();
        assert_eq!(plain.hostname(&config).as_str(), "mx.test");
        assert_eq!(plain.banner(&config).unwrap().as_str(), "all");
        assert_eq!(plain.limits(&config.smtp).recipients, 500);
        assert!(!plain.mends_newlines_of([127, 0, 0, 1].into()));
        let own = ListenerSettings {
            hostname: Some(Domain::parse("submit.test").unwrap()),
            banner: Banner::parse("own"),
            recipients: Some(100),
            bare_newlines_from: vec!["127.0.0.0/8".parse().unwrap()],
            ..plain
        };
        assert_eq!(own.hostname(&config).as_str(), "submit.test");
        assert_eq!(own.banner(&config).unwrap().as_str(), "own");
        let limits = own.limits(&config.smtp);
        assert_eq!((limits.recipients, limits.hops), (100, config.smtp.hops));
        assert!(own.mends_newlines_of("::ffff:127.0.0.1".parse().unwrap()));
    }
}
