//! What is rendered is what is committed, and Helm has nothing to say against the chart.

use std::fs;

use onepull_deploy::{RENDERINGS, deploy, helm};
use serde_json::Value;

use crate::manifests::{FULL, no_helm};

#[test]
fn the_committed_manifests_are_the_rendered_ones() {
    if no_helm("the_committed_manifests_are_the_rendered_ones") {
        return;
    }
    for rendering in RENDERINGS {
        let committed = fs::read_to_string(deploy().join(rendering.file)).unwrap_or_default();
        let differs = committed != rendering.text().unwrap();
        assert!(!differs, "deploy/{} differs from the chart: run `make generate`", rendering.file);
    }
}

#[test]
fn helm_finds_nothing_wrong_with_the_chart() {
    if no_helm("helm_finds_nothing_wrong_with_the_chart") {
        return;
    }
    for values in [None, Some(FULL)] {
        let arguments = ["lint", "--strict", "chart"].into_iter().chain(values);
        let said = helm(&arguments.collect::<Vec<_>>()).unwrap();
        assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{said}");
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let text = fs::read_to_string(deploy().join("chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
}
