//! Handshakes with the library's client, and with what is no client at all.

use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use proptest::prelude::*;

use super::*;
use crate::config::{Authorities, Protocol};
use crate::transport::tls::testing::{Authority, End, HandClock, Made, alone, both, connection};

/// A server, and an authority that its clients trust.
struct Server {
    authority: Authority,
    clock: Arc<HandClock>,
    acceptor: Acceptor,
    options: ListenerTls,
    shutdown: async_channel::Sender<Infallible>,
    until_shutdown: Receiver<Infallible>,
}

type Accepted = Result<(Box<dyn Stream>, TlsFacts), TlsAcceptError>;

impl Server {
    /// With a certificate for each of these names.
    fn new(names: &[&str]) -> Self {
        let (shutdown, until_shutdown) = async_channel::bounded(1);
        let clock = Arc::<HandClock>::default();
        let server = Self {
            authority: Authority::new("ours"),
            acceptor: Acceptor::new(clock.clone()),
            clock,
            options: ListenerTls::of(Protocol::Pop3s),
            shutdown,
            until_shutdown,
        };
        server.show(names);
        server
    }

    fn show(&self, names: &[&str]) {
        let certificate =
            |name: &&str| Certificate::from_pem(self.authority.server(&[name]).pem().as_bytes()).unwrap();
        self.acceptor.set_certificates(names.iter().map(certificate).collect());
    }

    async fn accept(&self, stream: End) -> Accepted {
        self.acceptor.accept(Box::new(stream), &self.options, &self.until_shutdown).await
    }

    fn meet(&self, client: &Client, name: &str) -> (Accepted, io::Result<TlsStream<End>>) {
        let (ours, theirs) = connection();
        let (accepted, connected) = both(self.accept(ours), client.connect(name, theirs));
        (accepted.expect("the server waits"), connected.expect("the client waits"))
    }

    /// What comes of octets after which the client sends nothing, or closes its side.
    fn take_in(&self, octets: &[u8], closes: bool) -> Option<TlsAcceptError> {
        let (ours, theirs) = connection();
        theirs.put(octets);
        if closes {
            theirs.close();
        }
        alone(self.accept(ours)).map(|accepted| accepted.err().expect("there is a session"))
    }
}

struct Client {
    trust: RootCertStore,
    versions: &'static [&'static SupportedProtocolVersion],
    certificate: Option<Made>,
}

impl Client {
    fn of(server: &Server) -> Self {
        let mut trust = RootCertStore::empty();
        trust.add(server.authority.certificate.der().clone()).unwrap();
        Self { trust, versions: versions(TlsVersion::V1_2), certificate: None }
    }

    async fn connect(&self, name: &str, stream: End) -> io::Result<TlsStream<End>> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.trust.clone());
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(made) => {
                let key = PrivatePkcs8KeyDer::from(made.key.serialize_der()).into();
                builder.with_client_auth_cert(vec![made.certificate.der().clone()], key).unwrap()
            }
        };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        // With TLS 1.3 a client learns only from what comes next whether its certificate was taken.
        stream.write_all(b"hello").await?;
        stream.flush().await?;
        Ok(stream)
    }
}

