//! Settings that name a place in the network: the store, its endpoint, name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::StoreUrl;
use super::value::text;
use super::written::{Written, Wrong};

/// What `[store] url` may be.
pub(super) const STORES: &str = r#""s3://bucket/prefix", "file:/an/absolute/path" or "memory:""#;
const BUCKETS: &str =
    "s3:// with a bucket of 3 to 63 letters, digits, - . _ and folders of the same characters";
const ENDPOINTS: &str = r#"a URL such as "http://127.0.0.1:9000" or "https://s3.example.org""#;
const NAME_SERVERS: &str = r#"addresses with or without a port, such as "127.0.0.1:5353" or "::1""#;
const BUCKET_OCTETS: std::ops::RangeInclusive<usize> = 3..=63;
/// Keys have at most 1,024 octets, and ours need their share.
const PREFIX_LIMIT: usize = 512;
/// RFC 1035 §2.3.4.
const NAME_LIMIT: usize = 253;
/// See `NAME_LIMIT`.
const LABEL_LIMIT: usize = 63;
/// RFC 1035 §4.2.
const DNS_PORT: u16 = 53;

/// Where the state is.
pub(super) fn store_url(written: &Written) -> Result<StoreUrl, Wrong> {
    let url = text(written, "a store", STORES, Some)?;
    if let Some(place) = url.strip_prefix("s3:") {
        return s3(place).ok_or_else(|| written.wrong("names no place in a bucket", BUCKETS));
    }
    if url == "memory:" {
        return Ok(StoreUrl::Memory);
    }
    // `file:///path` is the same URL with an empty host (RFC 8089 §2).
    let path = url.strip_prefix("file:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if path.starts_with('/') => Ok(StoreUrl::Directory(path.into())),
        _ => Err(written.wrong("is not a store", STORES)),
    }
}

fn s3(place: &str) -> Option<StoreUrl> {
    let place = place.strip_prefix("//")?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let is_folder = |name: &str| is_plain(name) && !["", ".", ".."].contains(&name);
    let begins_well = bucket.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_bucket = begins_well && is_plain(bucket) && BUCKET_OCTETS.contains(&bucket.len());
    let is_prefix = prefix.is_empty() || (prefix.len() <= PREFIX_LIMIT && prefix.split('/').all(is_folder));
    (is_bucket && is_prefix).then(|| StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// Where S3 is, without a final `/`.
pub(super) fn endpoint(written: &Written) -> Result<String, Wrong> {
    text(written, "an endpoint", ENDPOINTS, |url| {
        let url = url.trim_end_matches('/');
        let place = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        host_and_port(place, 0)?;
        Some(url.to_owned())
    })
}

/// Whom to ask about names.
pub(super) fn name_server(written: &Written) -> Result<SocketAddr, Wrong> {
    text(written, "a name server", NAME_SERVERS, |text| {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(SocketAddr::new(address, DNS_PORT));
        }
        // With the number of its interface, which a link-local address needs.
        if let Ok(address) = text.parse::<SocketAddrV6>() {
            return Some(address.into());
        }
        let (host, port) = host_and_port(text, DNS_PORT)?;
        Some(SocketAddr::new(host.parse().ok()?, port))
    })
}

/// A host's name or IPv4 address, or an IPv6 address in brackets, with or without a port. The brackets are taken off.
pub(super) fn host_and_port(text: &str, default: u16) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            (is_host(host).then_some(host)?, port)
        }
    };
    let is_number = |port: &&str| port.bytes().all(|b| b.is_ascii_digit());
    let port = match port {
        Some(port) => Some(port).filter(is_number)?.parse().ok().filter(|port| *port != 0)?,
        None => default,
    };
    Some((host, port))
}

/// Operators use names that are none of the Internet's, with underscores. What ends with a number is an IPv4 address, or a
/// mistake in one.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        is_plain && (1..=LABEL_LIMIT).contains(&label.len())
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    match last.bytes().all(|b| b.is_ascii_digit()) {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => host.len() <= NAME_LIMIT && host.split('.').all(is_label),
    }
}
