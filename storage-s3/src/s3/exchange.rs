//! One HTTP request and its whole answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::http::{Client, HttpError, RequestBody};
use fulmar_core::platform::{Clock, StoreError};
use http::{Request, Response};

/// How long one request may take with its answer, where its caller does not give up before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests.
#[derive(Clone)]
pub(super) struct Exchange {
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Exchange {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock }
    }

    /// Sends a request and collects its answer, whatever its status. `Unavailable` where nothing of it was sent, `Unknown`
    /// where no whole answer came, or one whose body is longer than `limit` octets.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        limit: usize,
    ) -> Result<Response<Bytes>, StoreError> {
        let deadline = self.clock.instant() + REQUEST_TIMEOUT;
        let (head, body) = self.client.send(request, deadline).await.map_err(meaning)?.into_parts();
        let body = body.collect(limit).await.map_err(meaning)?;
        Ok(Response::from_parts(head, body))
    }
}

fn meaning(error: HttpError) -> StoreError {
    let reason = error.to_string();
    match error {
        HttpError::NotSent(_) => StoreError::Unavailable(reason),
        HttpError::Unanswered(_) | HttpError::Malformed(_) => StoreError::Unknown(reason),
    }
}
