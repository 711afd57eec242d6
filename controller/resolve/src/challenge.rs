//! What a registry asks for with 401: `WWW-Authenticate` (RFC 9110, section 11.6.1).

use http::{HeaderMap, header::WWW_AUTHENTICATE};
use http_auth::{ChallengeRef, parser::ChallengeParser};

/// As many challenges are looked at; registries send one or two.
const MOST: usize = 8;

/// The kinds of authentication that registries have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, to be had elsewhere.
    Bearer(Bearer),
}

/// Where a token is to be had, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scope: Option<String>,
}

/// The challenge to answer: a token is preferred, as a password should travel least.
pub(crate) fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).into_iter();
    let texts: Vec<_> = texts.take(MOST).filter_map(|value| value.to_str().ok()).collect();
    // What follows a mistake in a header is lost; what stands before it counts.
    let all = texts.iter().flat_map(|text| ChallengeParser::new(text).map_while(Result::ok));
    let known: Vec<_> = all.take(MOST).filter_map(|challenge| read(&challenge)).collect();
    let bearer = known.iter().find(|challenge| matches!(challenge, Challenge::Bearer(_)));
    bearer.or(known.first()).cloned()
}

fn read(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let parameter = |name: &str| {
        let mut all = challenge.params.iter();
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.to_unescaped()).filter(|value| !value.is_empty())
    };
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (service, scope) = (parameter("service"), parameter("scope"));
    Some(Challenge::Bearer(Bearer { realm: parameter("realm")?, service, scope }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().ok()?);
        }
        choose(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let [service, scope] = [service, scope].map(|text| text.map(ToOwned::to_owned));
        Some(Challenge::Bearer(Bearer { realm: realm.to_owned(), service, scope }))
    }

    #[test]
    fn the_challenges_of_registries_are_read() {
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                   scope=\"repository:library/nginx:pull\"";
        let scope = Some("repository:library/nginx:pull");
        for (values, expected) in [
            (vec![hub], bearer("https://auth.docker.io/token", Some("registry.docker.io"), scope)),
            (vec!["Basic realm=\"Registry Realm\""], Some(Challenge::Basic)),
            (vec!["basic"], Some(Challenge::Basic)),
            (vec!["BEARER Realm=\"https://a/t\""], bearer("https://a/t", None, None)),
            (vec!["Bearer realm=https"], bearer("https", None, None)),
            (vec!["Basic realm=\"x\"", hub], chosen(&[hub])),
            (
                vec!["Basic realm=\"x\", Bearer realm=\"https://a/t\""],
                chosen(&["Bearer realm=\"https://a/t\""]),
            ),
            (vec!["Bearer realm=\"https://a/\\\"t\""], bearer("https://a/\"t", None, None)),
            (vec!["Bearer service=\"no realm\""], None),
            (vec!["Negotiate"], None),
            (vec![], None),
        ] {
            assert_eq!(chosen(&values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(text in "[ -~]{0,80}") {
            let _ = chosen(&[&text]);
        }

        #[test]
        fn nearly_right_headers_do_not_either(
            text in "(Bearer|Basic|,| |realm=|\"|\\\\|scope=|a|=){0,20}",
        ) {
            let _ = chosen(&[&text]);
        }
    }
}
