//! Hostile and broken SMTP clients against a whole engine over loopback TCP, in the clear and within TLS: each gets a clear answer, costs
//! bounded resources, and loses nothing.
//!
//! | what the client does | proved by |
//! |---|---|
//! | unknown and overlong commands, commands in wrong order, 8-bit and other octets that no command holds, floods | `commands` |
//! | oversized everything: lines, content, header blocks, hops, recipients, BDAT | `commands`, `content`, `recipients`, `chunks`; parameters and names in `injection` |
//! | bare CR and LF in content: refused | `content::no_false_end..`, transcripts `smtp/smuggling` |
//! | the same from a client that is listed, and from one that is not | `newlines` |
//! | SMTP smuggling in every published form, in the clear and within TLS, of listed clients too | `content::no_false_end..`, `newlines::no_false_end..`, transcripts `smtp/smuggling`, fuzz target `unstuffing` |
//! | NUL in commands, in content, in addresses, in xtext | `commands::what_is_no_command..`, `content::content_at_every_limit..`, `addresses::nul..`, `injection::what_would_end..` |
//! | commands in one write with STARTTLS, and between its reply and the handshake | `encryption::commands_that_come..`, transcript `smtp/starttls`; POP3 in suite `tls` |
//! | what was said, and who logged in, before TLS | `encryption::what_was_said..`, `encryption::who_has_logged_in..` |
//! | AUTH in the clear, AUTH overheard, bound elsewhere, talked out of binding, cut short | `encryption`, suite `authentication` |
//! | header injection through HELO, addresses, ENVID, ORCPT, AUTH=, XCLIENT, XFORWARD; into trace fields, reports and replies | `injection` |
//! | the PROXY header where there should be none, none where there should be, and lies in it | suite `proxy`, `handshake`, fuzz target `proxy` |
//! | slow loris in every state: silent, and an octet at a time; in the clear, amid the handshake, within and beneath TLS | `loris`; balancers in suite `proxy`; clients that do not read in `patience` |
//! | content slower than the least rate, or that stops | `loris`, `patience` |
//! | thousands of idle sessions, in the clear and within TLS | `crowd` |
//! | more sessions than there may be, and than one address may have; a crowd that the processor does not keep up with | `sessions`, suite `overload` |
//! | half-closed connections: in the clear, within TLS, beneath it, amid its handshake; vanishing, by FIN and by RST | `half_closed`, `patience` |
//! | garbage in the handshake: other protocols, SSL 2.0, SSL 3.0, TLS 1.0, fragments, floods, lengths that lie | `handshake`, suite `tls` |
//! | renegotiation | `openssl s_client` in `tests/src/tls_cases.rs` (stage `interop`): the library refuses it, and no client library of Rust can ask for it |
//! | BDAT sizes that lie, that are none, that overflow | `chunks`, suite `submission::chunks..`, transcript `smtp/chunking` |
//! | BDAT and DATA mixed, chunks without end | `chunks` |
//! | quoted local parts, source routes, address literals | `addresses`, `recipients::a_stranger_cannot_relay`, `recipients::a_source_route..` |
//! | look-alikes: scripts mixed, full width, composed or not, invisible characters; as accounts and before access lists | `addresses::a_character_of_two_forms..`, `addresses::no_other_way..` |
//! | recipients it must not have, and more than it may; aliases that lead in circles | `recipients` |
//! | talking before the greeting, or before a reply | `patience::what_follows_data..`, core `conversation::smtp` |
//! | forty large messages at once | `memory` |
//! | a session that holds up a shutdown | `sessions` |
//! | thousands of signatures, 100 KB of From, TXT records of 64 KiB, name servers that never answer, 50 MB that are signed | `authentication` |
//! | results in our name, authors behind lines that are no field | `authentication::nobody_writes..`, `authentication::no_author..` |

mod addresses;
mod authentication;
mod chunks;
mod commands;
mod content;
mod crowd;
mod encryption;
mod half_closed;
mod handshake;
mod injection;
mod loris;
mod memory;
mod newlines;
mod patience;
mod recipients;
mod sessions;
mod test_node;

use std::net::SocketAddr;
use std::time::Duration;

use fulmar_core::config::{Config, Protocol, TlsMode};
use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::tls_client;

const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";
/// A node's name, for which its certificate is.
const NAME: &str = "mx.test";
/// Where clients connect from that count as far away.
const FAR: &str = "192.0.2.7:1024";
/// How long a connection may take to be closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store with two accounts.
fn ground(change: impl FnOnce(&mut Config)) -> Ground {
    Ground::new(change).account(ALICE).account(BOB)
}

/// Has a node show a certificate.
fn certified(node: &Node) -> Certificate {
    let certificate = Certificate::new(NAME);
    node.show(&[("mx.pem", certificate.pem())]);
    certificate
}

/// Another port of a node, whose clients count as far away.
fn far(node: &mut Node, protocol: Protocol) -> SocketAddr {
    node.listen(protocol, Some(FAR.parse().unwrap()))
}

/// How a client speaks to a node that takes mail from strangers.
#[derive(Clone, Copy, Debug)]
enum Way {
    Clear,
    StartTls,
    ImplicitTls,
}

impl Way {
    const ENCRYPTED: [Self; 2] = [Self::StartTls, Self::ImplicitTls];
    const ALL: [Self; 3] = [Self::Clear, Self::StartTls, Self::ImplicitTls];

    /// One that has said EHLO.
    fn client(self, node: &mut Node) -> Client {
        match self {
            Self::Clear => node.client(),
            Self::StartTls => Client::greeted_by_starttls(node.server(), &certified(node)),
            Self::ImplicitTls => {
                let certificate = certified(node);
                let port =
                    node.listen_as(Protocol::Smtp, None, |listener| listener.tls.mode = TlsMode::Implicit);
                Client::greeted_in_tls(port, &certificate)
            }
        }
    }
}

/// What a client of TLS sends first.
fn hello_of_tls(certificate: &Certificate) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut session = tls_client::session(certificate.host(), certificate).unwrap();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// What was received of a message: all below the trace fields that we put in front.
fn below_trace(message: &[u8]) -> &[u8] {
    let mut rest = message;
    for field in ["Return-Path: ", "Received: "] {
        assert!(rest.starts_with(field.as_bytes()), "{:?}", String::from_utf8_lossy(rest));
        // Up to the first line that does not go on the field.
        let next = rest.windows(3).position(|end| end.starts_with(b"\r\n") && !end[2].is_ascii_whitespace());
        rest = &rest[next.expect("something follows") + 2..];
    }
    rest
}
