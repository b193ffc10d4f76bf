//! The keys of a domain, as operators see to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fulmar_core::admin::{Admin, AdminError, DomainKeySummary, KeyAlgorithm, KeyState, NewKeys};
use fulmar_core::authn::dkim::{SigningKey, generate_ed25519};
use fulmar_core::config::Config;
use fulmar_core::model::Domain;
use fulmar_core::model::event::Journal;
use fulmar_core::platform::{Record, RecordKind};
use fulmar_core::state::domain::keys::{ACTIVE_KEYS, KEYS};
use fulmar_runtime_smol::SmolEntropy;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Simulation, Simulator, run};
use fulmar_tests::zone::Zone;
use futures::future::join;

const SEEDS: u64 = 100;

/// Two machines of operators, and the DNS.
struct World {
    zone: Arc<Zone>,
    one: Admin,
    other: Admin,
}

impl World {
    async fn new(simulator: Simulator) -> Self {
        let (zone, simulation) = (Arc::<Zone>::default(), Simulation::new(simulator));
        let admin = || {
            let config = Config::new(Domain::parse("mx.test").unwrap());
            Admin::new(config, simulation.platform(&zone), Journal::silent())
        };
        let (one, other) = (admin(), admin());
        one.domain_add(&home()).await.unwrap();
        Self { zone, one, other }
    }

    fn publish(&self, key: &DomainKeySummary) {
        let record = Record::Txt(key.record.clone().unwrap().into_bytes());
        self.zone.set(&key.name, RecordKind::Txt, Ok(vec![record]));
    }

    async fn states(&self) -> Vec<(String, KeyState)> {
        let keys = self.one.dkim_list(&home()).await.unwrap();
        keys.into_iter().map(|key| (key.selector, key.state)).collect()
    }
}

fn home() -> Domain {
    Domain::parse("home.test").unwrap()
}

/// Keys that are quickly made.
fn order(selector: Option<&str>, is_active: bool) -> NewKeys {
    let algorithms = BTreeSet::from([KeyAlgorithm::Ed25519Sha256]);
    NewKeys { selector: selector.map(str::to_owned), algorithms, is_active }
}

fn named(keys: &[DomainKeySummary]) -> Vec<(String, KeyState)> {
    keys.iter().map(|key| (key.selector.clone(), key.state)).collect()
}

#[test]
fn keys_are_published_then_active_then_retiring_and_sign_only_once_the_dns_has_their_record() {
    run(0, async |simulator| {
        let world = World::new(simulator).await;
        let first = world.one.dkim_generate(&home(), &order(None, true)).await.unwrap().remove(0);
        assert_eq!(first.state, KeyState::Active);
        let (date, kind) = first.selector.split_once('-').unwrap();
        assert!(date.len() == 8 && date.bytes().all(|octet| octet.is_ascii_digit()), "{date}");
        assert_eq!((kind, first.name), ("ed25519", format!("{}._domainkey.home.test", first.selector)));
        assert!(first.record.unwrap().starts_with("v=DKIM1; k=ed25519; p="));

        let second = world.one.dkim_rotate(&home(), true).await.unwrap();
        let selectors = [first.selector.clone(), format!("{date}-2-ed25519")];
        assert_eq!(named(&second), [(selectors[1].clone(), KeyState::Published)]);
        for what in [
            world.one.dkim_rotate(&home(), true).await.map(drop),
            world.other.dkim_activate(&home(), &selectors[1], true).await.map(drop),
        ] {
            assert!(matches!(what, Err(AdminError::NotYet(_))), "{what:?}");
        }
        world.publish(&second[0]);
        let rotated = world.other.dkim_rotate(&home(), true).await.unwrap();
        let [old, new] = selectors;
        let mut expected = vec![(old.clone(), KeyState::Retiring), (new.clone(), KeyState::Active)];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(named(&rotated), expected);
        assert_eq!(world.states().await, expected);

        let refused = world.one.dkim_remove(&home(), &new).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
        world.one.dkim_remove(&home(), &old).await.unwrap();
        assert_eq!(world.one.dkim_retire(&home(), &new).await.unwrap().state, KeyState::Retiring);
        // Its record is still there.
        assert_eq!(world.one.dkim_activate(&home(), &new, true).await.unwrap().state, KeyState::Active);
        assert_eq!(world.states().await, [(new, KeyState::Active)]);
    });
}

