//! The settings of `[auth]`.

use std::time::Duration;

use fulmar_core::model::Domain;

use super::keys::{DAY, Key, number, put, string};
use super::value::{count, duration, mail_name, show_duration};

/// Nobody guesses so often by mistake, and a count is a number of 32 bits.
const FAILURES_LIMIT: u64 = 1_000_000;
const WINDOW_FLOOR: Duration = Duration::from_secs(1);
const DELAY_LIMIT: Duration = Duration::from_mins(1);
const FAMILIAR_LIMIT: Duration = Duration::from_hours(365 * 24);

/// What each means stands at the field that it sets.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: "auth",
        name: "default_domain",
        set: |s, w| {
            put(
                &mut s.engine.auth.default_domain,
                mail_name(w, "a domain", r#"a name such as "example.org""#, |text| {
                    Domain::parse(text).map(Some)
                }),
            )
        },
        show: |s| string(s.engine.auth.default_domain.as_ref()?),
    },
    Key {
        section: "auth",
        name: "failures_per_address",
        set: |s, w| put(&mut s.engine.auth.failures_per_address, count(w, 1..=FAILURES_LIMIT)),
        show: |s| number(s.engine.auth.failures_per_address.into()),
    },
    Key {
        section: "auth",
        name: "failures_per_network",
        set: |s, w| put(&mut s.engine.auth.failures_per_network, count(w, 1..=FAILURES_LIMIT)),
        show: |s| number(s.engine.auth.failures_per_network.into()),
    },
    Key {
        section: "auth",
        name: "failures_per_account",
        set: |s, w| put(&mut s.engine.auth.failures_per_account, count(w, 1..=FAILURES_LIMIT)),
        show: |s| number(s.engine.auth.failures_per_account.into()),
    },
    Key {
        section: "auth",
        name: "failure_window",
        set: |s, w| put(&mut s.engine.auth.failure_window, duration(w, WINDOW_FLOOR..=DAY)),
        show: |s| string(show_duration(s.engine.auth.failure_window)),
    },
    Key {
        section: "auth",
        name: "lock",
        set: |s, w| put(&mut s.engine.auth.lock, duration(w, WINDOW_FLOOR..=DAY)),
        show: |s| string(show_duration(s.engine.auth.lock)),
    },
    Key {
        section: "auth",
        name: "free_failures",
        set: |s, w| put(&mut s.engine.auth.free_failures, count(w, 0..=FAILURES_LIMIT)),
        show: |s| number(s.engine.auth.free_failures.into()),
    },
    Key {
        section: "auth",
        name: "delay_step",
        set: |s, w| put(&mut s.engine.auth.delay_step, duration(w, Duration::ZERO..=DELAY_LIMIT)),
        show: |s| string(show_duration(s.engine.auth.delay_step)),
    },
    Key {
        section: "auth",
        name: "delay_limit",
        set: |s, w| put(&mut s.engine.auth.delay_limit, duration(w, Duration::ZERO..=DELAY_LIMIT)),
        show: |s| string(show_duration(s.engine.auth.delay_limit)),
    },
    Key {
        section: "auth",
        name: "familiar_for",
        set: |s, w| put(&mut s.engine.auth.familiar_for, duration(w, Duration::ZERO..=FAMILIAR_LIMIT)),
        show: |s| string(show_duration(s.engine.auth.familiar_for)),
    },
];
