//! Whoever asks for it is told of single messages that failed, as far as an operator has it so; and nobody is told about reports. In virtual time.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::Event;
use fulmar_core::platform::RecordKind;
use fulmar_tests::runtime::Runtime;

use super::simulated;
use super::sink::{Sink, Taken};
use super::world::{ALICE, BOB, Node, World, address};

const HOUR: Duration = Duration::from_hours(1);
const OWNER: &str = "ruf@far.test";
/// Nothing proves that it is from far.test, when somebody else sends it.
const MESSAGE: &str = "From: Ann <ann@far.test>\r\n\
                       To: Alice A. <alice@home.test>\r\n\
                       Subject: lunch\r\n\
                       Message-ID: <1@far.test>\r\n\r\n\
                       see you there\r\n";
/// Reports about one domain in an hour.
const LIMIT: usize = 10;

/// A world in which the owner of far.test is to be told of what fails, by this record.
async fn world(runtime: Arc<dyn Runtime>, record: &str) -> (World, Sink) {
    let (mut world, sink) = World::verifying(runtime).await;
    world.change(|config| config.dmarc_reports.tells_failures = true);
    world.publish("far.test", "v=spf1 -all");
    world.publish("foe.test", "v=spf1 +all");
    world.publish("_dmarc.far.test", record);
    (world, sink)
}

/// Sends a message, which is answered like this.
async fn send(world: &World, node: &Node, reverse_path: &str, recipient: &str, content: &str, reply: &str) {
    let answer = world.smtp(node).await.transact(reverse_path, &[recipient], content).await;
    assert!(answer.starts_with(reply), "{answer}");
}

/// The reports that have arrived once nothing is under way any more, each as it must be.
async fn reports(world: &World, sink: &Sink) -> Vec<String> {
    world.pass(Duration::from_mins(2)).await;
    world.until_done().await;
    sink.taken().iter().map(checked).collect()
}

/// A report, unfolded.
fn checked(report: &Taken) -> String {
    assert_eq!((report.reverse_path.as_str(), &report.forward_paths[..]), ("", &[OWNER.to_owned()][..]));
    let text = String::from_utf8(report.content.clone()).unwrap();
    let text = text.replace("\r\n\t", " ").replace("\r\n ", " ");
    for part in [
        "Content-Type: multipart/report; report-type=\"feedback-report\";",
        "Content-Type: message/feedback-report",
        "Content-Type: text/rfc822-headers",
        "\r\nFeedback-Type: auth-failure\r\n",
        "\r\nReported-Domain: far.test\r\n",
        "\r\nAuto-Submitted: auto-generated\r\n",
        "\r\nFrom: Ann <ann@far.test>\r\n",
        "\r\nMessage-ID: <1@far.test>\r\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in ["alice@", "Alice", "lunch", "see you", "mallory"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    text
}

fn is_dropped(event: &Event) -> bool {
    matches!(event, Event::DmarcReportDropped { .. })
}

#[test]
fn nobody_is_told_unless_an_operator_has_it_so() {
    simulated(async |runtime| {
        let (mut world, sink) = world(runtime, "v=DMARC1; p=reject; ruf=mailto:ruf@far.test").await;
        world.change(|config| config.dmarc_reports.tells_failures = false);
        let node = world.start(1).await;
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "550 5.7.26 ").await;
        assert_eq!(reports(&world, &sink).await.len(), 0);
    });
}

