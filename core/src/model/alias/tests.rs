use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> LocalPattern {
    LocalPattern::parse(text).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| Address::parse_utf8(text).unwrap()).collect()
}

#[test]
fn names_are_read_and_shown_alike() {
    for (text, kind, shown) in [
        ("Sales@Example.org", "exact", "sales@example.org"),
        ("Sales-*@Example.org", "wildcard", "sales-*@example.org"),
        ("\"two ?\"@x.test", "wildcard", "\"two ?\"@x.test"),
        ("*@x.test", "catch_all", "*@x.test"),
        ("/(.+)-Request/@X.test", "regex", "/(.+)-Request/@x.test"),
        ("/a@b/@x.test", "regex", "/a@b/@x.test"),
        ("/half@x.test", "exact", "/half@x.test"),
    ] {
        let name: AliasName = text.parse().unwrap();
        assert_eq!((name.kind(), name.to_string().as_str()), (kind, shown), "{text}");
        assert_eq!(shown.parse::<AliasName>().unwrap(), name, "{text}");
    }
}

#[test]
fn what_is_no_name_says_why() {
    let long = format!("/{}/@x.test", "a".repeat(PATTERN_LIMIT));
    for (text, reason) in [
        ("sales", "no @ between local-part and domain"),
        ("/a(/@x.test", "not a regular expression that can be used: "),
        ("/a)|(?:b/@x.test", "not a regular expression that can be used: "),
        ("/(?x)a#/@x.test", "not a regular expression that can be used: "),
        ("/((a{100}){100}){100}/@x.test", "not a regular expression that can be used: "),
        ("/a/@-x.test", "a label of the domain "),
        (&long, "a pattern longer than 256 octets"),
    ] {
        let error = text.parse::<AliasName>().unwrap_err().to_string();
        assert!(error.starts_with(reason), "{text}: {error}");
    }
    assert_eq!(LocalPattern::parse("plain"), Err(AliasError::NoPattern));
}

#[test]
fn a_pattern_matches_whole_local_parts_and_gives_its_groups_to_targets() {
    for (text, local_part, targets, expected) in [
        ("sales-*", "sales-eu", &["a@x.test"][..], Some(&["a@x.test"][..])),
        ("sales-*", "sales-", &["a$1@x.test"], Some(&["a@x.test"])),
        ("sales-*", "presales-eu", &["a@x.test"], None),
        ("a.c*", "abcd", &[], None),
        ("a?c-*", "abc-d", &["$1.$2@x.test", "$0@y.test"], Some(&["b.d@x.test", "abc-d@y.test"])),
        ("a?c", "ac", &["a@x.test"], None),
        ("/a|ab/", "ab", &["a@x.test"], Some(&["a@x.test"])),
        ("/a/", "ab", &["a@x.test"], None),
        ("/(.+)-Request/", "list-request", &["owner-$1@x.test"], Some(&["owner-list@x.test"])),
        ("/a(b)?/", "a", &["a$1@x.test", "$1@x.test"], Some(&["a@x.test"])),
        ("*", "anybody", &["$0@new.test"], Some(&["anybody@new.test"])),
        ("*", "j\u{f6}rg", &["$0@new.test", "us$@x.test"], Some(&["j\u{f6}rg@new.test", "us$@x.test"])),
    ] {
        let targets = addresses(targets);
        assert_eq!(
            pattern(text).expand(local_part, &targets),
            expected.map(addresses),
            "{text} {local_part}"
        );
    }
}

#[test]
fn targets_refer_to_groups_that_are_there() {
    for (text, target, expected) in [
        ("a-*", "b-$1@x.test", Ok(())),
        ("a-*", "b-$2@x.test", Err(AliasError::Group(2, 1))),
        ("/a/", "$0@x.test", Ok(())),
        ("/(a)(b)/", "$3@x.test", Err(AliasError::Group(3, 2))),
        ("*", "$$1@x.test", Ok(())),
    ] {
        assert_eq!(pattern(text).check(&addresses(&[target])), expected, "{text} {target}");
    }
}

#[test]
fn the_most_exact_wildcard_comes_first_and_the_catch_all_last() {
    let mut patterns: Vec<_> = ["*", "/z/", "s-*", "/a/", "s-eu-*", "?-*", "s-us-*"].map(pattern).into();
    patterns.sort_by_key(LocalPattern::rank);
    let texts: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["s-eu-*", "s-us-*", "s-*", "?-*", "/z/", "/a/", "*"]);
}

proptest! {
    #[test]
    fn no_pattern_and_no_local_part_make_matching_panic(text in ".{0,60}", local_part in ".{0,60}", target in "[a$0-9]{1,20}") {
        let targets = [Address::with_local_part(&target, Domain::parse("x.test").unwrap()).unwrap()];
        for text in [format!("/{text}/"), format!("{text}*")] {
            if let Ok(pattern) = LocalPattern::parse(&text) {
                let _ = (pattern.check(&targets), pattern.expand(&local_part, &targets));
                prop_assert_eq!(LocalPattern::parse(&pattern.to_string()).unwrap(), pattern);
            }
        }
    }

    #[test]
    fn a_wildcard_matches_what_it_was_made_of(before in "[a-z.+*]{0,10}", middle in "[a-z.@]{0,10}", after in "[a-z()]{0,10}") {
        let pattern = LocalPattern::parse(&format!("{before}*{after}")).unwrap();
        let local_part = format!("{before}{middle}{after}");
        prop_assert!(pattern.expand(&local_part, &[]).is_some());
    }
}
