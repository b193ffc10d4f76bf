//! Nodes on one store, in virtual time, that clients log in at.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_channel::Sender;
use bytes::Bytes;
use fulmar_core::admin::Admin;
use fulmar_core::config::{AuthSettings, Config};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event};
use fulmar_core::platform::{Host, Payload, Platform, When};
use fulmar_core::queue::Manager;
use fulmar_core::sasl::{Channel, Exchange, Failure, Mechanism, NONCE_OCTETS, Proof, Step};
use fulmar_core::service::authentication::{Attempt, How};
use fulmar_core::service::{Context, maintenance};
use fulmar_core::state::account::credentials::Scope;
use fulmar_core::state::layout;
use fulmar_core::state::requests::Requests;
use fulmar_tests::faults::{Faulty, Life};
use fulmar_tests::listing::keys;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::scram_client::ScramClient;
use fulmar_tests::sim::{self, Simulation};

pub(super) const ALICE: &str = "alice@home.test";
pub(super) const BOB: &str = "bob@home.test";
pub(super) const PASSWORD: &str = "correct horse";
/// What the channel exports.
const BINDING: [u8; 32] = [0xaa; 32];

pub(super) struct World {
    pub(super) simulation: Simulation,
    pub(super) platform: Platform,
    pub(super) admin: Admin,
}

/// A node that clients log in at to send mail.
pub(super) struct Node {
    context: Arc<Context>,
    pub(super) faults: Arc<Faulty>,
    events: Arc<Mutex<Vec<Event>>>,
    /// The node lives for as long as this does.
    _shutdown: Sender<Infallible>,
}

/// Runs a case in a world of its own.
pub(super) fn in_world(case: impl AsyncFnOnce(World)) {
    sim::run(1, async |simulator| {
        let simulation = Simulation::new(simulator);
        let platform = simulation.platform(&Arc::default());
        for (key, bytes) in ground() {
            platform.store.put(key, Payload::from(bytes.clone()), When::Always).await.unwrap();
        }
        let admin = Admin::new(config(), platform.clone(), Journal::silent());
        case(World { simulation, platform, admin }).await;
    });
}

impl World {
    pub(super) async fn node(&self) -> Node {
        self.node_with(|_| ()).await
    }

    pub(super) async fn node_with(&self, change: impl FnOnce(&mut AuthSettings)) -> Node {
        let faults =
            Arc::new(Faulty::new(self.platform.store.clone(), Arc::<Life>::default(), Arc::default()));
        let platform = Platform { store: faults.clone(), ..self.platform.clone() };
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let told = events.clone();
        let journal = Journal::new(move |event| told.lock().unwrap().push(event.clone()));
        let mut config = config();
        change(&mut config.auth);
        let requests = Requests::new(platform.clone(), config.store.clone(), journal);
        let (manager, spool) = Manager::new(&config, requests.clone(), Host::unknown());
        let context = Arc::new(Context::new(config, requests, spool));
        let (shutdown, until_shutdown) = async_channel::bounded(1);
        platform.spawn.spawn(Box::pin(manager.run()));
        platform.spawn.spawn(Box::pin(maintenance::run(context.clone(), Host::unknown(), until_shutdown)));
        Node { context, faults, events, _shutdown: shutdown }
    }

    pub(super) async fn pass(&self, time: Duration) {
        self.platform.clock.sleep(time).await;
    }

    /// Keys of what nodes tell each other about locks.
    pub(super) async fn locks(&self) -> Vec<String> {
        let live = keys(&*self.platform.store, layout::LIVE).await;
        live.into_iter().filter(|key| key.ends_with(".lock")).collect()
    }
}

