//! Parses and formats `http://[USER:PASSWORD@]HOST[:PORT]/PATH[#every=200ms,insecure]`.

use std::fmt;
use std::time::Duration;

use crate::source::credentials::{CUT, Credentials, encode};
use crate::source::spec::{host_and_port, is_cut, without_secrets};
use crate::units::parse_duration;

/// Time between two requests for a still picture, unless the source says otherwise.
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time between two requests.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Longest time between two requests.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// A server that sends motion JPEG or still pictures. Parsing its text form returns the same value, except for a password,
/// which the text form hides.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// `https`.
    pub tls: bool,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query as they are sent.
    pub path: String,
    /// Time between two requests for a still picture. `None`: 1 s.
    pub every: Option<Duration>,
    /// Accepts any certificate.
    pub insecure: bool,
}

impl HttpSpec {
    /// Parses the text after `http://` or `https://`.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(in crate::source) fn parse(tls: bool, text: &str) -> Result<Self, String> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let at = text.find(['/', '?']).unwrap_or(text.len());
        let (authority, path) = text.split_at(at);
        if is_cut(authority, path) {
            return Err(CUT.to_owned());
        }
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address, default_port(tls))?;
        let credentials = user.map(Credentials::parse);
        let mut path = encode(path, |c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let mut spec = Self { tls, credentials, host: host.to_owned(), port, path, every: None, insecure: false };
        for option in fragment.split([',', '&']).filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("every", value) => spec.every = Some(interval(value)?),
                ("insecure", "") if tls => spec.insecure = true,
                ("insecure", "") => return Err("`#insecure` is for https://, whose certificates it accepts".to_owned()),
                _ => return Err(format!("unknown option `#{option}`; expected #every=TIME or #insecure")),
            }
        }
        Ok(spec)
    }

    /// Returns the time between two requests for a still picture.
    pub(super) fn poll_interval(&self) -> Duration {
        self.every.unwrap_or(DEFAULT_POLL_INTERVAL)
    }

    /// Returns the address without scheme, path and default port.
    pub(in crate::source) fn name(&self) -> String {
        if self.port == default_port(self.tls) { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Returns the host as it is written in a URL, with the port unless it is the default.
    pub(super) fn authority(&self) -> String {
        let Self { tls, host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == default_port(*tls) { host } else { format!("{host}:{port}") }
    }

    /// Returns the URL that `location` means in a response from here.
    ///
    /// # Errors
    /// The reason for which it is not followed.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, String> {
        let location = location.split('#').next().unwrap_or_default().trim();
        let absolute = if let Some(rest) = location.strip_prefix("//") {
            Some((self.tls, rest))
        } else {
            match location.split_once("://") {
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Some((true, rest)),
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Some((false, rest)),
                Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    return Err(format!("`{scheme}://` is not HTTP"));
                }
                _ => None,
            }
        };
        let mut to = match absolute {
            Some((tls, rest)) => Self::parse(tls, rest)?,
            None => {
                let directory = &self.path[..self.path.split('?').next().unwrap_or("").rfind('/').unwrap_or(0)];
                let path =
                    if location.starts_with('/') { location.to_owned() } else { format!("{directory}/{location}") };
                Self::parse(self.tls, &format!("{}{path}", self.authority()))?
            }
        };
        if self.tls && !to.tls {
            return Err("it leads from https to http".to_owned());
        }
        // A password is for the host that the user named.
        let is_same = to.host.eq_ignore_ascii_case(&self.host) && (to.port == self.port || to.tls && !self.tls);
        to.credentials = self.credentials.clone().filter(|_| is_same);
        (to.every, to.insecure) = (self.every, self.insecure && to.tls);
        Ok(to)
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| format!("`#every={text}`: {error}"))?;
    // Whole milliseconds, so that the text form is exact.
    let time = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    if (MIN_POLL_INTERVAL..=MAX_POLL_INTERVAL).contains(&time) {
        Ok(time)
    } else {
        Err(format!("`#every={text}`: expected 10ms to 1d"))
    }
}

impl fmt::Debug for HttpSpec {
    /// Formats the text form, which hides secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSpec({self})")
    }
}

