//! Content digests: the names of everything that moves through onepull.
//!
//! The grammar is that of the OCI image specification ("Digests"), restricted to the registered
//! algorithms. Anything else is refused at the edge, so no later code ever sees a digest that could
//! be mistaken for a path.

use std::{fmt, str::FromStr};

use sha2::Digest as _;
use thiserror::Error;

/// The algorithms that the OCI image specification registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `sha256`, 64 hexadecimal digits. What every registry and runtime uses today.
    Sha256,
    /// `sha512`, 128 hexadecimal digits.
    Sha512,
}

/// The digest of a blob, for example `sha256:e3b0c442…`.
///
/// Small and `Copy`: it keys every map and names every request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash; the bytes past the algorithm's length are zero.
    hash: [u8; Algorithm::LONGEST],
}

/// Why a string is no digest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseDigestError {
    /// There is no `algorithm:` in front.
    #[error("{0:?} is not a digest: expected ALGORITHM:HEX, for example sha256:e3b0c4…")]
    NoAlgorithm(String),
    /// The algorithm is not one that OCI registers.
    #[error("{0:?} is not a supported digest algorithm: use sha256 or sha512")]
    UnknownAlgorithm(String),
    /// The hash has the wrong length or a character that is not a lower-case hexadecimal digit.
    #[error("a {0} digest has {len} lower-case hexadecimal digits", len = 2 * .0.hash_len())]
    BadHex(Algorithm),
}

/// A nibble's digit.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Hashes a blob as it streams by, to be compared with the digest it was asked for.
#[derive(Clone)]
pub struct Verifier {
    expected: Digest,
    state: State,
}

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

// === impl Algorithm ===

impl Algorithm {
    const LONGEST: usize = 64;

    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a hash, in bytes.
    pub fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Digest ===

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut verifier = Verifier::new(Self { algorithm: Algorithm::Sha256, hash: [0; 64] });
        verifier.update(bytes);
        verifier.digest()
    }

    /// The algorithm that made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw hash, 32 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.hash[..self.algorithm.hash_len()]
    }

    /// The hash in lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(2 * self.algorithm.hash_len());
        for &byte in self.as_bytes() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        text
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text
            .split_once(':')
            .ok_or_else(|| ParseDigestError::NoAlgorithm(text.chars().take(80).collect()))?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other => {
                return Err(ParseDigestError::UnknownAlgorithm(other.chars().take(80).collect()));
            }
        };
        let hash =
            parse_hex(algorithm, hex.as_bytes()).ok_or(ParseDigestError::BadHex(algorithm))?;
        Ok(Self { algorithm, hash })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse_hex(algorithm: Algorithm, hex: &[u8]) -> Option<[u8; Algorithm::LONGEST]> {
    if hex.len() != 2 * algorithm.hash_len() {
        return None;
    }
    let mut hash = [0; Algorithm::LONGEST];
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(hash)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

// === impl Verifier ===

impl Verifier {
    /// Starts hashing a blob that should turn out to be `expected`.
    pub fn new(expected: Digest) -> Self {
        let state = match expected.algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        };
        Self { expected, state }
    }

    /// Takes the next bytes of the blob.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Whether what was hashed is what was expected.
    pub fn matches(self) -> bool {
        let expected = self.expected;
        self.digest() == expected
    }

    fn digest(self) -> Digest {
        let mut hash = [0; Algorithm::LONGEST];
        match self.state {
            State::Sha256(hasher) => hash[..32].copy_from_slice(&hasher.finalize()),
            State::Sha512(hasher) => hash.copy_from_slice(&hasher.finalize()),
        }
        Digest { algorithm: self.expected.algorithm, hash }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_as_it_was_written() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest, Digest::sha256(b""));
    }

    #[test]
    fn an_unknown_algorithm_is_named_in_the_error() {
        let error = "md5:d41d8cd98f00b204e9800998ecf8427e".parse::<Digest>().unwrap_err();
        assert_eq!(error, ParseDigestError::UnknownAlgorithm("md5".into()));
    }

    #[test]
    fn upper_case_short_and_path_like_hashes_are_refused() {
        for text in [EMPTY.to_uppercase().replace("SHA", "sha"), EMPTY[..70].into()] {
            assert_eq!(text.parse::<Digest>(), Err(ParseDigestError::BadHex(Algorithm::Sha256)));
        }
        assert!("sha256:../../../../etc/passwd".parse::<Digest>().is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in "\\PC{0,140}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn a_verifier_accepts_exactly_the_bytes_of_its_digest(
            bytes in proptest::collection::vec(any::<u8>(), 0..64), cut in 0usize..64, flip: bool,
        ) {
            let mut verifier = Verifier::new(Digest::sha256(&bytes));
            let cut = cut.min(bytes.len());
            verifier.update(&bytes[..cut]);
            verifier.update(&bytes[cut..]);
            if flip {
                verifier.update(b"x");
            }
            prop_assert_eq!(verifier.matches(), !flip);
        }
    }
}
