//! Whether a cache's nodes may begin now.

use jiff::{SignedDuration, Timestamp};
use onepull_api::ImageCache;

use crate::window::{BadWindow, Gate, Window};

/// Whether new work may begin, by the window of the cache. A window that makes no sense, which its schema
/// refuses, never opens.
pub fn gate(object: &ImageCache, now: Timestamp) -> Gate {
    match &object.spec.rollout.window {
        None => Gate::ALWAYS,
        Some(written) => match window(written) {
            Ok(window) => window.at(now),
            Err(_) => Gate::Closed { opens: None },
        },
    }
}

fn window(written: &onepull_api::Window) -> Result<Window, BadWindow> {
    let length = written.duration.parse::<SignedDuration>().map_err(|_| BadWindow::Length)?;
    Window::new(&written.start, length, &written.time_zone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(window: serde_json::Value) -> Gate {
        let object = serde_json::from_value(json!({
            "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
            "metadata": { "name": "night", "namespace": "team" },
            "spec": { "cacheSpec": [], "rollout": { "window": window } },
        }));
        gate(&object.unwrap(), "2026-11-24T21:30:00Z".parse().unwrap())
    }

    #[test]
    fn a_window_is_open_or_says_when_it_opens() {
        let night =
            json!({ "start": "0 22 * * *", "duration": "1h30m", "timeZone": "Europe/Berlin" });
        let until = Some("2026-11-24T22:30:00Z".parse().unwrap());
        assert_eq!(at(night), Gate::Open { until });
        let opens = Some("2026-11-24T22:00:00Z".parse().unwrap());
        assert_eq!(at(json!({ "start": "0 22 * * *", "duration": "90m" })), Gate::Closed { opens });
    }

    #[test]
    fn without_a_window_it_is_always_open_and_nonsense_never_opens() {
        assert_eq!(at(json!(null)), Gate::ALWAYS);
        let never = Gate::Closed { opens: None };
        assert_eq!(at(json!({ "start": "0 22 * * *", "duration": "long" })), never);
        assert_eq!(at(json!({ "start": "at night", "duration": "8h" })), never);
    }
}
