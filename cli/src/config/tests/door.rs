//! Access lists, and what listeners have different.

use super::*;

const SMTP: &str = "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\n";

#[test]
fn mistakes_in_access_rules_and_listeners_name_their_line() {
    for (file, mistake) in [
        (
            "[[access]]\nlist = \"x\"",
            "1: [[access]] action: missing; allowed: \"allow\", \"deny\" or \"defer\"",
        ),
        (
            "[[access]]\naction = \"drop\"",
            r#"2: [[access]] action: "drop" is unknown; allowed: "allow", "deny", "defer""#,
        ),
        (
            "[[access]]\naction = \"deny\"\nclient = [\"10.0.0.1\"]",
            "3: [[access]] client: \"10.0.0.1\" is not a network; allowed: networks such as \"10.0.0.0/8\" or \
             \"::1/128\"",
        ),
        (
            "[[access]]\naction = \"deny\"\nhelo = [\n  \"a b\"]",
            "4: [[access]] helo: \"a b\" is not a domain (a character that a domain cannot hold); allowed: domains such \
             as \"x.test\", \".x.test\" with all below it, or \"*\"",
        ),
        (
            "[[access]]\naction = \"deny\"\nsender = [\"@x.test\"]",
            "3: [[access]] sender: \"@x.test\" is not an address or a domain (empty local-part); allowed: addresses, \
             domains such as \"x.test\" or \".x.test\", \"<>\" or \"*\"",
        ),
        (
            "[[access]]\naction = \"deny\"\nreply = \"250 ok\"",
            "3: [[access]] reply: \"250 ok\" is not a reply; allowed: a code, a status if any, and text, such as \"550 \
             5.7.1 not from you\"",
        ),
        (
            "[[access]]\naction = \"deny\"\nreply = \"550 4.7.1 no\"",
            "3: [[access]] reply: \"550 4.7.1 no\" is not a reply; allowed: a code, a status if any, and text, such as \
             \"550 5.7.1 not from you\"",
        ),
        (
            "[[access]]\naction = \"deny\"\nreply = \"450 later\"",
            "3: [[access]] reply: \"450 later\" does not do what action says; allowed: 5yz for \"deny\", 4yz for \
             \"defer\"",
        ),
        (
            "[[access]]\naction = \"allow\"\nreply = \"550 no\"",
            "3: [[access]] reply: \"550 no\" is not said by a rule that allows; allowed: nothing",
        ),
        (
            "[replies]\nfooter = \"{queue_id}\"",
            "2: [replies] footer: \"{queue_id}\" is not a footer; allowed: 1 to 200 printable ASCII characters, with \
             {peer}, {session} and {hostname} in braces and nothing else",
        ),
        (
            "[policy]\ngreet_delay = \"5m\"",
            "2: [policy] greet_delay: \"5m\" is out of range; allowed: 0s to 4m",
        ),
        (
            "[policy]\nearly_talkers = \"ban\"",
            r#"2: [policy] early_talkers: "ban" is unknown; allowed: "refuse", "delay""#,
        ),
        (
            "[limits]\nmessages_per_minute = -1",
            "2: [limits] messages_per_minute: -1 is out of range; allowed: 0 to 1000000000",
        ),
        (
            &format!("{SMTP}access = [\"nobody\"]"),
            "1: [[listener]] access: \"nobody\" has no rule; allowed: lists that [[access]] tables name",
        ),
        (
            &format!("{SMTP}auth = \"maybe\""),
            r#"4: [[listener]] auth: "maybe" is unknown; allowed: "none", "optional", "required""#,
        ),
        (
            &format!("{SMTP}command_timeout = \"0s\""),
            "4: [[listener]] command_timeout: \"0s\" is out of range; allowed: 1s to 1h",
        ),
        (
            "[[listener]]\nprotocol = \"pop3\"\naddress = \"[::1]:110\"\nbanner = \"hi\"",
            "4: [[listener]] banner: \"hi\" is only for SMTP; allowed: nothing, where protocol is another",
        ),
    ] {
        assert_eq!(load(file, &[]).unwrap_err(), [format!("fulmar.toml:{mistake}")], "{file}");
    }
}

#[test]
fn rules_and_listeners_are_shown_as_they_were_said() {
    let file = "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\nhostname = \"mx2.test\"\n\
                banner = \"no spam\"\nmessage_size = \"10M\"\nrecipients = 200\ncommand_timeout = \"1m\"\n\
                content_timeout = \"2m\"\naccess = [\"strangers\"]\nauth = \"optional\"\n\
                allow_plaintext_auth = true\nbare_newlines_from = [\"10.0.0.0/8\"]\n\
                xclient_from = [\"10.0.0.1/32\"]\nxforward_from = [\"10.0.0.2/32\"]\n\
                \n[[access]]\naction = \"allow\"\nclient = [\"10.0.0.0/8\"]\n\
                \n[[access]]\naction = \"defer\"\nlist = \"strangers\"\nhelo = [\".dynamic.test\"]\n\
                sender = [\"<>\", \"a@x.test\"]\nrecipient = [\".home.test\"]\nreply = \"450 4.7.0 later\"\n";
    let loaded = Loaded::from_sources(&sources(Some(file), &[])).unwrap();
    assert!(shown(&loaded).ends_with(file), "{}", shown(&loaded));
    let mut json = Vec::new();
    loaded.write_json(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    for part in ["\"hostname\":\"mx2.test\"", "\"reply\":\"450 4.7.0 later\"", "\"access\":[\"strangers\"]"] {
        assert!(json.contains(part), "{part} in {json}");
    }
}

#[test]
fn limits_are_none_where_they_are_zero() {
    let settings =
        load("[limits]\nmessages_per_hour = 0\n", &[("FULMAR_LIMITS_CONNECTIONS_PER_ADDRESS", "20")])
            .unwrap();
    let limits = settings.engine.policy.limits;
    assert_eq!((limits.messages_per_hour, limits.connections_per_address), (None, Some(20)));
}
