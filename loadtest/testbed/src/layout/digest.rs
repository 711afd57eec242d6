//! SHA-256 apart from the code under test, so that an audit does not share its mistakes.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use anyhow::Result;
use oci_spec::image::{Digest, Sha256Digest};
use sha2::{Digest as _, Sha256};

/// The digest of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hashing = Hashing::new(io::sink());
    hashing.hash.update(bytes);
    hashing.digest()
}

/// The digest and size of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_file(path: &Path) -> Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hashing = Hashing::new(io::sink());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hashing.digest(), hashing.written)),
            read => hashing.write_all(&buffer[..read])?,
        }
    }
}

/// Hashes and counts what passes to a writer.
pub(super) struct Hashing<W> {
    inner: W,
    hash: Sha256,
    pub(super) written: u64,
}

// === impl Hashing ===

impl<W: Write> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), written: 0 }
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }

    pub(super) fn digest(&self) -> Digest {
        let hash = self.hash.clone().finalize();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest: Sha256Digest = hex.parse().expect("64 hex digits are a SHA-256 digest");
        digest.into()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_standard() {
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").to_string(), abc);
    }
}
