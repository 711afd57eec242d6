//! An image of several layers behind an index.

use onepull_mirror::Digest;

pub(crate) struct Image {
    pub(crate) index: (Digest, Vec<u8>),
    pub(crate) manifest: (Digest, Vec<u8>),
    /// The layers, then the config.
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
}

impl Image {
    pub(crate) fn new(layers: &[usize]) -> Self {
        let layers: Vec<_> =
            layers.iter().enumerate().map(|(seed, size)| named(noise(*size, seed))).collect();
        let diffs = layers.iter().map(|(digest, _)| format!("\"{digest}\""));
        let diffs = diffs.collect::<Vec<_>>().join(",");
        let config =
            format!(r#"{{"os":"linux","rootfs":{{"type":"layers","diff_ids":[{diffs}]}}}}"#);
        let config = named(config.into_bytes());
        let list = layers.iter().map(descriptor).collect::<Vec<_>>().join(",");
        let manifest = named(
            format!(r#"{{"schemaVersion":2,"config":{},"layers":[{list}]}}"#, descriptor(&config))
                .into_bytes(),
        );
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let platform = format!(r#""platform":{{"os":"linux","architecture":"{architecture}"}}"#);
        let child = descriptor(&manifest).replace('}', &format!(",{platform}}}"));
        let index = named(format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#).into_bytes());
        let blobs = layers.into_iter().chain([config]).collect();
        Self { index, manifest, blobs }
    }

    /// Everything, in the order in which a runtime asks for it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(Digest, Vec<u8>)> {
        [&self.index, &self.manifest].into_iter().chain(&self.blobs)
    }

    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

fn named(bytes: Vec<u8>) -> (Digest, Vec<u8>) {
    (Digest::sha256(&bytes), bytes)
}

fn descriptor((digest, bytes): &(Digest, Vec<u8>)) -> String {
    format!(r#"{{"digest":"{digest}","size":{}}}"#, bytes.len())
}

fn noise(length: usize, seed: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}
