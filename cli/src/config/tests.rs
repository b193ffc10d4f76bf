use std::collections::BTreeSet;

use super::keys::KEYS;
use super::value::{show_duration, show_size};
use super::*;

const EXAMPLE: &str = include_str!("../../fulmar.example.toml");

fn sources(file: Option<&str>, variables: &[(&str, &str)]) -> Sources {
    Sources {
        file: file.map(|text| Ok(("fulmar.toml".to_owned(), text.to_owned()))),
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        node_name: "box".to_owned(),
        data_folder: Some("/home/you/.local/share/fulmar".into()),
    }
}

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let loaded = Loaded::from_sources(&sources(Some(file), variables));
    loaded
        .map(|loaded| loaded.settings)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// What `config check` prints, without the origins.
fn shown(loaded: &Loaded) -> String {
    let mut out = Vec::new();
    loaded.write_toml(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(|line| line.split("  # ").next().unwrap().to_owned() + "\n").collect()
}

#[test]
fn every_mistake_in_a_file_names_its_line_and_what_is_allowed() {
    const SIZES: &str = r#"octets as a number, or with K, M or G (KiB, MiB, GiB) as in "50M""#;
    for (file, mistake) in [
        (
            "[queue]\nretry = [\"5m\",\n  \"1x\"]",
            r#"3: [queue] retry: "1x" is not a duration; allowed: a number with ms, s, m, h or d, such as "5m""#,
        ),
        ("[queue]\nretry = []", "2: [queue] retry: a list is empty; allowed: at least one duration"),
        ("[queue]\nretry = \"5m\"", "2: [queue] retry: \"5m\" is not a list; allowed: a list in brackets"),
        ("[queue]\nexpire = \"26d\"", "2: [queue] expire: \"26d\" is out of range; allowed: 1s to 25d"),
        (
            "[queue]\nexpire = 5",
            r#"2: [queue] expire: 5 is not a duration; allowed: a number with ms, s, m, h or d, such as "5m""#,
        ),
        ("[queue]\nwindow = \"11s\"", "2: [queue] window: \"11s\" is out of range; allowed: 0s to 10s"),
        (
            "[queue]\npace = 1",
            "2: [queue] pace: not a setting of this version; allowed: retry, expire, window",
        ),
        ("[smtp]\nrecipients = 99", "2: [smtp] recipients: 99 is out of range; allowed: 100 to 100000"),
        ("[smtp]\nrecipients = -1", "2: [smtp] recipients: -1 is out of range; allowed: 100 to 100000"),
        ("[smtp]\nhops = \"100\"", "2: [smtp] hops: \"100\" is not a whole number; allowed: 100 to 1000"),
        (
            "[smtp]\nmessage_size = \"63K\"",
            "2: [smtp] message_size: \"63K\" is out of range; allowed: 64K to 1G",
        ),
        (
            "[pop3]\nidle_timeout = \"9m\"",
            "2: [pop3] idle_timeout: \"9m\" is out of range; allowed: 10m to 1d",
        ),
        ("[smtp]\ncommand_line = 511", "2: [smtp] command_line: 511 is out of range; allowed: 512 to 64K"),
        (
            "[smtp]\nmessage_size = \"50MB\"",
            &format!("2: [smtp] message_size: \"50MB\" is not a size; allowed: {SIZES}"),
        ),
        (
            "[smtp]\nmessage_size = 1.5",
            &format!("2: [smtp] message_size: a number with a fraction is not a size; allowed: {SIZES}"),
        ),
        (
            "hostname = \"-mx\"",
            "1: hostname: \"-mx\" is not a domain (a label of the domain is empty, longer than 63 octets, or begins \
             or ends with a hyphen); allowed: a name such as \"mx1.example.org\"",
        ),
        (
            "postmaster = \"me\"",
            "1: postmaster: \"me\" is not an address (no @ between local-part and domain); allowed: an address such \
             as \"admin@example.org\"",
        ),
        ("store = 1", "1: store: 1 is not a table; allowed: [store]"),
        ("hostnam = \"x\"", "1: hostnam: not a setting of this version; allowed: hostname, postmaster"),
        (
            "\n[tls]\ncertificate = \"c\"",
            "2: [tls]: not a section of this version; allowed: store, relay, queue, smtp, pop3, log, listener",
        ),
        (
            "[store]\nurl = \"s3://mail\"",
            "2: [store] url: \"s3://mail\" is S3, which is not built into this version; allowed: \
             \"file:/an/absolute/path\" or \"memory:\"",
        ),
        (
            "[store]\nurl = \"file:mail\"",
            "2: [store] url: \"file:mail\" is not a store; allowed: \"file:/an/absolute/path\" or \"memory:\"",
        ),
        (
            "[store]\nregion = \"x\"",
            "2: [store] region: not a setting of this version; allowed: url, single_node",
        ),
        (
            "[store]\nsingle_node = \"true\"",
            "2: [store] single_node: \"true\" is neither true nor false; allowed: true or false",
        ),
        (
            "[relay]\nnetworks = [\"10.0.0.0/33\"]",
            "2: [relay] networks: \"10.0.0.0/33\" is not a network; allowed: networks such as \"10.0.0.0/8\" or \
             \"::1/128\"",
        ),
        (
            "[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:143\"",
            "2: [[listener]] protocol: \"imap\" is not built yet; allowed: smtp, pop3",
        ),
        (
            "[[listener]]\nprotocol = \"gopher\"\naddress = \"127.0.0.1:70\"",
            "2: [[listener]] protocol: \"gopher\" is not a protocol; allowed: smtp, pop3",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"localhost:25\"",
            "3: [[listener]] address: \"localhost:25\" is not an address to listen on; allowed: an IP address with a \
             port, such as \"0.0.0.0:25\" or \"[::]:25\"",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"",
            "1: [[listener]] address: missing; allowed: an IP address with a port, such as \"0.0.0.0:25\" or \
             \"[::]:25\"",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\ntls = true",
            "4: [[listener]] tls: not a setting of this version; allowed: protocol, address",
        ),
        (
            "[listener]\nprotocol = \"smtp\"",
            "1: [[listener]]: a table is not a list of listeners; allowed: tables with the heading [[listener]]",
        ),
        (
            "[log]\nlevel = \"loud\"",
            r#"2: [log] level: "loud" is unknown; allowed: "error", "warn", "info", "debug""#,
        ),
    ] {
        assert_eq!(load(file, &[]).unwrap_err(), [format!("fulmar.toml:{mistake}")], "{file}");
    }
}

#[test]
fn a_variable_is_wrong_in_the_same_words() {
    for (name, value, mistake) in [
        (
            "FULMAR_QUEUE_EXPIRE",
            "1x",
            r#""1x" is not a duration; allowed: a number with ms, s, m, h or d, such as "5m""#,
        ),
        ("FULMAR_QUEUE_RETRY", "", "\"\" is empty; allowed: at least one duration"),
        ("FULMAR_SMTP_RECIPIENTS", "99", "\"99\" is out of range; allowed: 100 to 100000"),
        ("FULMAR_STORE_SINGLE_NODE", "yes", "\"yes\" is neither true nor false; allowed: true or false"),
        ("FULMAR_LISTEN", "imap=127.0.0.1:143", "\"imap\" is not built yet; allowed: smtp, pop3"),
        (
            "FULMAR_LISTEN",
            "127.0.0.1:25",
            "\"127.0.0.1:25\" is not a listener; allowed: \"smtp=127.0.0.1:2525\", several separated by commas",
        ),
        (
            "FULMAR_LISTEN",
            "",
            "\"\" names no listener; allowed: \"smtp=127.0.0.1:2525\", several separated by commas",
        ),
        (
            "FULMAR_QUEUE_EXPIRES",
            "5d",
            "not a variable of this version; the closest are FULMAR_QUEUE_EXPIRE, FULMAR_QUEUE_RETRY, FULMAR_QUEUE_WINDOW",
        ),
    ] {
        assert_eq!(load("", &[(name, value)]).unwrap_err(), [format!("{name}: {mistake}")], "{name}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let file = "[smtp]\nhops = 1\nerrors = 0\n[queue]\nexpire = \"x\"\nretry = [\"a\", \"b\"]\nagain = 1\n";
    let mistakes = load(file, &[("FULMAR_LOG_LEVEL", "loud")]).unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|mistake| mistake.split(' ').next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "fulmar.toml:2:",
            "fulmar.toml:3:",
            "fulmar.toml:5:",
            "fulmar.toml:6:",
            "fulmar.toml:6:",
            "fulmar.toml:7:",
            "FULMAR_LOG_LEVEL:"
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_line_and_nothing_is_guessed_from_the_rest() {
    let mistakes = load("hostname = mx1\n[smtp]\nhops = 1\n[queue\n", &[]).unwrap_err();
    assert!(mistakes[0].starts_with("fulmar.toml:1: not TOML: "), "{mistakes:?}");
    assert!(mistakes.iter().any(|mistake| mistake.starts_with("fulmar.toml:4: not TOML: ")), "{mistakes:?}");
    assert!(
        mistakes.iter().all(|mistake| !mistake.contains('\n') && !mistake.contains("hops")),
        "{mistakes:?}"
    );
}

#[test]
fn a_variable_wins_over_the_file_and_the_listeners_are_replaced_whole() {
    let file = "hostname = \"file.test\"\n[queue]\nretry = [\"1s\"]\nexpire = \"1h\"\n\
                [[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:1\"\n";
    let variables = [
        ("FULMAR_HOSTNAME", "variable.test"),
        ("FULMAR_LISTEN", "smtp=127.0.0.1:2525, pop3=[::1]:1110"),
        ("FULMAR_QUEUE_RETRY", "10s,2m"),
        ("FULMAR_RELAY_NETWORKS", "10.0.0.0/8,::1/128"),
        ("FULMAR_SERVICE_PORT", "25"),
        ("FULMAR_SMTP_MESSAGE_SIZE", "25MiB"),
    ];
    let settings = load(file, &variables).unwrap();
    assert_eq!(settings.engine.hostname.as_str(), "variable.test");
    let addresses: Vec<_> = settings.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:2525", "[::1]:1110"]);
    assert_eq!(settings.engine.queue.retry, [Duration::from_secs(10), Duration::from_mins(2)]);
    assert_eq!(settings.engine.queue.expire, Duration::from_hours(1));
    assert_eq!(settings.engine.smtp.message_size, 25 << 20);
    assert!(
        settings.engine.relay.may_relay([10, 1, 2, 3].into())
            && !settings.engine.relay.may_relay([127, 0, 0, 1].into())
    );
}

#[test]
fn nothing_is_configured_as_long_as_only_the_log_is() {
    for (file, variables, nothing) in [
        (None, &[][..], true),
        (None, &[("FULMAR_LOG_LEVEL", "debug"), ("FULMAR_PORT_25_TCP", "tcp://10.0.0.1:25")], true),
        (None, &[("FULMAR_HOSTNAME", "mx.test")], false),
        (None, &[("FULMAR_LISTEN", "smtp=127.0.0.1:0")], false),
        (Some(""), &[], false),
    ] {
        let settings = Loaded::from_sources(&sources(file, variables)).unwrap().settings;
        assert_eq!(settings.nothing_configured, nothing, "{file:?} {variables:?}");
        assert_eq!(settings.engine.relay.may_relay([127, 0, 0, 1].into()), nothing, "{file:?} {variables:?}");
    }
}

#[test]
fn the_hostname_is_the_nodes_only_where_others_could_know_it() {
    for (node_name, hostname) in [
        ("mx1.example.org", "mx1.example.org"),
        ("box", "localhost"),
        ("", "localhost"),
        ("-.x", "localhost"),
    ] {
        let sources = Sources { node_name: node_name.to_owned(), ..sources(None, &[]) };
        let settings = Loaded::from_sources(&sources).unwrap().settings;
        assert_eq!(settings.engine.hostname.as_str(), hostname, "{node_name}");
    }
}

#[test]
fn without_a_home_the_store_must_be_said() {
    let homeless = |url: &[(&str, &str)]| Sources { data_folder: None, ..sources(None, url) };
    let mistakes = Loaded::from_sources(&homeless(&[])).unwrap_err();
    assert!(mistakes[0].to_string().starts_with("[store] url: no default"), "{mistakes:?}");
    let settings =
        Loaded::from_sources(&homeless(&[("FULMAR_STORE_URL", "file:///srv/mail")])).unwrap().settings;
    assert_eq!(settings.store, StoreUrl::Directory("/srv/mail".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    for (name, reason) in [("none.toml", "cannot be read: No such file"), ("bytes.toml", "not UTF-8")] {
        let path = folder.path().join(name);
        if name == "bytes.toml" {
            std::fs::write(&path, b"hostname = \"\xff\"").unwrap();
        }
        let mistakes = Loaded::from_sources(&Sources::of_process(Some(&path))).unwrap_err();
        assert!(
            mistakes[0].to_string().starts_with(&format!("{}: {reason}", path.display())),
            "{mistakes:?}"
        );
    }
}

#[test]
fn the_example_shows_every_setting_with_its_default() {
    let example = EXAMPLE.replace("# postmaster = ", "postmaster = ");
    let from_example = Loaded::from_sources(&sources(Some(&example), &[])).unwrap();
    let said: BTreeSet<_> = from_example.origins.keys().copied().collect();
    let known = KEYS.iter().map(|key| (key.section, key.name)).chain([("listener", "")]);
    assert_eq!(said, known.collect());

    let (example, default) = (sources(Some(EXAMPLE), &[]), sources(Some(""), &[]));
    let (example, default) =
        (Loaded::from_sources(&example).unwrap(), Loaded::from_sources(&default).unwrap());
    assert_eq!(shown(&example), shown(&default));
}

#[test]
fn what_config_check_prints_is_a_file_that_says_the_same_and_tells_where_it_is_from() {
    let file = "[queue]\nretry = [\"90s\"]\n[log]\nlevel = \"warn\"\n";
    let first = Loaded::from_sources(&sources(Some(file), &[("FULMAR_LISTEN", "smtp=[::1]:25")])).unwrap();
    let mut out = Vec::new();
    first.write_toml(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "retry = [\"90s\"]  # fulmar.toml:2\n",
        "expire = \"5d\"  # default\n",
        "# postmaster is not set\n",
        "[[listener]]  # FULMAR_LISTEN\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let again = Loaded::from_sources(&sources(Some(&text), &[])).unwrap();
    assert_eq!(shown(&again), shown(&first));

    let mut out = Vec::new();
    first.write_json(&mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), KEYS.len() + 1);
    assert!(objects.iter().any(|object| object["key"] == "retry" && object["origin"] == "fulmar.toml:2"));
}

#[test]
fn a_tool_logs_only_what_went_wrong_unless_asked() {
    for (variables, level) in
        [(&[][..], tracing::Level::WARN), (&[("FULMAR_LOG_LEVEL", "debug")], tracing::Level::DEBUG)]
    {
        assert_eq!(Loaded::from_sources(&sources(None, variables)).unwrap().log_of_a_tool().level, level);
    }
}

#[test]
fn durations_and_sizes_are_shown_with_the_largest_unit_that_fits() {
    for (milliseconds, shown) in
        [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (90_000, "90s"), (86_400_000, "1d")]
    {
        assert_eq!(show_duration(Duration::from_millis(milliseconds)), shown);
    }
    for (octets, shown) in [(0, "0"), (1_000, "1000"), (1_024, "1K"), (50 << 20, "50M"), (1 << 30, "1G")] {
        assert_eq!(show_size(octets), shown);
    }
}
