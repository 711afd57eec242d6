//! Pieces of schemas that several fields share.

use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A rule in CEL and what is said to the person who broke it.
pub(crate) fn rule(expression: impl Into<String>, message: &str) -> Rule {
    Rule { message: Some(Message::Message(message.to_owned())), ..Rule::new(expression) }
}

/// A rule about a string, and what is said after quoting that string.
pub(crate) fn quoting_rule(expression: impl Into<String>, says: &str) -> Rule {
    let quoted = format!(r#""'" + self + "' {says}""#);
    Rule { message: Some(Message::Expression(quoted)), ..Rule::new(expression) }
}

/// A number of bytes. Kubernetes knows signed formats only.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0 })
}

/// A number of bytes that may be missing.
pub(crate) fn some_bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "nullable": true })
}

/// A number of things.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 0 })
}

/// The digest of a manifest or an index.
pub(crate) const DIGEST: &str = "^sha256:[a-f0-9]{64}$";
