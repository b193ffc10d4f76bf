//! The owners of domains are told of each day's mail once, whatever becomes of the nodes that saw it. In virtual time, in which days pass.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use fulmar_core::model::Event;
use fulmar_core::model::dmarc_report::Feedback;
use fulmar_core::state::layout;
use fulmar_tests::faults::{Death, Verb, Which};
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{self, Simulation};

use super::simulated;
use super::sink::Sink;
use super::world::{ALICE, Node, World, address};

const DAY: Duration = Duration::from_hours(24);
const OWNER: &str = "rua@far.test";
/// Says that it is from far.test.
const MESSAGE: &str = "From: Ann <ann@far.test>\r\nSubject: hello\r\n\r\nhello\r\n";
const REPORT: &str = "From: Ann <ann@far.test>\r\n\
                      Subject: Report Domain: mx.test Submitter: far.test Report-ID: <1>\r\n\r\nreport\r\n";

/// A world in which far.test wants mail refused that is not from it, and to be told.
async fn world(runtime: Arc<dyn Runtime>) -> (World, Sink) {
    let (mut world, sink) = World::verifying(runtime).await;
    world.change(|config| config.dmarc_reports.is_on = true);
    world.publish("far.test", "v=spf1 +all");
    world.publish(
        "_dmarc.far.test",
        "v=DMARC1; p=reject; rua=mailto:rua@far.test,mailto:victim@elsewhere.test,mailto:small@far.test!1k",
    );
    (world, sink)
}

/// Somebody else's mail, which is refused, then the owner's, which is not; what is seen of both is durable with the latter.
async fn refuse_and_take(world: &World, node: &Node, messages: usize) {
    let mut client = world.smtp(node).await;
    for _ in 0..messages {
        let reply = client.transact("mallory@foe.test", &[ALICE], MESSAGE).await;
        assert!(reply.starts_with("550 5.7.26 "), "{reply}");
    }
    let reply = client.transact("ann@far.test", &[ALICE], MESSAGE).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let reply = client.transact("ann@far.test", &[ALICE], REPORT).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

/// The reports that have arrived.
fn reports(sink: &Sink) -> Vec<Feedback> {
    let decode = |content: &[u8]| {
        let text = String::from_utf8(content.to_vec()).unwrap();
        let unfolded = text.replace("\r\n ", " ");
        assert!(
            unfolded.contains("\r\nSubject: Report Domain: far.test Submitter: home.test Report-ID: <"),
            "{text}"
        );
        let encoded = text.split("\r\n\r\n").find(|part| part.starts_with("H4sI")).unwrap();
        let encoded: String = encoded.lines().take_while(|line| !line.starts_with("--")).collect();
        let mut xml = String::new();
        GzDecoder::new(&STANDARD.decode(encoded).unwrap()[..]).read_to_string(&mut xml).unwrap();
        Feedback::from_xml(&xml).unwrap()
    };
    let arrived = sink.taken();
    let is_report = |message: &&super::sink::Taken| {
        assert_eq!(
            (message.reverse_path.as_str(), &message.forward_paths[..]),
            ("", &[OWNER.to_owned()][..])
        );
        true
    };
    arrived.iter().filter(is_report).map(|message| decode(&message.content)).collect()
}

/// So many messages, by what was done with them.
fn messages(report: &Feedback, disposition: &str) -> u64 {
    let records =
        report.record.iter().filter(|record| record.row.policy_evaluated.disposition == disposition);
    records.map(|record| record.row.count).sum()
}

#[test]
fn one_report_tells_of_the_mail_of_all_nodes_the_dead_and_what_was_refused_included() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime).await;
        let (first, second) = (world.start(1).await, world.start(2).await);
        refuse_and_take(&world, &first, 2).await;
        refuse_and_take(&world, &second, 3).await;
        world.until_done().await;
        world.kill(first);
        world.pass(DAY + Duration::from_hours(6)).await;
        let reports = reports(&sink);
        assert_eq!(reports.len(), 1, "{reports:?}");
        let report = &reports[0];
        assert_eq!((messages(report, "reject"), messages(report, "pass"), report.messages()), (5, 2, 7));
        assert_eq!(
            (report.policy_published.domain.as_str(), report.policy_published.p.as_str()),
            ("far.test", "reject")
        );
        let range = &report.report_metadata.date_range;
        assert_eq!((range.begin % DAY.as_secs(), range.end - range.begin), (0, DAY.as_secs() - 1));
        // One of them takes no more than a kilobyte.
        let is_dropped = |event: &Event| matches!(event, Event::DmarcReportDropped { to: Some(to), .. } if *to == address("small@far.test"));
        assert_eq!(second.events(|event| is_dropped(event).then_some(())).len(), 1);
        // The next day begins with nothing.
        world.pass(DAY).await;
        assert_eq!(sink.taken().len(), 1);
        drop(second);
    });
}

/// What a run comes to in which the first node dies at that write, from the moment on at which it is about to do this.
async fn die(world: &World, sink: &Sink, moment: &str, death: Death) {
    let first = world.start(1).await;
    let hold = first.faults.hold(Which::new(Verb::Put, moment), 1);
    refuse_and_take(world, &first, 2).await;
    hold.reached(1).await;
    let second = world.start(2).await;
    first.faults.die(death);
    hold.release();
    world.pass(DAY + Duration::from_hours(8)).await;
    let reports = reports(sink);
    // One that was handed over just before its sender died cannot be known to have been; its reader knows it by its name.
    assert!((1..=2).contains(&reports.len()), "{moment} {death:?}: {reports:?}");
    for report in &reports {
        let counts = (messages(report, "reject"), messages(report, "pass"), report.messages());
        assert_eq!(counts, (2, 1, 3), "{moment} {death:?}: {report:?}");
        assert_eq!(report.report_metadata.report_id, reports[0].report_metadata.report_id);
    }
    drop((first, second));
}

#[test]
fn whatever_write_a_node_dies_at_amid_filing_and_merging_each_message_is_counted_once() {
    for moment in ["/rows/", "/run/"] {
        for at in 1..=6 {
            for after_effect in [false, true] {
                let death = Death { at, of_writes: true, among: "", after_effect };
                sim::run_traced(at as u64, async |simulator| {
                    let (world, sink) = world(Arc::new(Simulation::new(simulator))).await;
                    die(&world, &sink, moment, death).await;
                });
            }
        }
    }
}

#[test]
fn rows_outlive_a_node_that_is_stopped_and_one_that_has_nothing_else_to_do() {
    simulated(async |runtime| {
        let (world, sink) = world(runtime).await;
        let mut first = world.start(1).await;
        refuse_and_take(&world, &first, 2).await;
        first.shut_down(Duration::from_secs(5)).await;
        // It is filed by then: nobody need adopt anything.
        let filed = world.keys(layout::DMARC_REPORTS).await;
        assert_eq!(filed.len(), 1, "{filed:?}");
        let second = world.start(2).await;
        refuse_and_take(&world, &second, 1).await;
        world.pass(DAY + Duration::from_hours(4)).await;
        let reports = reports(&sink);
        assert_eq!(reports.iter().map(Feedback::messages).collect::<Vec<_>>(), [5]);
        drop(second);
    });
}
