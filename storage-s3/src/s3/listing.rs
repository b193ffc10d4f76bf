//! One page of a listing (ListObjectsV2), asked for and read by ourselves.
//!
//! object_store fails on a whole page where a single key of it is none that it could write, such as `pickup//a.eml`. Anybody
//! who puts an object into the bucket could stop the mail with that.

use std::sync::Arc;

use chrono::DateTime;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Page, StoreError};
use http::Request;
use object_store::aws::AwsAuthorizer;
use object_store::client::HttpRequestBody;
use serde::Deserialize;
use url::Url;

use super::credentials::Credentials;
use super::failure::Failure;
use super::service::Service;
use crate::{PAGE_OBJECTS, adapter};

/// Pages in a row that may hold nothing but keys that are none of ours.
const FOREIGN_PAGES: usize = 100;

/// Lists a bucket.
pub(super) struct Listing {
    pub(super) service: Service,
    pub(super) credentials: Arc<Credentials>,
    pub(super) region: String,
    /// The bucket's.
    pub(super) url: String,
    /// What all keys of the deployment begin with.
    pub(super) prefix: String,
}

/// What the server answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    is_truncated: bool,
    #[serde(default)]
    contents: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    size: u64,
    last_modified: String,
    #[serde(rename = "ETag", default)]
    etag: String,
}

impl Listing {
    /// Objects below a folder and after a key, both as the deployment calls them. Left out are keys that the deployment
    /// could not have called so.
    pub(super) async fn page(&self, folder: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let mut after = after.map(|key| format!("{}{key}", self.prefix));
        for _ in 0..FOREIGN_PAGES {
            let answer = self.ask(folder, after.as_deref()).await?;
            let last = answer.contents.last().map(|entry| entry.key.clone());
            let more = answer.is_truncated && last.is_some();
            let objects: Vec<_> = answer
                .contents
                .into_iter()
                .filter_map(|entry| self.listed(entry).transpose())
                .collect::<Result<_, _>>()?;
            if !more || !objects.is_empty() {
                return Ok(Page { objects, more });
            }
            after = last;
        }
        Err(StoreError::Refused(format!(
            "{FOREIGN_PAGES} pages of {folder:?} hold no key that could be ours"
        )))
    }

    async fn ask(&self, folder: &str, after: Option<&str>) -> Result<Answer, Failure> {
        let mut url = Url::parse(&self.url).map_err(unusable)?;
        url.query_pairs_mut()
            .append_pair("list-type", "2")
            .append_pair("max-keys", &PAGE_OBJECTS.to_string())
            .append_pair("prefix", &format!("{}{folder}", self.prefix))
            .extend_pairs(after.map(|key| ("start-after", key)));
        let request = Request::get(url.as_str()).body(HttpRequestBody::empty());
        let mut request = request.map_err(unusable)?;
        let credential = self.credentials.current().await?;
        let signed = AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None);
        signed.map_err(unusable)?;
        let answer = self.service.answer(request).await?;
        std::str::from_utf8(answer.body())
            .ok()
            .and_then(|text| quick_xml::de::from_str(text).ok())
            .ok_or_else(|| StoreError::Unknown("the answer is no listing".into()).into())
    }

    fn listed(&self, entry: Entry) -> Result<Option<Listed>, StoreError> {
        let Some(key) = entry.key.strip_prefix(&self.prefix).filter(|key| adapter::path(key).is_ok()) else {
            return Ok(None);
        };
        let modified = DateTime::parse_from_rfc3339(&entry.last_modified).map_err(|_| {
            StoreError::Unknown(format!("{key:?} was written at {:?}, which is no time", entry.last_modified))
        })?;
        let modified = UtcTime(u64::try_from(modified.timestamp_millis()).unwrap_or(0));
        Ok(Some(Listed { key: key.to_owned(), size: entry.size, etag: entry.etag, modified }))
    }
}

/// A request that cannot be made.
fn unusable(error: impl ToString) -> Failure {
    Failure::Store(StoreError::Refused(error.to_string()))
}
