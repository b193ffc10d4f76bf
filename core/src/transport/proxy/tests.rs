use std::future::{pending, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::UtcTime;
use crate::platform::Instant;

/// What the client sends behind the header.
const BEHIND: &[u8] = b"\r\n\r\nPROXY UNKNOWN\r\nEHLO client.test\r\n";

/// A stream that gives at most so many octets at a time, and ends.
struct Portions<'a> {
    octets: &'a [u8],
    portion: usize,
}

impl AsyncRead for Portions<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let (now, later) = self.octets.split_at(self.octets.len().min(self.portion).min(to.len()));
        to[..now.len()].copy_from_slice(now);
        self.octets = later;
        Poll::Ready(Ok(now.len()))
    }
}

/// A stream on which nothing ever comes.
struct Silence;

impl AsyncRead for Silence {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

/// A clock by which either nothing is ever late, or everything at once.
struct Extreme {
    is_late: bool,
}

#[async_trait]
impl Clock for Extreme {
    fn utc(&self) -> UtcTime {
        UtcTime::default()
    }
    fn instant(&self) -> Instant {
        Instant::from_origin(Duration::ZERO)
    }
    async fn sleep_until(&self, _: Instant) {
        if self.is_late { ready(()).await } else { pending().await }
    }
}

/// What a reader that gets so many octets at a time makes of a stream, and what it leaves of it.
fn read(octets: &[u8], portion: usize) -> (Result<Option<SocketAddr>, ProxyError>, &[u8]) {
    let clock: Arc<dyn Clock> = Arc::new(Extreme { is_late: false });
    let mut stream = Portions { octets, portion };
    let result = read_header(&mut stream, &clock).now_or_never().expect("nothing is waited for");
    (result, stream.octets)
}

/// A header of version 2.
fn v2(version_and_command: u8, family_and_transport: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[version_and_command, family_and_transport], &length, rest].concat()
}

/// The longest way to write an address in version 1.
const LARGEST: &str = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
const TCP4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0, 25];
const TCP6: &[u8] = &[
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0xdc, 0x04, 0, 25,
];

fn good_headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let line = |text: &str| text.as_bytes().to_vec();
    // An unknown TLV, then one that claims more than is there: neither is our business.
    let with_tlvs = [TCP4, &[0xe5, 0, 2, 1, 2, 0x03, 0, 4, 9]].concat();
    vec![
        (line("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n"), Some("192.0.2.7:56324")),
        (line("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"), Some("255.255.255.255:65535")),
        (line("PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n"), Some("1.1.1.1:0")),
        (line("PROXY TCP6 2001:db8::7 2001:DB8:0:0::1 56324 25\r\n"), Some("[2001:db8::7]:56324")),
        (line("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25\r\n"), Some("[::ffff:192.0.2.7]:1")),
        (
            line(&format!("PROXY TCP6 {LARGEST} {LARGEST} 65535 65535\r\n")),
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        ),
        (line("PROXY UNKNOWN\r\n"), None),
        (line("PROXY UNKNOWN \r\n"), None),
        (line("PROXY UNKNOWN any\rthing \n\u{fc}\r\n"), None),
        (line(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(91))), None),
        (v2(0x21, 0x11, TCP4), Some("192.0.2.7:56324")),
        (v2(0x21, 0x11, &with_tlvs), Some("192.0.2.7:56324")),
        (v2(0x21, 0x21, TCP6), Some("[2001:db8::7]:56324")),
        // LOCAL: a balancer's own connection, whatever else it says.
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, TCP4), None),
        (v2(0x20, 0xff, b"anything"), None),
        // Nothing that TCP could lead back to.
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x00, b"ignored"), None),
        (v2(0x21, 0x12, TCP4), None),
        (v2(0x21, 0x22, TCP6), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x32, &[b'/'; 216]), None),
        (v2(0x21, 0x11, &[TCP4, &[0; V2_LIMIT - 12]].concat()), Some("192.0.2.7:56324")),
    ]
}

#[test]
fn a_header_is_read_to_its_last_octet_and_not_beyond_however_it_comes() {
    for (header, source) in good_headers() {
        let stream = [&header, BEHIND].concat();
        for portion in [1, 2, 3, 15, 16, 17, usize::MAX] {
            let source = source.map(|source| source.parse().unwrap());
            let shown = header.escape_ascii();
            assert_eq!(read(&stream, portion), (Ok(source), BEHIND), "{shown} by {portion}");
        }
    }
}

