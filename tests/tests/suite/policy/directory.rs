//! The directory asked directly: what an alias stands for, and that following aliases ends whatever they are.

use std::sync::Arc;

use fulmar_core::admin::Admin;
use fulmar_core::config::{Config, StoreSettings};
use fulmar_core::directory::{Directory, Resolution};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{AliasName, Domain};
use fulmar_core::state::chains::Chains;
use fulmar_core::state::log::Class;
use fulmar_core::state::requests::Requests;
use fulmar_tests::dice::Dice;
use fulmar_tests::node::address;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Simulation, Simulator, run};

const SEEDS: u64 = 200;
/// Addresses that one recipient may come to.
const LIMIT: usize = 5;

/// A directory of one domain with these aliases.
async fn directory(simulator: Simulator, aliases: &[(String, Vec<String>)]) -> Directory {
    let platform = Simulation::new(simulator).platform(&Arc::default());
    let hostname = Domain::parse("mx.test").unwrap();
    let admin = Admin::new(Config::new(hostname), platform.clone(), Journal::silent());
    admin.domain_add(&Domain::parse("home.test").unwrap()).await.unwrap();
    for (alias, targets) in aliases {
        let targets: Vec<_> = targets.iter().map(|target| address(target)).collect();
        match alias.parse().unwrap() {
            AliasName::Exact(alias) => admin.alias_add(&alias, &targets).await.unwrap(),
            AliasName::Pattern(pattern, domain) => {
                admin.pattern_add(&pattern, &domain, &targets).await.unwrap();
            }
        }
    }
    let requests = Requests::new(platform, StoreSettings::default(), Journal::silent());
    Directory::new(requests.clone(), Chains::new(requests))
}

#[test]
fn the_members_of_an_alias_are_those_that_it_names_itself() {
    let alias = |name: &str, targets: &[&str]| {
        (name.to_owned(), targets.iter().map(|target| (*target).to_owned()).collect())
    };
    let aliases = [
        alias("team@home.test", &["staff@home.test", "guest@far.test"]),
        alias("staff@home.test", &["a@far.test", "b@far.test"]),
        alias("list-*@home.test", &["$1@far.test"]),
    ];
    run(0, async |simulator| {
        let directory = directory(simulator, &aliases).await;
        for (name, expected) in [
            ("Team@home.test", Some(&["staff@home.test", "guest@far.test"][..])),
            ("team+x@home.test", Some(&["staff@home.test", "guest@far.test"])),
            ("list-rust@home.test", Some(&["rust@far.test"])),
            ("nobody@home.test", None),
            ("team@far.test", None),
        ] {
            let members = directory.members(&address(name)).await.unwrap();
            let expected = expected.map(|members| members.iter().map(|member| address(member)).collect());
            assert_eq!(members, expected, "{name}");
        }
    });
}

#[test]
fn following_aliases_ends_and_never_comes_to_more_than_was_asked_for() {
    let (mut delivered, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let aliases: Vec<_> = (0..1 + dice.below(8)).map(|_| any_alias(&mut dice)).collect();
        run(seed, async |simulator| {
            let directory = directory(simulator, &aliases).await;
            let host = Domain::parse("mx.test").unwrap();
            for recipient in ["a", "b", "ab", "a+b", "ba+a", "aab"] {
                let recipient = address(&format!("{recipient}@home.test"));
                match directory.resolve(&recipient, &host, None, LIMIT).await.unwrap() {
                    Resolution::Targets(targets) => {
                        delivered += 1;
                        let is_far =
                            |class, domain: &Domain| class == Class::Relay && domain.as_str() == "far.test";
                        let is_sound =
                            targets.iter().all(|target| is_far(target.class, target.address.domain()));
                        assert!(is_sound && (1..=LIMIT).contains(&targets.len()), "seed {seed}: {targets:?}");
                    }
                    Resolution::Foreign => panic!("seed {seed}: the domain is ours"),
                    Resolution::BadReturn(fault) => panic!("seed {seed}: {fault}"),
                    Resolution::TooMany | Resolution::Tangled | Resolution::NoSuchUser => refused += 1,
                }
            }
        });
    }
    assert!(delivered > 100 && refused > 100, "{delivered} and {refused}");
}

/// An alias of any kind, to one or a few others, to itself, or to another host.
fn any_alias(dice: &mut Dice) -> (String, Vec<String>) {
    const NAMES: [&str; 10] = ["a", "b", "ab", "a*", "*b", "?a*", "/(a|b)+/", "/(a.*)b/", "/b(.)?/", "*"];
    const TARGETS: [&str; 8] = [
        "a@home.test",
        "$0@home.test",
        "$0a@home.test",
        "b$0@home.test",
        "ab@home.test",
        "a+b@home.test",
        "$0@far.test",
        "b@far.test",
    ];
    let name = NAMES[dice.below(NAMES.len())];
    let targets = (0..1 + dice.below(3)).map(|_| TARGETS[dice.below(TARGETS.len())].to_owned());
    (format!("{name}@home.test"), targets.collect())
}
