//! Answers the challenges of `WWW-Authenticate`: Basic (RFC 7617) and Digest (RFC 7616).

use std::hash::{BuildHasher as _, Hasher as _};

use base64::Engine as _;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::source::credentials::Credentials;
use crate::units::hex;

/// A way to authenticate that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Digest(Digest),
}

/// Parameters of a Digest challenge, and the number of answers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The name as the server wrote it.
    algorithm_name: Option<String>,
    qop: bool,
    answers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5 { session: bool },
    Sha256 { session: bool },
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 { .. } => hex(&Md5::digest(text)),
            Self::Sha256 { .. } => hex(&Sha256::digest(text)),
        }
    }

    const fn is_session(self) -> bool {
        matches!(self, Self::Md5 { session: true } | Self::Sha256 { session: true })
    }
}

impl Challenge {
    /// Returns the strongest challenge among the values of `WWW-Authenticate` that can be answered.
    pub(super) fn choose<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for (scheme, params) in values.flat_map(challenges) {
            let offered = match scheme.to_ascii_lowercase().as_str() {
                "basic" => Some(Self::Basic),
                "digest" => Digest::new(&params).map(Self::Digest),
                _ => None,
            };
            let rank = |challenge: &Self| match challenge {
                Self::Basic => None,
                Self::Digest(digest) => Some(digest.algorithm),
            };
            if offered.as_ref().is_some_and(|new| found.as_ref().is_none_or(|old| rank(new) > rank(old))) {
                found = offered;
            }
        }
        found
    }

    /// Returns the value of `Authorization` for a GET of this path.
    pub(super) fn answer(&mut self, credentials: &Credentials, path: &str) -> String {
        match self {
            Self::Basic => {
                let pair = format!("{}:{}", credentials.user, credentials.password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Self::Digest(digest) => {
                digest.answers += 1;
                // Random keys of the standard library's hasher.
                let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
                digest.answer(credentials, path, &format!("{random:016x}"))
            }
        }
    }
}

impl Digest {
    /// Returns `None` if the algorithm is not known, or a digest without `auth` is required.
    fn new(params: &[(String, String)]) -> Option<Self> {
        let param = |name: &str| params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let algorithm_name = param("algorithm").cloned();
        let algorithm = match algorithm_name.as_deref().unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => Algorithm::Md5 { session: false },
            "MD5-SESS" => Algorithm::Md5 { session: true },
            "SHA-256" => Algorithm::Sha256 { session: false },
            "SHA-256-SESS" => Algorithm::Sha256 { session: true },
            _ => return None,
        };
        let qop = match param("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        let (realm, nonce) = (param("realm").cloned().unwrap_or_default(), param("nonce")?.clone());
        Some(Self { realm, nonce, opaque: param("opaque").cloned(), algorithm, algorithm_name, qop, answers: 0 })
    }

    fn answer(&self, credentials: &Credentials, path: &str, cnonce: &str) -> String {
        let Self { realm, nonce, opaque, algorithm, algorithm_name, qop, answers } = self;
        let hash = |text: String| algorithm.hash(&text);
        let user = &credentials.user;
        let mut secret = hash(format!("{user}:{realm}:{}", credentials.password.reveal()));
        if algorithm.is_session() {
            secret = hash(format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = hash(format!("GET:{path}"));
        let response = if *qop {
            hash(format!("{secret}:{nonce}:{answers:08x}:{cnonce}:auth:{request}"))
        } else {
            hash(format!("{secret}:{nonce}:{request}"))
        };
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut answer = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{path}\", response=\"{response}\"",
            quoted(user),
            quoted(realm),
            quoted(nonce)
        );
        if let Some(name) = algorithm_name {
            answer += &format!(", algorithm={name}");
        }
        if let Some(opaque) = opaque {
            answer += &format!(", opaque=\"{}\"", quoted(opaque));
        }
        if *qop || algorithm.is_session() {
            answer += &format!(", qop=auth, nc={answers:08x}, cnonce=\"{cnonce}\"");
        }
        answer
    }
}

/// Splits a value of `WWW-Authenticate` into schemes with their parameters.
fn challenges(value: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for item in items(value) {
        let item = item.trim();
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let (scheme, param) = match item.split_once(' ') {
            Some((scheme, param)) if is_token(scheme) && !scheme.contains('=') => (Some(scheme), param.trim()),
            None if is_token(item) && !item.contains('=') => (Some(item), ""),
            _ => (None, item),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_owned(), Vec::new()));
        }
        if let (Some((_, params)), Some((name, value))) = (found.last_mut(), param.split_once('=')) {
            let value = value.trim();
            let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
                Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
                None => value.to_owned(),
            };
            params.push((name.trim().to_owned(), value));
        }
    }
    found
}

/// Splits at commas outside of quotes.
fn items(value: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|c| {
            let is_escaped = escaped;
            escaped = c == '\\' && quoted && !is_escaped;
            if c == '"' && !is_escaped {
                quoted = !quoted;
            }
            c == ',' && !quoted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;

    fn credentials(text: &str) -> Credentials {
        match format!("http://{text}@cam/").parse() {
            Ok(SourceSpec::Http(spec)) => spec.credentials.expect("credentials"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_those_of_the_standards() {
        // RFC 7616, 3.9.1, and RFC 7617, 2.
        let user = credentials("Mufasa:Circle%20of%20Life");
        let params = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let value = params(algorithm);
            let Some(Challenge::Digest(mut digest)) = Challenge::choose([value.as_str()].into_iter()) else {
                panic!("{value}")
            };
            digest.answers = 1;
            let answer = digest.answer(&user, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains("nc=00000001") && answer.contains("opaque=\"FQhe/"), "{answer}");
        }
        let mut basic = Challenge::choose(["Basic realm=\"WallyWorld\""].into_iter()).expect("a challenge");
        assert_eq!(basic.answer(&credentials("Aladdin:open%20sesame"), "/"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn the_strongest_offer_is_chosen() {
        let digest = "Digest realm=\"a, b=\\\"c\\\"\", nonce=\"n\"";
        for (values, expected) in [
            (vec!["Basic realm=\"x\"", digest], "MD5"),
            (vec!["Negotiate, Basic realm=\"x\", Digest nonce=\"n\", algorithm=SHA-256"], "SHA-256"),
            (vec!["Digest nonce=n, algorithm=SHA-512-256, Basic"], "Basic"),
            (vec!["Digest nonce=n, qop=\"auth-int\"", "Bearer"], "none"),
        ] {
            let found = Challenge::choose(values.iter().copied());
            let name = match &found {
                None => "none",
                Some(Challenge::Basic) => "Basic",
                Some(Challenge::Digest(digest)) => digest.algorithm_name.as_deref().unwrap_or("MD5"),
            };
            assert_eq!(name, expected, "{values:?}");
            if let Some(Challenge::Digest(Digest { realm, .. })) = &found
                && values.contains(&digest)
            {
                assert_eq!(realm, "a, b=\"c\"");
            }
        }
    }
}
