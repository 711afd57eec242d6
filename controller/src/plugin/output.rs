//! In which form answers are printed.

use serde::Serialize;

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// The same with more columns, and every name.
    Wide,
    /// All there is, for programs.
    Json,
}

/// An answer that can be put as text and as JSON.
pub(crate) trait Answer: Serialize {
    /// For people; `wide` shows more.
    fn text(&self, wide: bool) -> String;
}

// === impl Output ===

impl Output {
    /// The answer in this form, with a line's end.
    pub(crate) fn render(self, answer: &impl Answer) -> String {
        match self {
            Self::Table => answer.text(false),
            Self::Wide => answer.text(true),
            // Values of ours have no maps with odd keys, the one thing that JSON cannot say.
            Self::Json => serde_json::to_string_pretty(answer).unwrap_or_default() + "\n",
        }
    }
}
