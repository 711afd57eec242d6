//! What the schema says of image references.
//!
//! One rule for each mistake that people make, so that they read what to do. The API server adds up
//! what a rule costs at worst, for all images of all lists, and refuses what is too dear: hence many
//! short expressions, and some names pass that no registry knows.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::image_list::MAX_IMAGES;
use crate::schema::{quoting_rule, rule};

/// A name of 255 characters (registries take no longer ones), and a tag of 128.
const MAX_REFERENCE: usize = 384;

/// The schema of a list of references.
pub(super) fn list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_IMAGES,
        "x-kubernetes-list-type": "set",
        "x-kubernetes-validations": [rule(
            "size(self) > 0",
            "name at least one image, or remove this list",
        )],
        "items": {
            "type": "string",
            "maxLength": MAX_REFERENCE,
            "x-kubernetes-validations": rules(),
        },
    })
}

/// A URL is told that it is one, and nothing else.
fn rules() -> Vec<Rule> {
    let unless_a_url = |rule: &str| format!("self.contains('://') || {rule}");
    vec![
        quoting_rule(
            "self.matches('^[A-Za-z0-9][\\\\w.:/@-]*$')",
            "is no image reference: write it as in a pod, for example nginx:1.27, \
             registry.example.com:5000/team/app:v2 or registry.example.com/app@sha256:...",
        ),
        quoting_rule(
            "!self.contains('://')",
            "is a URL: leave out the scheme, as in registry.example.com/app:v2",
        ),
        quoting_rule(
            "!self.matches('^[^:@]*[A-Z]')",
            "has capitals in its name: only a tag may have them",
        ),
        quoting_rule(
            unless_a_url("!self.matches('[:/@]([:/@.-]|$)')"),
            "lacks something: after each ':', '/' and '@' comes a name, a tag or a digest",
        ),
        quoting_rule(
            "!self.matches(':[^/@]*:|@.*@')",
            "has two tags or two digests: it may have one of each",
        ),
        quoting_rule(
            unless_a_url("!self.matches(':\\\\d*[^\\\\d/@][^/@]*/')"),
            "has a port that is no number, or a '/' in its tag",
        ),
        quoting_rule(
            "!self.contains('@') || self.matches('@sha256:[a-f0-9]{64}$')",
            "has no proper digest: that is '@sha256:' and 64 characters out of 0-9 and a-f",
        ),
    ]
}
