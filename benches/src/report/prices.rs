//! What store requests cost at list prices.

use super::{Figure, Round};

/// Dollars for a thousand requests: S3 Standard, us-east-1, list prices of 2025. DELETE is free. Transfer within a region is free
/// as well; storage is left out: it depends on how long mail is kept, not on how it is handled.
const PER_THOUSAND: [(Figure, f64); 6] = [
    (Figure::Put, 0.005),
    (Figure::Copy, 0.005),
    (Figure::List, 0.005),
    (Figure::Get, 0.0004),
    (Figure::Head, 0.0004),
    (Figure::Delete, 0.0),
];

/// What a million messages cost at so many requests a message.
pub(crate) fn dollars_per_million(requests: &Round) -> f64 {
    let cost = |(figure, price): (Figure, f64)| requests.get(&figure).map_or(0.0, |count| count * price);
    PER_THOUSAND.into_iter().map(cost).sum::<f64>() * 1_000.0
}

/// The table in words.
pub(crate) fn table() -> String {
    let row = |(figure, price): &(Figure, f64)| format!("{} {price}", figure.caption().0);
    let rows: Vec<String> = PER_THOUSAND.iter().map(row).collect();
    format!("$ per 1,000 requests, S3 Standard: {}; storage not counted", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_messages_cost_what_their_requests_cost() {
        for (requests, dollars) in [
            (vec![(Figure::Put, 1.0)], 5.0),
            (vec![(Figure::Put, 0.1), (Figure::Get, 0.5), (Figure::List, 0.01)], 0.75),
            (vec![(Figure::Copy, 2.0), (Figure::Head, 1.0)], 10.4),
            (vec![(Figure::Delete, 7.0), (Figure::PutOctets, 9e9)], 0.0),
        ] {
            let cost = dollars_per_million(&Round::from_iter(requests.clone()));
            assert!((cost - dollars).abs() < 1e-9, "{requests:?}: {cost}");
        }
    }
}
