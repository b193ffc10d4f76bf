//! Entries do what a map of them would.

use std::collections::BTreeMap;

use super::*;
use crate::model::options::Notify;

/// What happens to entries.
#[derive(Clone, Debug)]
enum Change {
    Insert(Entry),
    Attempted(QueueId, Vec<Attempt>),
    Merge(Vec<Entry>),
}

/// The same, done to a map.
fn apply(map: &mut BTreeMap<QueueId, Entry>, change: &Change) {
    match change {
        Change::Insert(entry) => drop(map.insert(entry.envelope.id, entry.clone())),
        Change::Merge(entries) => map.extend(entries.iter().map(|entry| (entry.envelope.id, entry.clone()))),
        Change::Attempted(id, outcomes) => {
            let Some(entry) = map.get_mut(id) else { return };
            for attempt in outcomes {
                let Some(index) = entry.recipients.iter().position(|recipient| recipient.to == attempt.to)
                else {
                    continue;
                };
                let recipient = &mut entry.recipients[index];
                recipient.attempts += 1;
                recipient.next = attempt.next;
                recipient.last_reply = Some(attempt.outcome.reply().clone());
                if attempt.outcome.is_final() {
                    entry.recipients.remove(index);
                }
            }
            if entry.recipients.is_empty() {
                map.remove(id);
            }
        }
    }
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let status = prop_oneof![Just(None), (4u8..6, any::<u16>(), any::<u16>()).prop_map(Some)];
    (200u16..600, status, "[ -~\u{e9}]{0,90}").prop_map(|(code, status, text)| Reply {
        code,
        enhanced_status: status.map(|(class, subject, detail)| EnhancedStatus(class, subject, detail)),
        text: text.into(),
    })
}