#[test]
fn both_ends_agree_on_what_protects_them() {
    static OLD: [&SupportedProtocolVersion; 1] = [&TLS12];
    let server = Server::new(&["mx.example.org"]);
    for (versions, version, binds) in
        [(versions(TlsVersion::V1_2), TlsVersion::V1_3, true), (&OLD[..], TlsVersion::V1_2, false)]
    {
        let client = Client { versions, ..Client::of(&server) };
        let (accepted, connected) = server.meet(&client, "mx.example.org");
        let ((mut stream, facts), connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(facts.version, version);
        assert!(facts.cipher.starts_with("TLS_") && facts.cipher.contains("AES"), "{}", facts.cipher);
        assert_eq!(facts.server_name.as_deref(), Some("mx.example.org"));
        assert_eq!(facts.client, None);
        let exported = connected.get_ref().1.export_keying_material([0; 32], BINDING_LABEL, Some(b""));
        assert_eq!(facts.exporter, binds.then(|| exported.unwrap()));
        let mut said = [0; 5];
        alone(stream.read_exact(&mut said)).unwrap().unwrap();
        assert_eq!(&said, b"hello");
    }
}

#[test]
fn nothing_is_kept_by_which_a_session_could_be_resumed() {
    let server = Server::new(&["mx.example.org"]);
    let prepared = server.acceptor.shared.prepare(&server.options).unwrap();
    let config = prepared.config;
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let names = ["first.test", "*.example.org", "mx.example.org", "*.b.example.org"];
    let certificates: Vec<_> = {
        let authority = Authority::new("ours");
        names
            .iter()
            .map(|name| Certificate::from_pem(authority.server(&[name]).pem().as_bytes()).unwrap())
            .collect()
    };
    for (asked, shown) in [
        (None, "first.test"),
        (Some("first.test"), "first.test"),
        (Some("mx.example.org"), "mx.example.org"),
        (Some("MX.Example.ORG"), "mx.example.org"),
        (Some("imap.example.org"), "*.example.org"),
        (Some("a.b.example.org"), "*.b.example.org"),
        (Some("a.c.example.org"), "first.test"),
        (Some("example.org"), "first.test"),
        (Some(".example.org"), "first.test"),
        (Some("*.example.org"), "*.example.org"),
        (Some("other.test"), "first.test"),
        (Some(""), "first.test"),
    ] {
        let chosen = choose(&certificates, asked, |_| true).unwrap();
        assert_eq!(chosen.names(), [shown], "{asked:?}");
    }
    assert!(choose(&[], Some("mx.example.org"), |_| true).is_none());
    // Where the client cannot verify any that fits it gets the first of these, and not somebody else's.
    assert_eq!(choose(&certificates, Some("mx.example.org"), |_| false).unwrap().names(), [names[2]]);
    let twice = [&certificates[2..3], &certificates[2..3]].concat();
    let second = choose(&twice, Some("mx.example.org"), |chosen| !std::ptr::eq(chosen, &twice[0])).unwrap();
    assert!(std::ptr::eq(second, &twice[1]));
}

#[test]
fn new_certificates_are_for_new_sessions_and_leave_the_others_alone() {
    let server = Server::new(&["old.test"]);
    let client = Client::of(&server);
    let (accepted, connected) = server.meet(&client, "old.test");
    let (mut ours, mut theirs) = (accepted.unwrap().0, connected.unwrap());

    server.show(&["new.test"]);
    alone(async {
        let mut said = [0; 5];
        ours.read_exact(&mut said).await.unwrap();
        ours.write_all(b"still here").await.unwrap();
        ours.flush().await.unwrap();
        let mut answer = [0; 10];
        theirs.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"still here");
    })
    .unwrap();
    assert!(server.meet(&client, "new.test").1.is_ok());
    let (accepted, connected) = server.meet(&client, "old.test");
    assert!(connected.is_err() && accepted.is_err());

    server.acceptor.set_certificates(Vec::new());
    assert!(!server.acceptor.has_certificates());
    assert_eq!(server.take_in(b"", false), Some(TlsAcceptError::NoCertificate));
}

#[test]
fn a_version_below_the_listeners_is_refused() {
    static OLD: [&SupportedProtocolVersion; 1] = [&TLS12];
    let mut server = Server::new(&["mx.test"]);
    let client = Client { versions: &OLD, ..Client::of(&server) };
    assert!(server.meet(&client, "mx.test").0.is_ok());
    server.options.minimum = Some(TlsVersion::V1_3);
    let (accepted, connected) = server.meet(&client, "mx.test");
    assert!(connected.is_err() && matches!(accepted, Err(TlsAcceptError::Failed(_))));
    assert_eq!(server.meet(&Client::of(&server), "mx.test").0.unwrap().1.version, TlsVersion::V1_3);
}

