//! Where a status that changes is shown: again and again in the same place of a terminal, or one after the
//! other where there is none.

use std::io::{self, Write, stdout};

use console::{Term, truncate_str};

/// Up one line; clear to the end of the line, and of the screen.
const UP: &str = "\x1b[A";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// The place.
pub(super) struct Screen {
    /// Where there is one.
    terminal: Option<Term>,
    /// What is shown.
    shown: String,
    /// Lines of a terminal that it takes.
    lines: usize,
}

// === impl Screen ===

impl Screen {
    /// A terminal, or what else standard output is.
    pub(super) fn new(is_terminal: bool) -> Self {
        let terminal = is_terminal.then(Term::stdout);
        Self { terminal, shown: String::new(), lines: 0 }
    }

    /// Lines that it has room for; `None` is any number.
    pub(super) fn height(&self) -> Option<usize> {
        let (lines, _) = self.terminal.as_ref()?.size();
        Some(usize::from(lines))
    }

    /// Shows a text in place of the last one. The same text again is not shown again.
    pub(super) fn show(&mut self, text: &str) -> io::Result<()> {
        if text == self.shown {
            return Ok(());
        }
        let out = match &self.terminal {
            None if self.shown.is_empty() => text.to_owned(),
            None => format!("\n{text}"),
            Some(terminal) => {
                let (height, width) = terminal.size();
                let (text, lines) = frame(text, height.into(), width.into());
                let up = UP.repeat(self.lines);
                self.lines = lines;
                format!("{up}\r{text}{CLEAR_BELOW}")
            }
        };
        text.clone_into(&mut self.shown);
        stdout().write_all(out.as_bytes())?;
        stdout().flush()
    }
}

/// A text cut to what a terminal holds, and its lines.
fn frame(text: &str, height: usize, width: usize) -> (String, usize) {
    // The cursor stands in the last line.
    let lines: Vec<_> = text.lines().take(height.saturating_sub(1)).collect();
    let cut = lines.iter().map(|line| format!("{}{CLEAR_LINE}\n", truncate_str(line, width, "…")));
    (cut.collect(), lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_what_a_terminal_holds() {
        let (text, lines) = frame("long line\nb\nc\n", 3, 5);
        assert_eq!((text.as_str(), lines), ("long…\x1b[K\nb\x1b[K\n", 2));
        assert_eq!(frame("a\n", 24, 80).1, 1);
    }
}
