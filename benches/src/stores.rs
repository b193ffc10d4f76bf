//! Stores that this process writes to by itself: many accounts beforehand, and single writes to compare with.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fulmar_core::config::StoreSettings;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain};
use fulmar_core::platform::{Platform, Store, When};
use fulmar_core::sasl::password::{SALT_OCTETS, verifier};
use fulmar_core::state::chain::{Chain, Draft};
use fulmar_core::state::frame::Data;
use fulmar_core::state::requests::Requests;
use fulmar_core::state::{account, domain, format, layout};
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime};
use fulmar_storage_s3::{DirectoryStore, S3Settings};
use fulmar_tests::Fallible;
use fulmar_tests::s3_server::Bucket;
use fulmar_tests::s3_store;
use fulmar_tests::zone::Zone;
use futures::stream::{self, StreamExt, TryStreamExt};

/// Chains that are written at a time.
const AT_A_TIME: usize = 32;
/// The password of every account.
const PASSWORD: &str = "correct horse battery staple";

/// A store, and what is needed to write to it.
#[derive(Debug)]
pub(crate) struct OwnStore {
    runtime: SmolRuntime,
    requests: Requests,
}

impl OwnStore {
    /// A directory.
    pub(crate) fn directory(path: &Path) -> Fallible<Self> {
        let runtime = SmolRuntime::new(SmolRuntime::default_threads())?;
        let store = DirectoryStore::open(path, runtime.spawn())?;
        Ok(Self::on(runtime, Arc::new(store)))
    }

    /// What is below a prefix in a bucket.
    pub(crate) fn bucket(bucket: &Bucket, prefix: &str) -> Fallible<Self> {
        let runtime = SmolRuntime::new(SmolRuntime::default_threads())?;
        let settings = S3Settings { prefix: prefix.to_owned(), ..s3_store::settings(bucket) };
        let store = s3_store::open(&runtime, &settings, &[]);
        Ok(Self::on(runtime, Arc::new(store)))
    }

    fn on(runtime: SmolRuntime, store: Arc<dyn Store>) -> Self {
        let platform = Platform {
            store,
            dns: Arc::<Zone>::default(),
            net: Arc::new(SmolNet::new(runtime.spawn())),
            clock: Arc::new(SmolClock),
            entropy: Arc::new(SmolEntropy),
            spawn: runtime.spawn(),
        };
        let requests = Requests::new(platform, StoreSettings::default(), Journal::silent());
        Self { runtime, requests }
    }

    /// Makes so many domains of ours, and so many accounts spread over them. All share one password and its verifier, which alone
    /// would take minutes to compute for each.
    pub(crate) fn populate(&self, domains: usize, accounts: usize) -> Fallible<()> {
        let verifier = verifier(PASSWORD, [1; SALT_OCTETS])?;
        let name = |number: usize| format!("domain{:03}.example", number % domains);
        let domains: Vec<Domain> = (0..domains).map(|n| Domain::parse(&name(n))).collect::<Result<_, _>>()?;
        let accounts: Vec<Address> = (0..accounts)
            .map(|n| Address::parse(&format!("user{n:05}@{}", name(n))))
            .collect::<Result<_, _>>()?;
        self.runtime.block_on(async {
            format::ensure(&self.requests).await?;
            let made = stream::iter(domains).map(|domain| async move {
                let ops = vec![domain::Op::Create { domain: domain.clone() }];
                let mut chain = Chain::<domain::LocalDomain>::new(layout::domain(&domain));
                chain.append(&self.requests, |_| Draft { ops: ops.clone(), data: Data::default() }).await
            });
            made.buffer_unordered(AT_A_TIME).try_collect::<Vec<_>>().await?;
            let made = stream::iter(accounts).map(|address| {
                let password = account::Op::Password(Some(verifier.clone()));
                async move {
                    let ops = vec![account::Op::Create { address: address.clone() }, password];
                    let mut chain = Chain::<account::Account>::new(layout::account(&address));
                    chain.append(&self.requests, |_| Draft { ops: ops.clone(), data: Data::default() }).await
                }
            });
            made.buffer_unordered(AT_A_TIME).try_collect::<Vec<_>>().await?;
            Ok(())
        })
    }

    /// How long each of so many creates of so many octets takes, one after the other. Each round has a folder of its own.
    pub(crate) fn write_times(&self, round: usize, count: usize, octets: usize) -> Fallible<Vec<Duration>> {
        let store = &self.requests.platform().store;
        let content = Bytes::from(vec![b'x'; octets]);
        self.runtime.block_on(async {
            let mut times = Vec::with_capacity(count);
            for number in 0..count {
                let started = Instant::now();
                store
                    .put(&format!("written/{round}/{number:08}"), content.clone().into(), When::Absent)
                    .await?;
                times.push(started.elapsed());
            }
            Ok(times)
        })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn every_domain_and_account_is_made_and_can_be_read() {
        let folder = TempDir::new().unwrap();
        let store = OwnStore::directory(folder.path()).unwrap();
        store.populate(2, 5).unwrap();
        let address = Address::parse("user00003@domain001.example").unwrap();
        let mut chain = Chain::<account::Account>::new(layout::account(&address));
        store.runtime.block_on(chain.refresh(&store.requests)).unwrap();
        assert!(chain.state().exists);
        let domain = Domain::parse("domain001.example").unwrap();
        let mut chain = Chain::<domain::LocalDomain>::new(layout::domain(&domain));
        store.runtime.block_on(chain.refresh(&store.requests)).unwrap();
        assert!(chain.state().exists);
        assert_eq!(store.write_times(0, 3, 10).unwrap().len(), 3);
    }
}
