//! What is asked, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::platform::Clock;
use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::{Value, json};

use super::metrics::{CONTENT_TYPE, Figures};
use super::node::{Condition, Node};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// How long the queue may take to say how it is. It answers from memory, between two other things.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);

/// Answers one request.
pub(super) async fn answer<B: Body>(
    node: &Node,
    clock: &Arc<dyn Clock>,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    // RFC 9112 §3.2: without a host, a request of HTTP/1.1 is answered 400.
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return page(StatusCode::BAD_REQUEST, TEXT, "a request of HTTP/1.1 names its host\n");
    }
    let path = request.uri().path();
    if !["/healthz", "/readyz", "/metrics"].contains(&path) {
        return page(StatusCode::NOT_FOUND, TEXT, "here are /healthz, /readyz and /metrics\n");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    if !request.body().is_end_stream() {
        return page(StatusCode::BAD_REQUEST, TEXT, "no request here has a body\n");
    }
    match path {
        "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => readiness(&node.condition()),
        _ => page(StatusCode::OK, CONTENT_TYPE, node.metrics.render(&figures(node, clock).await)),
    }
}

fn readiness(condition: &Condition) -> Response<Full<Bytes>> {
    let (status, said) = match condition {
        Condition::Ready => (StatusCode::OK, json!({"ready": true})),
        Condition::Starting(reason) => not_ready("starting", json!({"detail": reason})),
        Condition::StoreAway { since, reason } => {
            not_ready("store_away", json!({"detail": reason, "since": since.to_string()}))
        }
        Condition::Draining => not_ready("draining", json!({})),
    };
    page(status, JSON, format!("{said}\n"))
}

fn not_ready(reason: &str, mut said: Value) -> (StatusCode, Value) {
    said["ready"] = false.into();
    said["reason"] = reason.into();
    (StatusCode::SERVICE_UNAVAILABLE, said)
}

async fn figures(node: &Node, clock: &Arc<dyn Clock>) -> Figures {
    let is_ready = node.condition() == Condition::Ready;
    let Some(engine) = node.engine() else { return Figures { is_ready, ..Figures::default() } };
    let asked = clock.before(clock.instant() + QUEUE_PATIENCE, engine.queue()).await;
    Figures {
        is_ready,
        readiness: Some(engine.readiness()),
        statistics: Some(engine.statistics()),
        queue: asked,
    }
}

fn page(status: StatusCode, content_type: &'static str, said: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(said.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