impl Node {
    /// How many of its events are such.
    pub(super) fn events(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is_it(event)).count()
    }

    /// Who a client that knows this name and password is found to be.
    pub(super) async fn log_in(
        &self,
        mechanism: Mechanism,
        from: &str,
        name: &str,
        password: &str,
    ) -> Result<(String, How), Failure> {
        let plus = (mechanism == Mechanism::ScramSha256Plus).then_some(&BINDING[..]);
        let scram = ScramClient::new(name, password, plus);
        let mut expected = None;
        let mut number = 0;
        let client = |challenge: &[u8]| {
            number += 1;
            match (mechanism, number) {
                (Mechanism::Plain, 1) => format!("\0{name}\0{password}").into_bytes(),
                (Mechanism::Login, 1) => name.as_bytes().to_vec(),
                (Mechanism::Login, 2) => password.as_bytes().to_vec(),
                (Mechanism::ScramSha256 | Mechanism::ScramSha256Plus, 1) => scram.first(),
                (Mechanism::ScramSha256 | Mechanism::ScramSha256Plus, 2) => {
                    let (last, server) = scram.last(challenge);
                    expected = Some(server);
                    last
                }
                (Mechanism::ScramSha256 | Mechanism::ScramSha256Plus, 3) => {
                    assert_eq!(Some(challenge), expected.as_deref(), "the server does not know the verifier");
                    Vec::new()
                }
                _ => panic!("{mechanism:?} has no response {number}"),
            }
        };
        self.exchange(mechanism, Channel::default(), from, client).await
    }

    /// The end of an exchange with one response.
    pub(super) async fn respond(
        &self,
        mechanism: Mechanism,
        from: &str,
        response: &[u8],
    ) -> Result<(String, How), Failure> {
        self.exchange(mechanism, Channel::default(), from, |_| response.to_vec()).await
    }

    /// Who a client is found to be whose certificate names these addresses.
    pub(super) async fn certified(
        &self,
        addresses: &[&str],
        authzid: &str,
    ) -> Result<(String, How), Failure> {
        let certificate = Some(addresses.iter().map(|text| address(text)).collect());
        let channel = Channel { certificate, ..Channel::default() };
        self.exchange(Mechanism::External, channel, "192.0.2.77", |_| authzid.as_bytes().to_vec()).await
    }

    /// The salt that a client of SCRAM is told.
    pub(super) async fn salt(&self, name: &str) -> String {
        let mut salt = None;
        let scram = ScramClient::new(name, "wrong", None);
        let mut is_first = true;
        let client = |challenge: &[u8]| {
            if std::mem::take(&mut is_first) {
                return scram.first();
            }
            let challenge = String::from_utf8(challenge.to_vec()).unwrap();
            salt = challenge.split(',').nth(1).map(str::to_owned);
            b"c=biws".to_vec()
        };
        let end = self.exchange(Mechanism::ScramSha256, Channel::default(), "192.0.2.78", client).await;
        assert_eq!(end, Err(Failure::Malformed));
        salt.unwrap()
    }

    async fn exchange(
        &self,
        mechanism: Mechanism,
        channel: Channel,
        from: &str,
        mut client: impl FnMut(&[u8]) -> Vec<u8>,
    ) -> Result<(String, How), Failure> {
        let peer = (from.parse::<std::net::IpAddr>().unwrap(), 4711).into();
        let mut attempt = Attempt::new(self.context.clone(), 1, peer, Scope::Smtp);
        let takes_tokens = self.context.authentication.takes_tokens();
        let channel = Channel { binding: Some(Bytes::from_static(&BINDING)), takes_tokens, ..channel };
        let mut exchange = Exchange::begin(mechanism, channel, [7; NONCE_OCTETS]);
        let mut step = exchange.start(None);
        let end: Result<Proof, Failure> = loop {
            step = match step {
                Step::Challenge(challenge) => exchange.respond(&client(&challenge)),
                Step::Ask(question) => exchange.answer(attempt.answer(question).await),
                Step::Over(end) => break end,
            };
        };
        attempt.conclude(end).await.map(|identity| (identity.account.to_string(), identity.how))
    }
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn config() -> Config {
    Config::new(Domain::parse("mx.test").unwrap())
}

/// Two accounts in a domain of ours and an alias, made once, because passwords are slow by design.
fn ground() -> &'static [(String, Bytes)] {
    static GROUND: OnceLock<Vec<(String, Bytes)>> = OnceLock::new();
    GROUND.get_or_init(|| {
        let (objects, _) = sim::run(0, async |simulator| {
            let platform = Simulation::new(simulator).platform(&Arc::default());
            let admin = Admin::new(config(), platform.clone(), Journal::silent());
            admin.domain_add(address(ALICE).domain()).await.unwrap();
            admin.account_add(&address(ALICE), PASSWORD).await.unwrap();
            admin.account_add(&address(BOB), PASSWORD).await.unwrap();
            admin.alias_add(&address("team@home.test"), &[address(ALICE)]).await.unwrap();
            let mut objects = Vec::new();
            for key in keys(&*platform.store, "").await {
                let bytes = platform.store.get(&key, None).await.unwrap().bytes;
                objects.push((key, bytes));
            }
            objects
        });
        objects
    })
}