#[test]
fn a_header_that_is_cut_anywhere_is_none() {
    for (header, _) in good_headers() {
        for end in 0..header.len() {
            assert_eq!(read(&header[..end], 7).0, Err(ProxyError::Lost), "{}", header[..end].escape_ascii());
        }
    }
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    const NONE: &str = "no PROXY header";
    const ADDRESSES: &str = "a header of version 1 that names no addresses and ports";
    const NO_END: &str = "no end of line where a header of version 1 must have ended";
    const VERSION: &str = "not version 2, or a command that it does not have";
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    for (octets, reason) in [
        (b"EHLO client.test\r\n".to_vec(), NONE),
        (b"\r\nPROXY UNKNOWN\r\n".to_vec(), NONE),
        (b"PROXY\tTCP4 192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(), NONE),
        (b"proxy UNKNOWN\r\n".to_vec(), NONE),
        (b"PROXY  TCP4 192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4  192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25 \r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\rx\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.256 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 056324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 +5632 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 \r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP6 2001:db8::7%1 2001:db8::1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY TCP4 192.0.2.\xb7 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(), ADDRESSES),
        (b"PROXY UNKNOWNS\r\n".to_vec(), ADDRESSES),
        (b"PROXY \r\n more than so".to_vec(), ADDRESSES),
        (long.into_bytes(), NO_END),
        ([b"PROXY UNKNOWN "[..].to_vec(), vec![b'\n'; 200]].concat(), NO_END),
        (v2(0x11, 0x11, TCP4), VERSION),
        (v2(0x31, 0x11, TCP4), VERSION),
        (v2(0x22, 0x11, TCP4), VERSION),
        (v2(0x21, 0x41, TCP6), "a family that version 2 does not have"),
        (v2(0x21, 0x13, TCP4), "a transport that version 2 does not have"),
        (v2(0x21, 0x11, &TCP4[1..]), "a header of version 2 that is too short for its addresses"),
        (v2(0x21, 0x21, &TCP6[1..]), "a header of version 2 that is too short for its addresses"),
        (v2(0x21, 0x31, &[0; 215]), "a header of version 2 that is too short for its addresses"),
        (v2(0x21, 0x11, &[0; V2_LIMIT + 1]), "a header of version 2 that is longer than we take"),
        (v2(0x20, 0x00, &[0; V2_LIMIT + 1]), "a header of version 2 that is longer than we take"),
    ] {
        for portion in [1, 5, usize::MAX] {
            let (result, _) = read(&octets, portion);
            assert_eq!(result, Err(ProxyError::Malformed(reason)), "{}", octets.escape_ascii());
        }
    }
}

#[test]
fn what_can_be_no_header_any_more_is_refused_by_its_first_octets() {
    for start in [&b"E"[..], b"PROX ", b"\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(parse(start), Err(ProxyError::Malformed("no PROXY header")), "{}", start.escape_ascii());
    }
}

#[test]
fn a_balancer_that_says_nothing_is_given_up() {
    let clock: Arc<dyn Clock> = Arc::new(Extreme { is_late: true });
    let result = read_header(&mut Silence, &clock).now_or_never().expect("nothing is waited for");
    assert_eq!(result, Err(ProxyError::TooSlow));
    assert_eq!(ProxyError::TooSlow.to_string(), "no whole header in 5 s");
}

/// Octets that look like a header for a while.
fn near_headers() -> impl Strategy<Value = Vec<u8>> {
    let starts = [
        &b""[..],
        V1_START,
        b"PROXY UNKNOWN",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2",
        V2_SIGNATURE,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0",
    ];
    let start = proptest::sample::select(starts.to_vec());
    let octet = prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' ')];
    (start, vec(octet, 0..300)).prop_map(|(start, more)| [start, &more].concat())
}

proptest! {
    #[test]
    fn any_octets_mean_the_same_however_they_come(octets in near_headers(), portion in 1_usize..40) {
        let (at_once, left) = read(&octets, usize::MAX);
        let (in_portions, left_too) = read(&octets, portion);
        prop_assert_eq!(at_once, in_portions);
        if at_once.is_ok() {
            prop_assert_eq!(left, left_too);
            // What was read is a header by itself, and nothing shorter is.
            let header = &octets[..octets.len() - left.len()];
            prop_assert_eq!(read(header, portion), (at_once, &[][..]));
            prop_assert_eq!(read(&header[..header.len() - 1], portion).0, Err(ProxyError::Lost));
        }
    }

    #[test]
    fn every_address_arrives(source: SocketAddr, destination: [u8; 16], port: u16, tlvs in vec(any::<u8>(), 0..200)) {
        let (source_octets, destination_octets, family) = match source.ip() {
            IpAddr::V4(address) => (address.octets().to_vec(), &destination[..4], 1),
            IpAddr::V6(address) => (address.octets().to_vec(), &destination[..], 2),
        };
        let ports = [source.port().to_be_bytes(), port.to_be_bytes()].concat();
        let binary = v2(0x21, family << 4 | 1, &[&source_octets, destination_octets, &ports, &tlvs].concat());
        let other = match family {
            1 => IpAddr::from(<[u8; 4]>::try_from(destination_octets).unwrap()),
            _ => IpAddr::from(destination),
        };
        let name = if family == 1 { "TCP4" } else { "TCP6" };
        let text = format!("PROXY {name} {} {other} {} {port}\r\n", source.ip(), source.port());
        let expected = SocketAddr::new(source.ip(), source.port());
        for header in [binary, text.into_bytes()] {
            prop_assert_eq!(read(&header, usize::MAX), (Ok(Some(expected)), &[][..]));
        }
    }
}
