//! Stores in buckets, over the same client that the command line opens them with.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::sync::Arc;

use fulmar_core::http::{Client, ClientSettings};
use fulmar_core::platform::Net;
use fulmar_runtime_smol::{SmolClock, SmolNet, SmolRuntime};
use fulmar_storage_s3::{S3Credentials, S3Settings, S3Store};

use crate::s3_server::Bucket;

/// Opens a bucket over the system's network. `variables` are its whole environment.
pub fn open(runtime: &SmolRuntime, settings: &S3Settings, variables: &[(&str, &str)]) -> S3Store {
    open_over(runtime, Arc::new(SmolNet::new(runtime.spawn())), settings, variables)
}

/// The same over another network.
pub fn open_over(
    runtime: &SmolRuntime,
    net: Arc<dyn Net>,
    settings: &S3Settings,
    variables: &[(&str, &str)],
) -> S3Store {
    let (clock, spawn) = (Arc::new(SmolClock), runtime.spawn());
    let http = Client::new(net, clock.clone(), spawn.clone(), None, ClientSettings::default());
    let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    S3Store::new(settings, &environment, http, clock, spawn).expect("settings of a bucket")
}

/// What names a bucket of a real server.
pub fn settings(bucket: &Bucket) -> S3Settings {
    S3Settings {
        bucket: bucket.name.clone(),
        endpoint: Some(bucket.endpoint.clone()),
        region: Some(bucket.region.clone()),
        credentials: Some(S3Credentials {
            access_key_id: bucket.access_key.clone(),
            secret_access_key: bucket.secret_key.clone(),
            session_token: None,
        }),
        ..S3Settings::default()
    }
}
