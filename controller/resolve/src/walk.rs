//! From a name to the images behind it: index by index, image by image, each verified.

use std::collections::VecDeque;

use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest};

use crate::{
    ImageRef, Platform, PlatformImage, Problem, Resolved,
    manifest::{self, Document},
    session::Session,
    size::{Size, size},
};

/// Images of one index that are looked at. Official images have 10; the largest seen, with all
/// variants and Windows, have 30.
const MOST_IMAGES: usize = 64;

/// Indexes within an index are rare, and never deep.
const MOST_INDEXES: usize = 8;

/// An image that an index names.
struct Entry {
    digest: Digest,
    platform: Option<Platform>,
}

/// What became of the entries that were looked at.
#[derive(Default)]
struct Found {
    images: Vec<PlatformImage>,
    /// Named by the index and not there: copies of images often leave platforms out.
    absent: Vec<Digest>,
}

/// A document of the registry, verified.
struct Fetched {
    digest: Digest,
    bytes: usize,
    document: Document,
}

/// Resolves as the user of `session`, for the platforms `wanted` or for all if there are none.
pub(crate) async fn walk(
    session: &mut Session<'_>,
    image: &ImageRef,
    wanted: &[Platform],
) -> Result<Resolved, Problem> {
    let asked = image.digest().map(ToString::to_string);
    let first = fetch(session, image.wanted(), asked.as_deref()).await?;
    match first.document {
        Document::Image(manifest) => {
            let (digest, bytes) = (first.digest, first.bytes);
            let found = platform_image(session, None, digest.clone(), &manifest, bytes).await?;
            let platforms = vec![found.platform.clone()];
            Ok(Resolved { digest, images: vec![found], platforms })
        }
        Document::Index(index) => {
            let entries = entries(session, *index).await?;
            let Found { images, absent } = images(session, choose(&entries, wanted)).await?;
            let platforms = offered(&entries, &images, &absent);
            if platforms.is_empty() {
                return Err(Problem::NotAnImage("its index names no image".to_owned()));
            }
            Ok(Resolved { digest: first.digest, images, platforms })
        }
    }
}

/// All images that an index names, through indexes that it names.
async fn entries(session: &mut Session<'_>, index: ImageIndex) -> Result<Vec<Entry>, Problem> {
    let (mut found, mut indexes, mut fetched) = (Vec::new(), VecDeque::from([index]), 0);
    while let Some(index) = indexes.pop_front() {
        for descriptor in index.manifests() {
            if is_index(descriptor) && fetched < MOST_INDEXES {
                fetched += 1;
                let digest = descriptor.digest().to_string();
                if let Document::Index(inner) =
                    fetch(session, &digest, Some(&digest)).await?.document
                {
                    indexes.push_back(*inner);
                }
            } else if found.len() < MOST_IMAGES {
                found.extend(entry(descriptor));
            }
        }
    }
    Ok(found)
}

fn is_index(descriptor: &Descriptor) -> bool {
    let media_type = descriptor.media_type().to_string();
    media_type.ends_with("image.index.v1+json") || media_type.ends_with("manifest.list.v2+json")
}

fn entry(descriptor: &Descriptor) -> Option<Entry> {
    let platform = descriptor.platform().as_ref().map(Platform::from);
    if is_index(descriptor) || platform.as_ref().is_some_and(Platform::is_of_no_image) {
        return None;
    }
    Some(Entry { digest: descriptor.digest().clone(), platform })
}

/// The entries that nodes of the wanted platforms may take. A registry counts each manifest that
/// is fetched (Docker Hub: as a pull), so no other is. Whose platform is unknown has to be seen.
fn choose<'a>(entries: &'a [Entry], wanted: &[Platform]) -> Vec<&'a Entry> {
    let nearest = |node: &Platform| {
        let distance = |entry: &Entry| node.distance(entry.platform.as_ref()?);
        let known = entries.iter().enumerate().filter_map(|(at, one)| Some((distance(one)?, at)));
        known.min().map(|(_, at)| at)
    };
    let chosen: Vec<_> = wanted.iter().filter_map(nearest).collect();
    let is_chosen = |at: usize, entry: &Entry| {
        wanted.is_empty() || entry.platform.is_none() || chosen.contains(&at)
    };
    entries.iter().enumerate().filter(|(at, one)| is_chosen(*at, one)).map(|(_, one)| one).collect()
}

async fn images(session: &mut Session<'_>, chosen: Vec<&Entry>) -> Result<Found, Problem> {
    let Found { mut images, mut absent } = Found::default();
    for entry in chosen {
        let digest = entry.digest.to_string();
        let found = match fetch(session, &digest, Some(&digest)).await {
            Ok(Fetched { document: Document::Image(manifest), digest, bytes }) => {
                platform_image(session, entry.platform.clone(), digest, &manifest, bytes).await
            }
            Ok(_) => continue,
            Err(problem) => Err(problem),
        };
        match found {
            // Two images for one platform: a runtime takes the first.
            Ok(found) if images.iter().any(|known| known.platform == found.platform) => {}
            Ok(found) => images.push(found),
            Err(Problem::NotFound) => absent.push(entry.digest.clone()),
            // Beside images stand other things, which do not say of what platform they are.
            Err(Problem::NotAnImage(_)) if entry.platform.is_none() => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(Found { images, absent })
}

fn offered(entries: &[Entry], images: &[PlatformImage], absent: &[Digest]) -> Vec<Platform> {
    let there = entries.iter().filter(|entry| !absent.contains(&entry.digest));
    let listed = there.filter_map(|entry| entry.platform.clone());
    let mut all: Vec<_> = listed.chain(images.iter().map(|one| one.platform.clone())).collect();
    all.sort();
    all.dedup();
    all
}

/// Without a word of an index, the configuration says what the image is for.
async fn platform_image(
    session: &mut Session<'_>,
    platform: Option<Platform>,
    digest: Digest,
    manifest: &ImageManifest,
    bytes: usize,
) -> Result<PlatformImage, Problem> {
    let platform = match platform {
        Some(platform) => platform,
        None => configured(session, manifest).await?,
    };
    let Size { compressed, on_disk } = size(manifest, bytes as u64);
    let (compressed_bytes, disk_bytes) = (compressed, on_disk);
    Ok(PlatformImage { platform, manifest: digest, compressed_bytes, disk_bytes })
}

async fn configured(
    session: &mut Session<'_>,
    manifest: &ImageManifest,
) -> Result<Platform, Problem> {
    let digest = manifest.config().digest().to_string();
    let answer = session.get(&format!("blobs/{digest}"), "*/*", manifest::LARGEST).await?;
    manifest::verify(Some(&digest), &http::HeaderMap::new(), &answer.body)?;
    manifest::platform(&answer.body)
}

async fn fetch(
    session: &mut Session<'_>,
    reference: &str,
    expected: Option<&str>,
) -> Result<Fetched, Problem> {
    let path = format!("manifests/{reference}");
    let answer = session.get(&path, manifest::ACCEPT, manifest::LARGEST).await?;
    let digest = manifest::verify(expected, &answer.headers, &answer.body)?;
    let document = Document::parse(&answer.headers, &answer.body)?;
    Ok(Fetched { digest, bytes: answer.body.len(), document })
}
