//! The cluster key: what the nodes of a cluster have in common, and nobody else.
//!
//! It is never sent, and nothing is compared with it: what the network sees are keys derived from it
//! (`derived`). Who has it is a node; so it takes the place of a list of nodes, of an authority
//! that somebody runs, and of files of certificates.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

mod derived;
mod file;

pub use file::{ClusterKeyError, is_open_to_all};

pub(crate) use derived::Derived;

/// Bytes of a key.
const LENGTH: usize = 32;

/// A key of random bytes has some 30 different ones. One in 10^16 has fewer than this; a pattern has.
const DIFFERENT: usize = 16;

/// The secret that makes a node a node of this cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; LENGTH]);

/// Why a text is no cluster key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// No line that says anything.
    #[error("is empty")]
    Empty,
    /// More lines. The first will be this node's own key, and all others accepted ones, once a key
    /// can be replaced while the cluster runs.
    #[error("holds {0} lines; more than one key is not understood yet")]
    Several(usize),
    /// Another length, or letters that neither form has.
    #[error("holds no key: a key is 64 hexadecimal digits, or 32 bytes in base64")]
    NoKey,
    /// Not random.
    #[error("holds a key that can be guessed")]
    Guessable,
}

// === impl ClusterKey ===

impl ClusterKey {
    /// Reads the text of a key file: one line.
    ///
    /// # Errors
    /// When it is not one key of 32 random bytes.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.next().ok_or(ParseError::Empty)?;
        match lines.count() {
            0 => {}
            more => return Err(ParseError::Several(1 + more)),
        }
        let bytes = hexadecimal(line).or_else(|| STANDARD.decode(line).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(ParseError::NoKey)?;
        if is_guessable(&bytes) { Err(ParseError::Guessable) } else { Ok(Self(bytes)) }
    }
}

/// For logs: says nothing.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

fn hexadecimal(line: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = line.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let byte = |pair: &[u32]| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok();
    digits.chunks(2).map(byte).collect()
}

/// Whether a person made it: a pattern, or a text that was encoded. One in 10^13 random keys are all
/// printable.
fn is_guessable(key: &[u8; LENGTH]) -> bool {
    let mut sorted = *key;
    sorted.sort_unstable();
    let different = sorted.chunk_by(|a, b| a == b).count();
    different < DIFFERENT || key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "6f1d8a3c5b7e9f02a4c6e8d0b2947f13358ac1ee07d94b26f80c61a57392be4d";
    const BASE64: &str = "bx2KPFt+nwKkxujQspR/EzWKwe4H2Usm+AxhpXOSvk0=";

    #[test]
    fn a_key_is_written_in_hexadecimal_or_base64() {
        let key = ClusterKey::parse(HEX).unwrap();
        for text in [BASE64, &HEX.to_uppercase(), &format!("\n {HEX}\r\n\n")] {
            assert_eq!(ClusterKey::parse(text), Ok(key.clone()), "{text}");
        }
        assert_eq!(format!("{key:?}"), "ClusterKey", "no log shows it");
    }

    #[test]
    fn what_is_no_key_of_32_bytes_is_refused() {
        assert_eq!(ClusterKey::parse(" \n"), Err(ParseError::Empty));
        assert_eq!(ClusterKey::parse(&format!("{HEX}\n{BASE64}")), Err(ParseError::Several(2)));
        let longer = format!("{HEX}00");
        for text in ["secret", &HEX[2..], &HEX[1..], &longer, &BASE64[4..], &BASE64[..43]] {
            assert_eq!(ClusterKey::parse(text), Err(ParseError::NoKey), "{text}");
        }
    }

    #[test]
    fn what_a_person_would_type_is_refused() {
        let text = STANDARD.encode("correct horse battery staple 1234");
        let words = STANDARD.encode("the quick brown fox jumps over a");
        for guess in [&"00".repeat(32), &"0123456789abcdef".repeat(4), &words] {
            assert_eq!(ClusterKey::parse(guess), Err(ParseError::Guessable), "{guess}");
        }
        assert_eq!(ClusterKey::parse(&text), Err(ParseError::NoKey), "33 letters");
    }

    proptest! {
        #[test]
        fn random_keys_are_taken_in_both_forms(bytes in any::<[u8; 32]>()) {
            prop_assume!(!is_guessable(&bytes));
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(ClusterKey::parse(&hex), Ok(ClusterKey(bytes)));
            prop_assert_eq!(ClusterKey::parse(&STANDARD.encode(bytes)), Ok(ClusterKey(bytes)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,90}") {
            let _ = ClusterKey::parse(&text);
        }
    }
}
