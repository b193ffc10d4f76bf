//! What a message was found to be can be found again, when name servers say something else or nothing at all.

use std::net::Ipv4Addr;
use std::sync::Arc;

use fulmar_core::admin::{Arrival, verify};
use fulmar_core::config::Config;
use fulmar_core::model::{Domain, Reply, ReversePath};
use fulmar_core::platform::{Dns, DnsError, Platform, Record, RecordKind};
use fulmar_core::resolver::{Recorder, Recording};
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Simulation, run};
use fulmar_tests::zone::Zone;

/// The client that brings it.
const FRIEND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const MESSAGE: &[u8] = b"From: Ann <ann@far.test>\r\nSubject: hello\r\n\r\nIt works.\r\n";

/// What a host called `mx.test` makes of the message.
async fn verified(platform: &Platform, dns: Arc<dyn Dns>) -> Result<String, Reply> {
    let config = Config::new(Domain::parse("mx.test").unwrap());
    let arrival = Arrival {
        client: FRIEND.into(),
        greeting: "mail.far.test".to_owned(),
        reverse_path: ReversePath::try_from("ann@far.test".to_owned()).unwrap(),
    };
    let platform = Platform { dns, ..platform.clone() };
    verify(&platform, &config.verification, &config.hostname, arrival, MESSAGE).await
}

fn text(zone: &Zone, name: &str, text: &str) {
    zone.set(name, RecordKind::Txt, Ok(vec![Record::Txt(text.as_bytes().to_vec())]));
}

#[test]
fn a_verification_that_was_recorded_comes_out_the_same_whatever_the_dns_says_since() {
    run(0, async |simulator| {
        let (zone, simulation) = (Arc::<Zone>::default(), Simulation::new(simulator));
        let platform = simulation.platform(&zone);
        zone.host("mail.far.test", &[FRIEND.into()]);
        text(&zone, "far.test", "v=spf1 a:mail.far.test -all");
        text(&zone, "_dmarc.far.test", "v=DMARC1; p=reject");
        // One that fails as well.
        zone.set("10.2.0.192.in-addr.arpa", RecordKind::Ptr, Err(DnsError::ServFail("late".to_owned())));

        let recorder = Arc::new(Recorder::new(platform.dns.clone(), platform.clock.utc()));
        let first = verified(&platform, recorder.clone()).await.unwrap();
        for part in
            ["iprev=temperror", "spf=pass smtp.mailfrom=ann@far.test", "dmarc=pass (p=reject of far.test)"]
        {
            assert!(first.contains(part), "{part} in {first}");
        }

        text(&zone, "far.test", "v=spf1 -all");
        let refused = verified(&platform, platform.dns.clone()).await.unwrap_err();
        assert_eq!(refused.code, 550, "{refused}");
        let replayed: Arc<dyn Dns> = Arc::new(Recording::parse(&recorder.recording().to_lines()).unwrap());
        assert_eq!(verified(&platform, replayed).await.unwrap(), first);
    });
}
