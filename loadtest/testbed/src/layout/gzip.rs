//! Gzip around bytes that do not compress: "stored" blocks, which any gzip reader takes.
//!
//! A compressor would find nothing to shorten in random bytes, and in an unoptimised build it takes
//! half a minute to find nothing in 256 MiB.

use std::io::{self, Write};

use flate2::Crc;

/// RFC 1952, section 2.3: magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// RFC 1951, section 3.2.4: a stored block's length has 16 bits.
const LARGEST_BLOCK: usize = 0xffff;

/// Writes a gzip member whose content is not compressed.
pub(super) struct Stored<W> {
    inner: W,
    crc: Crc,
}

// === impl Stored ===

impl<W: Write> Stored<W> {
    /// Starts a member.
    pub(super) fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        Ok(Self { inner, crc: Crc::new() })
    }

    /// Ends it with an empty last block, the checksum and the length modulo 2^32.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.block(true, &[])?;
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }

    fn block(&mut self, last: bool, bytes: &[u8]) -> io::Result<()> {
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let [a, b] = length.to_le_bytes();
        self.inner.write_all(&[last.into(), a, b, !a, !b])?;
        self.inner.write_all(bytes)
    }
}

impl<W: Write> Write for Stored<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let block = &bytes[..bytes.len().min(LARGEST_BLOCK)];
        if !block.is_empty() {
            self.block(false, block)?;
            self.crc.update(block);
        }
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_of_gzip_gets_the_same_bytes() {
        for length in [0, 1, LARGEST_BLOCK, LARGEST_BLOCK + 1, 300_000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let mut stored = Stored::new(Vec::new()).unwrap();
            stored.write_all(&bytes).unwrap();
            let gzip = stored.finish().unwrap();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut read).unwrap();
            assert!(read == bytes, "{length} bytes differ");
        }
    }
}
