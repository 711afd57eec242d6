//! The definitions of both kinds, as the files in `deploy/chart/crds`.

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{ImageCache, NodeImageCache};

const HEADER: &str =
    "# Written by `make generate` from controller/api. Changes made here are lost.\n";

/// All definitions.
///
/// # Errors
/// When a schema cannot be made; a test makes them.
pub fn all() -> Result<[CustomResourceDefinition; 2]> {
    Ok([finished(&ImageCache::crd())?, finished(&NodeImageCache::crd())?])
}

/// Changes the schema in two ways. Descriptions come from comments, whose lines end where the code's
/// do; kubectl would keep that. And a number or share without a type is taken for one that may be
/// null; when it is not, the API server puts the default where somebody writes null.
fn finished(crd: &CustomResourceDefinition) -> Result<CustomResourceDefinition> {
    let mut value = serde_json::to_value(crd)?;
    finish(&mut value);
    serde_json::from_value(value).context("a description is no text")
}

fn finish(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("x-kubernetes-int-or-string") {
                fields.remove("nullable");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = in_paragraphs(text);
            }
            fields.values_mut().for_each(finish);
        }
        Value::Array(items) => items.iter_mut().for_each(finish),
        _ => {}
    }
}

fn in_paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The name of a definition's file.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)
}

/// A definition as YAML, with a line that says where it comes from.
///
/// # Errors
/// When the definition cannot be written as YAML.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String> {
    let text = serde_saphyr::to_string(crd).context("cannot write a definition as YAML")?;
    Ok(format!("{HEADER}{text}"))
}
