//! Both ends of a connection in memory, a clock that only the test moves, and certificates.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::model::UtcTime;
use crate::platform::{Clock, Instant};

/// Polls in turns. What has not come to its end by then waits for something that does not come.
const ROUNDS: usize = 1_000;
/// When tests begin, by the clock: in 2026.
const BEGIN: UtcTime = UtcTime(1_795_000_000_000);

/// Time that stands still between two steps of the test. Whoever waits is polled by the test, so no waker is kept.
#[derive(Default)]
pub(super) struct HandClock(pub(super) Mutex<Duration>);

#[async_trait]
impl Clock for HandClock {
    fn utc(&self) -> UtcTime {
        BEGIN.after(*self.0.lock().unwrap())
    }
    fn instant(&self) -> Instant {
        Instant::from_origin(*self.0.lock().unwrap())
    }
    async fn sleep_until(&self, instant: Instant) {
        poll_fn(|_| if self.instant() >= instant { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    octets: VecDeque<u8>,
    is_closed: bool,
}

/// One end of a connection. Closed when it is dropped.
pub(super) struct End {
    from: Arc<Mutex<Pipe>>,
    to: Arc<Mutex<Pipe>>,
}

/// A connection.
pub(super) fn connection() -> (End, End) {
    let (one, other) = (Arc::<Mutex<Pipe>>::default(), Arc::<Mutex<Pipe>>::default());
    (End { from: one.clone(), to: other.clone() }, End { from: other, to: one })
}

impl End {
    /// Octets that the other end will read.
    pub(super) fn put(&self, octets: &[u8]) {
        self.to.lock().unwrap().octets.extend(octets);
    }

    /// Octets that the other end has written and nobody has read.
    pub(super) fn taken(&self) -> Vec<u8> {
        self.from.lock().unwrap().octets.drain(..).collect()
    }

    /// After what has been written the other end reads the end.
    pub(super) fn close(&self) {
        self.to.lock().unwrap().is_closed = true;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.from.lock().unwrap();
        let octets = buffer.len().min(pipe.octets.len());
        if octets == 0 && !pipe.is_closed {
            return Poll::Pending;
        }
        buffer.iter_mut().zip(pipe.octets.drain(..octets)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.put(octets);
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// What two futures come to that have only each other; nothing for one that would wait for ever.
pub(super) fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (Option<A>, Option<B>) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..ROUNDS {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(&mut context)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(&mut context)
        {
            of_b = Some(output);
        }
        if of_a.is_some() && of_b.is_some() {
            break;
        }
    }
    (of_a, of_b)
}

/// What a future comes to by itself; nothing where it would wait for ever.
pub(super) fn alone<T>(work: impl Future<Output = T>) -> Option<T> {
    both(work, async {}).0
}

/// Whoever makes certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: rcgen::Certificate,
}

/// A certificate with its key.
pub(super) struct Made {
    pub(super) certificate: rcgen::Certificate,
    pub(super) key: KeyPair,
}

impl Made {
    /// Chain and key, as they stand in a file.
    pub(super) fn pem(&self) -> String {
        self.certificate.pem() + &self.key.serialize_pem()
    }
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// For a server of these names.
    pub(super) fn server(&self, names: &[&str]) -> Made {
        self.make(CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    /// For a user.
    pub(super) fn user(&self, common_name: &str, email: &str) -> Made {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
        self.make(params)
    }

    pub(super) fn make(&self, mut params: CertificateParams) -> Made {
        params.is_ca = IsCa::ExplicitNoCa;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { certificate, key }
    }
}
