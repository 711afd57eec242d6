//! The certificate authority of one API server, and what it issues.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// Signs the server's certificate and those of clients; its own is in `ca.crt`.
pub(super) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A key pair without a certificate, as files.
#[derive(Clone, Debug)]
pub(super) struct TokenKeys {
    pub(super) private: PathBuf,
    pub(super) public: PathBuf,
}

// === impl Authority ===

impl Authority {
    /// Makes one that keeps its files in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("onepull testbed", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        let authority = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        fs::write(authority.certificate(), certificate.pem())?;
        Ok(authority)
    }

    /// The certificate that clients are to trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// A certificate for a server that is reached by these names and addresses.
    pub(super) fn server(&self, names: &[&str], addresses: &[IpAddr]) -> Result<Pair> {
        let addresses = addresses.iter().map(ToString::to_string);
        let all: Vec<_> = names.iter().map(|name| (*name).to_owned()).chain(addresses).collect();
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name = named("kube-apiserver", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("apiserver", &params)
    }

    /// A certificate that says who a client is: Kubernetes takes the common name for the user and
    /// the organisation for the group.
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> Result<Pair> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&format!("client-{}", user.replace([':', '/'], "-")), &params)
    }

    /// The keys by which the server signs the tokens of service accounts, and knows them again.
    pub(super) fn token_keys(&self) -> Result<TokenKeys> {
        let keys = KeyPair::generate()?;
        let file = |end: &str| self.folder.join(format!("service-accounts.{end}"));
        let files = TokenKeys { private: file("key"), public: file("pub") };
        fs::write(&files.private, keys.serialize_pem())?;
        fs::write(&files.public, keys.public_key_pem())?;
        Ok(files)
    }

    fn issue(&self, name: &str, params: &CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.issuer).context("cannot sign a certificate")?;
        let file = |end: &str| self.folder.join(format!("{name}.{end}"));
        let pair = Pair { certificate: file("crt"), key: file("key") };
        fs::write(&pair.certificate, signed.pem())?;
        fs::write(&pair.key, key.serialize_pem())?;
        Ok(pair)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn named(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}