#[test]
fn two_operators_at_once_lose_no_key() {
    for seed in 0..SEEDS {
        run(seed, async |simulator| {
            let World { one, other, .. } = &World::new(simulator).await;
            let (home, order) = (home(), order(None, true));
            let (a, b) = join(one.dkim_generate(&home, &order), other.dkim_generate(&home, &order)).await;
            let made = BTreeSet::from([a.unwrap().remove(0).record, b.unwrap().remove(0).record]);
            let listed = one.dkim_list(&home).await.unwrap().into_iter().map(|key| key.record);
            assert_eq!(made.len(), 2, "seed {seed}");
            assert_eq!(listed.collect::<BTreeSet<_>>(), made, "seed {seed}");

            let (a, b) = join(one.dkim_rotate(&home, true), other.dkim_rotate(&home, true)).await;
            // Whoever comes second sees what the first has published, or waits for the DNS already.
            let is_right = |step: &Result<Vec<DomainKeySummary>, AdminError>| match step {
                Ok(keys) => keys.len() == 1 && keys[0].state == KeyState::Published,
                Err(error) => matches!(error, AdminError::NotYet(_)),
            };
            assert!(is_right(&a) && is_right(&b), "seed {seed}: {a:?} {b:?}");
            assert_eq!(one.dkim_list(&home).await.unwrap().len(), 3, "seed {seed}");
        });
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_changed() {
    run(0, async |simulator| {
        let world = World::new(simulator).await;
        let (admin, home) = (&world.one, home());
        for number in 0..KEYS {
            let is_active = number < ACTIVE_KEYS;
            let order = order(Some(&format!("k{number}")), is_active);
            admin.dkim_generate(&home, &order).await.unwrap();
        }
        let before = admin.dkim_list(&home).await.unwrap();
        let foreign = Domain::parse("far.test").unwrap();
        let generate = async |selector: &str, is_active| {
            admin.dkim_generate(&home, &order(Some(selector), is_active)).await.map(drop)
        };
        let long = "k".repeat(64);
        for (what, refused, expected) in [
            ("one too many", generate("more", false).await, "a domain has at most 16 keys: remove some"),
            ("a name twice", generate("K0", false).await, "there is a key k0 already"),
            (
                "active",
                admin.dkim_activate(&home, "k9", false).await.map(drop),
                "at most 4 keys of a domain are active",
            ),
            ("unknown", admin.dkim_retire(&home, "k99").await.map(drop), "home.test has no key k99"),
            ("unknown", admin.dkim_activate(&home, "k99", false).await.map(drop), "home.test has no key k99"),
            ("unknown", admin.dkim_remove(&home, "k99").await, "home.test has no key k99"),
            (
                "never active",
                admin.dkim_retire(&home, "k9").await.map(drop),
                "k9 of home.test has never signed",
            ),
            ("active", admin.dkim_remove(&home, "k0").await, "k0 of home.test is active: retire it first"),
            ("foreign", admin.dkim_list(&foreign).await.map(drop), "domain far.test is not one of ours"),
            (
                "foreign",
                admin.dkim_rotate(&foreign, true).await.map(drop),
                "domain far.test is not one of ours",
            ),
            (
                "no key",
                admin.dkim_import(&home, "new", b"", true).await.map(drop),
                "not a PKCS#8 private key",
            ),
            ("no name", generate("", false).await, "\"\" is no selector"),
            ("no name", generate("a_b", false).await, "\"a_b\" is no selector"),
            ("no name", generate("a..b", false).await, "\"a..b\" is no selector"),
            ("no name", generate("a;b", false).await, "\"a;b\" is no selector"),
            ("too long", generate(&long, false).await, "\"kkk"),
        ] {
            let text = refused.unwrap_err().to_string();
            assert!(text.starts_with(expected), "{what}: {text}");
        }
        assert_eq!(admin.dkim_list(&home).await.unwrap(), before);
    });
}

#[test]
fn a_key_of_each_algorithm_is_made_and_keys_of_other_programs_are_taken() {
    run(0, async |simulator| {
        let world = World::new(simulator).await;
        let order = NewKeys { selector: Some("Mail".to_owned()), ..NewKeys::default() };
        let made = world.one.dkim_generate(&home(), &order).await.unwrap();
        let kinds: Vec<_> = made.iter().map(|key| (key.selector.as_str(), key.algorithm.name())).collect();
        assert_eq!(kinds, [("mail-ed25519", "ed25519-sha256"), ("mail-rsa", "rsa-sha256")]);
        assert!(made.iter().all(|key| key.state == KeyState::Published));

        let der = generate_ed25519(&SmolEntropy);
        let label = "PRIVATE KEY";
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(&der));
        let imported = world.one.dkim_import(&home(), "a.b", pem.as_bytes(), true).await.unwrap();
        let record = SigningKey::from_pkcs8(&der).unwrap().public_record();
        assert_eq!((imported.state, imported.record), (KeyState::Active, Some(record)));
        assert_eq!(imported.name, "a.b._domainkey.home.test");
    });
}
