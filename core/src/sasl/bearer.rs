//! Messages that carry a token: OAUTHBEARER (RFC 7628 §3.1) and XOAUTH2, which came before it.

use super::{Failure, Question, Secret, plain};

/// What a client is told whose token was refused (RFC 7628 §3.2.2); it answers, and then the exchange fails.
pub(super) const REFUSED: &[u8] = br#"{"status":"invalid_token","schemes":"bearer"}"#;
/// Octets of a token, at most: the line is longer than that anyhow.
const TOKEN_LIMIT: usize = 8_192;
/// Between key-value pairs.
const KVSEP: char = '\u{1}';

/// ```abnf
/// client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep
/// gs2-header  = ( "n" / "y" / "p=" cb-name ) "," [ "a=" saslname ] ","
/// kvpair      = key "=" value kvsep
/// ```
///
/// No variant of it binds to a channel, so that a client cannot have been talked out of one: `y` is as good as `n`.
pub(super) fn oauthbearer(octets: &[u8]) -> Result<Question, Failure> {
    let message = std::str::from_utf8(octets).map_err(|_| Failure::Malformed)?;
    let (header, pairs) = message.split_once(KVSEP).ok_or(Failure::Malformed)?;
    let authzid = match header.split(',').collect::<Vec<_>>()[..] {
        ["n" | "y", "", ""] => String::new(),
        ["n" | "y", authzid, ""] => {
            let authzid = authzid.strip_prefix("a=").ok_or(Failure::Malformed)?;
            plain::name(unescape(authzid).ok_or(Failure::Malformed)?.as_bytes())?
        }
        _ => return Err(Failure::Malformed),
    };
    question(authzid, token(pairs)?)
}

/// `user=` name `^A` `auth=Bearer ` token `^A^A`
pub(super) fn xoauth2(octets: &[u8]) -> Result<Question, Failure> {
    let message = std::str::from_utf8(octets).map_err(|_| Failure::Malformed)?;
    let (user, pairs) = message.split_once(KVSEP).ok_or(Failure::Malformed)?;
    let user = user.strip_prefix("user=").ok_or(Failure::Malformed)?;
    question(plain::name(user.as_bytes())?, token(pairs)?)
}

/// `=2C` and `=3D` of a saslname (RFC 5801 §4); nothing for any other `=`, or a `,`.
pub(super) fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        plain.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        plain.push_str(rest);
    }
    if name.contains(',') { None } else { Some(plain) }
}

fn question(authzid: String, token: &str) -> Result<Question, Failure> {
    let body = token.trim_end_matches('=');
    let is_token = !body.is_empty()
        && token.len() <= TOKEN_LIMIT
        && body.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet));
    // RFC 6750 §2.1.
    if is_token {
        Ok(Question::Token { authzid, token: Secret::new(token) })
    } else {
        Err(Failure::Malformed)
    }
}

/// The token among the pairs, which end with a separator of their own.
fn token(pairs: &str) -> Result<&str, Failure> {
    let pairs = pairs.strip_suffix(KVSEP).ok_or(Failure::Malformed)?;
    let pairs = pairs.strip_suffix(KVSEP).ok_or(Failure::Malformed)?;
    let mut found = pairs.split(KVSEP).filter_map(|pair| pair.strip_prefix("auth="));
    let (Some(auth), None) = (found.next(), found.next()) else { return Err(Failure::Malformed) };
    let (scheme, token) = auth.split_once(' ').ok_or(Failure::Malformed)?;
    if scheme.eq_ignore_ascii_case("Bearer") { Ok(token.trim_matches(' ')) } else { Err(Failure::Malformed) }
}
