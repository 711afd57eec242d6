//! What `make e2e` leaves for people: how long pods took to start, and what the registry sent.

use std::{fmt::Write as _, fs};

use onepull_deploy::deploy;

use crate::pods::Start;

/// One table.
pub(crate) struct Report {
    name: &'static str,
    text: String,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        let text = "| pod | started after | pulled |\n|---|---|---|\n".to_owned();
        Self { name, text }
    }

    pub(crate) fn pod(&mut self, what: &str, start: &Start) {
        let pulled = if start.pulled() { "yes" } else { "no, already present" };
        let took = start.took.as_secs_f64();
        let _ = writeln!(self.text, "| {what} | {took:.1} s | {pulled} |");
    }

    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{text}");
    }

    /// Prints it, and writes it to `target/e2e/NAME.md`.
    pub(crate) fn done(self) {
        println!("{}", self.text);
        let folder = deploy().join("../target/e2e");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{}.md", self.name)), self.text).unwrap();
    }
}
