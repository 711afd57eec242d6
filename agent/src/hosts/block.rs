//! The lines that onepull adds to a `hosts.toml`, between two markers.
//!
//! The first marker says what else was made for their sake (a file, a folder, a line break), so the
//! text alone is enough to undo everything: removing a block gives back the very bytes it was
//! inserted into. No state outside the file is needed for that.

use std::fmt;

use thiserror::Error;
use toml_edit::{Array, Value};

const BEGIN: &str =
    "# >>> onepull: added by onepull-agent, and removed by `onepull-agent uninstall`";
const END: &str = "# <<< onepull";

/// Some editors put it first; the text begins after it.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// How long containerd waits for the mirror to accept a connection. The mirror is on loopback,
/// which answers or refuses at once; only a wedged host needs longer, and then the registry is the
/// better choice. containerd 2 obeys it, 1.6 ignores it.
const DIAL_TIMEOUT: &str = "200ms";

/// What a `hosts.toml` says on onepull's behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// `http://IP:PORT` of the mirror.
    pub(super) mirror: String,
    /// `http://HOST` of a registry that the operator declared to speak plain HTTP. 1.6 ignores a
    /// file that has no host table at all, but beside the mirror's `server` counts (seen, 1.6.20).
    pub(super) server: Option<String>,
    /// CA files of the folder that containerd would no longer find by itself.
    pub(super) ca: Vec<String>,
    /// Client certificates and their keys, likewise.
    pub(super) client: Vec<(String, String)>,
}

/// What did not exist before the block was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// All was there; the block stands between lines of the user.
    Nothing,
    /// The line break at the end of the user's last line, which the block follows.
    LineBreak,
    /// The file; its folder was there.
    File,
    /// The file and its folder.
    Folder,
}

/// A text without blocks of onepull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    /// What is the user's.
    pub(super) text: String,
    /// What the removed block said was made for it; `None` when there was no block.
    pub(super) made: Option<Made>,
}

/// One marker stands without the other, so nobody can tell whose the lines between are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "line {line} is a marker of onepull without its counterpart: remove what onepull added by hand"
)]
pub struct Unbalanced {
    line: usize,
}

// === impl Block ===

impl Block {
    /// The block's lines, each ended by `eol`.
    pub(super) fn render(&self, made: Made, eol: &str) -> String {
        let mut lines = vec![format!("{BEGIN}{made}")];
        lines.extend(self.lines());
        lines.push(END.into());
        lines.iter().flat_map(|line| [line.as_str(), eol]).collect()
    }

    /// What stands between the markers.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(server) = &self.server {
            lines.push(format!("server = {}", quoted(server)));
        }
        if !self.ca.is_empty() {
            lines.push(format!("ca = {}", Array::from_iter(&self.ca)));
        }
        if !self.client.is_empty() {
            let pairs = self.client.iter().map(|(cert, key)| Array::from_iter([cert, key]));
            lines.push(format!("client = {}", Array::from_iter(pairs)));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("[host.{}]", quoted(&self.mirror)));
        lines.push("capabilities = [\"pull\"]".into());
        lines.push(format!("dial_timeout = {}", quoted(DIAL_TIMEOUT)));
        lines
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

// === impl Made ===

impl Made {
    fn of_marker(line: &str) -> Self {
        [Self::LineBreak, Self::File, Self::Folder]
            .into_iter()
            .find(|made| line.ends_with(&made.to_string()))
            .unwrap_or(Self::Nothing)
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "",
            Self::LineBreak => " (with the line break before this line)",
            Self::File => " (with this file)",
            Self::Folder => " (with this file and its folder)",
        })
    }
}

/// The user's part of a text; the inverse of inserting blocks.
///
/// # Errors
/// When the markers do not pair up.
pub(super) fn strip(text: &str) -> Result<Stripped, Unbalanced> {
    let (mark, text) = text.split_at(if text.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 });
    let mut kept = String::from(mark);
    let mut made = None;
    let mut open = None;
    let mut dangling_break = false;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim_end();
        let unbalanced = Unbalanced { line: number + 1 };
        if trimmed.starts_with(BEGIN) {
            let this = Made::of_marker(trimmed);
            made = made.or(Some(this));
            dangling_break = this == Made::LineBreak;
            if open.replace(number).is_some() {
                return Err(unbalanced);
            }
        } else if trimmed == END {
            open.take().ok_or(unbalanced)?;
        } else if open.is_none() {
            // A line that somebody added below the block needs the break above it.
            dangling_break = false;
            kept.push_str(line);
        }
    }
    if let Some(number) = open {
        return Err(Unbalanced { line: number + 1 });
    }
    if dangling_break && kept.ends_with('\n') {
        kept.truncate(kept.len() - if kept.ends_with("\r\n") { 2 } else { 1 });
    }
    Ok(Stripped { text: kept, made })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        Block {
            mirror: "http://127.0.0.1:29900".into(),
            server: None,
            ca: Vec::new(),
            client: Vec::new(),
        }
    }

    #[test]
    fn a_plain_block_is_one_host_that_may_pull_and_never_resolve() {
        let text = block().render(Made::File, "\n");
        let expected = "\
# >>> onepull: added by onepull-agent, and removed by `onepull-agent uninstall` (with this file)
[host.\"http://127.0.0.1:29900\"]
capabilities = [\"pull\"]
dial_timeout = \"200ms\"
# <<< onepull
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_full_block_names_the_server_and_the_certificates_before_any_table() {
        let block = Block {
            server: Some("http://reg:5000".into()),
            ca: vec!["ca.crt".into(), "o\"dd.crt".into()],
            client: vec![("a.cert".into(), "a.key".into())],
            ..block()
        };
        let expected = [
            "server = \"http://reg:5000\"",
            "ca = [\"ca.crt\", 'o\"dd.crt']",
            "client = [[\"a.cert\", \"a.key\"]]",
            "",
            "[host.\"http://127.0.0.1:29900\"]",
            "capabilities = [\"pull\"]",
            "dial_timeout = \"200ms\"",
        ];
        assert_eq!(block.lines(), expected);
    }

    #[test]
    fn stripping_gives_back_the_text_and_what_was_made() {
        for made in [Made::Nothing, Made::File, Made::Folder] {
            let text = format!("a = 1\r\n{}b = 2", block().render(made, "\r\n"));
            let expected = Stripped { text: "a = 1\r\nb = 2".into(), made: Some(made) };
            assert_eq!(strip(&text), Ok(expected));
        }
    }

    #[test]
    fn the_line_break_before_the_block_goes_only_while_the_block_is_last() {
        let text = format!("a = 1\r\n{}", block().render(Made::LineBreak, "\r\n"));
        assert_eq!(strip(&text).unwrap().text, "a = 1");
        assert_eq!(strip(&format!("{text}b = 2")).unwrap().text, "a = 1\r\nb = 2");
    }

    #[test]
    fn a_lone_marker_is_an_error_that_names_its_line() {
        let text = block().render(Made::Nothing, "\n");
        let cut = format!("a = 1\n{}", text.strip_suffix("# <<< onepull\n").unwrap());
        assert_eq!(strip(&cut), Err(Unbalanced { line: 2 }));
        assert_eq!(strip("a = 1\n# <<< onepull\n"), Err(Unbalanced { line: 2 }));
        assert_eq!(strip(&format!("{cut}{text}")), Err(Unbalanced { line: 6 }));
    }
}
