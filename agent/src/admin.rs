//! The admin listener: `/metrics`, `/status`, `/livez`, `/readyz`. It shows, and changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, header, http::HeaderValue};
use onepull_mirror::response::Body;
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::status::NodeStatus;

const SERVER: &str = concat!("onepull/", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    registry: Arc<Registry>,
    ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
    draining: Arc<AtomicBool>,
}

// === impl Admin ===

impl Admin {
    /// Shows `registry`; `ready` says why the node is not ready, if it is not.
    pub fn new(
        registry: Registry,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            registry: Arc::new(registry),
            ready: Arc::new(ready),
            status: Arc::new(NodeStatus::default),
            draining: Arc::default(),
        }
    }

    /// Shows which declared images the node holds.
    #[must_use]
    pub fn with_status(self, status: impl Fn() -> NodeStatus + Send + Sync + 'static) -> Self {
        Self { status: Arc::new(status), ..self }
    }

    /// From now on the node is not ready: it is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers one request.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, path) => self.page(path),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n".into()),
        };
        let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
        let content_type = match request.uri().path() {
            "/metrics" => OPEN_METRICS,
            "/status" => JSON,
            _ => return response,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    fn page(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/livez" => (StatusCode::OK, "ok\n".into()),
            "/readyz" => match self.readiness() {
                Ok(()) => (StatusCode::OK, "ok\n".into()),
                Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            "/metrics" => self.metrics(),
            "/status" => match serde_json::to_string_pretty(&(self.status)()) {
                Ok(json) => (StatusCode::OK, format!("{json}\n")),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => (StatusCode::NOT_FOUND, "try /metrics, /status, /livez or /readyz\n".into()),
        }
    }

    fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining: the agent is about to stop".into());
        }
        (self.ready)()
    }

    fn metrics(&self) -> (StatusCode, String) {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(admin: &Admin, method: Method, path: &str) -> u16 {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        admin.answer(&request).status().as_u16()
    }

    #[test]
    fn readiness_ends_before_the_process_does() {
        let admin = Admin::new(Registry::default(), || Ok(()));
        assert_eq!(status(&admin, Method::GET, "/readyz"), 200);
        admin.drain();
        assert_eq!(status(&admin, Method::GET, "/readyz"), 503);
        assert_eq!(status(&admin, Method::GET, "/livez"), 200);
    }

    #[test]
    fn nothing_can_be_changed() {
        let admin = Admin::new(Registry::default(), || Err("no peers yet".into()));
        assert_eq!(status(&admin, Method::POST, "/metrics"), 405);
        assert_eq!(status(&admin, Method::GET, "/metrics"), 200);
        assert_eq!(status(&admin, Method::GET, "/readyz"), 503);
        assert_eq!(status(&admin, Method::GET, "/"), 404);
    }
}
