//! Whose tokens are taken: `[[auth.issuer]]` tables in the file, and one `[[auth.introspection]]`.

use std::path::PathBuf;

use fulmar_core::config::Introspection;
use toml::Spanned;
use toml::de::DeValue;

use super::Secret;
use super::tables::{self, Form, field};
use super::value::{plain, secret, text};
use super::written::{Lines, Written, Wrong};

/// The claim that most issuers put an address into.
const ACCOUNT_CLAIM: &str = "email";
/// The member that RFC 7662 §2.2 has for a user's name.
const USERNAME: &str = "username";
const URLS: &str = r#"a URL that begins with https://"#;
const NAMES: &str = "text without spaces";

const ISSUER: Form<5> = Form {
    heading: "auth.issuer",
    fields: [
        ("issuer", NAMES),
        ("audience", NAMES),
        ("jwks_url", URLS),
        ("jwks_file", "a path"),
        ("account_claim", NAMES),
    ],
    required: 2,
};
const INTROSPECTION: Form<5> = Form {
    heading: "auth.introspection",
    fields: [
        ("url", URLS),
        ("client_id", NAMES),
        ("client_secret", NAMES),
        ("audience", NAMES),
        ("account_claim", NAMES),
    ],
    required: 3,
};

/// An issuer, its keys not read yet.
#[derive(Clone, Debug)]
pub(crate) struct ListedIssuer {
    /// What its tokens say in `iss`.
    pub(crate) issuer: String,
    /// What they say in `aud`.
    pub(crate) audience: String,
    /// Where its keys are.
    pub(crate) keys: ListedKeys,
    /// The claim that holds the account's address.
    pub(crate) account_claim: String,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub(crate) enum ListedKeys {
    /// Fetched by each node.
    Url(String),
    /// Read at the start.
    File(PathBuf),
}

/// Reads `[[auth.issuer]]`.
pub(super) fn issuers(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<ListedIssuer> {
    let mut issuers = Vec::new();
    for [issuer, audience, jwks_url, jwks_file, account_claim] in tables::read(&ISSUER, lines, value, mistake)
    {
        let url = field("jwks_url", jwks_url.as_ref(), url, mistake).map(ListedKeys::Url);
        let path = |written: &Written| plain(written, "a path", "a path").map(PathBuf::from);
        let file = field("jwks_file", jwks_file.as_ref(), path, mistake).map(ListedKeys::File);
        let claim = field("account_claim", account_claim.as_ref(), word, mistake);
        let audience = field("audience", audience.as_ref(), word, mistake);
        let issuer_name = field("issuer", issuer.as_ref(), word, mistake);
        let keys = match (url, file) {
            (Some(keys), None) | (None, Some(keys)) => keys,
            _ => {
                if jwks_url.is_some() == jwks_file.is_some() {
                    let line = issuer.as_ref().and_then(|written| written.line);
                    let problem = "has both or neither; allowed: either jwks_url or jwks_file".to_owned();
                    mistake("jwks_url", Wrong { line, problem });
                }
                continue;
            }
        };
        if let (Some(issuer), Some(audience)) = (issuer_name, audience) {
            let account_claim = claim.unwrap_or_else(|| ACCOUNT_CLAIM.to_owned());
            issuers.push(ListedIssuer { issuer, audience, keys, account_claim });
        }
    }
    issuers
}

/// Reads `[[auth.introspection]]`, of which there is one.
pub(super) fn introspection(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Option<Introspection> {
    let mut tables = tables::read(&INTROSPECTION, lines, value, mistake).into_iter();
    let [server, client_id, client_secret, audience, account_claim] = tables.next()?;
    if tables.next().is_some() {
        let line = Written::in_file(lines, value).line;
        mistake("", Wrong { line, problem: "stands there twice; allowed: one".to_owned() });
    }
    let url = field("url", server.as_ref(), url, mistake);
    let client_id = field("client_id", client_id.as_ref(), word, mistake);
    let client_secret = field("client_secret", client_secret.as_ref(), secret, mistake);
    let audience = field("audience", audience.as_ref(), word, mistake);
    let claim = field("account_claim", account_claim.as_ref(), word, mistake);
    let Secret(client_secret) = client_secret?;
    let account_claim = claim.unwrap_or_else(|| USERNAME.to_owned());
    Some(Introspection { url: url?, client_id: client_id?, client_secret, audience, account_claim })
}

fn url(written: &Written) -> Result<String, Wrong> {
    let is_url = |text: &str| text.len() > "https://".len() && text.starts_with("https://");
    text(written, "a URL of HTTPS", URLS, |text| is_url(text).then(|| text.to_owned()))
}

fn word(written: &Written) -> Result<String, Wrong> {
    plain(written, NAMES, NAMES)
}
