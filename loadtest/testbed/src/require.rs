//! What a test needs, and what it does where that is missing: say so and pass, or fail when told.

use std::path::Path;

use crate::tools;

/// With this set to `1` a missing requirement fails the test, so that a machine that is meant to
/// have everything cannot skip silently.
const REQUIRE_ALL: &str = "ONEPULL_TEST_REQUIRE_ALL";

/// One thing that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Network namespaces, mounts and containerd.
    Root,
    /// `ip` and `tc`, to make and shape network namespaces.
    Iproute,
    /// `iptables`, to lose packets between hosts and to count those to one of them.
    Iptables,
    /// containerd 1.6 with runc, as in Debian 12.
    Containerd16,
    /// containerd 2.2, built from its Go module.
    Containerd22,
    /// etcd and the programs of Kubernetes, built from their Go module.
    Kubernetes,
    /// What a kubelet needs to run pods: CNI plugins, runc, a name server, and a program that needs no library.
    Pods,
    /// Helm, built from its Go module.
    Helm,
    /// Debian's docker-registry, and skopeo to push to it.
    Registry,
    /// Debian's podman.
    Podman,
    /// curl and openssl, as a stranger to the peers has them.
    Curl,
    /// nginx, the yardstick for serving a file.
    Nginx,
    /// debootstrap and umoci, to build an image from real packages.
    ImageTools,
    /// What `deploy/image/build.sh` runs, and the authorities that it puts into the image.
    OwnImage,
}

// === impl Requirement ===

impl Requirement {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 14] = [
        Self::Root,
        Self::Iproute,
        Self::Iptables,
        Self::Containerd16,
        Self::Containerd22,
        Self::Kubernetes,
        Self::Pods,
        Self::Helm,
        Self::Registry,
        Self::Podman,
        Self::Curl,
        Self::Nginx,
        Self::ImageTools,
        Self::OwnImage,
    ];

    /// Debian packages that provide it.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Root | Self::Containerd22 | Self::Kubernetes | Self::Helm => &[],
            Self::Pods => {
                &["busybox-static", "containernetworking-plugins", "dnsmasq-base", "runc"]
            }
            Self::Iproute => &["iproute2"],
            Self::Iptables => &["iptables"],
            Self::Containerd16 => &["containerd", "runc"],
            Self::Registry => &["docker-registry", "skopeo"],
            Self::Podman => &["podman"],
            Self::Curl => &["curl", "openssl"],
            Self::Nginx => &["nginx-light"],
            Self::ImageTools => &["debootstrap", "umoci"],
            Self::OwnImage => &["binutils", "ca-certificates", "jq", "umoci"],
        }
    }

    /// What cannot be done without it, completing the phrase "no ...".
    pub fn blocks(self) -> &'static str {
        match self {
            Self::Root | Self::Iproute => "test or load test with real containerds",
            Self::Iptables => "load test with faults or late nodes",
            Self::Containerd16 => "test against containerd 1.6",
            Self::Containerd22 => "test against containerd 2.2",
            Self::Kubernetes => "test against a Kubernetes API server",
            Self::Pods => "test on real kubelets",
            Self::Helm => "test of the chart",
            Self::Registry => "test or load test with a real registry",
            Self::Podman => "test with podman as a client of the mirror",
            Self::Curl => "test with curl as a stranger to the peers",
            Self::Nginx => "comparison with nginx in the benchmark",
            Self::ImageTools => "load test of an image built from Debian packages",
            Self::OwnImage => "image of onepull itself",
        }
    }

    /// Why it is not there, in words a person can act on; `None` when it is.
    pub fn lacking(self) -> Option<String> {
        match self {
            Self::Root => (!rustix::process::geteuid().is_root()).then(|| "needs root".into()),
            Self::Containerd22 if !tools::containerd_2_is_built() && tools::go().is_none() => {
                Some("needs Go, to build containerd 2.2".into())
            }
            Self::Kubernetes if !tools::kubernetes_is_built() && tools::go().is_none() => {
                Some("needs Go, to build kube-apiserver".into())
            }
            Self::Helm if !tools::helm_is_built() && tools::go().is_none() => {
                Some("needs Go, to build Helm".into())
            }
            Self::Containerd22 | Self::Kubernetes | Self::Helm => None,
            Self::Pods => program_missing(&["busybox", "dnsmasq", "runc"], self).or_else(no_cni),
            Self::Iproute => program_missing(&["ip", "tc"], self),
            Self::Iptables => program_missing(&["iptables"], self),
            Self::Containerd16 => program_missing(&["containerd", "runc"], self),
            Self::Registry => program_missing(&["docker-registry", "skopeo"], self),
            Self::Podman => program_missing(&["podman"], self),
            Self::Curl => program_missing(&["curl", "openssl"], self),
            Self::Nginx => program_missing(&["nginx"], self),
            Self::ImageTools => program_missing(&["debootstrap", "umoci"], self),
            Self::OwnImage => program_missing(
                &["dpkg-query", "strip", "jq", "umoci", "update-ca-certificates"],
                self,
            ),
        }
    }
}

