//! What a store costs by its list price: S3 Standard in us-east-1.

use crate::state::requests::RequestCounts;

/// Dollars for a thousand PUT, COPY or LIST requests. DELETE is free.
pub const THOUSAND_WRITES: f64 = 0.005;
/// Dollars for a thousand GET or HEAD requests.
pub const THOUSAND_READS: f64 = 0.0004;
/// Dollars for a GB (2^30 octets) and month, the first 50 TB.
pub const STORED_GB_MONTH: f64 = 0.023;

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
        };
        assert!((dollars(&requests) - 0.034).abs() < 1e-12, "{}", dollars(&requests));
    }

    #[test]
    fn storage_is_paid_by_the_binary_gigabyte() {
        assert!((dollars_per_month(10 << 30) - 0.23).abs() < 1e-12);
    }
}
