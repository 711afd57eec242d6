//! A blob that was opened.

use std::{
    fs::File,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream;

use super::{
    ByteStream,
    read::{lend_file, read_file},
};

/// A blob's bytes from an offset to its end, in chunks of at most [`super::READ_CHUNK`].
pub struct Opened {
    bytes: ByteStream,
    /// Where they are, all of them, if they are in one file.
    whole: Option<(Arc<File>, Range<u64>)>,
}

// === impl Opened ===

impl Opened {
    /// `range` of a file that changes no more.
    pub fn file(file: File, range: Range<u64>) -> Self {
        let file = Arc::new(file);
        let bytes = read_file(Arc::clone(&file), range.clone());
        Self { bytes, whole: Some((file, range)) }
    }

    /// The same bytes, none of which were read yet, for a connection that sends parts of files: what is in
    /// the page cache is stood in for ([`crate::stand_in`]).
    pub(crate) fn lent(self) -> ByteStream {
        match self.whole {
            Some((file, range)) => lend_file(file, range),
            None => self.bytes,
        }
    }
}

impl From<ByteStream> for Opened {
    fn from(bytes: ByteStream) -> Self {
        Self { bytes, whole: None }
    }
}

impl Stream for Opened {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.as_mut().poll_next(cx)
    }
}