fn any_address() -> impl Strategy<Value = Address> {
    ("[ -~]{1,20}", "[a-z]{1,10}\\.test")
        .prop_map(|(local, domain)| Address::with_local_part(&local, domain.parse().unwrap()).unwrap())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let recipients = prop_oneof![8 => 1u32..3, 1 => 60u32..70, 1 => 120u32..200];
    let reverse_path = prop_oneof![Just(ReversePath::Null), any_address().prop_map(ReversePath::Address),];
    let recipient =
        (any_address(), prop::option::of(any_address()), any::<u64>(), prop::option::of(any_reply()));
    (0u64..40, recipients, any::<bool>(), any::<bool>(), any::<u64>(), reverse_path, recipient).prop_map(
        |(n, recipients, large, elsewhere, time, reverse_path, (address, alias, next, last_reply))| {
            let mut entry = entry(n, recipients, large);
            let envelope = Arc::make_mut(&mut entry.envelope);
            envelope.accepted = UtcTime(time);
            envelope.reverse_path = reverse_path;
            let mut options = RecipientOptions::default();
            if time % 2 == 0 {
                envelope.options.envid = Some(format!("\u{e9} {n}"));
                envelope.options.priority = -4;
                options.notify = Some(Notify { delay: true, ..Notify::default() });
            }
            if let (true, Body::Inline(part)) = (elsewhere, &mut envelope.content.body) {
                part.seq += 1;
            }
            let last = entry.recipients.last_mut().unwrap();
            *last = Recipient {
                address,
                alias,
                next: UtcTime(next),
                last_reply,
                options,
                class: if next % 2 == 0 { Class::Relay } else { Class::Local },
                ..last.clone()
            };
            entry
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    let attempt =
        (0u32..200, any::<bool>(), any_reply(), any::<u64>()).prop_map(|(to, done, reply, next)| {
            let outcome = if done { Outcome::Delivered(reply) } else { Outcome::Deferred(reply) };
            Attempt { to, outcome, next: UtcTime(next), is_told: false }
        });
    let few = (0u64..40, prop::collection::vec(attempt, 0..12));
    let all = (0u64..40, 1u32..200).prop_map(|(n, all)| {
        let attempts = (0..all).map(|to| match attempted(n, to, true) {
            Record::Attempted { outcomes, .. } => outcomes[0].clone(),
            _ => unreachable!(),
        });
        (n, attempts.collect())
    });
    let attempted = prop_oneof![2 => few, 3 => all];
    prop_oneof![
        3 => any_entry().prop_map(Change::Insert),
        3 => attempted.prop_map(|(n, outcomes)| Change::Attempted(id(n), outcomes)),
        1 => prop::collection::vec(any_entry(), 0..12).prop_map(Change::Merge),
    ]
}

fn check(entries: &Entries, map: &BTreeMap<QueueId, Entry>) {
    assert_eq!(entries.iter().collect::<Vec<_>>(), map.values().cloned().collect::<Vec<_>>());
    assert_eq!((entries.len(), entries.is_empty()), (map.len(), map.is_empty()));
    for id in (0..40).map(id) {
        assert_eq!(entries.contains(id), map.contains_key(&id));
        assert_eq!(entries.get(id).as_ref(), map.get(&id));
        assert_eq!(entries.recipients_left(id), map.get(&id).map_or(0, |entry| entry.recipients.len()));
        let part = entries.part(id, &[130, 0, 63, 64]);
        let wanted = map.get(&id).map(|entry| {
            [0, 63, 64, 130].iter().filter_map(|to| entry.recipient(*to)).cloned().collect::<Vec<_>>()
        });
        assert_eq!(part.map(|part| part.recipients), wanted);
    }
    let due = map
        .values()
        .flat_map(|entry| entry.recipients.iter().map(|to| (entry.envelope.id, to.to, to.class, to.next)));
    assert!(entries.due().eq(due));
    let octets: Vec<u8> = entries.pages().flatten().copied().collect();
    assert_eq!(Entries::read(&octets, map.len()).as_ref(), Some(entries));
    assert_eq!(Entries::read(&octets, map.len() + 1), None);
}

proptest! {
    #[test]
    fn entries_do_what_a_map_of_them_would(changes in prop::collection::vec(any_change(), 0..24)) {
        let (mut entries, mut map) = (Entries::default(), BTreeMap::new());
        for change in &changes {
            let (before, then) = (entries.clone(), map.clone());
            match change {
                Change::Insert(entry) => entries.insert(entry),
                Change::Attempted(id, outcomes) => entries.attempted(*id, outcomes),
                Change::Merge(others) => entries.merge(&others.iter().cloned().collect()),
            }
            apply(&mut map, change);
            check(&entries, &map);
            prop_assert!(before.iter().eq(then.into_values()), "a clone does not change");
        }
    }

    #[test]
    fn no_octets_make_the_reader_panic(
        entries in prop::collection::vec(any_entry(), 1..4), at: prop::sample::Index, octet: u8, cut: prop::sample::Index
    ) {
        let entries = Entries::from_iter(entries);
        let mut octets: Vec<u8> = entries.pages().flatten().copied().collect();
        let at = at.index(octets.len());
        octets[at] = octet;
        if let Some(read) = Entries::read(&octets, entries.len()) {
            prop_assert_eq!(read.iter().count(), entries.len());
        }
        octets.truncate(cut.index(octets.len()));
        let _ = Entries::read(&octets, entries.len());
    }
}

#[test]
fn pages_stay_filled_when_most_of_what_came_has_gone() {
    let mut entries = Entries::from_iter((0..20_000).map(|n| entry(n, 1, false)));
    let octets = |entries: &Entries| entries.pages().map(|page| page.len()).sum::<usize>();
    let one = octets(&entries) / 20_000;
    let pages = |entries: &Entries| entries.pages().count();
    assert!(pages(&entries) * 3_500 < octets(&entries), "{} pages", pages(&entries));
    for n in (0..20_000).filter(|n| n % 50 > 0) {
        let Record::Attempted { id, outcomes } = attempted(n, 0, true) else { continue };
        entries.attempted(id, &outcomes);
    }
    assert_eq!(entries.len(), 400);
    assert!(pages(&entries) * 750 < 400 * one, "{} pages of {}", pages(&entries), 400 * one);
}
