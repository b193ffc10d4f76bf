//! What a token says (RFC 7519 §4.1), and whether that is enough.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::keys::decode;
use crate::model::{Address, UtcTime};

/// How far the clocks of issuers may be from ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// A token in the compact form (RFC 7515 §7.1), not verified.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// What is signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    pub(super) header: Header,
    pub(super) claims: Claims,
}

/// The members of a header that matter here (RFC 7515 §4.1).
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Extensions that must be understood: none is.
    crit: Option<Value>,
}

/// All claims, by name. The answer of an introspection has the same (RFC 7662 §2.2).
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Claims(serde_json::Map<String, Value>);

impl<'a> Token<'a> {
    /// Takes a token apart; nothing where it is none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let signature = decode(signature)?;
        header.crit.is_none().then_some(Self { signed, signature, header, claims })
    }
}

impl Claims {
    /// Who has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Whether a server that was asked says that it is good.
    pub(super) fn is_active(&self) -> bool {
        self.0.get("active") == Some(&Value::Bool(true))
    }

    /// Whether it was made for this audience.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }

    /// Whether it begins to be good before now and ends after it. One without an end is good only where `may_be_endless`.
    pub(super) fn is_good_at(&self, now: UtcTime, may_be_endless: bool) -> bool {
        let ends = self
            .time("exp")
            .map_or(may_be_endless && !self.0.contains_key("exp"), |end| now < end.after(LEEWAY));
        let has_begun =
            self.time("nbf").map_or(!self.0.contains_key("nbf"), |begin| begin <= now.after(LEEWAY));
        ends && has_begun
    }

    /// The account that a claim names.
    pub(super) fn account(&self, claim: &str) -> Option<Address> {
        // An issuer that has not made sure that an address is its user's says so (OpenID Connect Core).
        let is_doubtful = claim == "email" && self.0.get("email_verified") == Some(&Value::Bool(false));
        let address = self.text(claim).filter(|_| !is_doubtful)?;
        Address::parse(address).ok().map(|address| address.normalized())
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    /// NumericDate (RFC 7519 §2): seconds since 1970, maybe with a fraction.
    fn time(&self, claim: &str) -> Option<UtcTime> {
        let seconds = self.0.get(claim)?.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(UtcTime((seconds * 1_000.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_token_is_good_between_its_times_with_a_minute_of_leeway() {
        let now = UtcTime(1_000_000_000);
        for (text, is_good, is_good_endless) in [
            (r#"{"exp":1000001}"#, true, true),
            (r#"{"exp":999941}"#, true, true),
            (r#"{"exp":999940}"#, false, false),
            (r#"{"exp":1000001,"nbf":1000060}"#, true, true),
            (r#"{"exp":1000001,"nbf":1000060.5}"#, false, false),
            (r#"{"exp":1000001,"nbf":"soon"}"#, false, false),
            (r#"{"exp":"never"}"#, false, false),
            (r#"{"exp":-1}"#, false, false),
            ("{}", false, true),
        ] {
            assert_eq!(claims(text).is_good_at(now, false), is_good, "{text}");
            assert_eq!(claims(text).is_good_at(now, true), is_good_endless, "{text}");
        }
    }

    #[test]
    fn a_token_is_for_whom_it_names() {
        for (text, is_for) in [
            (r#"{"aud":"mail"}"#, true),
            (r#"{"aud":["x","mail"]}"#, true),
            (r#"{"aud":["x"]}"#, false),
            (r#"{"aud":"mailx"}"#, false),
            ("{}", false),
        ] {
            assert_eq!(claims(text).is_for("mail"), is_for, "{text}");
        }
        let named = claims(r#"{"email":"A@x.test","name":"a","bad":7}"#);
        assert_eq!(named.account("email").map(|account| account.to_string()).as_deref(), Some("a@x.test"));
        assert!(["name", "bad", "none"].iter().all(|claim| named.account(claim).is_none()));
        assert!(claims(r#"{"email":"a@x.test","email_verified":false}"#).account("email").is_none());
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        for text in ["", "a", "a.b", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIiwiY3JpdCI6W119.e30."] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
        assert!(Token::parse("eyJhbGciOiJub25lIn0.e30.").is_some());
    }
}
