mod dns;
mod door;
mod listeners;
mod tls;

use std::collections::BTreeSet;

use super::sections::keys;

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
            "2: [queue] pace: not a setting of this version; allowed: retry, expire, delay_notice, window, local_attempts, \
             commit_wait, delivery_wait, intake, entries, adopt_local",
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
            "\n[imap]\nsessions = 1",
            "2: [imap]: not a section of this version; allowed: store, dns, relay, queue, smtp, pop3, auth, tls, policy, limits, replies, verification, signing, forwarding, dmarc_reports, shutdown, log, \
             listener, route, access",
        ),
        (
            "[[auth.issuer]]\nissuer = \"i\"\naudience = \"a\"",
            "2: [[auth.issuer]] jwks_url: has both or neither; allowed: either jwks_url or jwks_file",
        ),
        (
            "[[auth.introspection]]\nurl = \"http://x\"\nclient_id = \"c\"\nclient_secret = \"s\"",
            "2: [[auth.introspection]] url: \"http://x\" is not a URL of HTTPS; allowed: a URL that begins with https://",
        ),
        (
            "[store]\nurl = \"file:mail\"",
            "2: [store] url: \"file:mail\" is not a store; allowed: \"s3://bucket/prefix\", \
             \"file:/an/absolute/path\" or \"memory:\"",
        ),
        (
            "[store]\nurl = \"s3://ma\"\nregion = \"x\"",
            "2: [store] url: \"s3://ma\" names no place in a bucket; allowed: s3:// with a bucket of 3 to 63 letters, \
             digits, - . _ and folders of the same characters",
        ),
        (
            "[store]\nendpoint = \"http://127.0.0.1:9000\"",
            "2: [store] endpoint: only for S3; allowed: nothing, unless url begins with s3://",
        ),
        (
            "[store]\nurl = \"memory:\"\nvirtual_host_style = \"auto\"",
            "3: [store] virtual_host_style: only for S3; allowed: nothing, unless url begins with s3://",
        ),
        (
            "[store]\nurl = \"s3://mail\"\nendpoint = \"127.0.0.1:9000\"",
            "3: [store] endpoint: \"127.0.0.1:9000\" is not an endpoint; allowed: a URL such as \
             \"http://127.0.0.1:9000\" or \"https://s3.example.org\"",
        ),
        (
            "[store]\nurl = \"s3://mail\"\nregion = \"\"",
            "3: [store] region: \"\" is not a region; allowed: a name such as \"eu-west-1\"",
        ),
        (
            "[store]\nurl = \"s3://mail\"\nvirtual_host_style = \"yes\"",
            "3: [store] virtual_host_style: \"yes\" is unknown; allowed: true, false or \"auto\"",
        ),
        (
            "[store]\nurl = \"s3://mail\"\naccess_key_id = \"AKIA\"",
            "3: [store] access_key_id: stands without secret_access_key; allowed: both or neither",
        ),
        (
            "[store]\nurl = \"s3://mail\"\nsecret_access_key = \"s\"",
            "3: [store] secret_access_key: stands without access_key_id; allowed: both or neither",
        ),
        (
            "[store]\nurl = \"s3://mail\"\nsession_token = 1234",
            "3: [store] session_token: what stands here is not a secret; allowed: text without spaces",
        ),
        (
            "[dns]\nservers = [\"127.0.0.1:5353\", \"ns1.test\"]",
            "2: [dns] servers: \"ns1.test\" is not a name server; allowed: addresses with or without a port, such as \
             \"127.0.0.1:5353\" or \"::1\"",
        ),
        (
            "[dns]\nservers = [\"::1\", \"::1\", \"::1\", \"::1\", \"::1\", \"::1\", \"::1\", \"::1\", \"::1\"]",
            "2: [dns] servers: a list is too long; allowed: at most 8 servers",
        ),
        ("[relay]\nport = 0", "2: [relay] port: 0 is out of range; allowed: 1 to 65535"),
        (
            "[[route]]\ndomain = \"-a.test\"\nnext_hop = \"host\"",
            "2: [[route]] domain: \"-a.test\" is not a domain (a label of the domain is empty, longer than 63 octets, \
             or begins or ends with a hyphen); allowed: a domain such as \"relay.test\", or \"*\" for every other one",
        ),
        (
            "[[route]]\ndomain = \"a.test\"\nnext_hop = \"h1\"\n[[route]]\ndomain = \"A.test\"\nnext_hop = \"h2\"",
            "5: [[route]] domain: \"A.test\" has a route already, to h1:25; allowed: one route for each domain",
        ),
        (
            "[[route]]\ndomain = \"*\"\nnext_hop = \"10.0.0.256\"",
            "3: [[route]] next_hop: \"10.0.0.256\" is not a next hop; allowed: a host with or without a port, such as \
             \"smarthost\", \"192.0.2.1:2525\" or \"[2001:db8::1]:25\"",
        ),
        (
            "[route]\ndomain = \"*\"",
            "1: [[route]]: a table is not a list of routes; allowed: tables with the heading [[route]]",
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
            "2: [[listener]] protocol: \"imap\" is not built yet; allowed: smtp, submission, submissions, lmtp, pop3, pop3s, http",
        ),
        (
            "[[listener]]\nprotocol = \"gopher\"\naddress = \"127.0.0.1:70\"",
            "2: [[listener]] protocol: \"gopher\" is not a protocol; allowed: smtp, submission, submissions, lmtp, pop3, pop3s, http",
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
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\nproxy = true",
            "4: [[listener]] proxy: not a setting of this version; allowed: protocol, address, \
             proxy_protocol_from, tls, tls_minimum, client_certificates, client_ca, hostname, banner, message_size, recipients, command_timeout, \
             content_timeout, access, auth, allow_plaintext_auth, bare_newlines_from, xclient_from, xforward_from",
        ),
        ("[shutdown]\ngrace = \"2h\"", "2: [shutdown] grace: \"2h\" is out of range; allowed: 0s to 1h"),
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
        (
            "FULMAR_LISTEN",
            "imap=127.0.0.1:143",
            "\"imap\" is not built yet; allowed: smtp, submission, submissions, lmtp, pop3, pop3s, http",
        ),
        (
            "FULMAR_LISTEN",
            "127.0.0.1:25",
            "\"127.0.0.1:25\" is not a listener; allowed: \"smtp=127.0.0.1:2525\", several separated by commas",
        ),
        ("FULMAR_STORE_REGION", "eu-west-1", "only for S3; allowed: nothing, unless url begins with s3://"),
        (
            "FULMAR_STORE_SECRET_ACCESS_KEY",
            "not one word",
            "what stands here is not a secret; allowed: text without spaces",
        ),
        (
            "FULMAR_ROUTE",
            "a.test",
            "\"a.test\" is not a route; allowed: \"relay.test=127.0.0.1:2525\", several separated by commas",
        ),
        ("FULMAR_ROUTE", "*=a,*=b", "\"*\" has a route already, to a:25; allowed: one route for each domain"),
        (
            "FULMAR_LISTEN",
            "",
            "\"\" names no listener; allowed: \"smtp=127.0.0.1:2525\", several separated by commas",
        ),
        (
            "FULMAR_QUEUE_EXPIRES",
            "5d",
            "not a variable of this version; the closest are FULMAR_QUEUE_EXPIRE, FULMAR_QUEUE_ENTRIES, FULMAR_QUEUE_RETRY",
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
        ("FULMAR_LISTEN", "smtp=127.0.0.1:2525, pop3=[::1]:1110,http=127.0.0.1:8080"),
        ("FULMAR_QUEUE_RETRY", "10s,2m"),
        ("FULMAR_RELAY_NETWORKS", "10.0.0.0/8,::1/128"),
        ("FULMAR_SERVICE_PORT", "25"),
        ("FULMAR_SMTP_MESSAGE_SIZE", "25MiB"),
    ];
    let settings = load(file, &variables).unwrap();
    assert_eq!(settings.engine.hostname.as_str(), "variable.test");
    let addresses: Vec<_> =
        settings.listeners.iter().map(|listener| listener.address().to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:2525", "[::1]:1110", "127.0.0.1:8080"]);
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
    // What has no default stands there as a comment.
    let is_setting = |line: &&str| line.starts_with("[[") || line.split(' ').nth(1) == Some("=");
    let uncommented = |line| str::strip_prefix(line, "# ").filter(is_setting).unwrap_or(line);
    let example: Vec<&str> = EXAMPLE.lines().map(uncommented).collect();
    let of_s3 = [("FULMAR_STORE_URL", "s3://mail")];
    let from_example = Loaded::from_sources(&sources(Some(&example.join("\n")), &of_s3)).unwrap();
    let said: BTreeSet<_> = from_example.origins.keys().copied().collect();
    let lists = [("listener", ""), ("route", ""), ("access", ""), ("tls.certificates", "")];
    let known = keys().map(|key| (key.section, key.name)).chain(lists);
    assert_eq!(said, known.collect());

    let (example, default) = (sources(Some(EXAMPLE), &[]), sources(Some(""), &[]));
    let (example, default) =
        (Loaded::from_sources(&example).unwrap(), Loaded::from_sources(&default).unwrap());
    assert_eq!(shown(&example), shown(&default));
}

