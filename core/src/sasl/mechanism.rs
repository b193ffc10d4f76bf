//! The mechanisms' names, and what each needs.

use super::Channel;

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 7677 §3 with channel binding.
    ScramSha256Plus,
    /// RFC 7677 §3.
    ScramSha256,
    /// RFC 4422 §A.
    External,
    /// RFC 7628 §3.
    OauthBearer,
    /// Google's predecessor of it.
    Xoauth2,
    /// RFC 4616 §2.
    Plain,
    /// A name, then a password.
    Login,
}

impl Mechanism {
    /// All, in the order in which they are announced.
    pub const ALL: [Self; 7] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::External,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::Plain,
        Self::Login,
    ];

    /// As it is announced.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::External => "EXTERNAL",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The mechanism of this name, in any case: the protocols compare it so (RFC 4954 §4).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Whether whoever reads along learns something that opens the account: only for connections that nobody can read.
    pub const fn shows_secret(self) -> bool {
        matches!(self, Self::Plain | Self::Login | Self::Xoauth2 | Self::OauthBearer)
    }

    /// Those that can be had over a channel, in the order in which they are announced.
    pub fn over(channel: &Channel) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|mechanism| mechanism.is_had_over(channel))
    }

    /// Whether this one can be had over a channel.
    pub fn is_had_over(self, channel: &Channel) -> bool {
        match self {
            Self::ScramSha256Plus => channel.binding.is_some(),
            Self::External => channel.certificate.is_some(),
            Self::OauthBearer | Self::Xoauth2 => channel.takes_tokens,
            Self::ScramSha256 | Self::Plain | Self::Login => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_name_is_read_in_any_case_and_nothing_else_is() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
            assert_eq!(Mechanism::parse(&mechanism.name().to_ascii_lowercase()), Some(mechanism));
        }
        for name in ["", "PLAIN ", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256-"] {
            assert_eq!(Mechanism::parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_a_channel_lacks_is_not_announced() {
        let names = |channel: &Channel| -> Vec<_> { Mechanism::over(channel).map(Mechanism::name).collect() };
        assert_eq!(names(&Channel::default()), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
        let binding = Some(Bytes::from_static(&[1; 32]));
        let all = Channel { binding, certificate: Some(Vec::new()), takes_tokens: true };
        assert_eq!(names(&all).len(), Mechanism::ALL.len());
    }
}
