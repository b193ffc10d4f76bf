mod entries;
mod observations;

use std::sync::Arc;

use proptest::prelude::*;

use self::observations::{batch, observed, rows};
use super::*;
use crate::model::dmarc_policy::Policy;
use crate::model::verdict::{DmarcResult, Judgement, Reason};
use crate::model::{
    Address, BodyId, BodyType, Domain, EnhancedStatus, MailOptions, RecipientOptions, Reply, ReversePath,
};
use crate::state::frame::Extent;

fn id(n: u64) -> QueueId {
    QueueId::draw(UtcTime(n), [n as u8; 10])
}

fn inc(n: u64) -> Incarnation {
    Incarnation::draw(UtcTime(n), [n as u8; 10])
}

fn entry(n: u64, recipients: u32, large: bool) -> Entry {
    let part = Part { inc: inc(1), seq: n, extent: Extent { at: n, len: 7, crc: 9 } };
    let pieces = vec![Piece { len: 2 << 20, crc: 1 }, Piece { len: 5, crc: 2 }];
    let large_body = Body::Pieces(Pieces { inc: inc(1), body: BodyId::draw(UtcTime(n), [3; 10]), pieces });
    let envelope = Envelope {
        id: id(n),
        accepted: UtcTime(n),
        reverse_path: ReversePath::Address(Address::parse("a@x.test").unwrap()),
        options: MailOptions::of(if large { BodyType::EightBitMime } else { BodyType::SevenBit }),
        verdict: large.then(|| Judgement {
            result: DmarcResult::Fail,
            author_domain: Some(Domain::parse("y.test").unwrap()),
            policy: Some(Policy::Quarantine),
            is_quarantined: true,
            spared: Vec::new(),
            reason: Reason::Policy,
        }),
        size: 100,
        content: Content { header: part, body: if large { large_body } else { Body::Inline(part) } },
    };
    let recipients = (0..recipients).map(|to| Recipient {
        to,
        address: Address::parse(&format!("u{to}@example.org")).unwrap(),
        alias: None,
        class: Class::Local,
        attempts: 0,
        next: UtcTime(n),
        last_reply: None,
        options: RecipientOptions::default(),
    });
    Entry { envelope: Arc::new(envelope), recipients: recipients.collect() }
}

fn attempted(n: u64, to: u32, delivered: bool) -> Record {
    let reply =
        if delivered { Reply::new(250, (2, 1, 5), "ok") } else { Reply::new(451, (4, 3, 0), "later") };
    let outcome = if delivered { Outcome::Delivered(reply) } else { Outcome::Deferred(reply) };
    Record::Attempted {
        id: id(n),
        outcomes: vec![Attempt { to, outcome, next: UtcTime(n + 60_000), is_told: false }],
    }
}

fn replay(records: &[Record]) -> Live {
    let mut live = Live::default();
    records.iter().for_each(|record| live.apply(record));
    live
}

#[test]
fn an_entry_lives_until_its_last_recipient_is_done_with() {
    let mut live = replay(&[Record::Accept(entry(1, 2, false)), attempted(1, 0, true)]);
    assert_eq!(live.entries.recipients_left(id(1)), 1);
    live.apply(&attempted(1, 1, false));
    let left = &live.entries.get(id(1)).unwrap().recipients[0];
    assert_eq!((left.to, left.attempts, left.next), (1, 1, UtcTime(60_001)));
    live.apply(&attempted(1, 1, true));
    assert!(live.is_empty());
}

#[test]
fn an_adopted_entry_keeps_what_its_recipients_went_through() {
    let before = replay(&[Record::Accept(entry(1, 3, true)), attempted(1, 0, true), attempted(1, 2, false)]);
    let adopt = Record::Adopt {
        of: inc(1),
        epoch: 1,
        folders: vec![inc(9)],
        damaged: vec![],
        entries: before.entries.clone(),
        observed: vec![],
    };
    let after = replay(&[adopt]);
    assert_eq!(after.entries, before.entries);
    assert_eq!(after.folders.into_iter().collect::<Vec<_>>(), [inc(1), inc(9)]);
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (0u64..6, 1u32..4, any::<bool>()).prop_map(|(n, to, large)| Record::Accept(entry(n, to, large))),
        (0u64..6, 0u32..4, any::<bool>()).prop_map(|(n, to, done)| attempted(n, to, done)),
        (0u64..6).prop_map(|n| Record::Adopt {
            of: inc(n),
            epoch: n,
            folders: vec![],
            damaged: vec![],
            entries: Entries::from_iter([entry(n + 10, 1, false)]),
            observed: vec![Batch::new(batch(n), &rows(n))],
        }),
        (0u64..3, 0u64..6, 0u64..3).prop_map(|(n, segment, row)| observed(n, segment, row)),
        (0u64..6).prop_map(|n| Record::Filed(batch(n))),
    ]
}

proptest! {
    #[test]
    fn a_segment_decodes_to_what_was_encoded(records in prop::collection::vec(any_record(), 0..8)) {
        let segment = Segment { inc: inc(1), seq: 3, nonce: Nonce::draw(UtcTime(1), [1; 10]), at: UtcTime(5), records };
        let encoded = segment.encode(Data::default());
        let mut expected = segment;
        for record in &mut expected.records {
            if let Record::Accept(entry) = record {
                entry.move_content(encoded.data_at);
            }
        }
        prop_assert_eq!(Segment::decode(&encoded.payload.to_bytes()).unwrap(), expected);
    }

    #[test]
    fn replaying_a_tail_again_on_top_of_its_effects_changes_nothing_that_lives(
        records in prop::collection::vec(any_record(), 0..12), from in 0usize..12
    ) {
        // What a checkpoint relies on: it may hold effects of segments that it does not cover. Each message is accepted once.
        let mut seen = std::collections::BTreeSet::new();
        let records: Vec<Record> = records.into_iter().filter(|record| match record {
            Record::Accept(entry) => seen.insert(entry.envelope.id),
            Record::Adopt { entries, .. } => entries.iter().all(|entry| seen.insert(entry.envelope.id)),
            Record::Attempted { id, .. } => seen.contains(id),
            _ => true,
        }).collect();
        let once = replay(&records);
        let mut twice = once.clone();
        records[from.min(records.len())..].iter().for_each(|record| twice.apply(record));
        let recipients = |live: &Live| -> Vec<(QueueId, Vec<u32>)> {
            let left = |entry: &Entry| entry.recipients.iter().map(|r| r.to).collect();
            live.entries.iter().map(|entry| (entry.envelope.id, left(&entry))).collect()
        };
        prop_assert_eq!(recipients(&once), recipients(&twice));
    }

    #[test]
    fn a_checkpoint_decodes_to_what_was_encoded(records in prop::collection::vec(any_record(), 0..8)) {
        let checkpoint =
            Checkpoint { inc: inc(1), covers: 9, nonce: Nonce::draw(UtcTime(1), [1; 10]), live: replay(&records) };
        let octets = checkpoint.encode().payload.to_bytes();
        prop_assert_eq!(Checkpoint::decode(&octets).unwrap(), checkpoint);
    }
}
