//! A client of any protocol of lines that trusts one certificate.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificate::Certificate;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection after its handshake.
#[derive(Debug)]
pub struct TlsClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl TlsClient {
    /// Makes the handshake with a server that should be of this name.
    pub fn begin(stream: TcpStream, name: &str, trusted: &Certificate) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(handshake(session(name, trusted)?, stream)?)))
    }

    /// Sends a line and checks how the next line begins.
    pub fn command(&mut self, line: &str, expected: &str) {
        self.send(line);
        self.expect(expected);
    }

    /// Sends a line.
    #[expect(clippy::unwrap_used, reason = "a test ends with what it could not send")]
    pub fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// Checks how the next line begins.
    pub fn expect(&mut self, expected: &str) {
        let line = self.line();
        assert!(line.starts_with(expected), "{line:?} came and not {expected:?}");
    }

    /// The next line, with its end.
    #[expect(clippy::unwrap_used, reason = "a test ends with what did not come")]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Sends a line and gives the whole reply of SMTP.
    pub fn smtp(&mut self, line: &str) -> String {
        self.send(line);
        let mut reply = String::new();
        loop {
            let line = self.line();
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if is_last {
                return reply;
            }
        }
    }

    /// What comes until the server closes, which it must do with a closing alert: nobody cut it.
    #[expect(clippy::unwrap_used, reason = "a test ends with what did not come")]
    pub fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// A client's side of a session with a server that should be of this name, its first message ready to be sent.
pub fn session(name: &str, trusted: &Certificate) -> io::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

/// Goes on with a session until its handshake is over.
pub fn handshake(
    session: ClientConnection,
    stream: TcpStream,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = StreamOwned::new(session, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}
