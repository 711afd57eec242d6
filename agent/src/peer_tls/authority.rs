//! The authority that all nodes of a cluster have in common, without anybody having made it.

use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, date_time_ymd,
};
use rustls::{
    crypto::ring::sign::any_eddsa_type,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime},
    sign::CertifiedKey,
};

use super::{NAME, PeerTlsError, validity::Validity};

/// PKCS#8 (RFC 8410) of an Ed25519 key, up to its seed. Every 32 bytes are a key, so nothing is
/// drawn and nothing tried again.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Signs this node's certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

// === impl Authority ===

impl Authority {
    /// The authority of a seed; the same everywhere.
    pub(super) fn new(seed: &[u8; 32]) -> Result<Self, rcgen::Error> {
        let key = PrivatePkcs8KeyDer::from([&PKCS8[..], &seed[..]].concat());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = named("onepull peers");
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Whom to trust.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// A certificate for `validity` and its key, both new.
    pub(super) fn issue(&self, validity: Validity) -> Result<CertifiedKey, PeerTlsError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::new([NAME.to_owned()])?;
        params.distinguished_name = named("onepull peer");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let epoch = date_time_ymd(1970, 1, 1);
        let date = |time: UnixTime| epoch + Duration::from_secs(time.as_secs());
        params.not_before = date(validity.not_before());
        params.not_after = date(validity.not_after());
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.serialize_der()))?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_key(seed: [u8; 32]) -> String {
        let authority = Authority::new(&seed).unwrap();
        let raw = authority.issuer.key().public_key_raw().to_vec();
        raw.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first test of RFC 8032, 7.1, and the first bytes of a seed.
    #[test]
    fn a_seed_gives_the_key_pair_that_the_standard_says() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(public_key(seed), expected);
    }

    #[test]
    fn all_nodes_have_the_same_authority_and_no_two_the_same_certificate() {
        let [one, other] = [[7; 32], [7; 32]].map(|seed| Authority::new(&seed).unwrap());
        assert_eq!(one.certificate(), other.certificate());
        let validity = Validity::from(UnixTime::since_unix_epoch(Duration::from_secs(1 << 31)));
        let [one, other] = [one, other].map(|authority| authority.issue(validity).unwrap());
        assert_ne!(one.cert, other.cert);
    }
}
