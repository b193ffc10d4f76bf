//! The PROXY protocol, versions 1 and 2: a load balancer's word on whose connection this is (`proxy-protocol.txt` of HAProxy,
//! sections 2.1 and 2.2).
//!
//! The header is read to its last octet and not beyond, so that the stream goes on with what the client sent: each read
//! asks only for octets that certainly belong to the header. Version 2 says its length; a line of version 1 is asked for
//! by its shortest end.
//!
//! What follows the addresses in version 2 (TLVs, a checksum among them) is read and ignored, as section 2.2 allows:
//! nothing here depends on it.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt};

use crate::platform::Clock;

/// How long a balancer may take for its header; section 2 asks for at least 3 s, so that a lost segment can be sent again.
/// Beyond: the connection is closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a header of version 1 begins with (section 2.1).
const V1_START: &[u8] = b"PROXY ";
/// Octets of the shortest line of version 1, `PROXY UNKNOWN` and its CRLF. Version 2 is never shorter.
const V1_SHORTEST: usize = 15;
/// Octets of the longest line, CRLF included (section 2.1). Beyond: malformed.
const V1_LONGEST: usize = 107;
/// What a header of version 2 begins with (section 2.2).
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets up to and with the length of what follows.
const V2_FIXED: usize = 16;
/// Octets that may follow, addresses and TLVs together; the protocol allows 65,535. Beyond: malformed.
const V2_LIMIT: usize = 4 << 10;
/// Octets of addresses and ports: TCP over IPv4, TCP over IPv6, and two paths of UNIX sockets.
const V2_ADDRESSES: [usize; 3] = [12, 36, 216];

/// Why a connection that should have begun with a header is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// There is no header, or it breaks the protocol.
    #[error("{0}")]
    Malformed(&'static str),
    /// It did not come in time.
    #[error("no whole header in {} s", PATIENCE.as_secs())]
    TooSlow,
    /// The connection ended before it was whole.
    #[error("closed before a whole header")]
    Lost,
}

/// Reads a header off the beginning of a stream. Gives the client's address; nothing where the balancer speaks for itself
/// (`LOCAL`) or cannot say for whom (`UNKNOWN`, UNIX sockets, datagrams): then the address of the connection holds.
pub async fn read_header(
    stream: &mut (impl AsyncRead + Send + Unpin + ?Sized),
    clock: &Arc<dyn Clock>,
) -> Result<Option<SocketAddr>, ProxyError> {
    let deadline = clock.instant() + PATIENCE;
    clock.before(deadline, read_whole(stream)).await.unwrap_or(Err(ProxyError::TooSlow))
}

async fn read_whole(
    stream: &mut (impl AsyncRead + Send + Unpin + ?Sized),
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = Vec::new();
    loop {
        let missing = match parse(&header)? {
            Parsed::Whole(source) => return Ok(source),
            Parsed::Missing(octets) => octets,
        };
        let came = header.len();
        header.resize(came + missing, 0);
        match stream.read(&mut header[came..]).await {
            Ok(octets @ 1..) => header.truncate(came + octets),
            Ok(0) | Err(_) => return Err(ProxyError::Lost),
        }
    }
}

/// What is known of a header.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// At least so many octets are still to come, never 0.
    Missing(usize),
    /// Nothing more belongs to it. With the client's address, where it names one.
    Whole(Option<SocketAddr>),
}

/// Understands a header as far as it has come, and refuses what can no more become one.
fn parse(octets: &[u8]) -> Result<Parsed, ProxyError> {
    let agrees = |start: &[u8]| octets.iter().zip(start).all(|(octet, expected)| octet == expected);
    match octets {
        [] => Ok(Parsed::Missing(V1_SHORTEST)),
        [b'P', ..] if agrees(V1_START) => parse_v1(octets),
        [b'\r', ..] if agrees(V2_SIGNATURE) => parse_v2(octets),
        _ => Err(ProxyError::Malformed("no PROXY header")),
    }
}

