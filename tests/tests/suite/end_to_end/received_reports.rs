//! Reports that others send are stored once, with what is known of their sender, and delivered like other mail.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use fulmar_core::model::verdict::DmarcResult;
use fulmar_core::model::{Domain, Event};
use fulmar_core::state::layout;
use fulmar_tests::faults::{Death, Failure, Verb, Which};
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{self, Simulation};

use super::simulated;
use super::sink::Sink;
use super::world::{ALICE, BOB, Node, TEAM, World, address};

const DAY: Duration = Duration::from_hours(24);
/// The first second that reports tell of, where nothing else is said.
const BEGIN: u64 = 86_400;

/// A world in which reports come to Alice. Anybody may send in the name of far.test and evil.test, so that mail from there passes, and nobody in
/// the name of near.test. far.test wants reports itself.
async fn world(runtime: Arc<dyn Runtime>) -> (World, Sink) {
    let (mut world, sink) = World::verifying(runtime).await;
    world.change(|config| {
        config.dmarc_reports.is_on = true;
        config.dmarc_reports.inbox = vec![address(ALICE)];
    });
    for (name, text) in [
        ("far.test", "v=spf1 +all"),
        ("_dmarc.far.test", "v=DMARC1; p=none; rua=mailto:rua@far.test"),
        ("evil.test", "v=spf1 +all"),
        ("_dmarc.evil.test", "v=DMARC1; p=none"),
        ("near.test", "v=spf1 -all"),
    ] {
        world.publish(name, text);
    }
    (world, sink)
}

/// A report about a domain, of the day that begins then.
fn document(about: &str, id: &str, begin: u64) -> String {
    let end = begin + 86_399;
    format!(
        "<feedback><report_metadata><org_name>Far\u{7f}</org_name><report_id>{id}</report_id><date_range><begin>{begin}</begin>\
         <end>{end}</end></date_range></report_metadata><policy_published><domain>{about}</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.7</source_ip><count>3</count><policy_evaluated><disposition>none</disposition>\
         <dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>{about}</header_from></identifiers>\
         <auth_results/></record></feedback>"
    )
}

fn gzip(document: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(document).unwrap();
    encoder.finish().unwrap()
}

/// An archive of one file, as far as it is looked at.
fn zip(document: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(document).unwrap();
    let head = [b"PK\x03\x04\x14\0\0\0\x08\0".as_slice(), &[0; 16], b"\x05\0\0\0r.xml"].concat();
    [head, encoder.finish().unwrap()].concat()
}

/// A message from an author at a domain that carries a file of this type.
fn message(from: &str, kind: &str, file: &[u8]) -> String {
    let encoded = STANDARD.encode(file);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
    format!(
        "From: reports@{from}\r\nSubject: Report Domain: home.test Submitter: {from} Report-ID: <1>\r\nMIME-Version: 1.0\r\n\
         Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        lines.join("\r\n")
    )
}

/// A message that carries a document in the form of RFC 9990.
fn report(from: &str, document: &str) -> String {
    message(from, "application/gzip; name=r.xml.gz", &gzip(document.as_bytes()))
}

