//! Whatever people write into these files, they get it back.

use std::fs;

use proptest::{prelude::*, sample::Index};

use crate::node::Node;

/// File system work: fewer cases than usual.
const CASES: u32 = 64;

const BYTE_ORDER_MARK: char = '\u{feff}';

fn comment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        1 => Just("\n".to_owned()),
        1 => "#[ -~]{0,20}\n",
        1 => "  \t# \\[host\\.\"no\"\\] [ -~]{0,8}\n",
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("capabilities = [\"pull\", \"resolve\"]\n"),
        Just("  skip_verify=true # why\n"),
        Just("ca = [\n  'a.pem',\n  # [host.\"no\"]\n \"b.pem\" ]\n"),
        Just("client = [[\"c.cert\", \"c.key\"]]\n"),
        Just("override_path\t=\tfalse\n"),
    ]
    .prop_map(str::to_owned)
}

fn top() -> impl Strategy<Value = String> {
    let server = prop_oneof![
        Just(""),
        Just("server = \"https://registry-1.docker.io\" # hub\n"),
        Just("server = '''\nhttps://odd\n[host.\"no\"]'''\n"),
    ];
    (comment(), server, prop::option::of(key()), comment())
        .prop_map(|(a, server, key, b)| format!("{a}{server}{}{b}", key.unwrap_or_default()))
}

fn host(index: usize) -> impl Strategy<Value = String> {
    let open = prop_oneof![Just("["), Just("  [ "), Just("[\t")];
    let header_first = prop::option::of(any::<bool>());
    (comment(), open, prop::option::of(key()), header_first, comment(), any::<bool>()).prop_map(
        move |(above, open, key, header_first, below, double)| {
            let quote = if double { '"' } else { '\'' };
            let name = format!("{quote}https://mirror-{index}.example:5000{quote}");
            let table = format!("{open}host . {name} ] # c\n{}", key.unwrap_or_default());
            let header = format!("[host.{name}.header]\nx-token = [\"a\", \"b\"]\n");
            match header_first {
                None => format!("{above}{table}{below}"),
                Some(true) => format!("{above}{header}{below}{table}"),
                Some(false) => format!("{above}{table}{header}{below}"),
            }
        },
    )
}

prop_compose! {
    /// Files as people write them, and worse.
    fn user_file()(
        top in top(),
        hosts in prop::collection::vec(any::<Index>(), 0..4)
            .prop_flat_map(|hosts| (0..hosts.len()).map(host).collect::<Vec<_>>()),
        crlf: bool, cut: bool, mark: bool,
    ) -> String {
        let mut text = format!("{top}{}", hosts.concat());
        if cut {
            text.truncate(text.trim_end_matches('\n').len());
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        if mark { format!("{BYTE_ORDER_MARK}{text}") } else { text }
    }
}

fn hosts_of(text: &str) -> Vec<String> {
    let document: toml_edit::DocumentMut = text.parse().unwrap();
    let hosts = document.get("host").and_then(toml_edit::Item::as_table_like);
    hosts.map(|t| t.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

/// The text without onepull's lines, found by nothing but the first words of the markers.
fn without_block(text: &str) -> String {
    let begin = text.find("# >>> onepull").unwrap();
    let end = text.find("# <<< onepull").unwrap();
    let rest = text[end..].find('\n').map_or("", |at| &text[end + at + 1..]);
    format!("{}{rest}", &text[..begin])
}

fn eol(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// `text` with `line` added where people add lines: at the top or at the end.
fn edited(text: &str, at_top: bool, eol: &str) -> String {
    let (mark, rest) = text.split_at(if text.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 });
    if at_top {
        return format!("{mark}# edited{eol}{rest}");
    }
    let gap = if rest.is_empty() || rest.ends_with('\n') { "" } else { eol };
    format!("{mark}{rest}{gap}[host.\"https://edited\"]{eol}")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_file_of_a_user_survives_and_comes_after_the_mirror(
        files in prop::collection::vec(user_file(), 1..4),
    ) {
        let node = Node::new(&[]);
        let name = |index: usize| format!("reg-{index}.example:5000/hosts.toml");
        for (index, text) in files.iter().enumerate() {
            node.write(&name(index), text);
        }
        let before = node.tree();
        let done = node.install();
        prop_assert!(done.iter().all(|line| !line.contains("refused")), "{:?}", done);
        for (index, text) in files.iter().enumerate() {
            let merged = node.read(&name(index));
            let left = without_block(&merged);
            prop_assert!(left == *text || left == format!("{text}{}", eol(text)), "{:?}", merged);
            let mirror = merged.find("http://127.0.0.1:29900").unwrap();
            prop_assert!(merged.find("https://mirror-").is_none_or(|user| mirror < user));
            let mut now = hosts_of(&merged);
            now.retain(|name| name != "http://127.0.0.1:29900");
            prop_assert_eq!(now, hosts_of(text));
        }
        let installed = node.tree();
        node.install();
        prop_assert_eq!(node.tree(), installed);
        node.uninstall();
        prop_assert_eq!(node.tree(), before);
    }

    #[test]
    fn edits_made_in_between_survive_with_or_without_the_backup(
        text in user_file(), at_top: bool, lost: bool, again: bool,
    ) {
        let node = Node::new(&[]);
        let name = "ghcr.io/hosts.toml";
        node.write(name, &text);
        node.install();
        node.write(name, edited(&node.read(name), at_top, eol(&text)));
        if lost {
            node.lose_backup();
        }
        if again {
            node.install();
        }
        node.uninstall();
        prop_assert_eq!(node.read(name), edited(&text, at_top, eol(&text)));
    }

    #[test]
    fn arbitrary_text_survives_whether_or_not_it_is_toml(
        text in prop_oneof![
            "\\PC{0,80}",
            "([#\\[\\]=\"' \\t\\r\\n\u{feff}.]|host|server|a|1){0,24}",
        ],
    ) {
        let node = Node::new(&[]);
        node.write("ghcr.io/hosts.toml", &text);
        let before = node.tree();
        node.install();
        let installed = node.tree();
        node.install();
        prop_assert_eq!(node.tree(), installed);
        node.uninstall();
        prop_assert_eq!(node.tree(), before);
    }

    #[test]
    fn arbitrary_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let node = Node::new(&["http://ghcr.io"]);
        node.write("ghcr.io/hosts.toml", &bytes);
        node.install();
        node.uninstall();
        prop_assert_eq!(fs::read(node.path("ghcr.io/hosts.toml")).unwrap(), bytes);
    }
}
