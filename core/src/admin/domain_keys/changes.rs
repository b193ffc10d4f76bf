//! What a step with the keys of a domain changes: decided on the domain as it is, and asked anew where another operator was faster.

use std::collections::BTreeSet;

use super::{AdminError, Made};
use crate::model::Domain;
use crate::state::domain::keys::{ACTIVE_KEYS, KEYS, KeyAlgorithm, KeyState, SELECTOR};
use crate::state::domain::{LocalDomain, Op};

/// The selectors of keys that an operator has named.
pub(super) fn named(selector: &str, algorithms: &BTreeSet<KeyAlgorithm>) -> Vec<String> {
    let selector = selector.to_ascii_lowercase();
    match algorithms.len() {
        1 => vec![selector],
        _ => algorithms.iter().map(|algorithm| format!("{selector}-{}", algorithm.kind())).collect(),
    }
}

/// Selectors by the date, and by a number where that has been used.
pub(super) fn dated(date: &str, domain: &LocalDomain, algorithms: &BTreeSet<KeyAlgorithm>) -> Vec<String> {
    let selectors = |number: usize| -> Vec<String> {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        algorithms.iter().map(|algorithm| format!("{date}{number}-{}", algorithm.kind())).collect()
    };
    let is_free = |selectors: &Vec<String>| selectors.iter().all(|one| !domain.keys.contains_key(one));
    // A key takes one number at most, so that one more than there may be keys is free.
    (1..=KEYS).map(selectors).find(is_free).unwrap_or_else(|| selectors(KEYS + 1))
}

/// Keys come under these selectors, one each.
pub(super) fn added(
    domain: &LocalDomain,
    selectors: &[String],
    made: &[Made],
    state: KeyState,
) -> Result<Vec<Op>, AdminError> {
    if let Some(taken) = selectors.iter().find(|selector| domain.keys.contains_key(*selector)) {
        return Err(AdminError::Exists(format!("there is a key {taken} already")));
    }
    if domain.keys.len() + made.len() > KEYS {
        return Err(AdminError::Invalid(format!("a domain has at most {KEYS} keys: remove some")));
    }
    if state == KeyState::Active {
        check_active(domain.active_keys().count() + made.len())?;
    }
    let op = |(selector, (algorithm, private_key)): (&String, &Made)| Op::Key {
        selector: selector.clone(),
        algorithm: *algorithm,
        state,
        private_key: private_key.clone(),
    };
    Ok(selectors.iter().zip(made).map(op).collect())
}

/// Those of these keys that do not sign yet begin to, as many others as `leaving` cease. Fails where one is gone.
pub(super) fn activated(
    domain: &LocalDomain,
    selectors: &[String],
    leaving: usize,
) -> Result<Vec<Op>, AdminError> {
    let mut ops = Vec::new();
    for selector in selectors {
        match domain.keys.get(selector) {
            None => return Err(AdminError::NotFound(format!("the key {selector} has been removed"))),
            Some(key) if key.state == KeyState::Active => {}
            Some(_) => ops.push(becomes(selector.clone(), KeyState::Active)),
        }
    }
    check_active(domain.active_keys().count() - leaving + ops.len())?;
    Ok(ops)
}

/// One key is in this state from now on.
pub(super) fn becomes(selector: String, state: KeyState) -> Op {
    Op::KeyState { selector, state }
}

fn check_active(count: usize) -> Result<(), AdminError> {
    match count {
        0..=ACTIVE_KEYS => Ok(()),
        _ => Err(AdminError::Invalid(format!(
            "at most {ACTIVE_KEYS} keys of a domain are active: retire some"
        ))),
    }
}

/// Whether a selector can be one (RFC 6376 §3.1).
pub(super) fn check_selector(selector: &str, domain: &Domain) -> Result<(), AdminError> {
    let is_name = selector.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet))
        && selector.len() <= SELECTOR
        && Domain::parse(&record_name(selector, domain)).is_ok();
    if is_name {
        return Ok(());
    }
    let allowed = format!("letters, digits and hyphens, in labels parted by dots, at most {SELECTOR}");
    Err(AdminError::Invalid(format!("{selector:?} is no selector; allowed: {allowed}")))
}

/// Where the record of a key belongs (RFC 6376 §3.6.2.1).
pub(super) fn record_name(selector: &str, domain: &Domain) -> String {
    format!("{selector}._domainkey.{domain}")
}
