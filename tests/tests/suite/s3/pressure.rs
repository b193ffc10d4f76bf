//! A server that is asked more than it can serve.

use bytes::Bytes;
use fulmar_core::platform::{Store, When};
use fulmar_runtime_smol::SmolRuntime;
use fulmar_storage_s3::{S3Settings, S3Store};
use fulmar_tests::fake_s3::{BUCKET, FakeS3, Fault, Times};
use fulmar_tests::faults::Which;
use fulmar_tests::s3_store;
use futures::future::join_all;

use super::KEYS;

/// Requests in flight at a time where nothing speaks against it.
const WINDOW: usize = 64;
/// Successes that widen the window from one to half of that again.
const TO_RECOVER: usize = 600;

#[test]
fn under_pressure_few_requests_are_in_flight_and_afterwards_many_again() {
    for (status, code) in
        [(503, "SlowDown"), (429, "TooManyRequests"), (503, ""), (500, "InternalError"), (502, "")]
    {
        let context = format!("{status} {code}");
        let fake = FakeS3::start();
        let runtime = SmolRuntime::new(SmolRuntime::default_threads()).unwrap();
        let endpoint = Some(fake.endpoint());
        let settings = S3Settings { bucket: BUCKET.to_owned(), endpoint, ..S3Settings::default() };
        let store = s3_store::open(&runtime, &settings, &KEYS);

        assert_eq!(most_at_once(&fake, &store, WINDOW), WINDOW, "{context}");
        fake.misbehave(Fault::Error(status, code), Which::any(""), Times::Always);
        burst(&store, 2 * WINDOW);
        fake.behave();
        fake.take_most_at_once();
        assert_eq!(burst(&store, 10), 10, "{context}");
        let pressed = fake.take_most_at_once();
        assert!(pressed <= WINDOW / 8, "{context}: {pressed} at once");
        assert_eq!(burst(&store, TO_RECOVER), TO_RECOVER, "{context}");
        fake.take_most_at_once();
        let recovered = most_at_once(&fake, &store, WINDOW / 2);
        assert!(recovered >= WINDOW / 2, "{context}: {recovered} at once");
    }
}

/// How many requests are in flight where the server answers none until there are so many.
fn most_at_once(fake: &FakeS3, store: &S3Store, expected: usize) -> usize {
    fake.hold();
    std::thread::scope(|scope| {
        scope.spawn(|| burst(store, 2 * WINDOW));
        fake.wait_for_in_flight(expected);
        let most = fake.take_most_at_once();
        fake.release();
        most
    })
}

/// Sends so many requests at once, and gives how many were done.
fn burst(store: &S3Store, requests: usize) -> usize {
    let puts = (0..requests).map(|number| async move {
        let payload = Bytes::from_static(b"text").into();
        store.put(&format!("folder/{number}"), payload, When::Always).await
    });
    smol::block_on(join_all(puts)).iter().filter(|answer| answer.is_ok()).count()
}
