//! Servers in this process, on real sockets of loopback: each has a thread, and ends with the value that stands for it.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::thread::JoinHandle;

use futures::channel::oneshot;
use smol::LocalExecutor;
use smol::future::or;
use smol::net::{TcpListener, TcpStream};

/// A future on a thread of its own, with those that it spawns. All of them are dropped together with this.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start<F: Future<Output = ()>>(
        work: impl FnOnce(Rc<LocalExecutor<'static>>) -> F + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let executor = Rc::new(LocalExecutor::new());
            let stopped = async {
                // It is told by the sender's end; nothing is ever sent.
                let _ = stopped.await;
            };
            smol::block_on(executor.run(or(stopped, work(executor.clone()))));
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // A second panic would abort the process and hide the first.
        if !std::thread::panicking() {
            ended.expect("the thread is joined once").expect("no future of it panics");
        }
    }
}

/// A listener on a free port, and all that it accepted.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    _background: Background,
}

impl Loopback {
    /// Starts one; `serve` is called for each connection, which ends with the future that it gives.
    pub fn start<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), serve).expect("a free port on loopback")
    }

    /// The same at an address, which may be taken.
    pub fn start_at<F: Future<Output = ()> + 'static>(
        address: SocketAddr,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let listener = smol::block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let background = Background::start(|executor| accept(listener, executor, serve));
        Ok(Self { address, _background: background })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves every connection that comes.
pub(crate) async fn accept<F: Future<Output = ()> + 'static>(
    listener: TcpListener,
    executor: Rc<LocalExecutor<'static>>,
    serve: impl Fn(TcpStream) -> F,
) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket option");
        executor.spawn(serve(stream)).detach();
    }
}
