//! The pages: `/metrics`, `/livez`, `/readyz`, and what a process has beside them. They show, and change
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, header, http::HeaderValue};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// All crates have one version.
const SERVER: &str = concat!("onepull/", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    registry: Arc<Registry>,
    ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    pages: BTreeMap<&'static str, Arc<Page>>,
    draining: Arc<AtomicBool>,
}

/// Makes JSON, or says why it cannot.
type Page = dyn Fn() -> Result<String, String> + Send + Sync;

// === impl Admin ===

impl Admin {
    /// Shows `registry`; `ready` says why the process is not ready, if it is not.
    pub fn new(
        registry: Registry,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            registry: Arc::new(registry),
            ready: Arc::new(ready),
            pages: BTreeMap::new(),
            draining: Arc::default(),
        }
    }

    /// Shows the JSON that `page` makes at `path` as well.
    #[must_use]
    pub fn with_json(
        mut self,
        path: &'static str,
        page: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.pages.insert(path, Arc::new(page));
        self
    }

    /// From now on the process is not ready: it is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers one request.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let (status, text) = match *request.method() {
            Method::GET | Method::HEAD => self.page(path),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n".into()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
        let content_type = match path {
            "/metrics" => OPEN_METRICS,
            path if self.pages.contains_key(path) => JSON,
            _ => return response,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    fn page(&self, path: &str) -> (StatusCode, String) {
        let made = match path {
            "/livez" => Ok("ok".into()),
            "/readyz" => match self.readiness() {
                Ok(()) => Ok("ok".into()),
                Err(reason) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            "/metrics" => return self.metrics(),
            path => match self.pages.get(path) {
                Some(page) => page(),
                None => return (StatusCode::NOT_FOUND, self.signpost()),
            },
        };
        match made {
            Ok(text) => (StatusCode::OK, format!("{text}\n")),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn signpost(&self) -> String {
        let pages: String = self.pages.keys().map(|path| format!("{path}, ")).collect();
        format!("try /metrics, {pages}/livez or /readyz\n")
    }

    fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining: about to stop".into());
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

    #[test]
    fn a_process_has_pages_of_its_own_and_a_lost_visitor_is_told_of_them() {
        let admin = Admin::new(Registry::default(), || Ok(()));
        assert_eq!(status(&admin, Method::GET, "/status"), 404);
        let admin = admin.with_json("/status", || Ok("{}".into()));
        let admin = admin.with_json("/broken", || Err("no idea".into()));
        assert_eq!(status(&admin, Method::GET, "/status"), 200);
        assert_eq!(status(&admin, Method::GET, "/broken"), 500);
        assert_eq!(admin.signpost(), "try /metrics, /broken, /status, /livez or /readyz\n");
    }
}
