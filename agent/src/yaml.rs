//! What is told of YAML that makes no sense.

use serde_saphyr::Error;

/// What and where, in one line, without the picture of the place. It may quote the value that is wrong.
pub(crate) fn one_line(error: &Error) -> String {
    error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned()
}

/// Where, and nothing of what is there: for files that may hold secrets.
pub(crate) fn place(error: &Error) -> String {
    match error.location() {
        Some(at) => format!("line {}, column {}", at.line(), at.column()),
        None => "no place is known".to_owned(),
    }
}
