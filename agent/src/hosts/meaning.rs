//! What a `hosts.toml` says, apart from how it is laid out: for comparing two of them.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, TableLike, TomlError};

/// Every key's path and value, and the hosts in the order in which containerd tries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// A value's source text by its path. The text is enough: equal text means equal value, and
    /// nothing that is compared here ever rewrites a value.
    pub(super) values: BTreeMap<Vec<String>, String>,
    /// Names of the `[host]` tables, by the place of their first mention.
    pub(super) hosts: Vec<String>,
}

// === impl Meaning ===

impl Meaning {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is not TOML.
    pub(super) fn of(text: &str) -> Result<Self, TomlError> {
        let document = Document::parse(text)?;
        let mut hosts: Vec<_> = match document.get("host").and_then(Item::as_table_like) {
            Some(table) => table
                .iter()
                .map(|(name, item)| (first_mention(table, name, item), name.to_owned()))
                .collect(),
            None => Vec::new(),
        };
        hosts.sort();
        let mut values = BTreeMap::new();
        collect(document.into_mut().as_item(), &mut Vec::new(), &mut values);
        Ok(Self { values, hosts: hosts.into_iter().map(|(_, name)| name).collect() })
    }

    /// Whether there is nothing but comments.
    pub(super) fn is_empty(&self) -> bool {
        self.values.keys().all(Vec::is_empty)
    }

    /// Whether a top-level key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.keys().any(|path| path.first().is_some_and(|first| first == key))
    }
}

/// Where in the text a table is first spoken of, be it through a table below it.
fn first_mention(parent: &dyn TableLike, name: &str, item: &Item) -> usize {
    let key = parent.key(name).and_then(|key| key.span());
    let below = item.as_table_like().into_iter().flat_map(|table| {
        table.iter().map(move |(name, item)| first_mention(table, name, item)).collect::<Vec<_>>()
    });
    key.or_else(|| item.span()).map(|span| span.start).into_iter().chain(below).min().unwrap_or(0)
}

fn collect(item: &Item, path: &mut Vec<String>, values: &mut BTreeMap<Vec<String>, String>) {
    match item {
        Item::None => {}
        Item::Value(value) => {
            values.insert(path.clone(), value.clone().decorated("", "").to_string());
        }
        Item::Table(table) => {
            if !table.is_implicit() {
                values.insert(path.clone(), "[table]".into());
            }
            for (name, item) in table {
                path.push(name.to_owned());
                collect(item, path, values);
                path.pop();
            }
        }
        Item::ArrayOfTables(tables) => {
            for (index, table) in tables.iter().enumerate() {
                path.push(format!("[{index}]"));
                collect(&Item::Table(table.clone()), path, values);
                path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_the_order_of_their_first_mention() {
        let text = "[host.\"b\".header]\nx = 1\n[host.\"a\"]\n[host.\"b\"]\ny = 1\n";
        assert_eq!(Meaning::of(text).unwrap().hosts, ["b", "a"]);
        let dotted = "host.\"z\".skip_verify = true\n[host.\"a\"]\n";
        assert_eq!(Meaning::of(dotted).unwrap().hosts, ["z", "a"]);
    }

    #[test]
    fn layout_and_comments_do_not_matter_and_values_do() {
        let bare = Meaning::of("server = \"s\"\n[host.\"a\"]\nca = \"x\"\n").unwrap();
        let laid_out = "# c\r\n server=  \"s\"  # d\r\n\r\n [ host . \"a\" ] # e\r\n ca = \"x\"";
        assert_eq!(Meaning::of(laid_out).unwrap(), bare);
        assert_ne!(Meaning::of("server = \"s\"\n[host.\"a\"]\nca = \"y\"\n").unwrap(), bare);
    }
}
