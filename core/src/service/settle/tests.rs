use std::sync::Arc;
use std::time::Duration;

use super::reports::{leads_to, strip_success};
use super::*;
use crate::authn::srs::SrsFault;
use crate::directory::{Resolution, Target};
use crate::model::options::Notify;
use crate::model::{Address, Incarnation, MailOptions, QueueId, RecipientOptions, ReversePath};
use crate::queue::Addressee;
use crate::state::frame::Extent;
use crate::state::log::{Body, Class, Content, Part};

const HOUR: Duration = Duration::from_hours(1);
const NEVER: Notify = Notify { success: false, failure: false, delay: false };

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn recipient(to: u32, notify: Option<Notify>) -> Recipient {
    Recipient {
        to,
        address: address(&format!("u{to}@home.test")),
        alias: None,
        class: Class::Local,
        attempts: to,
        next: UtcTime(0),
        last_reply: None,
        options: RecipientOptions { notify, original: None },
    }
}

fn envelope(options: MailOptions) -> Envelope {
    let inc = Incarnation::draw(UtcTime(1), [1; 10]);
    let part = Part { inc, seq: 0, extent: Extent { at: 0, len: 0, crc: 0 } };
    Envelope {
        id: QueueId::draw(UtcTime(1), [2; 10]),
        accepted: UtcTime(0),
        reverse_path: ReversePath::Address(address("alice@home.test")),
        options,
        verdict: None,
        size: 0,
        content: Content { header: part, body: Body::Inline(part) },
    }
}

fn work(recipients: Vec<Recipient>, options: MailOptions) -> Work {
    Work {
        incarnation: Incarnation::draw(UtcTime(1), [1; 10]),
        envelope: Arc::new(envelope(options)),
        recipients,
        destination: None,
        fresh: None,
        is_ordered: false,
    }
}

fn by(hours: u64, is_return: bool, is_traced: bool) -> MailOptions {
    let at = UtcTime(0).after(HOUR * hours as u32);
    MailOptions { deliver_by: Some(DeliverBy { at, is_return, is_traced }), ..MailOptions::default() }
}

fn reply(code: u16) -> Reply {
    Reply::new(code, ((code / 100) as u8, 3, 0), "said")
}

#[test]
fn only_what_was_deferred_for_too_long_expires() {
    let settings = QueueSettings::default();
    let (limit, second) = (settings.expire, Duration::from_secs(1));
    let held = MailOptions { hold_until: Some(UtcTime(0).after(HOUR)), ..MailOptions::default() };
    let deferred = || Outcome::Deferred(reply(451));
    for (outcome, options, age, fails) in [
        (deferred(), MailOptions::default(), limit - second, false),
        (deferred(), MailOptions::default(), limit, true),
        (deferred(), held.clone(), limit, false),
        (deferred(), held, limit + HOUR, true),
        (deferred(), by(2, true, false), HOUR, false),
        (deferred(), by(2, true, false), HOUR * 2, true),
        (deferred(), by(2, false, false), HOUR * 2, false),
        (Outcome::Delivered(reply(250)), MailOptions::default(), limit, false),
    ] {
        let expected = if fails { None } else { Some(outcome.clone()) };
        let expired = expire(outcome, &envelope(options.clone()), &settings, UtcTime(0).after(age));
        match expected {
            Some(expected) => assert_eq!(expired, expected, "{options:?} after {age:?}"),
            None => {
                let is_expiry =
                    matches!(&expired, Outcome::Failed(reply) if reply.to_string().contains("5.4.7"));
                assert!(is_expiry, "{expired:?}");
            }
        }
    }
    assert!(overdue(&envelope(by(2, true, false)), UtcTime(0).after(HOUR * 2)).is_some());
    assert_eq!(overdue(&envelope(by(2, false, false)), UtcTime(0).after(HOUR * 3)), None);
}

#[test]
fn a_sender_is_told_what_it_asked_for() {
    let settings = QueueSettings::default();
    let success = Some(Notify { success: true, ..NEVER });
    let delay = Some(Notify { delay: true, ..NEVER });
    let far = |offers_dsn| Some(Remote { name: "mx.test".into(), offers_dsn });
    let (delivered, failed, deferred) =
        (Outcome::Delivered(reply(250)), Outcome::Failed(reply(550)), Outcome::Deferred(reply(451)));
    let late = settings.delay_notice;
    let until = UtcTime(0).after(settings.expire);
    let plain = MailOptions::default;
    for (notify, options, outcome, remote, age, expected) in [
        (None, plain(), failed.clone(), None, HOUR, Some(Action::Failed)),
        (Some(NEVER), plain(), failed.clone(), None, HOUR, None),
        (success, plain(), failed, None, HOUR, None),
        (None, plain(), delivered.clone(), None, HOUR, None),
        (success, plain(), delivered.clone(), None, HOUR, Some(Action::Delivered)),
        (success, plain(), delivered.clone(), far(false), HOUR, Some(Action::Relayed)),
        (success, plain(), delivered.clone(), far(true), HOUR, None),
        (None, by(9, false, true), delivered.clone(), far(true), HOUR, Some(Action::Relayed)),
        (Some(NEVER), by(9, false, true), delivered, far(true), HOUR, None),
        (None, plain(), deferred.clone(), None, late, None),
        (delay, plain(), deferred.clone(), None, late - HOUR, None),
        (delay, plain(), deferred.clone(), None, late, Some(Action::Delayed { until })),
        (None, by(2, false, false), deferred.clone(), None, HOUR, None),
        (None, by(2, false, false), deferred.clone(), None, HOUR * 2, Some(Action::Delayed { until })),
        (success, by(2, false, false), deferred, None, HOUR * 2, None),
    ] {
        let work = work(vec![recipient(3, notify)], options);
        let ended = [Ended { to: 3, outcome: outcome.clone(), remote: remote.clone() }];
        let told = tell(&work, &ended, &settings, UtcTime(0).after(age));
        let expected: Vec<_> = expected.into_iter().map(|action| (3, action)).collect();
        assert_eq!(told, expected, "{notify:?} {outcome:?} {remote:?} after {age:?}");
    }
}

