//! What a token is worth, and whose it is: JWT of configured issuers (RFC 7519 §7.2), and whatever else an introspection server knows
//! (RFC 7662 §2).
//!
//! Keys are fetched when they are needed, kept, and fetched again when a token names one that is not among them, at most once in
//! [`REFRESH`] for each issuer: who sends tokens with made-up names causes no more requests than that. Introspection is one request
//! for each token, since only the server knows what has been revoked.

mod claims;
mod keys;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_rustls::pki_types::CertificateDer;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};

use self::claims::{Claims, Token};
use self::keys::KeySet;
use crate::config::{AuthSettings, Introspection, Issuer, KeySource};
use crate::http::{Client, ClientSettings, RequestBody};
use crate::model::Address;
use crate::platform::{Instant, Platform};
use crate::state::turns::Turns;
use crate::transport::TlsClient;

/// Between two requests for the keys of one issuer.
const REFRESH: Duration = Duration::from_mins(1);
/// How long keys are believed: an issuer that withdraws one is heard by then.
const KEPT: Duration = Duration::from_hours(24);
/// How long a request may take with its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Octets of an answer, at most.
const ANSWER_LIMIT: usize = 256 << 10;

/// That nobody can say now what a token is worth.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unknown(String);

/// Whoever can say what tokens are worth.
#[derive(Debug)]
pub(super) struct Tokens {
    platform: Platform,
    http: Client,
    issuers: Vec<(Issuer, Arc<Turns<Keys>>)>,
    introspection: Option<Introspection>,
    /// Why the last request for keys failed, for those who have to do without.
    trouble: Mutex<Option<String>>,
}

/// What is known of an issuer's keys.
#[derive(Debug, Default)]
struct Keys {
    set: KeySet,
    /// When they came.
    fetched: Option<Instant>,
    /// When they were last asked for.
    asked: Option<Instant>,
}

impl Tokens {
    /// Nothing is fetched yet.
    pub(super) fn new(settings: &AuthSettings, platform: Platform) -> Self {
        let roots = settings.roots.iter().map(|root| CertificateDer::from(root.to_vec()));
        // Without roots nobody who speaks TLS is trusted, and requests to them fail.
        let tls = TlsClient::verifying(roots, platform.clock.clone()).ok();
        let (net, clock, spawn) = (platform.net.clone(), platform.clock.clone(), platform.spawn.clone());
        let http = Client::new(net, clock, spawn, tls, ClientSettings::default());
        let issuers = settings.issuers.iter().map(|issuer| {
            let set = match &issuer.keys {
                KeySource::Set(text) => KeySet::parse(text.as_bytes()).unwrap_or_default(),
                KeySource::Url(_) => KeySet::default(),
            };
            (issuer.clone(), Arc::new(Turns::new(Keys { set, ..Keys::default() })))
        });
        let (issuers, introspection) = (issuers.collect(), settings.introspection.clone());
        Self { platform, http, issuers, introspection, trouble: Mutex::default() }
    }

    /// Whether there is anybody to ask.
    pub(super) fn are_taken(&self) -> bool {
        !self.issuers.is_empty() || self.introspection.is_some()
    }

    /// The account that a token is for; nothing where it is worth nothing.
    pub(super) async fn account(&self, text: &str) -> Result<Option<Address>, Unknown> {
        if let Some(token) = Token::parse(text) {
            let said = token.claims.issuer();
            if let Some((issuer, keys)) =
                self.issuers.iter().find(|(issuer, _)| Some(&*issuer.issuer) == said)
            {
                return self.of_issuer(&token, issuer, keys).await;
            }
        }
        match &self.introspection {
            Some(introspection) => self.introspect(text, introspection).await,
            None => Ok(None),
        }
    }

    async fn of_issuer(
        &self,
        token: &Token<'_>,
        issuer: &Issuer,
        keys: &Arc<Turns<Keys>>,
    ) -> Result<Option<Address>, Unknown> {
        // Before anything is fetched for it.
        let is_good = token.claims.is_for(&issuer.audience)
            && token.claims.is_good_at(self.platform.clock.utc(), false);
        if !is_good {
            return Ok(None);
        }
        let id = token.header.kid.as_deref();
        let mut keys = keys.clone().turn().await;
        if let KeySource::Url(url) = &issuer.keys {
            self.refresh(url, &mut keys, id).await;
            if keys.fetched.is_none() {
                let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(Unknown(trouble.unwrap_or_else(|| format!("no keys at {url}"))));
            }
        }
        let (alg, signed) = (&token.header.alg, token.signed.as_bytes());
        let is_signed = keys.set.verifies(id, alg, signed, &token.signature);
        Ok(token.claims.account(&issuer.account_claim).filter(|_| is_signed))
    }

    /// Fetches keys where there are none, they are old, or this one is not among them; unless that was done a moment ago.
    async fn refresh(&self, url: &str, keys: &mut Keys, id: Option<&str>) {
        let now = self.platform.clock.instant();
        let is_fresh = keys.fetched.is_some_and(|fetched| now.since(fetched) < KEPT);
        if is_fresh && keys.set.knows(id) || keys.asked.is_some_and(|asked| now.since(asked) < REFRESH) {
            return;
        }
        keys.asked = Some(now);
        let request = Request::get(url).header(ACCEPT, "application/json").body(RequestBody::new([]));
        let answer = match request {
            Ok(request) => self.ask(request).await,
            Err(error) => Err(Unknown(error.to_string())),
        };
        let set = answer.and_then(|answer| {
            KeySet::parse(&answer).ok_or_else(|| Unknown("the answer is no JWK Set".to_owned()))
        });
        match set {
            Ok(set) => *keys = Keys { set, fetched: Some(now), asked: Some(now) },
            Err(Unknown(error)) => {
                let trouble = format!("fetching keys from {url}: {error}");
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
            }
        }
    }

    async fn introspect(&self, text: &str, server: &Introspection) -> Result<Option<Address>, Unknown> {
        let unknown = |error: &dyn std::fmt::Display| Unknown(format!("asking {}: {error}", server.url));
        // RFC 6749 §2.3.1: both are encoded as in a form before they are put together.
        let pair = format!("{}:{}", form(&server.client_id), form(&server.client_secret));
        let body = format!("token={}&token_type_hint=access_token", form(text));
        let request = Request::builder()
            .method(Method::POST)
            .uri(&server.url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
            .body(RequestBody::new([Bytes::from(body)]))
            .map_err(|error| unknown(&error))?;
        let answer = self.ask(request).await.map_err(|error| unknown(&error))?;
        let claims: Claims = serde_json::from_slice(&answer).map_err(|error| unknown(&error))?;
        let is_for_us = server.audience.as_deref().is_none_or(|audience| claims.is_for(audience));
        let is_good = claims.is_active() && is_for_us && claims.is_good_at(self.platform.clock.utc(), true);
        Ok(claims.account(&server.account_claim).filter(|_| is_good))
    }

    /// The body of a good answer.
    async fn ask(&self, request: Request<RequestBody>) -> Result<Bytes, Unknown> {
        let unknown = |error: &dyn std::fmt::Display| Unknown(error.to_string());
        let deadline = self.platform.clock.instant() + DEADLINE;
        let answer = self.http.send(request, deadline).await.map_err(|error| unknown(&error))?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(Unknown(format!("the answer is {status}")));
        }
        answer.into_body().collect(ANSWER_LIMIT).await.map_err(|error| unknown(&error))
    }
}

/// As in a form: everything but letters, digits and `-._~` percent-encoded.
fn form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}
