//! What a store costs by its list price: S3 Standard in us-east-1. Whoever pays other prices, or keeps mail for longer, changes the
//! constants here: everything that is told of costs is computed from them.

use std::time::Duration;

use crate::state::requests::{Purpose, PurposeCounts, RequestCounts};
use crate::state::{GRACE, reports};

/// Dollars for a thousand PUT, COPY or LIST requests. DELETE is free.
pub const THOUSAND_WRITES: f64 = 0.005;
/// Dollars for a thousand GET or HEAD requests.
pub const THOUSAND_READS: f64 = 0.0004;
/// Dollars for a GB (2^30 octets) and month, the first 50 TB.
pub const STORED_GB_MONTH: f64 = 0.023;

/// How long what is written into an account is assumed to stay there.
pub const MAILBOX_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long what is written into the spool is assumed to stay there: mail that goes on at once lives for the grace alone.
pub const SPOOL_KEPT: Duration = GRACE;
/// What list prices mean by a month, in days.
const MONTH_DAYS: f64 = 30.0;
/// Seconds.
const DAY: f64 = 86_400.0;

/// What these requests cost, in dollars. Octets to and from nodes in the store's own region are free.
pub fn dollars(requests: &RequestCounts) -> f64 {
    let RequestCounts { put, get, head, list, copy, .. } = requests;
    let (writes, reads) = ((put + copy + list) as f64, (get + head) as f64);
    (writes * THOUSAND_WRITES + reads * THOUSAND_READS) / 1000.0
}

/// What keeping so many octets costs, in dollars a month.
pub fn dollars_per_month(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 30) * STORED_GB_MONTH
}

/// What keeping so many octets for so long costs, in dollars.
pub fn dollars_to_keep(octets: u64, kept: Duration) -> f64 {
    dollars_per_month(octets) * kept.as_secs_f64() / DAY / MONTH_DAYS
}

/// What keeping all that was written for this kind of work costs, in dollars, where each octet is kept as long as the constants here
/// assume. Snapshots, checkpoints and commits that they cover go sooner than that: it is a little less.
pub fn dollars_to_keep_of(work: Purpose, written: &RequestCounts) -> f64 {
    dollars_to_keep(written.put_bytes + written.copy_bytes, kept(work))
}

/// [`dollars_to_keep_of`], of all kinds of work together.
pub fn dollars_to_keep_all(written: &PurposeCounts) -> f64 {
    written.iter().map(|(work, counts)| dollars_to_keep_of(work, &counts)).sum()
}

/// What is assumed, in words.
pub fn assumptions() -> String {
    let days = |kept: Duration| kept.as_secs_f64() / DAY;
    format!(
        "list prices of S3 Standard: $ {THOUSAND_WRITES} per 1,000 PUT, COPY or LIST, {THOUSAND_READS} per 1,000 GET or HEAD, \
         {STORED_GB_MONTH} per GB and month; mailboxes keep mail for {} days, the spool for {}",
        days(MAILBOX_KEPT),
        days(SPOOL_KEPT)
    )
}

/// How long what is written for it is assumed to stay.
fn kept(work: Purpose) -> Duration {
    match work {
        Purpose::Accept | Purpose::Adopt | Purpose::Relay | Purpose::Maintain | Purpose::Pickup => SPOOL_KEPT,
        Purpose::Deliver | Purpose::Read | Purpose::Directory | Purpose::Administer => MAILBOX_KEPT,
        Purpose::Report => reports::KEPT,
        // Each is written over what was there before, or deleted at once.
        Purpose::Heartbeat | Purpose::Watch | Purpose::Probe => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_requests_of_each_verb_have_their_list_price() {
        let million = 1_000_000;
        for (verb, requests, price) in [
            ("put", RequestCounts { put: million, ..RequestCounts::default() }, 5.0),
            ("copy", RequestCounts { copy: million, ..RequestCounts::default() }, 5.0),
            ("list", RequestCounts { list: million, ..RequestCounts::default() }, 5.0),
            ("get", RequestCounts { get: million, ..RequestCounts::default() }, 0.4),
            ("head", RequestCounts { head: million, ..RequestCounts::default() }, 0.4),
            ("delete", RequestCounts { delete: million, ..RequestCounts::default() }, 0.0),
        ] {
            assert!((dollars(&requests) - price).abs() < 1e-9, "{verb}: {}", dollars(&requests));
        }
    }

    #[test]
    fn requests_of_several_verbs_cost_what_they_cost_one_by_one_and_octets_nothing() {
        let requests = RequestCounts {
            put: 3_000,
            get: 5_000,
            head: 5_000,
            list: 1_000,
            delete: 9_000,
            copy: 2_000,
            put_bytes: 1 << 40,
            get_bytes: 1 << 40,
            copy_bytes: 1 << 40,
        };
        assert!((dollars(&requests) - 0.034).abs() < 1e-12, "{}", dollars(&requests));
    }

    #[test]
    fn storage_is_paid_by_the_binary_gigabyte() {
        assert!((dollars_per_month(10 << 30) - 0.23).abs() < 1e-12);
    }

    #[test]
    fn what_is_written_is_paid_for_as_long_as_its_kind_of_work_has_it_kept() {
        let of = |put_bytes, copy_bytes| RequestCounts { put_bytes, copy_bytes, ..RequestCounts::default() };
        for (work, written, expected) in [
            (Purpose::Accept, of(30 << 30, 0), 0.023),
            (Purpose::Deliver, of(1 << 30, 0), 0.023),
            (Purpose::Deliver, of(1 << 30, 1 << 30), 0.046),
            (Purpose::Deliver, RequestCounts { put: 9, get_bytes: 1 << 30, ..of(0, 0) }, 0.0),
            (Purpose::Heartbeat, of(1 << 30, 0), 0.0),
        ] {
            let found = dollars_to_keep_of(work, &written);
            assert!((found - expected).abs() < 1e-12, "{work:?}, {written:?}: {found}");
        }
        let both = [(Purpose::Accept, of(30 << 30, 0)), (Purpose::Deliver, of(1 << 30, 0))];
        assert!((dollars_to_keep_all(&both.into_iter().collect()) - 0.046).abs() < 1e-12);
    }
}