#[test]
fn what_config_check_prints_is_a_file_that_says_the_same_and_tells_where_it_is_from() {
    let file = "[queue]\nretry = [\"90s\"]\n[log]\nlevel = \"warn\"\n\
                [[route]]\ndomain = \"*\"\nnext_hop = \"hub:26\"\n";
    let first = Loaded::from_sources(&sources(Some(file), &[("FULMAR_LISTEN", "smtp=[::1]:25")])).unwrap();
    let mut out = Vec::new();
    first.write_toml(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "retry = [\"90s\"]  # fulmar.toml:2\n",
        "expire = \"5d\"  # default\n",
        "# postmaster is not set\n",
        "[[listener]]  # FULMAR_LISTEN\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\n",
        "[[route]]  # fulmar.toml:5\ndomain = \"*\"\nnext_hop = \"hub:26\"\n",
        "# endpoint is not set\n",
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
    assert_eq!(objects.len(), keys().count() + 2);
    assert!(objects.iter().any(|object| object["key"] == "retry" && object["origin"] == "fulmar.toml:2"));
}

#[test]
fn the_window_goes_by_the_store_where_nobody_sets_it() {
    for (url, window, expected) in [
        ("s3://mail", "", 50),
        ("s3://mail/prod", "window = \"auto\"", 50),
        ("s3://mail", "window = \"7ms\"", 7),
        ("file:/srv/mail", "", 2),
        ("memory:", "window = \"auto\"", 2),
    ] {
        let settings = load(&format!("[queue]\n{window}\n[store]\nurl = \"{url}\""), &[]).unwrap();
        assert_eq!(settings.engine.queue.window, Duration::from_millis(expected), "{url} {window}");
        assert_eq!(settings.store.to_string(), url);
    }
}

#[test]
fn secrets_reach_the_store_and_are_never_shown() {
    let file = "[store]\nurl = \"s3://mail/prod/\"\nendpoint = \"http://minio:9000/\"\naccess_key_id = \"AKIA\"\n\
                session_token = \"hidden-token\"\n";
    let variables = [("FULMAR_STORE_SECRET_ACCESS_KEY", "hidden-key")];
    let loaded = Loaded::from_sources(&sources(Some(file), &variables)).unwrap();
    let StoreUrl::S3 { bucket, prefix } = &loaded.settings.store else { panic!("it is S3") };
    let settings = loaded.settings.s3.of_bucket(bucket, prefix);
    assert_eq!((&settings.bucket[..], &settings.prefix[..]), ("mail", "prod"));
    assert_eq!(settings.endpoint.as_deref(), Some("http://minio:9000"));
    let credentials = settings.credentials.unwrap();
    assert_eq!(credentials.secret_access_key, "hidden-key");
    assert_eq!(credentials.session_token.as_deref(), Some("hidden-token"));

    let (mut toml, mut json) = (Vec::new(), Vec::new());
    loaded.write_toml(&mut toml).unwrap();
    loaded.write_json(&mut json).unwrap();
    for output in [toml, json, format!("{loaded:?}").into_bytes()] {
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains("AKIA") && output.contains("***") && !output.contains("hidden"), "{output}");
    }
}

