//! Who may send what to whom, and how often (rank 6).
//!
//! - [`access`]: lists of whom an operator lets in or keeps out;
//! - [`limits`]: how many connections, messages and recipients there may be;
//! - [`replies`]: what is said, and how late.

pub mod access;
pub mod limits;
pub mod replies;

pub mod guard;

use std::net::IpAddr;

use crate::config::Config;

/// Where a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client on the network.
    Client(IpAddr),
    /// Somebody who has logged in.
    User,
    /// Somebody with the store's credentials, through `fulmar send`.
    Operator,
}

/// Whether mail for domains that are not ours is taken from there. Without this being true for few, we would be an open
/// relay (RFC 5321 §7.9).
pub fn may_relay(config: &Config, origin: Origin) -> bool {
    match origin {
        Origin::Client(address) => config.relay.may_relay(address),
        Origin::User | Origin::Operator => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Domain;

    #[test]
    fn only_listed_networks_may_relay() {
        let mut config = Config::new(Domain::parse("mx.test").unwrap());
        let from = |text: &str| Origin::Client(text.parse().unwrap());
        assert!(!may_relay(&config, from("127.0.0.1")));
        config.relay.networks = vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for (client, may) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("2001:db8::9", true),
            ("::1", false),
        ] {
            assert_eq!(may_relay(&config, from(client)), may, "{client}");
        }
    }
}
