//! Text in, text out: puts the mirror in front of whatever a `hosts.toml` says already.
//!
//! The block is inserted as text, so every byte of the user's stays as it was; the result is then
//! parsed and compared with the original, so that a file in a form that was not thought of is left
//! alone rather than changed in meaning.

use thiserror::Error;
use toml_edit::{Document, Item, Table};

use super::{
    block::{BYTE_ORDER_MARK, Block, Made, strip},
    meaning::Meaning,
};

/// Why a text cannot take the mirror.
#[derive(Debug, Error)]
pub enum MergeError {
    /// containerd cannot read such a file either, and goes on without it.
    #[error("it is not valid TOML (containerd ignores it too), mend it first: {0}")]
    NotToml(String),
    /// The user names the mirror, but not as the first host.
    #[error("it names the mirror {mirror} itself, but {first} comes before: move the mirror up")]
    NotFirst {
        /// The mirror's URL.
        mirror: String,
        /// The host that containerd would ask first.
        first: String,
    },
    /// A way to write hosts that has no place for one more table in front.
    #[error(
        "its hosts are written in a form that cannot be added to (inline or dotted keys); add \
         these lines before the first host by hand, or write the hosts as [host.\"…\"] tables:\n{by_hand}"
    )]
    NoPlace {
        /// What to add.
        by_hand: String,
    },
}

/// The text with `block` in it, as the first host. `None` stands for a file that is not there;
/// `made` is what has to be made for it then.
///
/// # Errors
/// When the text is better left alone.
///
/// # Guarantees
/// [`strip`](super::block::strip) gives `text` back, and parsed, the result says what `text` and
/// the block say, and nothing else.
pub(super) fn insert(text: Option<&str>, block: &Block, made: Made) -> Result<String, MergeError> {
    let Some(text) = text else {
        return Ok(block.render(made, "\n"));
    };
    let before = Meaning::of(text).map_err(|error| MergeError::NotToml(error.to_string()))?;
    if before.hosts.contains(&block.mirror) {
        return already_there(text, &before, block);
    }
    let eol = line_ending(text);
    let merged = match first_table(text) {
        Some(at) => {
            let lines = block.render(Made::Nothing, eol);
            format!("{}{lines}{}", &text[..at], &text[at..])
        }
        None if text.trim_start_matches(BYTE_ORDER_MARK).is_empty() || text.ends_with('\n') => {
            format!("{text}{}", block.render(Made::Nothing, eol))
        }
        None => format!("{text}{eol}{}", block.render(Made::LineBreak, eol)),
    };
    if says_both(&merged, &before, block) && comes_off(&merged, text) {
        Ok(merged)
    } else {
        Err(MergeError::NoPlace { by_hand: block.lines().join("\n") })
    }
}

/// The user wrote the table by hand: fine if it does what ours would do.
fn already_there(text: &str, before: &Meaning, block: &Block) -> Result<String, MergeError> {
    match before.hosts.first() {
        Some(first) if *first != block.mirror => {
            Err(MergeError::NotFirst { mirror: block.mirror.clone(), first: first.clone() })
        }
        _ => Ok(text.to_owned()),
    }
}

fn says_both(merged: &str, before: &Meaning, block: &Block) -> bool {
    let (Ok(after), Ok(ours)) = (Meaning::of(merged), Meaning::of(&block.lines().join("\n")))
    else {
        return false;
    };
    let mut values = before.values.clone();
    values.extend(ours.values);
    let hosts: Vec<_> = ours.hosts.into_iter().chain(before.hosts.iter().cloned()).collect();
    after == Meaning { values, hosts }
}

fn comes_off(merged: &str, text: &str) -> bool {
    strip(merged).is_ok_and(|stripped| stripped.text == text)
}

fn line_ending(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The start of the line from which the first table of any kind begins, comments that stand
/// directly above it included: top-level keys of the block may go there, and its tables end there.
fn first_table(text: &str) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let (floor, header) = headers(document.as_table()).min_by_key(|&(_, header)| header)?;
    let mut start = line_start(text, header);
    while start > floor {
        let above = line_start(text, start - 1);
        if above < floor || !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    Some(start)
}

/// For each table header in the document: where the blank space and comments above it begin, and
/// where itself does.
fn headers(table: &Table) -> Box<dyn Iterator<Item = (usize, usize)> + '_> {
    Box::new(table.iter().flat_map(|(_, item)| -> Box<dyn Iterator<Item = _>> {
        match item {
            Item::Table(table) => Box::new(header(table).into_iter().chain(headers(table))),
            Item::ArrayOfTables(tables) => Box::new(
                tables.iter().flat_map(|table| header(table).into_iter().chain(headers(table))),
            ),
            _ => Box::new(std::iter::empty()),
        }
    }))
}

