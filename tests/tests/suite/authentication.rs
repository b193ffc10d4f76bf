//! Logging in, by every mechanism and against every obstacle, in virtual time; with several nodes on one store.

mod tokens;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use fulmar_core::model::Event;
use fulmar_core::sasl::{Failure, Mechanism};
use fulmar_core::service::authentication::How;
use fulmar_core::state::account::credentials::Scope;
use fulmar_core::state::lock;
use fulmar_tests::faults::{Failure as Lost, Verb, Which};
use world::{ALICE, BOB, PASSWORD, address, in_world};

const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.1";
/// Mechanisms that prove to know a password.
const WITH_PASSWORD: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus];
/// By then every node has listed `live/`, however idle it is, and read what is new there.
const HEARD_OF: Duration = Duration::from_secs(150);

#[test]
fn every_mechanism_lets_in_whoever_knows_the_password_and_nobody_else() {
    in_world(async |world| {
        let node = world.node().await;
        for mechanism in WITH_PASSWORD {
            for (name, password, is_in) in [
                (ALICE, PASSWORD, true),
                ("Alice@HOME.test", PASSWORD, true),
                ("alice", PASSWORD, true),
                (ALICE, "wrong", false),
                ("nobody@home.test", PASSWORD, false),
                ("alice@elsewhere.test", PASSWORD, false),
                ("team@home.test", PASSWORD, false),
                ("not an address", PASSWORD, false),
            ] {
                let end = node.log_in(mechanism, HOME, name, password).await;
                let expected =
                    if is_in { Ok((ALICE.to_owned(), How::Password)) } else { Err(Failure::Credentials) };
                assert_eq!(end, expected, "{mechanism:?} {name} {password}");
                // Nobody is to be locked out here.
                world.pass(Duration::from_mins(20)).await;
            }
        }
    });
}

#[test]
fn nobody_acts_for_somebody_else() {
    in_world(async |world| {
        let node = world.node().await;
        for (authzid, is_in) in [(ALICE, true), ("alice", true), (BOB, false), ("nobody", false)] {
            let message = format!("{authzid}\0{ALICE}\0{PASSWORD}");
            let end = node.respond(Mechanism::Plain, HOME, message.as_bytes()).await;
            assert_eq!(end.is_ok(), is_in, "{authzid}: {end:?}");
        }
    });
}

#[test]
fn a_bare_name_is_of_the_only_domain_or_of_none() {
    in_world(async |world| {
        world.admin.domain_add(address("x@other.test").domain()).await.unwrap();
        let node = world.node().await;
        assert_eq!(node.log_in(Mechanism::Plain, HOME, "alice", PASSWORD).await, Err(Failure::Credentials));
        let settings = |auth: &mut fulmar_core::config::AuthSettings| {
            auth.default_domain = Some(address(ALICE).domain().clone());
        };
        let node = world.node_with(settings).await;
        assert!(node.log_in(Mechanism::Plain, HOME, "alice", PASSWORD).await.is_ok());
    });
}

#[test]
fn an_app_password_opens_what_it_is_for_until_it_is_taken_away() {
    in_world(async |world| {
        let node = world.node().await;
        let (admin, alice) = (&world.admin, address(ALICE));
        let scopes = BTreeSet::from([Scope::Smtp, Scope::Imap]);
        let (id, phone) = admin.app_password_add(&alice, "phone", &scopes).await.unwrap();
        let (_, desk) = admin.app_password_add(&alice, "desk", &BTreeSet::from([Scope::Pop3])).await.unwrap();
        let opened = Ok((ALICE.to_owned(), How::AppPassword(id)));
        // The node asks in the scope of SMTP.
        for (password, expected) in [(&phone, opened.clone()), (&desk, Err(Failure::Credentials))] {
            let end = node.log_in(Mechanism::Plain, HOME, ALICE, password.expose()).await;
            assert_eq!(end, expected);
        }
        // With SCRAM the password of the account is meant, for as long as it has one.
        let scram = async || node.log_in(Mechanism::ScramSha256, HOME, ALICE, phone.expose()).await;
        assert_eq!(scram().await, Err(Failure::Credentials));
        admin.account_drop_password(&alice).await.unwrap();
        assert_eq!(scram().await, opened);
        assert!(node.log_in(Mechanism::Plain, HOME, ALICE, PASSWORD).await.is_err());
        let names: Vec<_> =
            admin.app_passwords(&alice).await.unwrap().into_iter().map(|app| app.name).collect();
        assert_eq!(names, ["phone", "desk"]);
        admin.app_password_remove(&alice, id).await.unwrap();
        assert!(admin.app_password_remove(&alice, id).await.is_err());
        assert!(node.log_in(Mechanism::Plain, HOME, ALICE, phone.expose()).await.is_err());
    });
}

#[test]
fn a_disabled_account_refuses_everybody_as_if_the_password_were_wrong() {
    in_world(async |world| {
        let node = world.node().await;
        for (disabled, mechanism) in WITH_PASSWORD.into_iter().flat_map(|one| [(true, one), (false, one)]) {
            world.admin.account_set_disabled(&address(ALICE), disabled).await.unwrap();
            let end = node.log_in(mechanism, HOME, ALICE, PASSWORD).await;
            assert_eq!(end.err(), disabled.then_some(Failure::Credentials), "{mechanism:?}");
            let end = node.certified(&[ALICE], "").await;
            assert_eq!(end.err(), disabled.then_some(Failure::Credentials));
        }
        assert!(world.admin.accounts().await.unwrap().iter().all(|account| !account.disabled));
    });
}

