//! The certificates that this node shows: those of the operator's files, in their order, then those that lie in the store, by name.
//!
//! In the store a certificate is one object, `tls/<name>.pem`, chain and key together, as plain PEM: any tool can put it there, all nodes share it,
//! and whoever may read the bucket may pose as the server. Replacing it is one put: nobody ever sees a chain with another's key, and of
//! two operators the later one wins.
//!
//! Nobody looks for it on a timer. A session that could be encrypted makes the node look, at the most once a minute and beside the
//! session; only after an hour without a look does the session wait for it, so that a node that had nothing to do does not show what
//! expired meanwhile. A node without such sessions asks nothing of the store.
//!
//! What cannot be used, or not be read now, leaves in place what was there under its name. What is gone is shown no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::model::Event;
use crate::platform::{Instant, Listed, StoreError};
use crate::state::layout;
use crate::state::requests::{Purpose, Requests};
use crate::transport::{Acceptor, Certificate, CertificateError, PEM_LIMIT};

/// Least time between two looks into the store.
const LOOK_PAUSE: Duration = Duration::from_mins(1);
/// After so long without a look a session waits for one.
const STALE: Duration = Duration::from_hours(1);
/// How long it waits at the most. Beyond: what is known is shown.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);
/// Certificates taken out of the store. Beyond: the last ones by name are left out, and reported.
const STORED: usize = 1_000;

/// A certificate that the operator has in a file, or in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFile {
    /// What it is called in events.
    pub source: String,
    /// Chain and key in PEM form; or why they cannot be read.
    pub pem: Result<Vec<u8>, String>,
    /// For which names it is shown; those that stand in it, where there are none.
    pub names: Vec<String>,
}

/// Keeps an acceptor supplied.
#[derive(Debug)]
pub struct Certificates {
    acceptor: Acceptor,
    requests: Requests,
    from_store: bool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    files: Vec<Source>,
    stored: Vec<Source>,
    /// When the last look began.
    looked: Option<Instant>,
}

/// What is known of a file or an object.
#[derive(Clone, Debug)]
struct Source {
    name: String,
    /// Tells what stands there now from what stood there before.
    version: String,
    /// The last one that could be used.
    certificate: Option<Certificate>,
}

impl Certificates {
    /// None yet. The store is looked into only where `from_store` says so.
    pub fn new(requests: &Requests, from_store: bool) -> Self {
        let acceptor = Acceptor::new(requests.platform().clock.clone());
        Self { acceptor, requests: requests.of(Purpose::Directory), from_store, held: Mutex::default() }
    }

    /// Shows what there is.
    pub fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// From now on these are the operator's files. Sessions that are open go on with what they have.
    pub fn set_files(&self, files: &[CertificateFile]) {
        let before = self.held().files.clone();
        let renewed = files.iter().map(|file| {
            let version = match &file.pem {
                Ok(pem) => format!("{:?} {:?}", digest(&SHA256, pem), file.names),
                Err(reason) => reason.clone(),
            };
            self.renew(&before, &file.source, version, || {
                let pem = file.pem.as_ref().map_err(Clone::clone)?;
                let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
                Ok(match file.names.is_empty() {
                    true => certificate,
                    false => certificate.named(file.names.iter().cloned()),
                })
            })
        });
        let files = renewed.collect();
        let mut held = self.held();
        held.files = files;
        self.show(&held);
    }

    /// Looks into the store if that is due.
    pub async fn refresh(self: &Arc<Self>) {
        if !self.from_store {
            return;
        }
        let clock = &self.requests.platform().clock;
        let now = clock.instant();
        let looked = self.held().looked;
        match looked.map(|at| now.since(at)) {
            Some(age) if age < LOOK_PAUSE => {}
            Some(age) if age < STALE => {
                self.held().looked = Some(now);
                let certificates = self.clone();
                let looking = async move { certificates.look().await };
                self.requests.platform().spawn.spawn(Box::pin(looking));
            }
            _ => {
                clock.before(now + LOOK_PATIENCE, self.look()).await;
            }
        }
    }

    /// Looks into the store, where that is wanted.
    pub async fn look(&self) {
        if !self.from_store {
            return;
        }
        self.held().looked = Some(self.requests.platform().clock.instant());
        // A store that does not answer is reported by whoever asks it.
        let Ok(mut listed) = self.requests.list(layout::CERTIFICATES, None).await else { return };
        listed.retain(|object| layout::parse_certificate(&object.key).is_some());
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        for left_out in listed.drain(STORED.min(listed.len())..) {
            self.refused(&left_out.key, format!("only the first {STORED} in the store are shown"));
        }
        let before = self.held().stored.clone();
        let mut stored = Vec::new();
        for object in listed {
            stored.extend(self.fetch(&before, &object).await);
        }
        let mut held = self.held();
        held.stored = stored;
        self.show(&held);
    }

    /// What an object holds; nothing where it is gone.
    async fn fetch(&self, before: &[Source], object: &Listed) -> Option<Source> {
        let version = format!("{} {} {}", object.etag, object.size, object.modified);
        let known = before.iter().find(|source| source.name == object.key);
        if let Some(known) = known.filter(|known| known.version == version) {
            return Some(known.clone());
        }
        let is_too_large = object.size > PEM_LIMIT as u64;
        let read = match is_too_large {
            true => Err(CertificateError::TooLarge),
            false => match self.requests.get(&object.key, None).await {
                Ok(read) => Certificate::from_pem(&read.bytes),
                Err(StoreError::NotFound) => return None,
                // The next look tries again.
                Err(_) => return known.cloned(),
            },
        };
        Some(self.renew(before, &object.key, version, || read.map_err(|error| error.to_string())))
    }

    /// What is known of a source after it has been read, or had only to be compared.
    fn renew(
        &self,
        before: &[Source],
        name: &str,
        version: String,
        read: impl FnOnce() -> Result<Certificate, String>,
    ) -> Source {
        let known = before.iter().find(|source| source.name == name);
        if let Some(known) = known.filter(|known| known.version == version) {
            return known.clone();
        }
        let certificate = match read() {
            Ok(certificate) => {
                self.loaded(name, &certificate);
                Some(certificate)
            }
            Err(reason) => {
                self.refused(name, reason);
                known.and_then(|known| known.certificate.clone())
            }
        };
        Source { name: name.to_owned(), version, certificate }
    }

    fn show(&self, held: &Held) {
        let sources = held.files.iter().chain(&held.stored);
        self.acceptor.set_certificates(sources.filter_map(|source| source.certificate.clone()).collect());
    }

    /// One that is not valid now is shown all the same: to whoever does not look at it, it is better than none.
    fn loaded(&self, source: &str, certificate: &Certificate) {
        let names = certificate.names().to_vec();
        let expires = certificate.expires();
        self.requests.journal().report(&Event::CertificateLoaded {
            source: source.to_owned(),
            names,
            expires,
        });
        if let Some(fault) = certificate.fault_at(self.requests.platform().clock.utc()) {
            let doing = format!("showing the certificate {source}");
            self.requests.journal().report(&Event::Trouble { doing, error: fault });
        }
    }

    fn refused(&self, source: &str, reason: String) {
        self.requests.journal().report(&Event::CertificateRefused { source: source.to_owned(), reason });
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