fn header(table: &Table) -> Option<(usize, usize)> {
    if table.is_implicit() || table.is_dotted() {
        return None;
    }
    let start = table.span()?.start;
    let floor = table.decor().prefix().and_then(|prefix| prefix.span()).map(|span| span.start);
    Some((floor.unwrap_or(start), start))
}

fn line_start(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    if start == 0 && text.starts_with(BYTE_ORDER_MARK) {
        return BYTE_ORDER_MARK.len_utf8().min(at);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIRROR: &str = "http://127.0.0.1:29900";

    fn block() -> Block {
        Block { mirror: MIRROR.into(), server: None, ca: Vec::new(), client: Vec::new() }
    }

    fn inserted(text: &str) -> String {
        insert(Some(text), &block(), Made::Nothing).unwrap()
    }

    #[test]
    fn the_block_goes_between_the_top_level_keys_and_the_first_table_with_its_comment() {
        let text = "server = \"https://a\" # s\n\n# about b\n# more\n[host.\"https://b\"]\nx = 1\n";
        let ours = block().render(Made::Nothing, "\n");
        let expected = format!(
            "server = \"https://a\" # s\n\n{ours}# about b\n# more\n[host.\"https://b\"]\nx = 1\n"
        );
        assert_eq!(inserted(text), expected);
    }

    #[test]
    fn a_text_without_tables_gets_the_block_at_its_end() {
        let ours = block().render(Made::Nothing, "\n");
        assert_eq!(inserted(""), ours);
        assert_eq!(inserted("# only a comment\n"), format!("# only a comment\n{ours}"));
        let cut = block().render(Made::LineBreak, "\r\n");
        assert_eq!(inserted("ca = \"x\"\r\ny = 1"), format!("ca = \"x\"\r\ny = 1\r\n{cut}"));
    }

    #[test]
    fn a_byte_order_mark_stays_the_first_thing_in_the_file() {
        for text in ["\u{feff}", "\u{feff}# c\n[host.\"b\"]\n", "\u{feff}[host.\"b\"]"] {
            let merged = inserted(text);
            assert!(merged.starts_with("\u{feff}# >>> onepull"), "{merged:?}");
            assert_eq!(strip(&merged).unwrap().text, text);
        }
    }

    #[test]
    fn a_string_that_looks_like_a_comment_or_a_table_is_not_cut_in_two() {
        let text = "x = '''\n[host.\"no\"]\n# no'''\n[host.\"b\"]\n";
        let merged = inserted(text);
        assert_eq!(strip(&merged).unwrap().text, text);
        assert!(merged.ends_with("# <<< onepull\n[host.\"b\"]\n"));
    }

    #[test]
    fn a_sub_table_in_front_of_its_host_still_comes_after_the_mirror() {
        let merged = inserted("[host.\"b\".header]\nx = \"1\"\n[host.\"a\"]\n[host.\"b\"]\n");
        assert_eq!(Meaning::of(&merged).unwrap().hosts, [MIRROR, "b", "a"]);
    }

    #[test]
    fn the_same_table_written_by_hand_is_left_as_it_is() {
        let text = format!("[host.\"{MIRROR}\"]\ncapabilities = [\"pull\"]\n[host.\"b\"]\n");
        assert_eq!(inserted(&text), text);
    }

    #[test]
    fn what_cannot_be_merged_is_refused_with_the_lines_to_add() {
        let refused = |text: &str| insert(Some(text), &block(), Made::Nothing).unwrap_err();
        assert!(matches!(refused("[host"), MergeError::NotToml(_)));
        let late = format!("[host.\"b\"]\n[host.\"{MIRROR}\"]\n");
        assert!(matches!(refused(&late), MergeError::NotFirst { first, .. } if first == "b"));
        for text in ["host = { \"b\" = { ca = \"x\" } }\n", "host.\"b\".ca = \"x\"\n"] {
            let error = refused(text).to_string();
            assert!(error.ends_with(&block().lines().join("\n")), "{error}");
        }
    }
}
