//! Addresses there and back, folded, forged and old.

use proptest::prelude::*;

use super::*;

const NOW: UtcTime = UtcTime(20_779 * 86_400_000 + 3_600_000);

fn address(text: &str) -> Address {
    Address::parse_utf8(text).unwrap()
}

fn here() -> Domain {
    Domain::parse("home.test").unwrap()
}

fn key(secret: &str) -> SrsKey {
    SrsKey::new(secret.as_bytes(), None)
}

fn days(count: i64) -> UtcTime {
    UtcTime(NOW.0.checked_add_signed(count * 86_400_000).unwrap())
}

fn rewritten(reverse_path: &str) -> Address {
    rewrite(&address(reverse_path), &here(), &key("secret"), NOW).unwrap()
}

fn back(rewritten: &Address, now: UtcTime) -> Result<String, SrsFault> {
    original(rewritten, &[key("secret")], now).map(|address| address.to_string())
}

#[test]
fn whatever_a_local_part_holds_comes_back() {
    for reverse_path in [
        "ann@far.test",
        "Ann.B+tag@far.test",
        "a=b=c@far.test",
        "=@far.test",
        "\"two words\"@far.test",
        "\"a@b\\\"c\"@far.test",
        "j\u{f6}rg@b\u{fc}cher.example",
        "u@[192.0.2.1]",
        "u@[IPv6:2001:db8::1]",
        "SRS0@far.test",
        "srs2=a=b=c=d@far.test",
        "\u{e9}SR\u{e9}@far.test",
        "SRS1=only@far.test",
    ] {
        let rewritten = rewritten(reverse_path);
        assert!(rewritten.local_part().starts_with("SRS0="), "{rewritten}");
        assert_eq!(rewritten.domain(), &here());
        // As it goes over the wire.
        let read = address(&rewritten.to_string());
        assert_eq!(back(&read, NOW), Ok(address(reverse_path).to_string()), "{read}");
        assert!(is_rewritten(read.local_part()));
    }
}

#[test]
fn the_usual_form_is_written() {
    let text = rewritten("ann@far.test").to_string();
    let parts: Vec<&str> = text.split('=').collect();
    // 20779 = 20 * 1024 + 299, and 299 = 9 * 32 + 11.
    assert_eq!((parts[0], parts[1].len(), parts[2]), ("SRS0", 8, "JL"), "{text}");
    assert_eq!(parts[3..], ["far.test", "ann@home.test"]);
}

#[test]
fn case_makes_no_difference_on_the_way_back() {
    let made = rewritten("Ann@far.test");
    for text in [made.to_string().to_lowercase(), made.to_string().to_uppercase()] {
        let found = back(&address(&text), NOW).unwrap();
        assert!(found.eq_ignore_ascii_case("Ann@far.test"), "{found}");
    }
}

#[test]
fn what_others_have_rewritten_is_wrapped_once_and_does_not_grow() {
    let first = rewritten("ann@far.test");
    let (second, third) = (Domain::parse("two.test").unwrap(), Domain::parse("three.test").unwrap());
    let (key_two, key_three) = (key("two"), key("three"));
    let twice = rewrite(&first, &second, &key_two, NOW).unwrap();
    assert!(twice.local_part().starts_with("SRS1="), "{twice}");
    let thrice = rewrite(&twice, &third, &key_three, NOW).unwrap();
    assert_eq!(thrice.local_part().len(), twice.local_part().len());
    // Each leads to the first forwarder, who knows the rest.
    for (address, key) in [(&twice, &key_two), (&thrice, &key_three)] {
        assert_eq!(original(address, std::slice::from_ref(key), NOW), Ok(first.clone()));
        assert_eq!(original(address, &[super::tests::key("other")], NOW), Err(SrsFault::Forged));
    }
    assert_eq!(original(&twice, &[key_two], days(1_000)), Ok(first.clone()));
    assert_eq!(back(&first, NOW), Ok("ann@far.test".to_owned()));
    for text in ["srs0+abcd=jl=far.test=ann@x.test", "SRS0-a@x.test", "SRS0=@x.test"] {
        let wrapped = rewritten(text);
        let found = back(&wrapped, NOW).unwrap();
        assert!(wrapped.local_part().starts_with("SRS1=") && found.eq_ignore_ascii_case(text), "{wrapped}");
    }
}

