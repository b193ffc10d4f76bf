//! Whom a request goes to, taken from its URI.

use std::net::IpAddr;

use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Uri};

use super::error::HttpError;
use super::request_body::RequestBody;
use crate::platform::Target;

/// A server of HTTP: requests to one origin may share a connection (RFC 9110 §4.3.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) is_https: bool,
    /// A DNS name or an address; one of IPv6 without its brackets.
    pub(super) host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Result<Self, HttpError> {
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(HttpError::refused("its URI begins with neither http:// nor https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| HttpError::refused("its URI names no host"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok(Self { is_https, host: bare.to_ascii_lowercase(), port })
    }

    pub(super) fn target(&self) -> Target {
        match self.host.parse::<IpAddr>() {
            Ok(address) => Target::Address((address, self.port).into()),
            Err(_) => Target::Host(self.host.clone(), self.port),
        }
    }
}

/// Turns a request with an absolute URI into what goes over a connection to its origin: the target in origin form
/// (RFC 9112 §3.2.1), `Host` (§3.2), and a length where the method lets a body be expected (RFC 9110 §8.6).
pub(super) fn address(
    mut request: Request<RequestBody>,
) -> Result<(Origin, Request<RequestBody>), HttpError> {
    let origin = Origin::of(request.uri())?;
    let uri = request.uri().clone();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // A name before an `@` is nobody's business.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if !request.headers().contains_key(HOST) {
        let host =
            HeaderValue::from_str(host).map_err(|_| HttpError::refused("its host cannot be written"))?;
        request.headers_mut().insert(HOST, host);
    }
    let octets = request.body().octets();
    if octets > 0 || matches!(*request.method(), Method::PUT | Method::POST | Method::PATCH) {
        request.headers_mut().insert(CONTENT_LENGTH, octets.into());
    }
    let path = uri.path_and_query().cloned().map(Uri::from);
    *request.uri_mut() = path.unwrap_or_else(|| Uri::from_static("/"));
    Ok((origin, request))
}