#[test]
fn a_delay_that_was_told_of_is_not_told_of_again() {
    let notice = QueueSettings::default().delay_notice;
    for (notify, options) in
        [(Some(Notify { delay: true, ..NEVER }), MailOptions::default()), (None, by(1, false, false))]
    {
        let mut recipient = recipient(0, notify);
        let envelope = envelope(options);
        assert!(envelope.delay_due(&recipient, notice).is_some());
        recipient.options = recipient.options.without_delay();
        assert_eq!(envelope.delay_due(&recipient, notice), None);
        assert_eq!(recipient.options.reports_failure(), notify.is_none());
    }
}

#[test]
fn the_lowest_number_comes_first_and_reports_of_delays_and_ends_have_names_of_their_own() {
    let notify = Some(Notify { delay: true, failure: true, success: false });
    let work = work([1, 4, 7].map(|to| recipient(to, notify)).into(), by(0, false, false));
    let ended = |to, outcome| Ended { to, outcome, remote: None };
    let ended = [
        ended(7, Outcome::Failed(reply(550))),
        ended(1, Outcome::Deferred(reply(451))),
        ended(4, Outcome::Failed(reply(550))),
    ];
    let told = tell(&work, &ended, &QueueSettings::default(), UtcTime(0).after(HOUR));
    assert_eq!(told.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [1, 4, 7]);
    let id = work.envelope.id;
    assert_eq!(super::reports::name(id, &told), id.derived(4));
    assert_ne!(super::reports::name(id, &told[..1]), id.derived(1));
}

#[test]
fn a_failure_whose_report_must_wait_waits_with_it() {
    let reply = reply(550);
    let mut outcomes = [Outcome::Failed(reply.clone()), Outcome::Delivered(reply.clone())];
    outcomes.iter_mut().for_each(postpone);
    assert!(matches!(&outcomes[0], Outcome::Deferred(reply) if reply.code == 451), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Delivered(reply));
}

#[test]
fn success_is_told_of_once_where_an_alias_comes_to_several() {
    let to = |text: &str, alias: Option<&str>| Addressee {
        address: address(text),
        alias: alias.map(address),
        class: Class::Local,
        options: RecipientOptions { notify: Some(Notify { success: true, ..NEVER }), original: None },
    };
    let (team, one) = (Some("team@x.test"), Some("one@x.test"));
    let mut recipients =
        [to("a@x.test", team), to("b@x.test", team), to("c@x.test", one), to("d@x.test", None)];
    strip_success(&mut recipients);
    let reports = recipients.map(|addressee| addressee.options.reports_success());
    assert_eq!(reports, [false, false, true, true]);
}

#[test]
fn a_report_goes_where_its_address_leads() {
    let sender = address("Team@home.test");
    let local = |text: &str| Target { address: address(text), class: Class::Local };
    let two = vec![local("a@home.test"), Target::relay(address("b@far.test"))];
    let leads_to = |resolution| {
        let recipients = leads_to(&sender, resolution)?;
        let classes = recipients.into_iter().map(|to| (to.address.to_string(), to.alias, to.class));
        Ok::<_, &str>(classes.collect::<Vec<_>>())
    };
    let alias = Some(sender.clone());
    let expected = [("a@home.test", Class::Local), ("b@far.test", Class::Relay)]
        .map(|(to, class)| (to.to_owned(), alias.clone(), class));
    assert_eq!(leads_to(Resolution::Targets(two)).unwrap(), expected);
    let itself = (sender.to_string(), None, Class::Relay);
    assert_eq!(leads_to(Resolution::Foreign).unwrap(), [itself]);
    let forged = Resolution::BadReturn(SrsFault::Forged);
    for nobody in [Resolution::NoSuchUser, Resolution::TooMany, Resolution::Tangled, forged] {
        assert!(leads_to(nobody.clone()).is_err(), "{nobody:?}");
    }
}
