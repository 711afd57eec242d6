//! A container runtime as containerd is one: it asks the mirror, resumes at its byte after an early
//! end, and goes to the registry on 404. Three slots; the fourth break in a row without progress, or a
//! reset, fails its pull; and it never gives up a mirror that hangs, so here that is the failure itself.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use onepull_mirror::Deadlines;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use turmoil::net::TcpStream;

use crate::{
    board::{Board, Seen, now},
    image::{Blob, Image},
    network::MIRROR,
    store::{MemoryStore, Writer},
};

/// Layers fetched at a time.
const SLOTS: usize = 3;

/// Breaks in a row without progress that a pull bears.
const BREAKS: u32 = 3;

/// What a deadline of the mirror may be exceeded by: the way to it and back on the loopback.
const SLACK: Duration = Duration::from_millis(200);

/// One node's runtime.
pub(crate) struct Runtime {
    pub(crate) name: String,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) registry: SocketAddr,
    pub(crate) board: Board,
}

/// Where bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Mirror,
    Registry,
}

// === impl Runtime ===

impl Runtime {
    /// Pulls what the store lacks of the image.
    pub(crate) async fn pull(&self, image: &Image) -> Result<(), String> {
        self.blob(&image.manifest).await?;
        let layers = stream::iter(&image.layers).map(|layer| self.blob(layer));
        layers.buffer_unordered(SLOTS).try_collect().await
    }

    async fn blob(&self, blob: &Blob) -> Result<(), String> {
        if self.store.holds(&blob.digest) {
            self.board.note(&self.name, |seen| seen.has(blob.digest, blob.size()));
            return Ok(());
        }
        let mut writer = self.store.write(blob.digest, blob.size());
        let mut breaks = 0;
        while writer.written() < blob.size() {
            let before = writer.written();
            if !self.take(Host::Mirror, blob, &mut writer).await? {
                self.log(format!("{} from the registry at {before}", blob.digest));
                self.take(Host::Registry, blob, &mut writer).await?;
            }
            breaks = if writer.written() > before { 0 } else { breaks + 1 };
            if breaks > BREAKS {
                return Err(format!("{} broke off {breaks} times at {before}", blob.digest));
            }
        }
        writer.commit()?;
        self.log(format!("{} complete", blob.digest));
        Ok(())
    }

    /// Appends what `host` sends. Returns whether it answered with the blob.
    async fn take(&self, host: Host, blob: &Blob, writer: &mut Writer) -> Result<bool, String> {
        let asked = Instant::now();
        let Deadlines { first_byte, starved, .. } = Deadlines::default();
        let answer = timeout(first_byte + SLACK, self.ask(host, blob, writer.written())).await;
        let answer = answer.map_err(|_| format!("{host:?} did not answer in {first_byte:?}"))??;
        self.waited(host, asked.elapsed(), |seen| &mut seen.longest_answer);
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(false),
            status if status.is_success() => {}
            status => return Err(format!("{host:?} answered {status}")),
        }
        let mut body = answer.into_body().into_data_stream();
        loop {
            let asked = Instant::now();
            let piece = timeout(starved + SLACK, body.next()).await;
            let piece = piece.map_err(|_| format!("{host:?} sent nothing for {starved:?}"))?;
            self.waited(host, asked.elapsed(), |seen| &mut seen.longest_pause);
            match piece {
                Some(Ok(bytes)) => self.append(host, blob, writer, &bytes)?,
                Some(Err(error)) if is_reset(&error) => return Err(format!("{host:?} reset it")),
                Some(Err(_)) | None => return Ok(true),
            }
        }
    }

    async fn ask(&self, host: Host, blob: &Blob, at: u64) -> Result<Response<Incoming>, String> {
        let address = match host {
            Host::Mirror => SocketAddr::from(([127, 0, 0, 1], MIRROR)),
            Host::Registry => self.registry,
        };
        let failed = |error: &dyn Error| format!("{host:?} cannot be asked: {error}");
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        let (mut client, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        TaskTracker::new().spawn(connection);
        let request = Request::get(blob.path()).header(header::HOST, "registry.example");
        let request = match at {
            0 => request,
            at => request.header(header::RANGE, format!("bytes={at}-")),
        };
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        client.send_request(request).await.map_err(|error| failed(&error))
    }

    fn append(
        &self,
        host: Host,
        blob: &Blob,
        writer: &mut Writer,
        bytes: &[u8],
    ) -> Result<(), String> {
        if self.board.see(&self.name, |seen| seen.given_up) {
            return Err("the pull was given up".to_owned());
        }
        writer.append(bytes)?;
        self.board.note(&self.name, |seen| {
            seen.has(blob.digest, writer.written());
            if host == Host::Registry {
                seen.from_registry += bytes.len() as u64;
            }
        });
        Ok(())
    }

    /// The registry may be as slow as it likes.
    fn waited(&self, host: Host, took: Duration, of: fn(&mut Seen) -> &mut Duration) {
        if host == Host::Mirror {
            self.board.note(&self.name, |seen| *of(seen) = took.max(*of(seen)));
        }
    }

    fn log(&self, what: String) {
        self.board.note(&self.name, |seen| seen.log.push((now(), what)));
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionReset)
}
