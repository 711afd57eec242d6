//! Platforms, and which image of several a node's runtime takes.
//!
//! The rules are containerd's (`platforms.Only`): spellings are normalised first, then a node takes
//! the nearest of what its processor also runs. `arm64` is `arm64/v8`.

use std::fmt;

use oci_spec::image;

/// Operating system, architecture and variant, in containerd's spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

// === impl Platform ===

impl Platform {
    /// From what a node says (`kubernetes.io/os`, `kubernetes.io/arch`) or an image.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let (architecture, variant) =
            normalise(&architecture.to_lowercase(), &variant.unwrap_or_default().to_lowercase());
        Self { os, architecture, variant }
    }

    /// From `OS/ARCHITECTURE[/VARIANT]`; `None` if it is less.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        Some(Self::new(parts.next()?, parts.next()?, parts.next()))
    }

    /// For example `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// For example `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// For example `v7`; empty where the architecture says enough.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// How near `offered` is to what a node of this platform wants, 0 is best; `None` if the node
    /// does not run it.
    pub fn distance(&self, offered: &Self) -> Option<usize> {
        if self.os != offered.os {
            return None;
        }
        let runs = runs(&self.architecture, &self.variant);
        runs.iter().position(|(architecture, variant)| {
            *architecture == offered.architecture && *variant == offered.variant
        })
    }

    /// Attestations are listed beside images with the platform unknown/unknown.
    pub(crate) fn is_of_no_image(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

impl From<&image::Platform> for Platform {
    fn from(platform: &image::Platform) -> Self {
        let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
        Self::new(&os, &architecture, platform.variant().as_deref())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, architecture, variant } = self;
        match variant.as_str() {
            "" => write!(f, "{os}/{architecture}"),
            variant => write!(f, "{os}/{architecture}/{variant}"),
        }
    }
}

fn normalise(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// What a processor runs, the best first.
fn runs(architecture: &str, variant: &str) -> Vec<(&'static str, String)> {
    let below = |highest: u32, lowest: u32| (lowest..highest).rev().map(|one| format!("v{one}"));
    let level = || variant.strip_prefix('v').and_then(|level| level.parse::<u32>().ok());
    match architecture {
        "amd64" => {
            let lower = below(level().unwrap_or(1), 2).map(|variant| ("amd64", variant));
            let own = [("amd64", variant.to_owned())];
            let plain = (!variant.is_empty()).then(|| ("amd64", String::new()));
            own.into_iter().chain(lower).chain(plain).chain([("386", String::new())]).collect()
        }
        "arm64" => arm64(variant),
        "arm" => {
            let lower = below(level().unwrap_or(5), 5).map(|variant| ("arm", variant));
            [("arm", variant.to_owned())].into_iter().chain(lower).collect()
        }
        other => known(other).map(|name| vec![(name, variant.to_owned())]).unwrap_or_default(),
    }
}

/// Version 9.x of the architecture has what 8.(x+5) has; each runs 32-bit images of `arm/v8` down.
fn arm64(variant: &str) -> Vec<(&'static str, String)> {
    let (major, minor) = match variant.trim_start_matches('v').split_once('.') {
        Some((major, minor)) => (major, minor.parse().unwrap_or(0)),
        None => (variant.trim_start_matches('v'), 0_u32),
    };
    let minor = minor.min(MOST_MINORS);
    let named = |major: u32, minor: u32| match (major, minor) {
        (8, 0) => ("arm64", String::new()),
        (major, 0) => ("arm64", format!("v{major}")),
        (major, minor) => ("arm64", format!("v{major}.{minor}")),
    };
    let nine = (0..=minor).rev().map(|minor| named(9, minor));
    let eight = |minor: u32| (0..=minor).rev().map(move |minor| named(8, minor));
    let arm = runs("arm", "v8");
    match major {
        "" | "8" => eight(minor).chain(arm).collect(),
        "9" => nine.chain(eight(minor + 5)).chain(arm).collect(),
        _ => vec![("arm64", variant.to_owned())],
    }
}

/// Versions of the architecture are counted by ten at most; a number out of a manifest is not
/// allowed to make a list of any length.
const MOST_MINORS: u32 = 9;

/// Architectures of which a node runs exactly its own.
fn known(architecture: &str) -> Option<&'static str> {
    const NAMES: [&str; 10] = [
        "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "mips64", "mipsle", "mips",
        "ppc64",
    ];
    NAMES.into_iter().find(|name| *name == architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_platform_are_the_same() {
        for (text, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/8", "linux/arm/v8"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(platform(text).to_string(), normal);
        }
    }

    #[test]
    fn a_node_takes_the_nearest_of_what_its_processor_runs() {
        for (node, offered, distance) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/386", Some(1)),
            ("linux/amd64", "linux/amd64/v3", None),
            ("linux/amd64/v3", "linux/amd64/v2", Some(1)),
            ("linux/amd64/v3", "linux/amd64", Some(2)),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64", "linux/arm/v8", Some(1)),
            ("linux/arm64", "linux/arm/v7", Some(2)),
            ("linux/arm64/v9", "linux/arm64/v8.5", Some(1)),
            ("linux/arm64/v9", "linux/arm64", Some(6)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/s390x", "linux/s390x", Some(0)),
            ("linux/riscv64", "linux/amd64", None),
        ] {
            assert_eq!(platform(node).distance(&platform(offered)), distance, "{node} {offered}");
        }
    }
}