#[test]
fn one_report_tells_of_a_message_that_fails_refused_or_not_and_hides_whom_it_was_for() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime, "v=DMARC1; p=reject; ruf=mailto:ruf@far.test").await;
        let node = world.start(1).await;
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "550 5.7.26 ").await;
        let told = reports(&world, &sink).await;
        assert_eq!(told.len(), 1);
        for field in [
            "Auth-Failure: dmarc\r\n",
            "Delivery-Result: reject\r\n",
            "Identity-Alignment: dkim, spf\r\n",
            "SPF-DNS: txt : foe.test : \"v=spf1 +all\"\r\n",
            "Source-IP: 127.0.0.",
            "dmarc=fail (p=reject of far.test) header.from=far.test",
        ] {
            assert!(told[0].contains(field), "{field}: {}", told[0]);
        }
        assert!(node.has_reported(|event| {
            matches!(event, Event::DmarcFailureReported { domain, to, .. } if domain == "far.test" && *to == address(OWNER))
        }));
        for (policy, result) in [("none", "delivered"), ("quarantine", "spam")] {
            world.publish("_dmarc.far.test", &format!("v=DMARC1; p={policy}; ruf=mailto:ruf@far.test"));
            world.pass(HOUR).await;
            send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "250 ").await;
            let told = reports(&world, &sink).await;
            let last = told.last().unwrap();
            assert!(last.contains(&format!("Delivery-Result: {result}\r\n")), "{last}");
        }
        assert_eq!(sink.taken().len(), 3);
    });
}

#[test]
fn options_of_the_record_say_what_is_told() {
    const SIGNED: &str = "DKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=none; h=from; bh=AAAA; b=AAAA\r\n";
    simulated(async |runtime| {
        let (world, sink) = world(runtime, "v=DMARC1; p=none").await;
        let node = world.start(1).await;
        world.publish("far.test", "v=spf1 +all");
        world.publish("foe.test", "v=spf1 -all");
        let mut known = 0;
        for (options, reverse_path, signature, expected) in [
            ("0", "ann@far.test", "", None),
            ("0", "ann@far.test", SIGNED, None),
            ("1", "ann@far.test", "", Some(("dmarc", "dkim"))),
            ("d", "mallory@foe.test", "", None),
            ("d", "ann@far.test", SIGNED, Some(("bodyhash", "dkim"))),
            ("s", "ann@far.test", SIGNED, None),
            ("s", "mallory@foe.test", "", Some(("spf", "dkim, spf"))),
            ("d:s", "mallory@foe.test", "", Some(("spf", "dkim, spf"))),
            ("0:d", "mallory@foe.test", SIGNED, Some(("dmarc", "dkim, spf"))),
        ] {
            world.publish(
                "_dmarc.far.test",
                &format!("v=DMARC1; p=none; fo={options}; ruf=mailto:ruf@far.test"),
            );
            world.pass(HOUR).await;
            send(&world, &node, reverse_path, ALICE, &format!("{signature}{MESSAGE}"), "250 ").await;
            let told = reports(&world, &sink).await;
            let kinds: Vec<_> = told[known..]
                .iter()
                .map(|report| (field(report, "Auth-Failure"), field(report, "Identity-Alignment")))
                .collect();
            assert_eq!(kinds, Vec::from_iter(expected), "fo={options} {reverse_path} {signature}");
            known = told.len();
        }
    });
}

fn field<'a>(report: &'a str, name: &str) -> &'a str {
    let (_, rest) = report.split_once(&format!("\r\n{name}: ")).unwrap();
    rest.split("\r\n").next().unwrap()
}

#[test]
fn destinations_elsewhere_are_told_only_where_they_want_it_and_so_large_a_report() {
    simulated(async |runtime| {
        let record = "v=DMARC1; p=reject; ruf=mailto:victim@elsewhere.test,mailto:small@far.test!1k";
        let (world, sink) = world(runtime, record).await;
        let node = world.start(1).await;
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "550 5.7.26 ").await;
        assert_eq!(reports(&world, &sink).await.len(), 0);
        assert_eq!(world.queued().await, 0);
        let dropped = |event: &Event| match event {
            Event::DmarcReportDropped { to, .. } => Some(to.clone()),
            _ => None,
        };
        assert_eq!(node.events(dropped), [Some(address("small@far.test"))]);
        // It consents, and names another mailbox of its own.
        world.publish("_dmarc.other.test", "v=DMARC1; p=reject; ruf=mailto:victim@far.test");
        world.publish("other.test._report._dmarc.far.test", "v=DMARC1; ruf=mailto:ruf@far.test");
        let other = MESSAGE.replace("ann@far.test", "ann@other.test");
        send(&world, &node, "mallory@foe.test", ALICE, &other, "550 5.7.26 ").await;
        world.pass(Duration::from_mins(2)).await;
        world.until_done().await;
        let taken = sink.taken();
        assert_eq!(taken.iter().map(|report| &report.forward_paths[0][..]).collect::<Vec<_>>(), [OWNER]);
    });
}