fn program_missing(programs: &[&str], requirement: Requirement) -> Option<String> {
    let program = programs.iter().find(|program| tools::find(program).is_none())?;
    let packages = requirement.packages().join(" ");
    Some(format!("needs {program} (Debian: apt-get install {packages})"))
}

/// Debian keeps CNI's plugins where nothing else looks for programs.
fn no_cni() -> Option<String> {
    let lacks = !Path::new(tools::CNI).join("bridge").is_file();
    let packages = Requirement::Pods.packages().join(" ");
    lacks.then(|| format!("needs CNI's plugins (Debian: apt-get install {packages})"))
}

/// Why a test with these requirements cannot run here.
pub fn missing(requirements: &[Requirement]) -> Option<String> {
    let reasons: Vec<_> = requirements.iter().filter_map(|one| one.lacking()).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether `test` should return at once because something is missing, which is then printed.
///
/// # Panics
/// When something is missing and `ONEPULL_TEST_REQUIRE_ALL=1` is set.
pub fn skip(test: &str, requirements: &[Requirement]) -> bool {
    skips(test, missing(requirements), all_required())
}

/// Whether `test` should return at once because a program of another crate of the workspace has not
/// been built, which is then printed.
///
/// # Panics
/// When it has not and `ONEPULL_TEST_REQUIRE_ALL=1` is set.
pub fn skip_without(test: &str, program: &Path) -> bool {
    skips(test, not_built(program), all_required())
}

fn not_built(program: &Path) -> Option<String> {
    let name = program.file_name().unwrap_or_default().display();
    let reason = format!("needs {}: cargo build -p {name}", program.display());
    (!program.is_file()).then_some(reason)
}

fn skips(test: &str, reason: Option<String>, all_required: bool) -> bool {
    let Some(reason) = reason else { return false };
    assert!(!all_required, "{test}: {reason}");
    println!("skipped: {test}: {reason}");
    true
}

#[allow(clippy::disallowed_methods, reason = "tests have no command line to take a setting from")]
fn all_required() -> bool {
    std::env::var(REQUIRE_ALL).is_ok_and(|value| value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_runs_when_nothing_is_missing() {
        assert!(!skips("a_test", None, false));
        assert!(!skips("a_test", None, true));
    }

    #[test]
    fn a_test_is_skipped_when_something_is_missing() {
        assert!(skips("a_test", Some("needs root".into()), false));
    }

    #[test]
    #[should_panic(expected = "a_test: needs root")]
    fn a_test_fails_when_something_is_missing_and_all_is_required() {
        skips("a_test", Some("needs root".into()), true);
    }

    #[test]
    fn what_is_missing_names_the_package_that_has_it() {
        let reason = program_missing(&["no-such-program"], Requirement::Containerd16).unwrap();
        assert_eq!(reason, "needs no-such-program (Debian: apt-get install containerd runc)");
    }

    #[test]
    fn a_program_that_is_not_built_is_named_with_the_command_that_builds_it() {
        let reason = not_built(Path::new("/nowhere/onepull-agent")).unwrap();
        assert_eq!(reason, "needs /nowhere/onepull-agent: cargo build -p onepull-agent");
        assert_eq!(not_built(&std::env::current_exe().unwrap()), None);
    }
}