async fn send(world: &World, node: &Node, from: &str, to: &[&str], message: &str) {
    let mut client = world.smtp(node).await;
    let reply = client.transact(&format!("reports@{from}"), to, message).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

/// What was stored, and why other messages were not.
fn told(node: &Node) -> (usize, Vec<String>) {
    let stored = node.events(|event| matches!(event, Event::DmarcReportReceived { .. }).then_some(()));
    let ignored = node.events(|event| match event {
        Event::DmarcReportIgnored { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    (stored.len(), ignored)
}

#[test]
fn a_report_is_stored_once_however_often_it_comes_and_no_forged_one_takes_its_place() {
    simulated(async |runtime| {
        let (world, _sink) = world(runtime).await;
        let node = world.start(1).await;
        let document = document("home.test", "1", BEGIN);
        // All say that they are of far.test, by the words in them alone.
        for from in ["near.test", "evil.test", "far.test", "far.test"] {
            send(&world, &node, from, &[ALICE, BOB], &report(from, &document)).await;
        }
        world.until_done().await;
        assert_eq!((world.inbox(ALICE).await.len(), world.inbox(BOB).await.len()), (4, 4));
        let listed = world.admin().received_reports(None).await.unwrap();
        let known: Vec<_> = listed
            .iter()
            .map(|one| {
                let author = one.report.author_domain.as_ref().map(Domain::as_str);
                (one.report.dmarc, author, one.report.messages, one.report.organization.as_str())
            })
            .collect();
        assert_eq!(known.len(), 3, "{listed:?}");
        for (result, from) in [
            (DmarcResult::Pass, "far.test"),
            (DmarcResult::Pass, "evil.test"),
            (DmarcResult::None, "near.test"),
        ] {
            assert!(known.contains(&(Some(result), Some(from), 3, "Far")), "{from}: {listed:?}");
        }
        assert_eq!(told(&node), (3, vec!["it is stored already".to_owned()]));
        let (summary, feedback) = world.admin().received_report(&listed[0].id).await.unwrap();
        assert_eq!(summary, listed[0]);
        assert_eq!(feedback.record[0].row.source_ip, "192.0.2.7");
        let elsewhere = Domain::parse("other.test").unwrap();
        assert_eq!(world.admin().received_reports(Some(&elsewhere)).await.unwrap(), []);
        let ours = Domain::parse("home.test").unwrap();
        assert_eq!(world.admin().received_reports(Some(&ours)).await.unwrap(), listed);
        assert!(world.admin().received_report("00").await.is_err());
        drop(node);
    });
}

#[test]
fn a_report_id_that_is_used_again_for_another_day_or_domain_hides_no_report() {
    simulated(async |runtime| {
        let (world, _sink) = world(runtime).await;
        let node = world.start(1).await;
        let reports = [("home.test", BEGIN), ("home.test", 2 * BEGIN), ("mail.home.test", BEGIN)];
        for (about, begin) in reports {
            let document = document(about, "1", begin);
            send(&world, &node, "far.test", &[ALICE], &report("far.test", &document)).await;
        }
        world.until_done().await;
        let listed = world.admin().received_reports(None).await.unwrap();
        let mut shown = Vec::new();
        for one in &listed {
            let (summary, feedback) = world.admin().received_report(&one.id).await.unwrap();
            assert_eq!(&summary, one);
            shown.push((feedback.policy_published.domain, feedback.report_metadata.date_range.begin));
        }
        let shown: Vec<_> = shown.iter().map(|(about, begin)| (about.as_str(), *begin)).collect();
        assert_eq!(shown, [("home.test", BEGIN), ("mail.home.test", BEGIN), ("home.test", 2 * BEGIN)]);
        drop(node);
    });
}

#[test]
fn a_report_for_several_that_it_may_come_to_is_stored_once() {
    simulated(async |runtime| {
        let (mut world, _sink) = world(runtime).await;
        world.change(|config| config.dmarc_reports.inbox.push(address(TEAM)));
        let node = world.start(1).await;
        let report = report("far.test", &document("home.test", "1", BEGIN));
        send(&world, &node, "far.test", &[TEAM], &report).await;
        world.until_done().await;
        assert_eq!((world.inbox(ALICE).await.len(), world.inbox(BOB).await.len()), (1, 1));
        assert_eq!(told(&node), (1, vec!["it is stored already".to_owned()]));
        drop(node);
    });
}

#[test]
fn what_is_no_report_about_us_is_only_mail() {
    // Once: the work is in what is unpacked, and nothing of it depends on chance.
    sim::run_traced(0, async |simulator| {
        let (world, _sink) = world(Arc::new(Simulation::new(simulator))).await;
        let node = world.start(1).await;
        let ours = document("home.test", "1", BEGIN);
        let blanks = vec![b' '; 20 << 20];
        let entity = ours
            .replace("<feedback>", "<!DOCTYPE f [<!ENTITY a \"12345678\">]><feedback>")
            .replace("Far", "&a;");
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(200_000);
        let (gz, zipped) = ("application/gzip", "application/zip");
        let messages = [
            (message("far.test", gz, &gzip(&blanks)), "a document that is too long"),
            (message("far.test", zipped, &zip(&blanks)), "a document that is too long"),
            (
                message("far.test", gz, &gzip("<x/>".repeat(1 << 20).as_bytes())),
                "a document of too many tags",
            ),
            (message("far.test", gz, &gzip(entity.as_bytes())), ""),
            (message("far.test", "text/xml", &vec![b' '; 13 << 20]), "it is too long"),
            (report("far.test", "<html/>"), ""),
            (
                report("far.test", &document("other.test", "1", BEGIN)),
                "it is about other.test, no domain of ours",
            ),
            (
                report("far.test", &document("nothome.test", "1", BEGIN)),
                "it is about nothome.test, no domain of ours",
            ),
            (report("far.test", &document("test", "1", BEGIN)), "it is about test, no domain of ours"),
            (report("far.test", &document("..", "1", BEGIN)), ""),
            (message("far.test", "text/plain; name=r", ours.as_bytes()), "no report in it"),
            (format!("From: a@far.test\r\n{nested}"), "no report in it"),
        ];
        for (message, _) in &messages {
            send(&world, &node, "far.test", &[ALICE], message).await;
            // One after the other, so that what is told of them stands in this order.
            world.until_done().await;
        }
        // For somebody to whom none are to come.
        send(&world, &node, "far.test", &[BOB], &report("far.test", &ours)).await;
        world.until_done().await;
        assert_eq!((world.inbox(ALICE).await.len(), world.inbox(BOB).await.len()), (messages.len(), 1));
        assert_eq!(world.keys(layout::RECEIVED_REPORTS).await, [""; 0]);
        let (stored, ignored) = told(&node);
        assert_eq!((stored, ignored.len()), (0, messages.len()), "{ignored:?}");
        for ((_, expected), reason) in messages.iter().zip(&ignored) {
            assert!(!reason.is_empty() && (expected.is_empty() || reason == expected), "{reason} {expected}");
        }
        drop(node);
    });
}

#[test]
fn no_report_goes_out_about_a_report_that_came_in() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime).await;
        let node = world.start(1).await;
        let document = document("home.test", "1", BEGIN);
        send(&world, &node, "far.test", &[ALICE], &report("far.test", &document)).await;
        world.pass(DAY + Duration::from_hours(6)).await;
        assert_eq!(told(&node), (1, Vec::new()));
        assert_eq!(sink.taken().len(), 0);
        // What is not a report is told of.
        let letter = "From: ann@far.test\r\nSubject: hello\r\n\r\nhello\r\n";
        send(&world, &node, "far.test", &[ALICE], letter).await;
        world.pass(DAY + Duration::from_hours(6)).await;
        assert_eq!(sink.taken().len(), 1);
        drop(node);
    });
}

