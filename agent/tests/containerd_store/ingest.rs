//! A blob that is being written through containerd's content API, as a download would be.

use async_trait::async_trait;
use bytes::Bytes;
use containerd_client::{
    services::v1::{
        AbortRequest, WriteAction, WriteContentRequest, WriteContentResponse,
        content_client::ContentClient,
    },
    tonic::{Streaming, transport::Channel},
};
use futures::{SinkExt, channel::mpsc};
use onepull_agent::containerd::NAMESPACE;
use onepull_mirror::{Digest, testing::store::Ingest};

use crate::runtime::within;

/// A message of 1 MiB, well below the 4 MiB that containerd accepts.
const PIECE: usize = 1 << 20;

/// One open writer, which goes on where an earlier one ended. Each of its steps has been carried out when it returns.
pub(crate) struct Writing {
    client: ContentClient<Channel>,
    template: WriteContentRequest,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    offset: usize,
}

impl Writing {
    /// Opens a writer by the name that a pull of a layer would use.
    pub(crate) async fn begin(channel: Channel, digest: Digest, total: Option<u64>) -> Self {
        let template = WriteContentRequest {
            r#ref: format!("layer-{digest}"),
            total: total.unwrap_or(0).try_into().unwrap(),
            labels: [("containerd.io/gc.root".to_owned(), "test".to_owned())].into(),
            ..Default::default()
        };
        let (mut requests, receiver) = mpsc::channel(1);
        requests.send(template.clone()).await.unwrap();
        let mut client = ContentClient::new(channel);
        let answers = client.write(within(NAMESPACE, receiver)).await.unwrap().into_inner();
        let mut writing = Self { client, template, requests, answers, offset: 0 };
        writing.template.expected = digest.to_string();
        let answer = writing.answers.message().await.unwrap().unwrap();
        writing.offset = answer.offset.try_into().unwrap();
        writing
    }

    async fn step(&mut self, action: WriteAction, data: &[u8]) {
        let request = WriteContentRequest {
            action: action.into(),
            offset: self.offset.try_into().unwrap(),
            data: data.to_vec(),
            total: match action {
                WriteAction::Commit => self.offset.try_into().unwrap(),
                _ => self.template.total,
            },
            ..self.template.clone()
        };
        self.requests.send(request).await.unwrap();
        self.answers.message().await.unwrap().unwrap();
        self.offset += data.len();
    }

    /// Lets go of the writer, so that the next one of this name gets its lock.
    pub(crate) async fn close(mut self) -> ContentClient<Channel> {
        self.requests.close_channel();
        while self.answers.message().await.unwrap().is_some() {}
        self.client
    }
}

#[async_trait]
impl Ingest for Writing {
    async fn append(&mut self, bytes: Bytes) {
        for piece in bytes.chunks(PIECE) {
            self.step(WriteAction::Write, piece).await;
        }
    }

    async fn commit(mut self: Box<Self>) {
        self.step(WriteAction::Commit, &[]).await;
        self.close().await;
    }

    async fn abort(self: Box<Self>) {
        let r#ref = self.template.r#ref.clone();
        let mut client = self.close().await;
        client.abort(within(NAMESPACE, AbortRequest { r#ref })).await.unwrap();
    }
}
