//! object_store's requests over core's client: admitted by the limiter, answered whole, and judged.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fulmar_core::http::{RepeatWhenStale, RequestBody};
use fulmar_core::platform::{Clock, StoreError};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};

use super::credentials::Credentials;
use super::exchange::Exchange;
use super::failure::{Asked, Failure};
use super::limiter::{Limiter, Sign};

/// Octets of a listing, of an error, and of all other answers that are no object; longer ones are not read. A thousand keys of
/// 1,024 octets with everything that a listing says of them, each character escaped, stay below.
const DOCUMENT_LIMIT: usize = 8 << 20;

/// What object_store reads of a bulk delete in which no key failed.
const ALL_DELETED: &[u8] = b"<DeleteResult><Deleted><Key/></Deleted></DeleteResult>";

/// Carries requests to the server. Clones share everything.
#[derive(Clone)]
pub(super) struct Service(Arc<Shared>);

struct Shared {
    exchange: Exchange,
    limiter: Limiter,
    credentials: Arc<Credentials>,
    /// Octets of an object; longer ones are not read.
    object_limit: usize,
}

impl Service {
    pub(super) fn new(
        exchange: Exchange,
        clock: Arc<dyn Clock>,
        credentials: Arc<Credentials>,
        object_limit: usize,
    ) -> Self {
        Self(Arc::new(Shared { exchange, limiter: Limiter::new(clock), credentials, object_limit }))
    }

    /// Sends a request that is signed, and gives its answer if that is a success.
    pub(super) async fn answer(&self, request: HttpRequest) -> Result<Response<Bytes>, Failure> {
        let asked = Asked::of(&request);
        let limit = self.limit(&request);
        let request = outgoing(asked, request).await?;
        let permit = self.0.limiter.admit().await;
        let answer = match self.0.exchange.send(request, limit).await {
            Ok(answer) => Failure::of(asked, answer.status(), answer.body()).map_or(Ok(answer), Err),
            Err(error) => Err(error.into()),
        };
        permit.end(sign(&answer));
        match answer {
            // Keys are called by names that others chose, and object_store looks for error codes anywhere in the answer.
            Ok(answer) if asked == Asked::BulkDelete => Ok(answer.map(|_| Bytes::from_static(ALL_DELETED))),
            Err(failure @ Failure::Credentials(_)) => {
                self.0.credentials.reject();
                Err(failure)
            }
            answer => answer,
        }
    }

    /// How long an answer may be.
    fn limit(&self, request: &HttpRequest) -> usize {
        let is_listing = request.uri().query().is_some_and(|query| query.contains("list-type="));
        let may_be_object = request.method() == Method::GET && !is_listing;
        if may_be_object { self.0.object_limit } else { DOCUMENT_LIMIT }
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match self.answer(request).await {
            Ok(answer) => Ok(answer.map(Into::into)),
            Err(failure) => Err(HttpError::new(HttpErrorKind::Unknown, failure)),
        }
    }
}

impl HttpConnector for Service {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

/// What an answer says about the store's state. Not every failure does: one that comes of the request says nothing.
fn sign(answer: &Result<Response<Bytes>, Failure>) -> Sign {
    match answer {
        Err(Failure::Store(StoreError::Unavailable(_) | StoreError::Unknown(_))) => Sign::Pressure,
        _ => Sign::Answered,
    }
}

/// The request in core's form. Only a create is not sent again where a kept connection turns out to be closed: it could
/// meet itself.
async fn outgoing(asked: Asked, request: HttpRequest) -> Result<Request<RequestBody>, StoreError> {
    let (head, body) = request.into_parts();
    let mut request = Request::from_parts(head, RequestBody::new(pieces(body).await?));
    if asked != Asked::Create {
        request.extensions_mut().insert(RepeatWhenStale);
    }
    Ok(request)
}

/// The pieces of a body, none of which is copied.
async fn pieces(mut body: HttpRequestBody) -> Result<Vec<Bytes>, StoreError> {
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| StoreError::Refused(error.to_string()))?;
        pieces.extend(frame.into_data().ok());
    }
    Ok(pieces)
}
