//! The definitions in `deploy/chart/crds` are those of this crate, and say of every field what it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use onepull_api::crds;
use serde_json::Value;

#[test]
fn the_committed_definitions_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/crds");
    for crd in crds::all().unwrap() {
        let file = folder.join(crds::file_name(&crd));
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == crds::yaml(&crd).unwrap(),
            "{} differs from what controller/api says: run `make generate`",
            file.display(),
        );
    }
}

#[test]
fn every_field_says_what_it_is() {
    for crd in crds::all().unwrap() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let mut silent = Vec::new();
        undescribed(&schema["openAPIV3Schema"], &crd.spec.names.kind, &mut silent);
        assert_eq!(silent, [""; 0]);
    }
}

#[test]
fn the_reference_names_every_field_and_every_word_of_a_closed_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for crd in crds::all().unwrap() {
        let file = folder.join(format!("{}.md", crd.spec.names.kind.to_lowercase()));
        let page = fs::read_to_string(file).unwrap();
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let mut words = Vec::new();
        for part in ["spec", "status"] {
            names(&schema["openAPIV3Schema"]["properties"][part], &mut words);
        }
        let written =
            |word: &&String| page.split(|c: char| !c.is_alphanumeric()).any(|w| w == **word);
        let missing: Vec<_> = words.iter().filter(|word| !written(word)).collect();
        assert_eq!(missing, [""; 0], "{} lacks them", crd.spec.names.kind);
    }
}

/// The fields of a schema and the values of its enums. Conditions are Kubernetes' own.
fn names(schema: &Value, words: &mut Vec<String>) {
    let values = schema["enum"].as_array().into_iter().flatten();
    words.extend(values.filter_map(|value| value.as_str().map(str::to_owned)));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        words.push(name.clone());
        if name != "conditions" {
            names(property, words);
        }
    }
    if schema["items"].is_object() {
        names(&schema["items"], words);
    }
}

fn undescribed(schema: &Value, path: &str, silent: &mut Vec<String>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        if property["description"].as_str().is_none_or(str::is_empty) {
            silent.push(path.clone());
        }
        undescribed(property, &path, silent);
    }
    if schema["items"].is_object() {
        undescribed(&schema["items"], path, silent);
    }
}
