//! Which of the set-ups in `docs/nodes.md` this node is, and what that takes.
//!
//! Distributions leave traces; where there is none of theirs, containerd's own settings name the case.
//! Nothing is judged here, as the other checks look at what is really so: a set-up that is taken for
//! another costs a sentence.

use serde_json::Value;

use super::{
    CheckConfig, Finding,
    process::Process,
    settings::{Known, Pulls, Settings},
    version::Release,
};

mod clues;
mod traces;

const NAME: &str = "set-up";

/// A kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    K3s,
    Talos,
    Bottlerocket,
    Eks,
    Gke,
    Aks,
    Kind,
    /// containerd as such, by its settings.
    Plain(Plain),
}

/// Where a containerd that nobody's distribution configures looks for mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    /// In the hosts files of one folder.
    Folder,
    /// In those of several folders.
    Folders,
    /// In none, as it takes their list for one folder.
    List,
    /// In its configuration file.
    Mirrors,
    /// Nowhere.
    Nowhere,
    /// That cannot be seen from here.
    Unseen,
}

/// What a person should know of a set-up.
struct About {
    name: &'static str,
    /// The heading in `docs/nodes.md`, as a link has it.
    section: &'static str,
    /// What is to be set, and where.
    todo: Option<&'static str>,
}

/// Names the set-up.
pub(super) fn check(
    config: &CheckConfig,
    told: &Value,
    process: &Known<Process>,
    release: &Release,
    settings: &Settings,
) -> Finding {
    let seen = clues::see(config, told, process.as_ref().ok(), release, settings);
    match traces::find(&seen) {
        Some((setup, (clue, text))) => setup.finding(&format!(", by {clue}: {text}")),
        None => Setup::Plain(Plain::of(settings)).finding(""),
    }
}

// === impl Plain ===

impl Plain {
    fn of(settings: &Settings) -> Self {
        let folders = settings.folders().count();
        match settings {
            Settings { has_mirrors: true, .. } => Self::Mirrors,
            Settings { config_path: Err(_), .. } => Self::Unseen,
            _ if folders == 0 => Self::Nowhere,
            _ if folders == 1 => Self::Folder,
            Settings { pulls: Pulls::ByTransfer, .. } => Self::List,
            _ => Self::Folders,
        }
    }

    const fn about(self) -> About {
        match self {
            Self::Folder => About {
                name: "containerd with config_path",
                section: "config_path-with-one-folder",
                todo: None,
            },
            Self::Folders => About {
                name: "containerd with a list of folders in config_path",
                section: "config_path-with-a-list-of-folders",
                todo: None,
            },
            Self::List => About {
                name: "containerd 2.1 or later with a list of folders in config_path",
                section: "config_path-with-a-list-of-folders",
                todo: Some("set config_path to one folder: of a list, this containerd finds none"),
            },
            Self::Mirrors => About {
                name: "containerd with mirrors in its own configuration",
                section: "mirrors-in-containerds-configuration",
                todo: Some(
                    "move them into hosts.toml files and set config_path in their place: containerd \
                     takes either one",
                ),
            },
            Self::Nowhere => About {
                name: "containerd without config_path",
                section: "no-config_path",
                todo: Some("set config_path in containerd's configuration, and restart it"),
            },
            Self::Unseen => About {
                name: "containerd, whose configuration cannot be seen from here",
                section: "what-can-be-seen-from-a-pod",
                todo: None,
            },
        }
    }
}

// === impl Setup ===

impl Setup {
    fn finding(self, by: &str) -> Finding {
        let About { name, section, todo } = self.about();
        let what = format!("{name}{by}; see docs/nodes.md#{section}");
        Finding { todo: todo.map(str::to_owned), ..Finding::ok(NAME, what) }
    }

