//! Why there was no answer, as far as the HTTP client says.

use std::{error::Error, io, iter::successors};

use crate::{Problem, Unreachable};

/// What the network said is shown up to here.
const LONGEST: usize = 160;

/// Leaves out the client's own words, which repeat the address that was asked.
pub(super) fn problem(error: &reqwest::Error) -> Problem {
    if error.is_redirect() {
        return Problem::Unusable("redirects too often, or from HTTPS to plain HTTP");
    }
    let all = || successors(error.source(), |error| (*error).source());
    if error.is_timeout() {
        return Problem::Unreachable { step: Unreachable::Timeout, said: String::new() };
    }
    if let Some(tls) = all().find_map(as_tls) {
        return Problem::Unreachable { step: Unreachable::Tls, said: shown(&tls.to_string()) };
    }
    let step = match error.is_connect() {
        // The connector's type is private, its words are all there is.
        true if all().any(|error| error.to_string() == "dns error") => Unreachable::Name,
        true => Unreachable::Connect,
        false => Unreachable::Broken,
    };
    let said = all().last().map(ToString::to_string).unwrap_or_default();
    Problem::Unreachable { step, said: shown(&said) }
}

/// TLS errors travel inside I/O errors, even several, which do not name them as their source.
fn as_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inside = |error: &&'a (dyn Error + 'static)| {
        let inside = error.downcast_ref::<io::Error>()?.get_ref()?;
        Some(inside as &'a (dyn Error + 'static))
    };
    successors(Some(error), inside).find_map(|error| error.downcast_ref())
}

fn shown(said: &str) -> String {
    said.chars().take(LONGEST).collect()
}
