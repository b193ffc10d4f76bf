//! How many clients are being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_listener::Event as Signal;

use crate::config::Protocol;

/// How many sessions of each protocol there are now.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    smtp: Arc<AtomicUsize>,
    pop3: AtomicUsize,
    ended: Signal,
}

impl Sessions {
    /// None so far; those of SMTP are counted where others see it.
    pub(super) fn counting(smtp: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { smtp, ..Self::default() })
    }

    fn of(&self, protocol: Protocol) -> &AtomicUsize {
        match protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Submissions | Protocol::Lmtp => &self.smtp,
            Protocol::Pop3 | Protocol::Pop3s => &self.pop3,
        }
    }

    pub(super) fn take(self: &Arc<Self>, protocol: Protocol) -> Place {
        let number = self.of(protocol).fetch_add(1, Ordering::SeqCst) + 1;
        Place { number, protocol, sessions: self.clone() }
    }

    /// Waits until there are none.
    pub(super) async fn end(&self) {
        loop {
            let ended = self.ended.listen();
            if self.smtp.load(Ordering::SeqCst) + self.pop3.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A session's place among those of its protocol at a time; given back when it is dropped.
pub(super) struct Place {
    pub(super) number: usize,
    protocol: Protocol,
    sessions: Arc<Sessions>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.of(self.protocol).fetch_sub(1, Ordering::SeqCst);
        self.sessions.ended.notify(usize::MAX);
    }
}