#[test]
fn a_flood_gives_a_few_reports_and_the_next_one_says_for_how_many_it_stands() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime, "v=DMARC1; p=reject; ruf=mailto:ruf@far.test").await;
        let node = world.start(1).await;
        let mut client = world.smtp(&node).await;
        for _ in 0..100 {
            let answer = client.transact("mallory@foe.test", &[ALICE], MESSAGE).await;
            assert!(answer.starts_with("550 5.7.26 "), "{answer}");
            // Too few at a time to be too many at once.
            world.pass(Duration::from_secs(5)).await;
        }
        assert_eq!(reports(&world, &sink).await.len(), LIMIT);
        assert_eq!(node.events(|event| is_dropped(event).then_some(())).len(), 1);
        world.pass(HOUR).await;
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "550 5.7.26 ").await;
        let told = reports(&world, &sink).await;
        assert_eq!(told.len(), LIMIT + 1);
        assert_eq!(field(&told[LIMIT], "Incidents"), "91");
        assert!(told[..LIMIT].iter().all(|report| !report.contains("\r\nIncidents:")));
    });
}

#[test]
fn reports_and_mail_for_those_who_get_reports_are_never_told_of() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime, "v=DMARC1; p=none; ruf=mailto:ruf@far.test").await;
        world.publish("_dmarc.home.test", "v=DMARC1; p=none; rua=mailto:bob@home.test");
        let node = world.start(1).await;
        let with = |field: &str| format!("{field}\r\n{MESSAGE}");
        let aggregate = "Subject: Report Domain: mx.test Submitter: far.test Report-ID: <1>";
        for (reverse_path, recipient, content) in [
            ("", ALICE, MESSAGE.to_owned()),
            (
                "mallory@foe.test",
                ALICE,
                with("Content-Type: multipart/report; report-type=feedback-report; boundary=x"),
            ),
            ("mallory@foe.test", ALICE, with("Auto-Submitted: auto-replied")),
            ("mallory@foe.test", ALICE, MESSAGE.replace("Subject: lunch", aggregate)),
            ("mallory@foe.test", BOB, MESSAGE.to_owned()),
        ] {
            send(&world, &node, reverse_path, recipient, &content, "250 ").await;
        }
        assert_eq!(reports(&world, &sink).await.len(), 0);
        // A report of ours that comes back as if from somebody who wants to be told.
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "250 ").await;
        let report = String::from_utf8(sink_one(&world, &sink).await.content).unwrap();
        let returned = report.replace("dmarc@home.test", "ann@far.test");
        send(&world, &node, "mallory@foe.test", ALICE, &returned, "250 ").await;
        assert_eq!(reports(&world, &sink).await.len(), 1);
    });
}

async fn sink_one(world: &World, sink: &Sink) -> Taken {
    assert_eq!(reports(world, sink).await.len(), 1);
    sink.taken().remove(0)
}

#[test]
fn a_name_server_that_is_silent_keeps_no_message_waiting() {
    simulated(async |runtime| {
        let (world, sink) =
            world(runtime, "v=DMARC1; p=none; ruf=mailto:ruf@far.test,mailto:r@silent.test").await;
        let silence = Err(fulmar_core::platform::DnsError::ServFail("no server answered".to_owned()));
        world.zone().set("_dmarc.silent.test", RecordKind::Txt, silence);
        let node = world.start(1).await;
        send(&world, &node, "mallory@foe.test", ALICE, MESSAGE, "250 ").await;
        assert_eq!(reports(&world, &sink).await.len(), 0);
        assert!(node.has_reported(is_dropped));
        assert_eq!(world.inbox(ALICE).await.len(), 1);
    });
}