#[test]
fn a_report_that_cannot_be_stored_yet_is_delivered_when_it_can_and_others_need_not_wait() {
    simulated(async |runtime| {
        let (world, _sink) = world(runtime).await;
        let node = world.start(1).await;
        node.faults.fail(Which::new(Verb::Put, layout::RECEIVED_REPORTS), Failure::Unavailable, usize::MAX);
        let report = report("far.test", &document("home.test", "1", BEGIN));
        send(&world, &node, "far.test", &[ALICE, BOB], &report).await;
        world.until("Bob's copy", || async { world.inbox(BOB).await.len() == 1 }).await;
        assert_eq!((world.inbox(ALICE).await.len(), told(&node)), (0, (0, Vec::new())));
        node.faults.heal();
        world.until_done().await;
        assert_eq!((world.inbox(ALICE).await.len(), world.inbox(BOB).await.len()), (1, 1));
        assert_eq!(world.admin().received_reports(None).await.unwrap().len(), 1);
        drop(node);
    });
}

#[test]
fn a_report_is_stored_and_delivered_once_whatever_write_a_node_dies_at() {
    for at in 1..=4 {
        for after_effect in [false, true] {
            let death = Death { at, of_writes: true, among: "", after_effect };
            sim::run_traced(at as u64, async |simulator| {
                let (world, _sink) = world(Arc::new(Simulation::new(simulator))).await;
                let first = world.start(1).await;
                let hold = first.faults.hold(Which::new(Verb::Put, layout::RECEIVED_REPORTS), 1);
                let report = report("far.test", &document("home.test", "1", BEGIN));
                send(&world, &first, "far.test", &[ALICE], &report).await;
                hold.reached(1).await;
                let second = world.start(2).await;
                first.faults.die(death);
                hold.release();
                world.pass(Duration::from_hours(1)).await;
                world.until_done().await;
                assert_eq!(world.inbox(ALICE).await.len(), 1, "{death:?}");
                assert_eq!(world.admin().received_reports(None).await.unwrap().len(), 1, "{death:?}");
                drop((first, second));
            });
        }
    }
}