#[test]
fn a_client_is_who_its_certificate_says_where_the_authority_is_ours() {
    let (ours, foreign) = (Authority::new("people"), Authority::new("strangers"));
    let authorities = Authorities::from_pem("ca.pem", ours.certificate.pem().as_bytes()).unwrap();
    let user = |of: Option<&Authority>| of.map(|of| of.user("alice\n", "alice@example.org"));
    let (none, optional, required) = (
        ClientCertificates::None,
        ClientCertificates::Optional(authorities.clone()),
        ClientCertificates::Required(authorities),
    );
    for (wanted, shown, expected) in [
        (&none, None, Some(None)),
        (&none, Some(&ours), Some(None)),
        (&optional, None, Some(None)),
        (&optional, Some(&ours), Some(Some(true))),
        (&optional, Some(&foreign), Some(Some(false))),
        (&required, None, None),
        (&required, Some(&ours), Some(Some(true))),
        (&required, Some(&foreign), None),
    ] {
        static EACH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        for only in [&EACH[..1], &EACH[1..]] {
            let mut server = Server::new(&["mx.test"]);
            server.options.client_certificates = wanted.clone();
            let client = Client { certificate: user(shown), versions: only, ..Client::of(&server) };
            let met = server.meet(&client, "mx.test").0;
            let facts = met.as_ref().ok().map(|(_, facts)| &facts.client);
            let verified = facts.map(|client| client.as_ref().map(|client| client.is_verified));
            assert_eq!(verified, expected, "{wanted:?}");
            if let Some(client) = facts.and_then(Option::as_ref) {
                assert_eq!(client.emails, ["alice@example.org"]);
                assert_eq!(client.common_name.as_deref(), Some("alice"));
                assert!(client.subject.contains("CN=alice") && !client.subject.contains('\n'));
            }
        }
    }
}

#[test]
fn a_slow_handshake_ends_in_time_and_shutdown_ends_it_at_once() {
    let server = Server::new(&["mx.test"]);
    let (ours, theirs) = connection();
    let mut accepting = pin!(server.accept(ours));
    let hello = hello(&server);
    for (second, octet) in (0_u64..).zip(&hello[..30]) {
        assert!(alone(accepting.as_mut()).is_none(), "after {second} s");
        theirs.put(&[*octet]);
        *server.clock.0.lock().unwrap() = Duration::from_secs(second + 1);
    }
    assert_eq!(alone(accepting).unwrap().err(), Some(TlsAcceptError::TooSlow));

    let (ours, _theirs) = connection();
    let mut accepting = pin!(server.accept(ours));
    assert!(alone(accepting.as_mut()).is_none());
    server.shutdown.close();
    assert_eq!(alone(accepting).unwrap().err(), Some(TlsAcceptError::ShuttingDown));
}

/// What a client says first.
fn hello(server: &Server) -> Vec<u8> {
    let (ours, theirs) = connection();
    assert!(alone(Client::of(server).connect("mx.test", theirs)).is_none());
    ours.taken()
}

#[test]
fn what_is_no_handshake_ends_at_once() {
    let server = Server::new(&["mx.test"]);
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: mx.test\r\n\r\n"[..],
        b"EHLO client.test\r\nMAIL FROM:<>\r\n",
        b"USER u\r\nPASS p\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x05hello",
        &[0xff; 100_000],
    ] {
        let error = server.take_in(garbage, false);
        assert!(matches!(error, Some(TlsAcceptError::Failed(_))), "{garbage:?}: {error:?}");
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_is_lost_and_not_waited_for() {
    let server = Server::new(&["mx.test"]);
    let hello = hello(&server);
    for length in 0..=hello.len() {
        assert_eq!(server.take_in(&hello[..length], false), None, "{length}");
        assert_eq!(server.take_in(&hello[..length], true), Some(TlsAcceptError::Lost), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_octets_do_harm(octets in prop::collection::vec(any::<u8>(), 0..600), as_record: bool) {
        let server = Server::new(&["mx.test"]);
        let mut wire = octets.clone();
        if as_record {
            wire = vec![22, 3, 1];
            wire.extend((octets.len() as u16).to_be_bytes());
            wire.extend(octets);
        }
        prop_assert!(server.take_in(&wire, true).is_some());
    }

    #[test]
    fn no_change_to_a_hello_does_harm(at in any::<prop::sample::Index>(), to: u8) {
        let server = Server::new(&["mx.test"]);
        let mut hello = hello(&server);
        let at = at.index(hello.len());
        hello[at] = to;
        prop_assert!(server.take_in(&hello, true).is_some());
    }
}
