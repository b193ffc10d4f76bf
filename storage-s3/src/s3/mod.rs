//! A bucket of S3, or of a server that speaks its protocol.
//!
//! object_store makes and signs the requests; core's HTTP client carries them, so no runtime is needed. Nothing is repeated
//! here: that is core's, which knows what may be.
//!
//! | module | what it holds |
//! |---|---|
//! | `settings`, `environment`, `profile` | which bucket, and how it is reached |
//! | `credentials` | what requests are signed with, refreshed in time |
//! | `service`, `exchange` | object_store's requests over core's client |
//! | `listing` | pages of a listing |
//! | `limiter` | fewer requests under way while the store is under pressure |
//! | `failure` | what an answer that is no success means to the caller |

mod credentials;
mod environment;
mod exchange;
mod failure;
mod limiter;
mod listing;
mod profile;
mod service;
mod settings;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fulmar_core::http::Client;
use fulmar_core::platform::{Clock, Listed, Object, Page, Payload, Spawn, Store, StoreError, When};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};

use self::credentials::{Credentials, Source};
pub use self::environment::Environment;
use self::exchange::Exchange;
use self::failure::{Failure, failure};
use self::listing::Listing;
use self::profile::ProfileFiles;
use self::service::Service;
use self::settings::Location;
pub use self::settings::{S3Credentials, S3Settings};
use crate::adapter;

/// Octets of an object; longer ones are not read. What the engine writes is below 5 MiB an object, and what an operator
/// wants sent is bounded by the size of a message.
const OBJECT_LIMIT: usize = 256 << 20;

/// A store in a bucket.
pub struct S3Store {
    s3: AmazonS3,
    /// The same bucket, for deleting one object: a request that every server knows, and that costs less.
    s3_deleting_one: AmazonS3,
    listing: Listing,
}

/// Why a bucket cannot be opened with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use S3 as a store: {0}")]
pub struct S3OpenError(String);

use S3OpenError as OpenError;

impl S3Store {
    /// A bucket, not yet asked for anything: whether it can be reached shows at the first request. Reads the profile files,
    /// and blocks for a moment.
    pub fn new(
        settings: &S3Settings,
        environment: &Environment,
        http: Client,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
    ) -> Result<Self, S3OpenError> {
        settings.check()?;
        let files = ProfileFiles::new(settings.profile.as_deref(), environment);
        let profile = files.read()?;
        let location = settings.location(environment, &profile)?;
        let source = Source::choose(settings, environment, (files, &profile), &location.region)?;
        let exchange = Exchange::new(http, clock.clone());
        let credentials = Arc::new(Credentials::new(source, exchange.clone(), clock.clone(), spawn));
        let service = Service::new(exchange, clock, credentials.clone(), OBJECT_LIMIT);
        let builder = builder(settings, &location)
            .with_credentials(credentials.clone())
            .with_http_connector(service.clone());
        let build = |builder: AmazonS3Builder| builder.build().map_err(|error| OpenError(error.to_string()));
        let prefix = if settings.prefix.is_empty() { String::new() } else { format!("{}/", settings.prefix) };
        Ok(Self {
            s3: build(builder.clone())?,
            s3_deleting_one: build(builder.with_disable_bulk_delete(true))?,
            listing: Listing { service, credentials, region: location.region, url: location.url, prefix },
        })
    }

    /// Names the server and the bucket: the bucket's URL.
    pub fn endpoint(&self) -> &str {
        &self.listing.url
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        adapter::path(key)?;
        adapter::path(&format!("{}{key}", self.listing.prefix))
    }

    async fn read(&self, path: &Path, range: Option<GetRange>) -> Result<Object, Failure> {
        let options = GetOptions { range, ..GetOptions::default() };
        let found: GetResult = self.s3.get_opts(path, options).await.map_err(failure)?;
        let meta = found.meta.clone();
        let bytes = found.bytes().await.map_err(failure)?;
        let Listed { size, etag, modified, .. } = adapter::listed(meta);
        Ok(Object { bytes, size, etag, modified })
    }

    async fn look(&self, path: &Path) -> Result<Listed, StoreError> {
        match self.s3.head(path).await.map_err(failure) {
            Ok(meta) => Ok(self.listed(adapter::listed(meta))),
            // A head request's refusal has no body. That of a read says why.
            Err(Failure::Wordless(_)) => {
                let Object { size, etag, modified, .. } =
                    self.read(path, Some(GetRange::Bounded(0..1))).await?;
                Ok(self.listed(Listed { key: path.to_string(), size, etag, modified }))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// With the key as the deployment calls it.
    fn listed(&self, mut listed: Listed) -> Listed {
        if let Some(key) = listed.key.strip_prefix(&self.listing.prefix) {
            listed.key = key.to_owned();
        }
        listed
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let mode = match when {
            When::Always => PutMode::Overwrite,
            When::Absent => PutMode::Create,
        };
        // The pieces are counted, not copied.
        let payload: PutPayload = payload.pieces().iter().cloned().collect();
        self.s3.put_opts(&self.path(key)?, payload, mode.into()).await.map_err(failure)?;
        Ok(())
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let path = self.path(key)?;
        let range = match range {
            None => return Ok(self.read(&path, None).await?),
            Some(range) => range,
        };
        if !range.is_empty() {
            match self.read(&path, Some(GetRange::Bounded(range))).await {
                Err(Failure::BeyondEnd) => {}
                found => return Ok(found?),
            }
        }
        let Listed { size, etag, modified, .. } = self.look(&path).await?;
        Ok(Object { bytes: Bytes::new(), size, etag, modified })
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.look(&self.path(key)?).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>, _>>()?;
        let s3 = if paths.len() == 1 { &self.s3_deleting_one } else { &self.s3 };
        let mut deleted = s3.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        loop {
            match deleted.try_next().await.map_err(failure) {
                Ok(Some(_)) | Err(Failure::Store(StoreError::NotFound)) => {}
                Ok(None) => return Ok(()),
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.s3.copy(&self.path(from)?, &self.path(to)?).await.map_err(failure)?;
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        adapter::folder(prefix)?;
        self.listing.page(prefix, after).await
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({}/{})", self.listing.url, self.listing.prefix)
    }
}

fn builder(settings: &S3Settings, location: &Location) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&location.region)
        .with_endpoint(&location.endpoint)
        .with_allow_http(location.is_http)
        .with_virtual_hosted_style_request(location.is_virtual_host)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // It would wait between its tries by tokio's timers, and a create could meet itself.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
