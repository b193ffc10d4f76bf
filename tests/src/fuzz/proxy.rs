//! The PROXY header.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant};
use fulmar_core::transport::{ProxyError, read_proxy_header};
use futures::FutureExt;
use futures::io::AsyncRead;

use super::Cut;

/// What the client sends behind the header; it looks like another.
const BEHIND: &[u8] = b"\r\n\r\nPROXY UNKNOWN\r\nEHLO client.test\r\n";

/// However it comes, a header means the same and is read to its last octet; and neither less nor more than that is a header.
pub fn proxy(octets: &[u8]) {
    let Some(input) = Cut::read(octets) else { return };
    let (meant, left) = read(input.octets, [usize::MAX].into_iter());
    let (meant_too, left_too) = read(input.octets, input.lengths());
    assert_eq!(meant, meant_too, "cut");
    assert!(meant != Err(ProxyError::TooSlow), "no time has passed");
    let header = &input.octets[..input.octets.len() - left];
    match meant {
        Ok(_) => {
            assert_eq!(left, left_too, "cut");
            assert_eq!(read(&header[..header.len() - 1], input.lengths()).0, Err(ProxyError::Lost));
            let followed = [header, BEHIND].concat();
            assert_eq!(read(&followed, input.lengths()), (meant, BEHIND.len()), "read beyond it");
        }
        Err(ProxyError::Lost) => assert_eq!(left, 0, "given up early"),
        Err(_) => {}
    }
}

/// What is made of a stream that gives at most so many octets at each time, and how many are left on it.
fn read(
    octets: &[u8],
    lengths: impl Iterator<Item = usize> + Send + Unpin,
) -> (Result<Option<SocketAddr>, ProxyError>, usize) {
    let clock: Arc<dyn Clock> = Arc::new(Stopped);
    let mut stream = Portions { octets, lengths };
    let meant = read_proxy_header(&mut stream, &clock).now_or_never().expect("nothing is waited for");
    (meant, stream.octets.len())
}

/// A stream that ends.
struct Portions<'a, I> {
    octets: &'a [u8],
    lengths: I,
}

impl<I: Iterator<Item = usize> + Unpin> AsyncRead for Portions<'_, I> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = self.lengths.next().unwrap_or(usize::MAX);
        let (now, later) = self.octets.split_at(length.min(self.octets.len()).min(to.len()));
        to[..now.len()].copy_from_slice(now);
        self.octets = later;
        Poll::Ready(Ok(now.len()))
    }
}

/// A clock that stands still.
struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn utc(&self) -> UtcTime {
        UtcTime::default()
    }

    fn instant(&self) -> Instant {
        Instant::from_origin(Duration::ZERO)
    }

    async fn sleep_until(&self, _: Instant) {
        pending().await
    }
}
