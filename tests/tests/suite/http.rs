//! The HTTP client and TLS over real sockets on loopback.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::http::{Client, ClientSettings, HttpError, RequestBody};
use fulmar_core::platform::{Clock, Net, Target};
use fulmar_core::transport::{CertificateDer, TlsClient, TlsError};
use fulmar_runtime_smol::{SmolClock, SmolNet, SmolRuntime};
use futures::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::PrivateKeyDer;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use smol::Async;

const BODY_LIMIT: usize = 8 << 20;
/// Larger than any buffer on the way.
const LARGE: usize = 4 << 20;

/// An authority, and a server's certificate and key that it vouches for.
struct Identity {
    root: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    fn of(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut server = CertificateParams::new(names).unwrap();
        server.is_ca = IsCa::ExplicitNoCa;
        change(&mut server);
        let certificate = server.signed_by(&key, &authority).unwrap();
        Self { root: authority.der().clone(), certificate: certificate.der().clone(), key }
    }

    fn acceptor(&self, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        Arc::new(config).into()
    }
}

/// A server that sends back what it gets, for as long as the runtime lives.
fn serve(runtime: &SmolRuntime, acceptor: Option<TlsAcceptor>) -> SocketAddr {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let spawn = runtime.spawn();
    runtime.spawn().spawn(Box::pin(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            spawn.spawn(Box::pin(async move {
                // Clients that refuse the server break off in the middle, as they should.
                let _ = match acceptor {
                    None => echo(stream).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => echo(stream).await,
                        Err(error) => Err(error),
                    },
                };
            }));
        }
    }));
    address
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim_end().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).await?;
        stream.get_mut().write_all(&body).await?;
        stream.get_mut().flush().await?;
    }
}

fn client(runtime: &SmolRuntime, tls: Option<TlsClient>) -> Client {
    let net = Arc::new(SmolNet::new(runtime.spawn()));
    Client::new(net, Arc::new(SmolClock), runtime.spawn(), tls, ClientSettings::default())
}

async fn put(client: &Client, uri: String, body: Bytes) -> Result<Bytes, HttpError> {
    let request = Request::put(uri).body(RequestBody::from(body)).unwrap();
    let deadline = SmolClock.instant() + Duration::from_secs(20);
    client.send(request, deadline).await?.into_body().collect(BODY_LIMIT).await
}

fn verifying(root: &CertificateDer<'static>) -> TlsClient {
    TlsClient::verifying([root.clone()], Arc::new(SmolClock)).unwrap()
}

fn opportunistic() -> TlsClient {
    TlsClient::opportunistic(Arc::new(SmolClock)).unwrap()
}

#[test]
fn bodies_of_any_size_cross_clear_and_encrypted_connections_unchanged() {
    let runtime = SmolRuntime::new(2).unwrap();
    let identity = Identity::of(&["localhost"], |_| {});
    let tls = client(&runtime, Some(verifying(&identity.root)));
    let clear = client(&runtime, None);
    for (client, scheme, acceptor) in [
        (&clear, "http", None),
        (&tls, "https", Some(identity.acceptor(&TLS12))),
        (&tls, "https", Some(identity.acceptor(&TLS13))),
    ] {
        let uri = format!("{scheme}://localhost:{}/", serve(&runtime, acceptor).port());
        for length in [0, 1, 10_000, LARGE] {
            let body: Bytes = (0..length).map(|at| at as u8).collect();
            let echoed = runtime.block_on(put(client, uri.clone(), body.clone())).unwrap();
            assert!(echoed == body, "{length} octets over {scheme}");
        }
    }
}

#[test]
fn a_server_that_the_client_cannot_trust_is_sent_nothing() {
    let runtime = SmolRuntime::new(2).unwrap();
    let good = Identity::of(&["localhost", "127.0.0.1"], |_| {});
    let stranger = Identity::of(&["localhost"], |_| {});
    let misnamed = Identity::of(&["elsewhere.test"], |_| {});
    let expired = Identity::of(&["localhost"], |server| server.not_after = rcgen::date_time_ymd(2020, 1, 1));
    for (name, server, root, host, is_trusted) in [
        ("by name", &good, &good.root, "localhost", true),
        ("by address", &good, &good.root, "127.0.0.1", true),
        ("unknown authority", &good, &stranger.root, "localhost", false),
        ("another name", &misnamed, &misnamed.root, "localhost", false),
        ("another address", &stranger, &stranger.root, "127.0.0.1", false),
        ("expired", &expired, &expired.root, "localhost", false),
    ] {
        let uri = format!("https://{host}:{}/", serve(&runtime, Some(server.acceptor(&TLS13))).port());
        let client = client(&runtime, Some(verifying(root)));
        match runtime.block_on(put(&client, uri, Bytes::from_static(b"text"))) {
            Ok(_) => assert!(is_trusted, "{name}"),
            Err(error) => {
                assert!(!is_trusted && matches!(error, HttpError::NotSent(_)), "{name}: {error}");
            }
        }
    }
}

#[test]
fn an_opportunistic_session_opens_whatever_the_certificate_and_the_name() {
    let runtime = SmolRuntime::new(2).unwrap();
    let identity =
        Identity::of(&["elsewhere.test"], |server| server.not_after = rcgen::date_time_ymd(2020, 1, 1));
    for version in [&TLS12, &TLS13] {
        let address = serve(&runtime, Some(identity.acceptor(version)));
        for name in ["mx.test", "under_score.test", "127.0.0.1", "-dash-.test", "two..dots", "ünïcode", ""]
        {
            let answer = runtime.block_on(async {
                let stream = connect(&runtime, address).await;
                let mut session = opportunistic().connect(name, stream).await?;
                session.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
                session.flush().await?;
                let mut answer = [0; 15];
                session.read_exact(&mut answer).await?;
                io::Result::Ok(answer)
            });
            assert_eq!(&answer.unwrap(), b"HTTP/1.1 200 OK", "{name:?}");
        }
    }
}

#[test]
fn a_verifying_client_takes_no_name_that_no_certificate_can_hold_and_needs_a_root() {
    let runtime = SmolRuntime::new(2).unwrap();
    let identity = Identity::of(&["localhost"], |_| {});
    let address = serve(&runtime, Some(identity.acceptor(&TLS13)));
    for name in ["two..dots", "ünïcode", ""] {
        let refused = runtime.block_on(async {
            verifying(&identity.root).connect(name, connect(&runtime, address).await).await.map(drop)
        });
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
    }
    let garbage = CertificateDer::from(b"garbage".to_vec());
    for roots in [vec![], vec![garbage]] {
        let refused = TlsClient::verifying(roots, Arc::new(SmolClock));
        assert_eq!(refused.map(drop), Err(TlsError::NoRoots));
    }
}

async fn connect(runtime: &SmolRuntime, address: SocketAddr) -> Box<dyn fulmar_core::platform::Stream> {
    let deadline = SmolClock.instant() + Duration::from_secs(20);
    SmolNet::new(runtime.spawn()).connect(&Target::Address(address), deadline).await.unwrap()
}
