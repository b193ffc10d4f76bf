//! What stands in the store before the first node: a domain and accounts.

#![expect(clippy::expect_used, reason = "what stands in the way of any run at all fails it")]

use std::time::Duration;

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
use fulmar_tests::world::plan::{HOME, account};

/// Commits of an account after which a node writes a snapshot of it. How many an account has beyond its last one is any number below this,
/// which whoever loads the account has to read.
const SNAPSHOT_COMMITS: usize = 64;

/// Makes so many accounts; with a past, or as they are at their beginning.
pub(super) async fn make(platform: Platform, accounts: usize, have_past: bool) {
    let home = Domain::parse(HOME).expect("a domain");
    let config = Config::new(home.clone());
    let admin = Admin::new(config.clone(), platform.clone(), Journal::silent());
    admin.domain_add(&home).await.expect("the store takes it");
    let requests = Requests::new(platform, config.store, Journal::silent());
    let chains = Chains::<Account>::new(requests.clone());
    for (number, address) in (0..accounts).map(|number| (number, account(number))) {
        let mut chain =
            chains.hold(&layout::account(&address), Duration::ZERO).await.expect("an empty chain");
        let draft =
            |_: &Account| Draft { ops: vec![Op::Create { address: address.clone() }], data: Data::default() };
        chain.append(&requests, draft).await.expect("the store takes it");
        let past = if have_past { number % SNAPSHOT_COMMITS } else { 0 };
        for _ in 0..past {
            let draft = |_: &Account| Draft { ops: vec![Op::Password(None)], data: Data::default() };
            chain.append(&requests, draft).await.expect("the store takes it");
        }
    }
}
