//! A token server as Docker's specification has it: ES256 tokens that a real registry takes.

use std::path::PathBuf;

use base64::{Engine as _, prelude::*};
use jiff::Timestamp;
use onepull_testbed::registry::{Auth, PASSWORD, USER};
use rcgen::{Certificate, CertificateParams, KeyPair, SigningKey as _};
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server, answer};

/// The name of the registry that the server knows, and its own.
const SERVICE: &str = "testbed";

/// An identity token that counts as a login of the one user.
pub(crate) const IDENTITY: &str = "identity-of-the-testbed";

pub(crate) struct TokenServer {
    server: Server,
    folder: tempfile::TempDir,
}

// === impl TokenServer ===

impl TokenServer {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokens.crt"), certificate.pem()).unwrap();
        let signer = std::sync::Arc::new((key, certificate));
        let server = Server::start(move |asked| {
            let signer = signer.clone();
            async move { respond(&asked, &signer) }
        });
        Self { server: server.await, folder }
    }

    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.server.asked().len()
    }

    /// How a registry trusts it.
    pub(crate) fn auth(&self) -> Auth {
        let certificate: PathBuf = self.folder.path().join("tokens.crt");
        let realm = format!("http://{}/token", self.host());
        Auth::Token { realm, service: SERVICE.to_owned(), certificate }
    }
}

/// Nobody gets a token too, by which nothing may be done; who logs in wrongly gets none.
fn respond(asked: &Asked, signer: &(KeyPair, Certificate)) -> Answer {
    let target = reqwest::Url::parse(&format!("http://x{}", asked.target)).unwrap();
    let form = reqwest::Url::parse(&format!("http://x/?{}", asked.body)).unwrap();
    let fields: Vec<_> = target.query_pairs().chain(form.query_pairs()).collect();
    let field = |name: &str| {
        let found = fields.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.to_string()).collect::<Vec<_>>()
    };
    let right = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let login = asked.headers.get("authorization");
    let is_user = match asked.method.as_str() {
        "POST" => field("refresh_token") == [IDENTITY],
        _ => login.is_some_and(|login| *login == right),
    };
    if !is_user && (asked.method == "POST" || login.is_some()) {
        return answer(401, &[], "{}");
    }
    let access = if is_user { access(&field("scope")) } else { json!([]) };
    let token = sign(&access, signer);
    answer(200, &[], json!({"access_token": token, "expires_in": 300}).to_string())
}

/// `repository:NAME:pull,push` in the words of a token.
fn access(scopes: &[String]) -> Value {
    let one = |scope: &String| {
        let (kind, rest) = scope.split_once(':').unwrap();
        let (name, actions) = rest.rsplit_once(':').unwrap();
        let actions: Vec<_> = actions.split(',').collect();
        json!({"type": kind, "name": name, "actions": actions})
    };
    scopes.iter().map(one).collect()
}

fn sign(access: &Value, (key, certificate): &(KeyPair, Certificate)) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let chain = [BASE64_STANDARD.encode(certificate.der())];
    let header = part(json!({"typ": "JWT", "alg": "ES256", "x5c": chain}));
    let now = Timestamp::now().as_second();
    let claims = part(json!({
        "iss": SERVICE, "aud": SERVICE, "sub": USER, "jti": "1",
        "iat": now, "nbf": now - 60, "exp": now + 300, "access": access,
    }));
    let signature = key.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.encode(fixed(&signature));
    format!("{header}.{claims}.{signature}")
}

/// JSON tokens want both numbers of a signature in 32 bytes each (RFC 7518, section 3.4), not in
/// DER.
fn fixed(der: &[u8]) -> Vec<u8> {
    let first = usize::from(der[3]);
    let numbers = [&der[4..4 + first], &der[6 + first..]];
    let padded = |number: &[u8]| {
        let number = &number[number.len().saturating_sub(32)..];
        [vec![0; 32 - number.len()], number.to_vec()].concat()
    };
    numbers.map(padded).concat()
}
