//! Which buckets a node starts on, and what it says of the others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use fulmar_core::engine::StartError;
use fulmar_core::model::{Event, UtcTime};
use fulmar_core::platform::{Datagram, Instant, Net, Stream, Target};
use fulmar_core::state::contract;
use fulmar_runtime_smol::{SmolNet, SmolRuntime};
use fulmar_storage_s3::S3Settings;
use fulmar_tests::fake_s3::{BUCKET, FakeS3, Fault, Times};
use fulmar_tests::faults::{Verb, Which};
use fulmar_tests::s3_store;

use super::{ALICE, KEYS, assert_holds, ground_in, message};

/// Cases of the contract suite.
const CASES: usize = 18;
const MISSING: &str = "missing";

#[test]
fn a_bucket_keeps_the_contract_whether_its_name_is_in_the_path_or_in_the_host() {
    for (style, host) in [(false, "127.0.0.1"), (true, "localhost")] {
        let fake = FakeS3::start();
        let server = fake.endpoint().strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
        let runtime = SmolRuntime::new(SmolRuntime::default_threads()).unwrap();
        let settings = S3Settings {
            bucket: BUCKET.to_owned(),
            prefix: "prod".to_owned(),
            endpoint: Some(format!("http://{host}:{}", server.port())),
            virtual_host_style: Some(style),
            ..S3Settings::default()
        };
        let net = Arc::new(OneServer { net: SmolNet::new(runtime.spawn()), server });
        let store = s3_store::open_over(&runtime, net, &settings, &KEYS);
        let draw = (UtcTime(1_795_306_347_500), [7; 10]);
        let verdicts = runtime.block_on(contract::check(&store, "", draw));
        let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome.is_err()).collect();
        assert!(failed.is_empty(), "{host}: {failed:?}");
        assert_eq!(verdicts.len(), CASES, "{host}");
        let requests = fake.requests();
        assert!(requests.iter().all(|(_, key)| key.lines().all(|key| key.starts_with("prod/"))), "{host}");
    }
}

/// Every name leads to the same server: the system need not know any.
struct OneServer {
    net: SmolNet,
    server: SocketAddr,
}

#[async_trait]
impl Net for OneServer {
    async fn connect(&self, _: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>> {
        self.net.connect(&Target::Address(self.server), deadline).await
    }

    async fn datagram(&self, server: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        self.net.datagram(server).await
    }
}

#[test]
fn a_bucket_where_several_creates_win_is_refused_unless_there_is_only_one_node() {
    for fault in [Fault::IgnoreCondition, Fault::LookThenWrite] {
        let fake = FakeS3::start();
        fake.misbehave(fault, Which::new(Verb::Put, ""), Times::Always);
        let refused = ground_in(&fake, BUCKET, &KEYS, |_| ()).try_start().unwrap_err();
        assert!(matches!(refused, StartError::UnsafeStore { .. }), "{fault:?}: {refused}");
        let told = refused.to_string();
        for words in [&fake.endpoint()[..], BUCKET, "creates on one key succeeded", "single_node = true"] {
            assert!(told.contains(words), "{fault:?}: {told}");
        }
        assert!(!fake.requests().iter().any(|(verb, key)| *verb == Verb::Put && key.contains("probe/")));

        let alone = ground_in(&fake, BUCKET, &KEYS, |config| config.store.single_node = true);
        let node = alone.account(ALICE).start();
        node.client().deliver(&[ALICE], message(1, 100));
        node.delivered_in_all(1);
        assert_holds(&node, vec![message(1, 100)], &format!("{fault:?}"));
    }
}

#[test]
fn a_node_says_what_is_wrong_with_credentials_or_bucket_and_begins_once_that_is_mended() {
    std::thread::scope(|scope| {
        for (bucket, wrong, words, mend) in [
            (
                BUCKET,
                (|fake| fake.accept_only("left")) as fn(&FakeS3),
                "InvalidAccessKeyId",
                (|fake| fake.accept_only("right")) as fn(&FakeS3),
            ),
            (MISSING, |_| (), "there is no such bucket", |fake| fake.make_bucket(MISSING)),
        ] {
            scope.spawn(move || check(bucket, wrong, words, mend));
        }
    });
}

fn check(bucket: &'static str, wrong: fn(&FakeS3), words: &str, mend: fn(&FakeS3)) {
    let fake = Arc::new(FakeS3::start());
    wrong(&fake);
    let name = format!("s3://{bucket} at {}", fake.endpoint());
    let at_once = ground_in(&fake, bucket, &KEYS, |_| ()).try_start().unwrap_err().to_string();
    assert!(at_once.contains(words) && at_once.contains(&name), "{at_once}");

    let reasons = Arc::<Mutex<Vec<String>>>::default();
    let (told, server) = (reasons.clone(), fake.clone());
    let node = ground_in(&fake, bucket, &KEYS, |_| ()).start_patiently(move |event| {
        if let Event::StartDelayed { reason, .. } = event {
            told.lock().unwrap().push(reason.clone());
            mend(&server);
        }
    });
    let mut node = node.unwrap();
    let reasons = reasons.lock().unwrap().clone();
    assert!(
        matches!(&reasons[..], [reason] if reason.contains(words) && reason.contains(&name)),
        "{reasons:?}"
    );
    node.shut_down(std::time::Duration::ZERO);
    let node = node.into_ground().account(ALICE).start();
    node.client().deliver(&[ALICE], message(1, 100));
    node.delivered_in_all(1);
}