impl fmt::Display for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://", if self.tls { "s" } else { "" })?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{credentials}@")?;
        }
        write!(f, "{}{}", self.authority(), without_secrets(&self.path))?;
        let every = self.every.map(|every| match every.as_millis() {
            ms if ms.is_multiple_of(1000) => format!("every={}s", ms / 1000),
            ms => format!("every={ms}ms"),
        });
        let options: Vec<String> = every.into_iter().chain(self.insecure.then(|| "insecure".to_owned())).collect();
        if options.is_empty() { Ok(()) } else { write!(f, "#{}", options.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;
    use crate::source::credentials::HIDDEN;

    fn spec(text: &str) -> HttpSpec {
        match text.parse() {
            Ok(SourceSpec::Http(spec)) => spec,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_parsed_and_shown() {
        for (text, shown) in [
            ("http://cam", "http://cam/"),
            ("http://cam:8080/img?x=1&y=a b", "http://cam:8080/img?x=1&y=a%20b"),
            ("https://cam:443/", "https://cam/"),
            ("https://[fe80::1%eth0]:8443/v#insecure&every=0.2s", "https://[fe80::1%eth0]:8443/v#every=200ms,insecure"),
            ("http://cam?a", "http://cam/?a"),
            ("http://cam/%C3%BC\u{fc}#every=60s", "http://cam/%C3%BC%C3%BC#every=60s"),
            ("http://me@cam/", "http://me@cam/"),
            ("http://me:@cam/", "http://me@cam/"),
        ] {
            let parsed = spec(text);
            assert_eq!(parsed.to_string(), shown, "{text}");
            assert_eq!(spec(shown), parsed, "{text}");
        }
    }

    #[test]
    fn passwords_are_in_no_output() {
        let parsed = spec("http://me%40home:se%3Acret@x@cam:8080/v");
        let Some(Credentials { user, password }) = &parsed.credentials else { panic!("{parsed:?}") };
        assert_eq!((user.as_str(), password.reveal()), ("me@home", "se:cret@x"));
        assert_eq!(parsed.to_string(), "http://me%40home:***@cam:8080/v");
        for text in [
            "http://me:secret@cam:x/",
            "http://me:secret/secret@cam/v",
            "http://me:secret@/",
            "rtsp://me:secret@cam",
            "front=http://me:secret@cam:0",
        ] {
            let error = text.parse::<crate::source::NamedSource>().unwrap_err();
            assert!(!format!("{error} {error:?} {parsed:?}").contains("secret"), "{error}");
            assert!(error.to_string().contains("//me:***@"), "{error}");
        }
    }

    #[test]
    fn secrets_of_queries_are_in_no_output() {
        for (text, shown) in [
            ("http://cam/x?user=a&pwd=secret", "http://cam/x?user=a&pwd=***"),
            ("http://cam/x?Password=secret&size=1#every=2s", "http://cam/x?Password=***&size=1#every=2s"),
            ("https://cam/?token=secret", "https://cam/?token=***"),
            ("http://cam/x?keyframe=1&pass=", "http://cam/x?keyframe=1&pass="),
        ] {
            let parsed = spec(text);
            assert_eq!(parsed.to_string(), shown);
            assert!(!format!("{parsed:?}").contains("secret"));
            assert!(!text.contains("secret") || parsed.path.contains("secret"), "it is sent");
        }
        let error = "http://cam:x/?pwd=secret".parse::<crate::source::NamedSource>().unwrap_err();
        assert!(error.to_string().contains("?pwd=***") && !format!("{error:?}").contains("secret"), "{error}");
    }

    #[test]
    fn redirects_keep_a_password_on_its_host() {
        let from = spec("http://me:secret@cam:8080/a/b?c#every=5s");
        for (location, to) in [
            ("/img", "http://me:***@cam:8080/img#every=5s"),
            ("img?x", "http://me:***@cam:8080/a/img?x#every=5s"),
            ("http://CAM:8080/x#y", "http://me:***@CAM:8080/x#every=5s"),
            ("https://cam/x", "https://me:***@cam/x#every=5s"),
            ("http://cam/x", "http://cam/x#every=5s"),
            ("//other/x", "http://other/x#every=5s"),
            ("http://you:word@other/x", "http://other/x#every=5s"),
        ] {
            assert_eq!(from.redirected(location).expect(location).to_string(), to, "{location}");
        }
        assert!(from.redirected("ftp://cam/x").unwrap_err().contains("is not HTTP"));
        assert!(spec("https://cam/").redirected("http://cam/").unwrap_err().contains("https to http"));
    }

    #[test]
    fn invalid_urls_are_explained() {
        for (text, why) in [
            ("http://", "missing host"),
            ("http://cam/#every=0s", "`#every=0s`: expected 10ms to 1d"),
            ("http://cam/#insecure", "`#insecure` is for https://"),
            ("http://cam/#top", "unknown option `#top`; expected #every=TIME or #insecure"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::default()
        })]

        #[test]
        fn any_url_is_rejected_or_round_trips(text in "https?://([a-z:%]{0,5}@)?[a-z.]{1,9}(:[0-9]{1,4})?\\PC{0,30}") {
            if let Ok(spec) = text.parse::<SourceSpec>() {
                let shown = spec.to_string();
                let again = shown.parse::<SourceSpec>();
                proptest::prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(shown.clone()));
                if !shown.contains(HIDDEN) {
                    proptest::prop_assert_eq!(again, Ok(spec));
                }
            }
        }
    }
}