#[test]
fn what_was_altered_or_made_up_is_forged() {
    let made = rewritten("ann@far.test").to_string();
    let hash = made.split('=').nth(1).unwrap();
    for text in [
        made.replace("ann", "bob"),
        made.replace("far.test", "fat.test"),
        made.replace("=JL=", "=JK="),
        made.replace(hash, &hash[..4]),
        made.replace(hash, ""),
        made.replace(hash, "AAAAAAAA"),
        made.replace("SRS0", "SRS1"),
        "SRS0=@home.test".to_owned(),
        "SRS0=a=b=c@home.test".to_owned(),
        "SRS0=AAAAAAAA=J1=far.test=ann@home.test".to_owned(),
        "SRS0=AAAAAAAA=JLL=far.test=ann@home.test".to_owned(),
        "SRS0=AAAAAAAA=JL=far..test=ann@home.test".to_owned(),
        "SRS0=AAAAAAAA=JL=far.test=@home.test".to_owned(),
        "SRS1=AAAAAAAA=far.test@home.test".to_owned(),
        "ann@home.test".to_owned(),
    ] {
        assert_eq!(back(&address(&text), NOW), Err(SrsFault::Forged), "{text}");
    }
    assert_eq!(original(&address(&made), &[], NOW), Err(SrsFault::Forged));
}

#[test]
fn an_address_is_good_for_three_weeks_and_never_again() {
    let made = rewritten("ann@far.test");
    for (later, expected) in [
        (0, Ok(())),
        (21, Ok(())),
        (22, Err(SrsFault::Expired)),
        (1_000, Err(SrsFault::Expired)),
        // The same stamp means another day by then.
        (1_024, Err(SrsFault::Forged)),
        (1_030, Err(SrsFault::Forged)),
        // Another node's clock may be a little ahead, and none is by days.
        (-1, Ok(())),
        (-2, Err(SrsFault::Forged)),
    ] {
        assert_eq!(back(&made, days(later)).map(drop), expected, "{later}");
    }
    // Before there could be such a day.
    assert_eq!(back(&made, UtcTime(0)), Err(SrsFault::Forged));
}

#[test]
fn a_secret_that_was_replaced_vouches_for_nothing_later() {
    let replaced = |at: UtcTime| [key("new"), SrsKey::new(b"secret", Some(at))];
    let made = rewritten("ann@far.test");
    assert_eq!(original(&made, &replaced(NOW), days(21)), Ok(address("ann@far.test")));
    assert_eq!(original(&made, &replaced(days(-1)), NOW), Ok(address("ann@far.test")));
    assert_eq!(original(&made, &replaced(days(-2)), NOW), Err(SrsFault::Forged));
    let wrapped = rewritten("SRS0=a=b=c=d@far.test");
    assert!(original(&wrapped, &replaced(NOW), days(22)).is_ok());
    assert_eq!(original(&wrapped, &replaced(NOW), days(23)), Err(SrsFault::Expired));
}

#[test]
fn what_would_be_too_long_to_come_back_is_not_made() {
    let of = |octets: usize| {
        let reverse_path = format!("{}@far.test", "a".repeat(octets));
        rewrite(&address(&reverse_path), &here(), &key("secret"), NOW)
    };
    // Beyond 64, which senders of today need.
    assert_eq!(of(102).unwrap().local_part().len(), 128);
    assert_eq!(of(103), Err(AddressError::LongLocalPart));
}

proptest! {
    #[test]
    fn every_address_comes_back(local in "[ -~]{1,80}", domain in "[a-z]{1,10}\\.[a-z]{1,10}") {
        let reverse_path = Address::with_local_part(&local, Domain::parse(&domain).unwrap()).unwrap();
        let made = rewrite(&reverse_path, &here(), &key("secret"), NOW).unwrap();
        let found = original(&address(&made.to_string()), &[key("secret")], NOW).unwrap();
        prop_assert_eq!(found.normalized(), reverse_path.normalized());
    }

    #[test]
    fn no_local_part_makes_the_parser_panic(local in "(SRS[01][=+-])?.{1,60}", now in any::<u32>()) {
        if let Ok(address) = Address::with_local_part(&local, here()) {
            let _ = original(&address, &[key("secret")], UtcTime(u64::from(now) * 1_000));
            let _ = rewrite(&address, &here(), &key("secret"), UtcTime(u64::from(now) * 1_000));
        }
    }
}