#[test]
fn routes_and_name_servers_have_ports_of_their_own_or_the_usual_ones() {
    let file = "[dns]\nservers = [\"127.0.0.1:5353\", \"::1\", \"[::1]:53\", \"192.0.2.1\", \"[fe80::1%2]:53\"]\n\
                [[route]]\ndomain = \"a.test\"\nnext_hop = \"[::1]:2525\"\n\
                [[route]]\ndomain = \"*\"\nnext_hop = \"mail_relay\"\n";
    let servers = ["127.0.0.1:5353", "[::1]:53", "[::1]:53", "192.0.2.1:53", "[fe80::1%2]:53"];
    for (variables, routes) in [
        (&[][..], &["a.test [::1]:2525", "* mail_relay:25"][..]),
        (&[("FULMAR_ROUTE", "b.test=192.0.2.2:26")], &["b.test 192.0.2.2:26"]),
        (&[("FULMAR_ROUTE", "")], &[]),
    ] {
        let settings = load(file, variables).unwrap();
        assert_eq!(
            settings.dns.servers.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            servers
        );
        let found = settings.engine.relay.routes.iter();
        let found: Vec<_> =
            found.map(|route| format!("{} {}", routes::domain_name(route), route.next_hop)).collect();
        assert_eq!(found, routes, "{variables:?}");
    }
}

#[test]
fn a_tool_logs_only_what_went_wrong_unless_asked() {
    for (variables, level) in
        [(&[][..], tracing::Level::WARN), (&[("FULMAR_LOG_LEVEL", "debug")], tracing::Level::DEBUG)]
    {
        assert_eq!(Loaded::from_sources(&sources(None, variables)).unwrap().log_of_a_tool().level, level);
    }
}