    const fn about(self) -> About {
        match self {
            Self::K3s => About {
                name: "k3s or RKE2",
                section: "k3s-and-rke2",
                todo: Some(
                    "give the chart its folders (containerd.socket, .root, .hostsDir); it writes \
                     certs.d anew when it starts, so restart the agent after it",
                ),
            },
            Self::Talos => About {
                name: "Talos",
                section: "talos",
                todo: Some("give the chart its folder: containerd.hostsDir=/etc/cri/conf.d/hosts"),
            },
            Self::Bottlerocket => About {
                name: "Bottlerocket",
                section: "bottlerocket",
                todo: Some(
                    "use 1.56 or later, with agent.seLinuxOptions.type=super_t in the chart; it \
                     writes certs.d anew when its registry settings change, so restart the agent then",
                ),
            },
            Self::Eks => About {
                name: "EKS on Amazon Linux 2023",
                section: "eks-on-amazon-linux-2023",
                todo: Some(
                    "set nothing, or, to share undeclared images too, discard_unpacked_layers = \
                     false and config_path with one folder, both in the NodeConfig",
                ),
            },
            Self::Gke => About {
                name: "GKE",
                section: "gke",
                todo: Some(
                    "give the chart containerd.hostsDir=/etc/containerd/hosts.d and \
                     priorityQuota.enabled=true; where containerd has no config_path, let GKE set it \
                     with registryHosts",
                ),
            },
            Self::Aks => About { name: "AKS", section: "aks", todo: None },
            Self::Kind => About {
                name: "kind",
                section: "kind",
                todo: Some("before kind 0.27, set config_path with containerdConfigPatches"),
            },
            Self::Plain(plain) => plain.about(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    const ALL: [Setup; 13] = [
        Setup::K3s,
        Setup::Talos,
        Setup::Bottlerocket,
        Setup::Eks,
        Setup::Gke,
        Setup::Aks,
        Setup::Kind,
        Setup::Plain(Plain::Folder),
        Setup::Plain(Plain::Folders),
        Setup::Plain(Plain::List),
        Setup::Plain(Plain::Mirrors),
        Setup::Plain(Plain::Nowhere),
        Setup::Plain(Plain::Unseen),
    ];

    /// As GitHub makes them.
    fn anchors(markdown: &str) -> Vec<String> {
        let headings = markdown.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            heading.chars().filter(kept).collect::<String>().replace(' ', "-")
        };
        headings.map(anchor).collect()
    }

    #[test]
    fn each_set_up_has_its_section_in_the_papers_and_none_is_a_complaint() {
        let there = anchors(include_str!("../../../docs/nodes.md"));
        for setup in ALL {
            let section = setup.about().section;
            assert!(there.iter().any(|anchor| anchor == section), "{section}: {there:?}");
            assert_eq!(setup.finding("").verdict, Verdict::Ok);
        }
    }

    #[test]
    fn containerd_without_a_distribution_is_named_by_its_settings() {
        let settings = |path: Known<&str>, has_mirrors, pulls| Settings {
            config_path: path.map(str::to_owned),
            has_mirrors,
            discards_layers: Ok(false),
            pulls,
            table: "",
        };
        for (path, has_mirrors, pulls, expected) in [
            (Ok(""), false, Pulls::Itself, Plain::Nowhere),
            (Ok(""), true, Pulls::Itself, Plain::Mirrors),
            (Ok("/a"), false, Pulls::ByTransfer, Plain::Folder),
            (Ok("/a:/b"), false, Pulls::ByTransfer, Plain::List),
            (Ok("/a:/b"), false, Pulls::ItselfToDropLayers, Plain::Folders),
            (Ok("/a:/b"), false, Pulls::Itself, Plain::Folders),
            (Err("hidden".to_owned()), false, Pulls::Itself, Plain::Unseen),
        ] {
            let settings = settings(path, has_mirrors, pulls);
            assert_eq!(Plain::of(&settings), expected, "{settings:?}");
        }
    }

    #[test]
    fn the_finding_names_the_trace_the_section_and_what_to_set() {
        let found = Setup::Talos.finding(", by its kernel: 6.12.0-talos");
        let what = "Talos, by its kernel: 6.12.0-talos; see docs/nodes.md#talos";
        assert_eq!((found.name, found.what.as_str()), ("set-up", what));
        assert!(found.todo.unwrap().contains("containerd.hostsDir=/etc/cri/conf.d/hosts"));
    }
}
