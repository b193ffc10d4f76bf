//! Rows are counted once, and leave when they are filed.

use super::*;
use crate::model::Domain;
use crate::model::dmarc_policy::{Alignment, Policy};
use crate::model::dmarc_report::{Disposition, PublishedPolicy, Row, Rows};

pub(super) fn batch(n: u64) -> BatchId {
    BatchId { by: inc(n), day: n, cut: 7 }
}

/// One row of one message.
pub(super) fn rows(n: u64) -> Rows {
    let domain = Domain::parse("x.test").unwrap();
    let policy = PublishedPolicy {
        domain: domain.clone(),
        p: Policy::Reject,
        sp: None,
        np: None,
        adkim: Alignment::Relaxed,
        aspf: Alignment::Relaxed,
        is_testing: false,
    };
    let row = Row {
        policy,
        source: std::net::Ipv4Addr::from(n as u32).into(),
        disposition: Disposition::Reject,
        is_dkim_aligned: false,
        is_spf_aligned: false,
        overridden: None,
        header_from: domain,
        envelope_from: None,
        dkim: Vec::new(),
        spf: None,
    };
    [(row, 1)].into()
}

pub(super) fn observed(n: u64, segment: u64, row: u64) -> Record {
    Record::Observed(Observed { segment, batches: vec![Batch::new(batch(n), &rows(row))] })
}

fn messages(live: &Live) -> u64 {
    live.observations.batches().flat_map(|(_, rows)| rows.values()).sum()
}

#[test]
fn messages_that_are_alike_are_one_row_of_their_batch_until_that_is_filed() {
    let mut live = replay(&[observed(1, 0, 5), observed(1, 1, 5), observed(1, 2, 6), observed(2, 3, 5)]);
    assert_eq!((messages(&live), live.observations.rows()), (4, 3));
    assert!(live.is_empty() && !live.is_done_with());
    live.apply(&Record::Filed(batch(1)));
    assert_eq!(messages(&live), 1);
    live.apply(&Record::Filed(batch(2)));
    assert!(live.is_done_with());
}

#[test]
fn segments_that_stand_in_any_order_are_counted_once_though_a_checkpoint_held_some_of_them() {
    // In the order in which a writer with four numbers under way may see them stand.
    let writer = [1, 3, 2, 0, 4, 7, 6, 5];
    for seen in 0..=writer.len() {
        let covers = (0..).find(|number| !writer[..seen].contains(number)).unwrap();
        let of = |number: &u64| observed(1, *number, 5);
        let checkpoint = replay(&writer[..seen].iter().map(of).collect::<Vec<_>>());
        let text = serde_json::to_string(&checkpoint).unwrap();
        let mut live: Live = serde_json::from_str(&text).unwrap();
        assert_eq!(live, checkpoint);
        (covers..writer.len() as u64).for_each(|number| live.apply(&of(&number)));
        assert_eq!(messages(&live), writer.len() as u64, "{seen}");
    }
}

#[test]
fn what_is_adopted_stays_what_it_was() {
    let before = replay(&[observed(1, 0, 5), observed(1, 1, 6)]);
    let adopt = Record::Adopt {
        of: inc(1),
        epoch: 1,
        folders: vec![],
        damaged: vec![],
        entries: Entries::default(),
        observed: before.observations.to_batches(),
    };
    // A row of the adopter's own first segment is another's.
    let after = replay(&[observed(9, 0, 5), adopt.clone(), adopt]);
    assert_eq!(messages(&after), 3);
    assert!(after.observations.batches().any(|(id, _)| id == batch(1)));
}