/// `PROXY TCP4 source destination source-port destination-port`, ended by CRLF.
fn parse_v1(octets: &[u8]) -> Result<Parsed, ProxyError> {
    let Some(end) = octets.windows(2).position(|pair| pair == b"\r\n") else {
        let ending = if octets.ends_with(b"\r") { 1 } else { 2 };
        let missing = ending.max(V1_SHORTEST.saturating_sub(octets.len()));
        return match octets.len() + missing <= V1_LONGEST {
            true => Ok(Parsed::Missing(missing)),
            false => Err(ProxyError::Malformed("no end of line where a header of version 1 must have ended")),
        };
    };
    let fields = octets[V1_START.len()..end].split(|octet| *octet == b' ');
    let fields: Vec<&str> = fields.map(|field| str::from_utf8(field).unwrap_or("")).collect();
    if fields.first() == Some(&"UNKNOWN") {
        return Ok(Parsed::Whole(None));
    }
    let source = match fields[..] {
        ["TCP4", source, destination, source_port, destination_port] => {
            both::<Ipv4Addr>(source, destination).zip(ports(source_port, destination_port))
        }
        ["TCP6", source, destination, source_port, destination_port] => {
            both::<Ipv6Addr>(source, destination).zip(ports(source_port, destination_port))
        }
        _ => None,
    };
    match source {
        Some(source) => Ok(Parsed::Whole(Some(source.into()))),
        None => Err(ProxyError::Malformed("a header of version 1 that names no addresses and ports")),
    }
}

/// The source, if source and destination are both addresses of this family.
fn both<A: FromStr + Into<IpAddr>>(source: &str, destination: &str) -> Option<IpAddr> {
    let source: A = source.parse().ok()?;
    destination.parse::<A>().ok()?;
    Some(source.into())
}

/// The source's port, if both are ports as section 2.1 writes them.
fn ports(source: &str, destination: &str) -> Option<u16> {
    let port = |text: &str| {
        let is_plain =
            text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| is_plain)
    };
    port(destination)?;
    port(source)
}

/// The signature, version and command, family and transport, the length of the rest, and the rest.
fn parse_v2(octets: &[u8]) -> Result<Parsed, ProxyError> {
    let Some((fixed, rest)) = octets.split_first_chunk::<V2_FIXED>() else {
        return Ok(Parsed::Missing(V2_FIXED - octets.len()));
    };
    let [.., version_and_command, family_and_transport, high, low] = *fixed;
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::Malformed("not version 2, or a command that it does not have")),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_LIMIT {
        return Err(ProxyError::Malformed("a header of version 2 that is longer than we take"));
    }
    // Of LOCAL, even the family is to be ignored.
    if !is_local {
        check_family(family_and_transport, length)?;
    }
    if rest.len() < length {
        return Ok(Parsed::Missing(length - rest.len()));
    }
    Ok(Parsed::Whole(if is_local { None } else { source(family_and_transport, rest) }))
}

/// Whether the family (high four bits) and the transport (low four) are ones that version 2 has, and leave room for the
/// addresses.
fn check_family(family_and_transport: u8, length: usize) -> Result<(), ProxyError> {
    let (family, transport) = (family_and_transport >> 4, family_and_transport & 0xf);
    let needed = match family {
        0 => 0,
        1..=3 => V2_ADDRESSES[usize::from(family) - 1],
        _ => return Err(ProxyError::Malformed("a family that version 2 does not have")),
    };
    match transport {
        0..=2 if length >= needed => Ok(()),
        0..=2 => Err(ProxyError::Malformed("a header of version 2 that is too short for its addresses")),
        _ => Err(ProxyError::Malformed("a transport that version 2 does not have")),
    }
}

/// The source's address, where it is one of TCP. Behind both addresses stand the ports, the source's first.
fn source(family_and_transport: u8, addresses: &[u8]) -> Option<SocketAddr> {
    match family_and_transport {
        0x11 => {
            let (address, rest) = addresses.split_first_chunk::<4>()?;
            let port = rest.get(4..6)?.try_into().ok()?;
            Some((Ipv4Addr::from(*address), u16::from_be_bytes(port)).into())
        }
        0x21 => {
            let (address, rest) = addresses.split_first_chunk::<16>()?;
            let port = rest.get(16..18)?.try_into().ok()?;
            Some((Ipv6Addr::from(*address), u16::from_be_bytes(port)).into())
        }
        _ => None,
    }
}
