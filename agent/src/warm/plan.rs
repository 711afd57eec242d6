//! What is to be written for one image, in its order: layers first, the manifest last.
//!
//! Until the manifest is in the store, a pull has to ask the mirror for it; that is how the warmer
//! hears of pulls (ADR 10).

use bytes::Bytes;
use onepull_mirror::{
    Digest, Store,
    sink::{Part, Role},
    store::Presence,
};

use super::contents::{Blob, Layer};
use crate::runtime::Unpack;

/// An image on its way into the runtime's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What its name stands for.
    image: Digest,
    config: Blob,
    layers: Vec<Layer>,
    /// The manifest of this node's platform, then the index, if there is one.
    manifests: Vec<(Digest, Bytes)>,
}

// === impl Plan ===

impl Plan {
    /// `manifests`: the one with the layers first, the one that the image's name stands for last.
    pub(crate) fn new(
        image: Digest,
        config: Blob,
        layers: Vec<Layer>,
        manifests: Vec<(Digest, Bytes)>,
    ) -> Self {
        Self { image, config, layers, manifests }
    }

    /// The blobs that have to be fetched, in the order of writing.
    pub(crate) fn blobs(&self) -> Vec<Part> {
        let layers = self.layers.iter().map(|layer| self.part(Role::Layer, layer.blob));
        layers.chain([self.part(Role::Config, self.config)]).collect()
    }

    /// The manifests, which are here already, in the order of writing.
    pub(crate) fn manifests(&self) -> Vec<(Part, Bytes)> {
        let part = |(index, (digest, bytes)): (usize, &(Digest, Bytes))| {
            let role = if index == 0 { Role::Manifest } else { Role::Index };
            let size = bytes.len() as u64;
            (self.part(role, Blob { digest: *digest, size }), bytes.clone())
        };
        self.manifests.iter().enumerate().map(part).collect()
    }

    /// Whether a pull that asks for this manifest wants the image.
    pub(crate) fn is_named(&self, manifest: &Digest) -> bool {
        self.manifests.iter().any(|(named, _)| named == manifest)
    }

    /// Layers and config: what is counted.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.each().map(|blob| blob.digest)
    }

    /// The sizes of layers and config, added up. They are the manifest's claims, so the sum stops at
    /// the largest number.
    pub(crate) fn bytes(&self) -> u64 {
        self.each().map(|blob| blob.size).fold(0, u64::saturating_add)
    }

    /// Whether all of it is in the store, its manifests included.
    pub(crate) fn is_complete(&self, store: &dyn Store) -> bool {
        let manifests = self.manifests.iter().map(|(digest, _)| *digest);
        let is_here = |digest| store.follow(&digest).borrow().is_some_and(Presence::is_complete);
        self.digests().chain(manifests).all(is_here)
    }

    pub(crate) fn config(&self) -> &Digest {
        &self.config.digest
    }

    /// Each layer as it is to be unpacked, by what the config says; none when it says otherwise than
    /// the manifest. One at a time: each lists all below it, so all lists together grow with the
    /// square of the layers.
    pub(crate) fn unpacked(&self, diffs: &[Digest]) -> impl Iterator<Item = Unpack> {
        let fits = diffs.len() == self.layers.len();
        let layers: &[Layer] = if fits { &self.layers } else { &[] };
        let unpack = move |(lower, layer): (usize, &Layer)| Unpack {
            image: self.image,
            layer: layer.blob.digest,
            size: layer.blob.size,
            media_type: layer.media_type.clone(),
            diffs: diffs[..=lower].to_vec(),
        };
        layers.iter().enumerate().map(unpack)
    }

    fn each(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().map(|layer| &layer.blob).chain([&self.config])
    }

    fn part(&self, role: Role, Blob { digest, size }: Blob) -> Part {
        Part { image: self.image, role, digest, size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_written_first_and_the_index_last() {
        let blob = |text: &[u8]| Blob { digest: Digest::sha256(text), size: 9 };
        let named = |text: &'static [u8]| (Digest::sha256(text), Bytes::from_static(text));
        let layer = |text: &[u8]| Layer { blob: blob(text), media_type: "tar".into() };
        let layers = vec![layer(b"1"), layer(b"2")];
        let manifests = vec![named(b"manifest"), named(b"index")];
        let image = Digest::sha256(b"index");
        let plan = Plan::new(image, blob(b"config"), layers, manifests);
        let fetched = plan.blobs().into_iter();
        let written = fetched.chain(plan.manifests().into_iter().map(|(part, _)| part));
        let roles: Vec<_> = written.map(|part| (part.image == image, part.role)).collect();
        let order = [Role::Layer, Role::Layer, Role::Config, Role::Manifest, Role::Index];
        assert_eq!(roles, order.map(|role| (true, role)));
        assert_eq!(plan.bytes(), 27);

        let diffs = [Digest::sha256(b"a"), Digest::sha256(b"b")];
        assert_eq!(plan.unpacked(&diffs[..1]).count(), 0);
        let unpacked: Vec<_> = plan.unpacked(&diffs).collect();
        let [_, upper] = <[Unpack; 2]>::try_from(unpacked).unwrap();
        assert_eq!((upper.layer, &upper.diffs[..]), (Digest::sha256(b"2"), &diffs[..]));
    }
}