#[test]
fn a_certificate_lets_in_whom_it_names() {
    in_world(async |world| {
        let node = world.node().await;
        for (addresses, authzid, is_in) in [
            (&[ALICE][..], "", Some(ALICE)),
            (&["Alice@home.test"], ALICE, Some(ALICE)),
            (&[ALICE, BOB], BOB, Some(BOB)),
            (&[ALICE], BOB, None),
            (&[], ALICE, None),
            (&[], "", None),
            (&["nobody@home.test"], "", None),
        ] {
            let end = node.certified(addresses, authzid).await;
            let expected = is_in.map(|account| (account.to_owned(), How::Certificate));
            assert_eq!(end.ok(), expected, "{addresses:?} {authzid}");
        }
    });
}

#[test]
fn no_refusal_tells_by_its_time_whether_there_is_an_account() {
    in_world(async |world| {
        let node = world.node().await;
        for mechanism in WITH_PASSWORD {
            for name in [ALICE, "nobody@home.test", "not an address"] {
                let began = world.platform.clock.instant();
                assert_eq!(node.log_in(mechanism, HOME, name, "wrong").await, Err(Failure::Credentials));
                let took = world.platform.clock.instant().since(began);
                let expected = Duration::from_secs(1)..=Duration::from_secs(3);
                assert!(expected.contains(&took), "{mechanism:?} {name} took {took:?}");
                world.pass(Duration::from_mins(20)).await;
            }
        }
    });
}

#[test]
fn a_name_without_an_account_has_one_salt_on_every_node() {
    in_world(async |world| {
        let (one, other) = (world.node().await, world.node().await);
        for names in [["nobody@home.test", "NOBODY@home.test"], [ALICE, "alice"]] {
            let salts = [one.salt(names[0]).await, other.salt(names[1]).await];
            assert_eq!(salts[0], salts[1], "{names:?}");
        }
        assert_ne!(one.salt("nobody@home.test").await, one.salt("nobody2@home.test").await);
    });
}

#[test]
fn whoever_guesses_too_often_is_locked_out_on_every_node_that_serves_logins() {
    in_world(async |world| {
        let (one, other, idle) = (world.node().await, world.node().await, world.node().await);
        assert!(other.log_in(Mechanism::Plain, ELSEWHERE, BOB, PASSWORD).await.is_ok());
        for guess in 0..10 {
            let end = one.log_in(Mechanism::Plain, HOME, ALICE, &format!("guess {guess}")).await;
            assert_eq!(end, Err(Failure::Credentials));
        }
        assert_eq!(one.events(|event| matches!(event, Event::LockedOut { .. })), 1);
        world.pass(HEARD_OF).await;
        for node in [&one, &other] {
            for mechanism in WITH_PASSWORD {
                let end = node.log_in(mechanism, HOME, ALICE, PASSWORD).await;
                assert_eq!(end, Err(Failure::Credentials), "{mechanism:?}");
            }
            assert!(node.log_in(Mechanism::Plain, ELSEWHERE, ALICE, PASSWORD).await.is_ok());
        }
        // A node that nobody logs in at has not asked for it.
        assert_eq!(other.faults.count(&Which::new(Verb::Get, ".lock")), 1);
        assert_eq!(idle.faults.count(&Which::new(Verb::Get, ".lock")), 0);
        assert!(idle.log_in(Mechanism::Plain, HOME, ALICE, PASSWORD).await.is_ok());
        assert_eq!(world.locks().await.len(), 1);
        world.pass(Duration::from_mins(20)).await;
        for node in [&one, &other] {
            assert!(node.log_in(Mechanism::Plain, HOME, ALICE, PASSWORD).await.is_ok());
        }
        world.pass(lock::LIFE + HEARD_OF).await;
        assert_eq!(world.locks().await, Vec::<String>::new());
    });
}

#[test]
fn many_locks_are_one_object_that_is_written_now_and_then() {
    in_world(async |world| {
        let node = world.node().await;
        let began = world.platform.clock.instant();
        for attacker in 0..8 {
            let from = format!("198.51.{attacker}.1");
            for guess in 0..10 {
                let (name, guess) = (format!("{attacker}@home.test"), format!("guess {guess}"));
                node.log_in(Mechanism::Plain, &from, &name, &guess).await.unwrap_err();
            }
        }
        world.pass(Duration::from_secs(15)).await;
        let took = world.platform.clock.instant().since(began);
        assert_eq!(node.events(|event| matches!(event, Event::LockedOut { .. })), 8);
        assert_eq!(world.locks().await.len(), 1);
        let written = node.faults.count(&Which::new(Verb::Put, ".lock"));
        assert!(
            (1..=8).contains(&written) && written as u64 <= took.as_secs() / 10 + 1,
            "{written} in {took:?}"
        );
        assert_eq!(node.faults.count(&Which::new(Verb::Get, ".lock")), 0);
    });
}

#[test]
fn a_store_that_is_away_is_no_reason_to_refuse_or_to_let_in() {
    in_world(async |world| {
        let node = world.node().await;
        node.faults.fail(Which::any(""), Lost::Refused, usize::MAX);
        for mechanism in WITH_PASSWORD {
            let end = node.log_in(mechanism, HOME, ALICE, PASSWORD).await;
            assert_eq!(end, Err(Failure::Unavailable), "{mechanism:?}");
        }
        node.faults.heal();
        assert!(node.log_in(Mechanism::Plain, HOME, ALICE, PASSWORD).await.is_ok());
    });
}
