//! containerd's own API in the namespace of CRI: blobs, images and leases.

use anyhow::{Context, Result, ensure};
use containerd_client::services::v1::{
    CreateRequest, DeleteContentRequest, DeleteImageRequest, ListContentRequest, ListImagesRequest,
    ListRequest, ReadContentRequest, WriteAction, WriteContentRequest,
    content_client::ContentClient, images_client::ImagesClient, leases_client::LeasesClient,
};
use oci_spec::image::Digest;
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use crate::layout::sha256;

/// A message of 1 MiB, well below the 4 MiB that containerd accepts.
const PIECE: usize = 1 << 20;

/// A client of one containerd's store, namespace `k8s.io`.
#[derive(Clone, Debug)]
pub struct Content {
    content: ContentClient<Channel>,
    images: ImagesClient<Channel>,
    leases: LeasesClient<Channel>,
}

// === impl Content ===

impl Content {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            content: ContentClient::new(channel.clone()),
            images: ImagesClient::new(channel.clone()),
            leases: LeasesClient::new(channel),
        }
    }

    /// The digests and sizes of all complete blobs.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn list(&mut self) -> Result<Vec<(Digest, u64)>> {
        let request = k8s(ListContentRequest::default());
        let mut answers = self.content.list(request).await?.into_inner();
        let mut blobs = Vec::new();
        while let Some(answer) = answers.message().await? {
            for info in answer.info {
                blobs.push((info.digest.parse()?, info.size.try_into()?));
            }
        }
        Ok(blobs)
    }

    /// The names of all leases.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn leases(&mut self) -> Result<Vec<String>> {
        let answer = self.leases.list(k8s(ListRequest::default())).await?;
        Ok(answer.into_inner().leases.into_iter().map(|lease| lease.id).collect())
    }

    /// The bytes of a blob, as containerd gives them.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn read(&mut self, digest: &Digest) -> Result<Vec<u8>> {
        let request = ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
        let mut answers = self.content.read(k8s(request)).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(answer) = answers.message().await? {
            bytes.extend_from_slice(&answer.data);
        }
        Ok(bytes)
    }

    /// Writes a blob that no image names; a lease without expiry keeps it.
    ///
    /// # Errors
    /// What containerd said, also when the blob exists already.
    pub async fn ingest(&mut self, bytes: &[u8]) -> Result<Digest> {
        let digest = sha256(bytes);
        let lease = CreateRequest { id: format!("testbed-{digest}"), ..Default::default() };
        let lease = self.leases.create(k8s(lease)).await?.into_inner().lease;
        let lease = lease.context("containerd made no lease")?.id;
        let messages = write_messages(bytes, &digest)?;
        let mut request = k8s(tokio_stream::iter(messages));
        request.metadata_mut().insert("containerd-lease", lease.parse()?);
        let mut answers = self.content.write(request).await?.into_inner();
        let mut written = 0;
        while let Some(answer) = answers.message().await? {
            written = answer.offset;
        }
        ensure!(usize::try_from(written)? == bytes.len(), "containerd took {written} bytes");
        Ok(digest)
    }

    /// Deletes a blob, whatever refers to it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete_blob(&mut self, digest: &Digest) -> Result<()> {
        let request = DeleteContentRequest { digest: digest.to_string() };
        self.content.delete(k8s(request)).await?;
        Ok(())
    }

    /// The refs of all images.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn images(&mut self) -> Result<Vec<String>> {
        let answer = self.images.list(k8s(ListImagesRequest::default())).await?;
        Ok(answer.into_inner().images.into_iter().map(|image| image.name).collect())
    }

    /// Deletes one ref of an image, and waits until what only it kept has been collected.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete_image(&mut self, name: &str) -> Result<()> {
        let request = DeleteImageRequest { name: name.into(), sync: true, ..Default::default() };
        self.images.delete(k8s(request)).await?;
        Ok(())
    }
}

/// A write in pieces; the last message commits, which an empty blob needs too.
fn write_messages(bytes: &[u8], digest: &Digest) -> Result<Vec<WriteContentRequest>> {
    let total = i64::try_from(bytes.len())?;
    let message = |action: WriteAction, offset: usize, data: &[u8]| {
        Ok(WriteContentRequest {
            action: action.into(),
            r#ref: format!("layer-{digest}"),
            total,
            expected: digest.to_string(),
            offset: i64::try_from(offset)?,
            data: data.to_vec(),
            ..Default::default()
        })
    };
    let pieces = bytes.chunks(PIECE).enumerate();
    let mut messages: Vec<_> = pieces
        .map(|(index, piece)| message(WriteAction::Write, index * PIECE, piece))
        .collect::<Result<_>>()?;
    messages.push(message(WriteAction::Commit, bytes.len(), &[])?);
    Ok(messages)
}

/// Addresses a request to the namespace in which CRI keeps everything.
fn k8s<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = MetadataValue::from_static("k8s.io");
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}
