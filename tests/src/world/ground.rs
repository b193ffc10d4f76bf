//! What stands in the bucket before the first node: a domain, accounts and aliases. Made once, for all runs.

#![expect(clippy::expect_used, reason = "what stands in the way of any run at all fails it")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::admin::Admin;
use fulmar_core::config::Config;
use fulmar_core::model::Domain;
use fulmar_core::model::event::Journal;
use fulmar_core::platform::Platform;
use fulmar_core::state::account::{Account, Op};
use fulmar_core::state::chain::Draft;
use fulmar_core::state::chains::Chains;
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::requests::Requests;

use super::plan::{ACCOUNTS, HOME, account, everybody};
use crate::sim::{self, Simulation};

/// The password of every account.
pub const PASSWORD: &str = "password";
/// Its verifier, of the kind that nodes take, but a thousand times cheaper to compare than those that they make.
const VERIFIER: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$TvJZjSjEyaTxaRflA27IE3+/2/M2EI/A3lqcozmYpVQ";

/// Keys and octets.
pub fn objects() -> &'static [(String, Bytes)] {
    static OBJECTS: OnceLock<Vec<(String, Bytes)>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let (objects, _) = sim::run(0, async |simulator| {
            let simulation = Simulation::new(simulator);
            make(simulation.outside(&Arc::default())).await;
            let objects = simulation.bucket().objects();
            objects.into_iter().map(|(key, (bytes, _))| (key, bytes)).collect()
        });
        objects
    })
}

async fn make(platform: Platform) {
    let home = Domain::parse(HOME).expect("a domain");
    let config = Config::new(home.clone());
    let admin = Admin::new(config.clone(), platform.clone(), Journal::silent());
    admin.domain_add(&home).await.expect("the store takes it");
    let requests = Requests::new(platform, config.store, Journal::silent());
    let chains = Chains::<Account>::new(requests.clone());
    let all: Vec<_> = (0..ACCOUNTS.1).map(account).collect();
    for account in &all {
        let ops = vec![Op::Create { address: account.clone() }, Op::Password(Some(VERIFIER.to_owned()))];
        let mut chain = chains.hold(&layout::account(account), Duration::ZERO).await.expect("an empty chain");
        let made = chain.append(&requests, |_| Draft { ops: ops.clone(), data: Data::default() }).await;
        made.expect("the store takes it");
    }
    for count in ACCOUNTS.0..=ACCOUNTS.1 {
        admin.alias_add(&everybody(count), &all[..count]).await.expect("the store takes it");
    }
}
