//! Parses and formats the sources that users name on the command line.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

#[cfg(feature = "mqtt")]
use super::MqttSpec;
#[cfg(feature = "zenoh")]
use super::ZenohSpec;
use super::{FileSpec, UdpSpec};
#[cfg(feature = "http")]
use super::{HttpPostSpec, HttpSpec};
use crate::file::shell_word;
use crate::frame::LabelMap;
pub(super) use crate::net::host_and_port::host_and_port;
use crate::sim::{SimConfig, SimError};
use crate::wire::PORT;

/// Any address of this host.
pub(super) const ANY_ADDRESS: &str = "0.0.0.0";

/// The supported schemes, for errors.
const SCHEMES: [&str; 7] = [
    "`tcp://`, `listen://`",
    if cfg!(feature = "http") { ", `http://`, `https://`, `http-post://`" } else { "" },
    if cfg!(feature = "mqtt") { ", `mqtt://`, `mqtts://`" } else { "" },
    ", `udp://`",
    if cfg!(feature = "zenoh") { ", `zenoh://`" } else { "" },
    ", `sim:`",
    " or `file:`",
];

/// Source of frames. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// `tcp://HOST[:PORT]`, or a bare `HOST[:PORT]`: a camera that accepts connections.
    Tcp {
        /// Host name or address, without the brackets of IPv6.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `listen://[ADDRESS][:PORT]`: a camera that connects to this host. Without an address, at any of this host's.
    Listen {
        /// Host name or address of this host, without the brackets of IPv6.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `http://[USER:PASSWORD@]HOST[:PORT]/PATH` and `https://`: motion JPEG, or a still picture that is requested again and
    /// again.
    #[cfg(feature = "http")]
    Http(HttpSpec),
    /// `http-post://[ADDRESS]:PORT/PATH`: a camera that posts its pictures to this host.
    #[cfg(feature = "http")]
    HttpPost(HttpPostSpec),
    /// `udp://[ADDRESS]:PORT`: a camera that sends datagrams to this host.
    Udp(UdpSpec),
    /// `mqtt://[USER:PASSWORD@]BROKER[:PORT]/TOPIC` and `mqtts://`: a camera that publishes to a broker.
    #[cfg(feature = "mqtt")]
    Mqtt(MqttSpec),
    /// `zenoh://ROUTER[:PORT]/HOST/CAMERA`: a camera that another oaktap publishes with a Zenoh router.
    #[cfg(feature = "zenoh")]
    Zenoh(ZenohSpec),
    /// `sim:` or `sim:?size=640x352&fps=40`: a simulated camera in this process, reached over loopback TCP. Unlike
    /// `oaktap simulate`, it sends extension records unless the text contains `records=off`.
    Sim(Box<SimConfig>),
    /// `file:PATH` or `file:PATH?speed=max&loop&camera=NAME`: a recording. Also the bare path of one: a name that ends in
    /// `.mcap`, or any existing file.
    File(FileSpec),
}

/// Reason why a text is not a valid source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid source `{text}`: {why}{}", .help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}")))]
pub struct SourceSpecError {
    text: String,
    why: String,
    /// The next command, if the text shows what was meant. Part of the error's text, because it also reaches users through
    /// the parser of the command line.
    help: Option<String>,
}

/// Names of the values in the query of a URL that are secrets, in lower case.
const SECRETS: [&str; 12] = [
    "password",
    "passwd",
    "passwort",
    "pwd",
    "pass",
    "pw",
    "token",
    "access_token",
    "key",
    "api_key",
    "apikey",
    "auth",
];

/// The text in the place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Returns whether the user name and the password of a URL continue after the `authority`, the text before the first `/`, `?` or
/// `#`: they have one of these characters. `rest`: the text from there.
pub(super) fn is_cut(authority: &str, rest: &str) -> bool {
    let is_port = |port: &str| port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit());
    let address = authority.rsplit('@').next().unwrap_or_default();
    rest.contains('@') && address.rsplit_once(':').is_some_and(|(_, port)| !is_port(port))
}

/// Replaces the secrets in the query of a URL, such as `?user=a&pwd=b`.
pub(super) fn without_secrets(text: &str) -> String {
    let (text, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
    let Some((before, query)) = text.split_once('?') else { return format!("{text}{fragment}") };
    let hide = |field: &str| match field.split_once('=') {
        Some((name, value)) if !value.is_empty() && SECRETS.contains(&name.to_ascii_lowercase().as_str()) => {
            format!("{name}={HIDDEN}")
        }
        _ => field.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(hide).collect();
    format!("{before}?{}{fragment}", query.join("&"))
}

/// Returns where the user name of a URL begins: after the scheme, also of one that is misspelled, such as `http:/a:b@cam` or
/// `http//a:b@cam`. 0 without a scheme.
fn authority_at(text: &str) -> usize {
    if let Some(at) = text.find("://") {
        return text.len() - text[at + "://".len()..].trim_start_matches('/').len();
    }
    let name = text.find('=').filter(|at| !text[..*at].contains([':', '/', '@', '?'])).map_or(0, |at| at + 1);
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let scheme = text[name..].find(|c| !is_scheme(c)).map_or(text.len(), |len| name + len);
    let separator = &text[scheme..];
    let rest = separator.trim_start_matches([':', '/']);
    let has_scheme = scheme > name && (separator.starts_with(":/") || separator.starts_with("//"));
    if has_scheme { text.len() - rest.len() } else { 0 }
}

/// Replaces the passwords in a text that may be a URL, also in one that is not valid.
///
/// Every text that shows a source passes through here: errors, their help, and their JSON.
#[must_use]
pub fn without_password(text: &str) -> String {
    // The path of a recording may have any character.
    if text.starts_with("file:") && !text.contains("://") {
        return text.to_owned();
    }
    let text = &*without_secrets(text);
    let hidden = || {
        let at = authority_at(text);
        let (authority, rest) = text[at..].split_at(text[at..].find(['/', '?', '#']).unwrap_or(text.len() - at));
        // A `@` after a port that is no number, or in the topic of a broker, may be the end of a password with a `/`.
        let is_broker =
            ["mqtt", "mqtts"].iter().any(|scheme| text[..at].trim_end_matches([':', '/']).ends_with(scheme));
        let ends_late = is_cut(authority, rest) || (is_broker && authority.contains('@'));
        let end = at + if ends_late { text[at..].rfind('@')? } else { authority.rfind('@')? };
        let colon = at + authority.find(':').filter(|colon| at + colon < end)?;
        Some(format!("{}:{HIDDEN}{}", &text[..colon], &text[end..]))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

impl SourceSpecError {
    /// Says why a text is not a valid source.
    pub(super) fn new(text: &str, why: String) -> Self {
        Self { text: without_password(text), why, help: None }
    }

    /// Returns the kinds of sources, as the next step for the user, unless the error's text contains a better one.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        self.help.is_none().then_some(
            "expected an address such as 192.168.1.50, tcp://HOST:PORT, listen://:PORT (a camera that connects to this \
             host), http://HOST/PATH (motion JPEG or still pictures), http-post://:PORT/PATH (a camera that posts pictures), \
             mqtt://BROKER/TOPIC (a camera that publishes to a broker), udp://:PORT (a camera that sends datagrams), sim: (a simulated camera), or FILE.mcap or file:PATH (a recording)",
        )
    }
}

impl FromStr for SourceSpec {
    type Err = SourceSpecError;

    fn from_str(text: &str) -> Result<Self, SourceSpecError> {
        let text = if text.starts_with("file:") { text } else { text.trim() };
        let fail = |why: String| SourceSpecError::new(text, why);
        if let Some(rest) = text.strip_prefix("sim:") {
            let query = match rest.strip_prefix('?') {
                Some(query) => query,
                None if rest.is_empty() => "",
                None => return Err(fail("expected `sim:` or `sim:?key=value&...`".to_owned())),
            };
            // Numbered frames: what is missing is counted, not estimated.
            return format!("records=on&{query}")
                .parse()
                .map(|config| Self::Sim(Box::new(config)))
                .map_err(|error: SimError| fail(error.to_string()));
        }
        if let Some(rest) = text.strip_prefix("file:") {
            return FileSpec::parse(rest).map(Self::File).map_err(fail);
        }
        let address = match text.split_once("://") {
            Some(("tcp", rest)) => rest.trim_end_matches('/'),
            Some(("listen", rest)) => {
                let rest = rest.trim_end_matches('/');
                let any_address = format!("{ANY_ADDRESS}{rest}");
                let address = if rest.is_empty() || rest.starts_with(':') { &any_address } else { rest };
                let (host, port) = host_and_port(address, PORT).map_err(fail)?;
                return Ok(Self::Listen { host: host.to_owned(), port });
            }
            #[cfg(feature = "http")]
            Some((scheme @ ("http" | "https"), rest)) => {
                return HttpSpec::parse(scheme == "https", rest).map(Self::Http).map_err(fail);
            }
            #[cfg(feature = "http")]
            Some(("http-post", rest)) => return HttpPostSpec::parse(rest).map(Self::HttpPost).map_err(fail),
            Some(("udp", rest)) => return UdpSpec::parse(rest).map(Self::Udp).map_err(fail),
            #[cfg(feature = "mqtt")]
            Some((scheme @ ("mqtt" | "mqtts"), rest)) => {
                return MqttSpec::parse(scheme == "mqtts", rest).map(Self::Mqtt).map_err(fail);
            }
            #[cfg(feature = "zenoh")]
            Some(("zenoh", rest)) => return ZenohSpec::parse(rest).map(Self::Zenoh).map_err(fail),
            #[cfg(not(feature = "zenoh"))]
            Some(("zenoh", _)) => {
                let help = Some("build it with `cargo install --path . --features zenoh`".to_owned());
                return Err(SourceSpecError { help, ..fail("this oaktap was built without Zenoh".to_owned()) });
            }
            Some((scheme, _)) => {
                let help = intended(text).map(|intended| did_you_mean(&intended));
                let why = format!("`{scheme}://` is not supported; expected {}", SCHEMES.concat());
                return Err(SourceSpecError { help, ..fail(why) });
            }
            None => {
                if let Some(file) = recording(text) {
                    return file.map(Self::File).map_err(fail);
                }
                if let Some(intended) = intended(text) {
                    let help = Some(did_you_mean(&intended));
                    let scheme = text.split(':').next().unwrap_or_default();
                    let why = format!("`{scheme}:` is not supported; expected {}", SCHEMES.concat());
                    return Err(SourceSpecError { help, ..fail(why) });
                }
                if let Some((why, help)) = not_an_address(text) {
                    return Err(SourceSpecError { help: Some(help), ..fail(why) });
                }
                text.trim_end_matches('/')
            }
        };
        let (host, port) = host_and_port(address, PORT).map_err(fail)?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// Schemes of other programs that are spelled like ours.
const FOREIGN_SCHEMES: [&str; 4] = ["rtsp", "rtsps", "rtmp", "ftp"];

/// Returns the source that is meant by a text with a misspelled scheme, such as `simm:` or `tcp:192.168.1.50`.
#[must_use]
pub fn intended(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let is_port = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    if is_port || FOREIGN_SCHEMES.contains(&scheme) {
        return None;
    }
    let schemes = SCHEMES.concat();
    let known = || schemes.split('`').skip(1).step_by(2);
    let names: LabelMap = known().map(|known| known.trim_end_matches(['/', ':'])).collect();
    let nearest = names.nearest(scheme)?;
    let nearest = known().find(|known| known.trim_end_matches(['/', ':']) == nearest)?;
    Some(format!("{nearest}{}", rest.trim_start_matches('/')))
}

/// Suggests a source, without its password.
fn did_you_mean(intended: &str) -> String {
    format!("did you mean `{}`?", without_password(intended))
}

/// Fewest digits of a camera's id. Ids have 16 to 18; people shorten them.
const MIN_ID_DIGITS: usize = 8;

/// Recognizes the path of a recording without `file:`, with or without options after a `?`.
fn recording(text: &str) -> Option<Result<FileSpec, String>> {
    let path = Path::new(text);
    if text.contains('\0') || path.is_dir() || has_extension(path, "dap") {
        return None;
    }
    if path.is_file() || has_extension(path, "mcap") {
        return Some(Ok(FileSpec::new(path)));
    }
    let (path, _) = text.split_once('?')?;
    has_extension(Path::new(path), "mcap").then(|| FileSpec::parse(text))
}

fn has_extension(path: &Path, known: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(known))
}

/// Recognizes an id, a package or a path in the place of a source. Returns what it is, and the next step for the user.
fn not_an_address(text: &str) -> Option<(String, String)> {
    let is_id = text.len() >= MIN_ID_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit());
    if is_id {
        let help = "`oaktap list` shows the address of each camera".to_owned();
        return Some(("this is the id of a camera; expected its address".to_owned(), help));
    }
    let path = Path::new(text);
    if has_extension(path, "dap") {
        let help = format!("flash a package with `oaktap flash CAMERA {}`", shell_word(path));
        return Some(("this is a package; expected an address or a recording".to_owned(), help));
    }
    if path.is_dir() {
        let path = shell_word(path);
        let help = format!("`oaktap replay {path}` plays all recordings of a folder; this command takes FILE.mcap");
        return Some(("this is a folder; expected an address or a recording".to_owned(), help));
    }
    // `192.168.1.50/` is copied from a browser.
    let is_path = text.trim_end_matches('/').contains(['/', '\\']) || text.starts_with('/');
    let text = &*without_secrets(text);
    is_path.then(|| {
        let first = text.split('/').next().unwrap_or_default();
        let is_host = first.contains(':') || first.parse::<Ipv4Addr>().is_ok();
        if is_host && host_and_port(first, PORT).is_ok() {
            let help = format!("a stream over HTTP is http://{text}");
            return (format!("an address has no path: remove `{}` after `{first}`", &text[first.len()..]), help);
        }
        let help = "a camera has an address such as 192.168.1.50; a recording is an existing file".to_owned();
        ("there is no such file".to_owned(), help)
    })
}

impl SourceSpec {
    /// Returns the stream of the camera at this address, at the default port.
    #[must_use]
    pub fn camera(ip: Ipv4Addr) -> Self {
        Self::Tcp { host: ip.to_string(), port: PORT }
    }

    /// Returns the recording that is played; `None` if the frames come from a camera.
    #[must_use]
    pub fn recording(&self) -> Option<&FileSpec> {
        if let Self::File(file) = self { Some(file) } else { None }
    }

    /// Returns the name of a camera without a given one: the address without scheme and default port, or the name of the camera or
    /// file of a recording. Not unique.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Tcp { host, port } if *port == PORT => host.clone(),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Listen { port, .. } => format!("listen:{port}"),
            #[cfg(feature = "http")]
            Self::Http(url) => url.name(),
            #[cfg(feature = "http")]
            Self::HttpPost(spec) => format!("http-post:{}", spec.port),
            Self::Udp(spec) => format!("udp:{}", spec.port),
            #[cfg(feature = "mqtt")]
            Self::Mqtt(spec) => spec.name(),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(spec) => spec.name(),
            Self::Sim(_) => "sim".to_owned(),
            Self::File(file) => file.name(),
        }
    }

    /// Returns whether this host opens the connection, over the network.
    #[must_use]
    pub const fn opens_connection(&self) -> bool {
        match self {
            Self::Tcp { .. } => true,
            #[cfg(feature = "http")]
            Self::Http(_) => true,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(_) => true,
            #[cfg(feature = "zenoh")]
            Self::Zenoh(_) => true,
            _ => false,
        }
    }

    /// Returns whether the stream has no beginning: we join it at any frame.
    pub(super) const fn joins_late(&self) -> bool {
        match self {
            Self::Udp(_) => true,
            #[cfg(feature = "zenoh")]
            Self::Zenoh(_) => true,
            _ => false,
        }
    }

    /// Returns the next step for a user who received no frame from the source.
    #[must_use]
    pub fn help_without_frames(&self) -> &'static str {
        match self {
            Self::Sim(_) => "give the simulated camera more time, such as `--duration 20s`: it begins with the command",
            Self::Tcp { .. } => {
                "another client may be connected: most cameras serve one client at a time; one that serves pictures over HTTP \
                 needs http://HOST:PORT/PATH"
            }
            #[cfg(feature = "http")]
            Self::HttpPost(_) => "check that the camera's application posts to this host, port and path",
            #[cfg(feature = "http")]
            Self::Http(_) => "open the address in a browser to see what the server sends",
            Self::Udp(_) => {
                "check that the camera's application sends to this host and this port, and that no firewall drops UDP"
            }
            #[cfg(feature = "mqtt")]
            Self::Mqtt(_) => "check the topic: `mosquitto_sub -h BROKER -v -t '#'` shows what is published",
            #[cfg(feature = "zenoh")]
            Self::Zenoh(_) => "`oaktap fleet --router ROUTER` lists the receivers and cameras that are there",
            Self::Listen { .. } => "check that the camera's application connects to this host and this port",
            Self::File(_) => "`oaktap recover FILE` saves the intact frames of a damaged recording to a new file",
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Listen { host, port } if host.contains(':') => write!(f, "listen://[{host}]:{port}"),
            Self::Listen { host, port } => write!(f, "listen://{host}:{port}"),
            #[cfg(feature = "http")]
            Self::Http(url) => url.fmt(f),
            #[cfg(feature = "http")]
            Self::HttpPost(spec) => spec.fmt(f),
            Self::Udp(spec) => spec.fmt(f),
            #[cfg(feature = "mqtt")]
            Self::Mqtt(spec) => spec.fmt(f),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(spec) => spec.fmt(f),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Sim(config) if **config == SimConfig { records: true, ..SimConfig::default() } => f.write_str("sim:"),
            Self::Sim(config) => write!(f, "sim:?{config}{}", if config.records { "" } else { "&records=off" }),
            Self::File(file) => file.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::playback::Speed;

    fn tcp(host: &str, port: u16) -> SourceSpec {
        SourceSpec::Tcp { host: host.to_owned(), port }
    }

    fn listen(host: &str, port: u16) -> SourceSpec {
        SourceSpec::Listen { host: host.to_owned(), port }
    }

    #[test]
    fn a_misspelled_scheme_is_recognized() {
        for (text, expected) in [
            ("simm:", Some("sim:")),
            ("Sim:?size=64x48", Some("sim:?size=64x48")),
            ("tcp:192.168.1.50", Some("tcp://192.168.1.50")),
            ("tcp:/192.168.1.50:5000", Some("tcp://192.168.1.50:5000")),
            ("lisen://:5000", Some("listen://:5000")),
            ("flie:a.mcap", Some("file:a.mcap")),
            ("rtsp://192.168.1.50", None),
            ("tcp:5000", None),
            ("cam:", None),
            ("192.168.1.50:x", None),
            ("[::1]:5000", None),
            ("fe80::1", None),
        ] {
            assert_eq!(intended(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn no_error_shows_a_password() {
        for text in [
            "http:/admin:s3cret@127.0.0.1/x",
            "http//admin:s3cret@127.0.0.1/x",
            "http:///admin:s3cret@127.0.0.1/x",
            "http:admin:s3cret@127.0.0.1/x",
            "http:/admin:s3cret/s3cret@127.0.0.1/x",
            "htp://admin:s3cret@127.0.0.1/x",
            "htp:/admin:s3cret@127.0.0.1/x",
            "htp//admin:s3cret@127.0.0.1/x",
            "front=http:/admin:s3cret@127.0.0.1/x",
            "mqtt:/admin:s3cret/s3cret@broker/cam",
            "rtsp:/admin:s3cret@127.0.0.1/x",
            "admin:s3cret@127.0.0.1",
            "admin:s3cret@127.0.0.1/x",
            "127.0.0.1/x?token=s3cret",
            "http:/127.0.0.1/x?user=admin&pwd=s3cret",
            "tcp://127.0.0.1:80/x?token=s3cret",
        ] {
            let error = text.parse::<SourceSpec>().expect_err(text);
            let shown = format!("{error} {error:?} {}", error.help().unwrap_or_default());
            assert!(!shown.contains("s3cret"), "{text}: {shown}");
            assert!(!without_password(text).contains("s3cret"), "{text}");
        }
        for text in ["file:a:b@c.mcap", "/srv/a:b@c.mcap", "192.168.1.50:5000", "sim:?size=64x48", "rec.mcap?speed=max"]
        {
            assert_eq!(without_password(text), text);
        }
        let hint = "htp://admin:s3cret@127.0.0.1/x".parse::<SourceSpec>().expect_err("no scheme").to_string();
        assert!(hint.ends_with("did you mean `http://admin:***@127.0.0.1/x`?"), "{hint}");
    }

    #[test]
    fn addresses_are_parsed_with_and_without_scheme_and_port() {
        for (text, spec) in [
            ("192.168.1.50", tcp("192.168.1.50", 5000)),
            ("192.168.1.50:9876", tcp("192.168.1.50", 9876)),
            ("camera.local", tcp("camera.local", 5000)),
            ("tcp://oak_1:5001/", tcp("oak_1", 5001)),
            ("192.168.1.50/", tcp("192.168.1.50", 5000)),
            (" 192.168.1.50:9876 \n", tcp("192.168.1.50", 9876)),
            ("tcp://192.168.1.50:5001//", tcp("192.168.1.50", 5001)),
            ("::1", tcp("::1", 5000)),
            ("[::1]", tcp("::1", 5000)),
            ("tcp://[fe80::1%eth0]:9876", tcp("fe80::1%eth0", 9876)),
            ("fe80::1%eth0", tcp("fe80::1%eth0", 5000)),
            ("tcp://::1", tcp("::1", 5000)),
            ("listen://", listen("0.0.0.0", 5000)),
            ("listen://:9876", listen("0.0.0.0", 9876)),
            ("listen://192.168.1.10", listen("192.168.1.10", 5000)),
            ("listen://[::]:9876/", listen("::", 9876)),
            ("sim:", SourceSpec::Sim(Box::new(SimConfig { records: true, ..SimConfig::default() }))),
            ("sim:?records=off", SourceSpec::Sim(Box::default())),
        ] {
            assert_eq!(text.parse().as_ref(), Ok(&spec), "{text}");
            assert_eq!(spec.to_string().parse(), Ok(spec), "{text}");
        }
        assert_eq!(tcp("::1", 5000).to_string(), "tcp://[::1]:5000");
    }

    #[test]
    fn invalid_sources_are_explained() {
        for (text, error) in [
            ("", "invalid source ``: missing host"),
            ("tcp://", "invalid source `tcp://`: missing host"),
            ("listen://:x", "invalid source `listen://:x`: expected a port from 1 to 65535, found `x`"),
            ("cam:", "invalid source `cam:`: expected a port from 1 to 65535, found ``"),
            (
                "htp://10.0.0.5/",
                "invalid source `htp://10.0.0.5/`: `htp://` is not supported; expected `tcp://`, `listen://`, `http://`, \
                 `https://`, `http-post://`, `mqtt://`, `mqtts://`, `udp://`, `sim:` or `file:`\nhelp: did you mean \
                 `http://10.0.0.5/`?",
            ),
            ("cam:0", "invalid source `cam:0`: expected a port from 1 to 65535, found `0`"),
            ("cam:65536", "invalid source `cam:65536`: expected a port from 1 to 65535, found `65536`"),
            ("[::1", "invalid source `[::1`: missing `]` after the IPv6 address"),
            ("[cam]:1", "invalid source `[cam]:1`: `cam` is not an IPv6 address"),
            ("[::1]5000", "invalid source `[::1]5000`: expected `:PORT` after the address, found `5000`"),
            (
                "rtsp://cam",
                "invalid source `rtsp://cam`: `rtsp://` is not supported; expected `tcp://`, `listen://`, `http://`, \
                 `https://`, `http-post://`, `mqtt://`, `mqtts://`, `udp://`, `sim:` or `file:`",
            ),
            (
                "192.168.1.256",
                "invalid source `192.168.1.256`: `192.168.1.256` is not an IPv4 address: expected four numbers from 0 to 255",
            ),
            (
                "tcp://10.0.0:9876",
                "invalid source `tcp://10.0.0:9876`: `10.0.0` is not an IPv4 address: expected four numbers from 0 to 255",
            ),
            (
                "14442C10D1",
                "invalid source `14442C10D1`: this is the id of a camera; expected its address\nhelp: `oaktap list` \
             shows the address of each camera",
            ),
            (
                "src",
                "invalid source `src`: this is a folder; expected an address or a recording\nhelp: `oaktap replay src` \
             plays all recordings of a folder; this command takes FILE.mcap",
            ),
            (
                "a/door.dap",
                "invalid source `a/door.dap`: this is a package; expected an address or a recording\nhelp: flash a \
             package with `oaktap flash CAMERA a/door.dap`",
            ),
            (
                "192.168.1.50/video",
                "invalid source `192.168.1.50/video`: an address has no path: remove `/video` after \
                 `192.168.1.50`\nhelp: a stream over HTTP is http://192.168.1.50/video",
            ),
            (
                "door/rec",
                "invalid source `door/rec`: there is no such file\nhelp: a camera has an address such as 192.168.1.50; a \
                 recording is an existing file",
            ),
            (
                "rec.mcap?spede=2",
                "invalid source `rec.mcap?spede=2`: unknown option `spede`; expected speed, loop, camera or then",
            ),
            (
                "tcp://me@cam",
                "invalid source `tcp://me@cam`: an address has no user name: remove all up to `@`, or begin with mqtt:// or http://",
            ),
            (
                "tcp://cam:5000/video",
                "invalid source `tcp://cam:5000/video`: an address has no path: remove `/video` after `cam:5000`",
            ),
            ("tcp:// cam", "invalid source `tcp:// cam`: host names cannot contain ` `"),
            ("a b", "invalid source `a b`: host names cannot contain ` `"),
            ("file:", "invalid source `file:`: missing file name"),
            ("file:?loop", "invalid source `file:?loop`: missing file name"),
            ("file:a%00", "invalid source `file:a%00`: file names cannot contain a zero byte"),
            (
                "file://host/a",
                "invalid source `file://host/a`: `//host/a` is on another host; expected file:PATH or file:///PATH",
            ),
            ("file:a?speed=0", "invalid source `file:a?speed=0`: `speed=0`: expected 0.001 to 1000 times, or max"),
            ("file:a?loop=2", "invalid source `file:a?loop=2`: `loop=2`: expected on or off"),
            ("file:a?camera=", "invalid source `file:a?camera=`: missing camera name"),
            ("file:a?x", "invalid source `file:a?x`: unknown option `x`; expected speed, loop, camera or then"),
            ("sim:40", "invalid source `sim:40`: expected `sim:` or `sim:?key=value&...`"),
        ] {
            let error = if cfg!(feature = "zenoh") {
                error.replace("`udp://`, ", "`udp://`, `zenoh://`, ")
            } else {
                error.to_owned()
            };
            assert_eq!(text.parse::<SourceSpec>().unwrap_err().to_string(), error);
        }
        let error = "sim:?fsp=40".parse::<SourceSpec>().unwrap_err().to_string();
        assert!(error.contains("unknown option `fsp`") && error.contains("fps"), "{error}");
    }

    #[cfg(not(feature = "zenoh"))]
    #[test]
    fn a_source_of_a_feature_that_is_not_built_says_how_to_get_it() {
        let error = "zenoh://bus/desk/front".parse::<SourceSpec>().unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid source `zenoh://bus/desk/front`: this oaktap was built without Zenoh\nhelp: build it with `cargo install --path \
             . --features zenoh`"
        );
    }

    #[test]
    fn recordings_are_parsed_with_their_options() {
        let file = |path: &str, camera: Option<&str>, speed, looped| {
            let camera = camera.map(str::to_owned);
            SourceSpec::File(FileSpec { path: path.into(), later: Vec::new(), camera, speed, looped })
        };
        let plain = |path: &str| file(path, None, Speed::Times(1.0), false);
        for (text, spec, shown) in [
            ("file:a.mcap", plain("a.mcap"), "file:a.mcap"),
            ("file:/tmp/a b.mcap", plain("/tmp/a b.mcap"), "file:/tmp/a b.mcap"),
            ("file:///tmp/a%20b.mcap", plain("/tmp/a b.mcap"), "file:/tmp/a b.mcap"),
            ("file://localhost/a", plain("/a"), "file:/a"),
            ("file:what%3f", plain("what?"), "file:what%3F"),
            ("file:50%.mcap", plain("50%.mcap"), "file:50%25.mcap"),
            ("file:////srv/a", plain("//srv/a"), "file:////srv/a"),
            ("file:a?loop=off&speed=1", plain("a"), "file:a"),
            (
                "file:a?speed=0.5x&loop&camera=front%26back",
                file("a", Some("front&back"), Speed::Times(0.5), true),
                "file:a?speed=0.5&loop&camera=front%26back",
            ),
            ("file:a?speed=max", file("a", None, Speed::Max, false), "file:a?speed=max"),
            ("rec.mcap", plain("rec.mcap"), "file:rec.mcap"),
            ("/tmp/a%20b.MCAP", plain("/tmp/a%20b.MCAP"), "file:/tmp/a%2520b.MCAP"),
            ("a/rec.mcap?speed=max", file("a/rec.mcap", None, Speed::Max, false), "file:a/rec.mcap?speed=max"),
            ("Cargo.toml", plain("Cargo.toml"), "file:Cargo.toml"),
        ] {
            assert_eq!(text.parse().as_ref(), Ok(&spec), "{text}");
            assert_eq!(spec.to_string(), shown);
            assert_eq!(shown.parse(), Ok(spec), "{shown}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn addresses_round_trip(address in any::<std::net::IpAddr>(), port in 1..=u16::MAX) {
            let spec = tcp(&address.to_string(), port);
            prop_assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
            prop_assert_eq!(std::net::SocketAddr::new(address, port).to_string().parse(), Ok(spec));
            prop_assert_eq!(address.to_string().parse(), Ok(tcp(&address.to_string(), PORT)));
        }

        #[test]
        fn names_round_trip(host in "[a-z_][a-z0-9._-]{0,40}[g-z]", port in 1..=u16::MAX) {
            let spec = tcp(&host, port);
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[test]
        fn simulations_round_trip(width in 1_u32..100, fps in 0.0..100.0, boxes in 0_u32..20, seed in any::<u64>()) {
            let config = SimConfig { size: (2 * width, 64), fps, boxes, seed, ..SimConfig::default() };
            let spec = SourceSpec::Sim(Box::new(config));
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[cfg(unix)]
        #[test]
        fn recordings_round_trip(
            path in prop::collection::vec(1_u8.., 1..40),
            later in prop::collection::vec(prop::collection::vec(1_u8.., 1..40), 0..3),
            camera in prop::option::of("\\PC{1,20}"),
            speed in prop::option::of(0.001..1000.0),
            looped in any::<bool>(),
        ) {
            let path_of = |bytes| std::path::PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes));
            let (path, later) = (path_of(path), later.into_iter().map(path_of).collect());
            let speed = speed.map_or(Speed::Max, Speed::Times);
            let spec = SourceSpec::File(FileSpec { path, later, camera, speed, looped });
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[test]
        fn any_recording_is_rejected_or_round_trips(text in "file:\\PC{0,60}") {
            if let Ok(spec) = text.parse::<SourceSpec>() {
                prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
        }

        #[test]
        fn any_text_is_rejected_or_round_trips(text in "\\PC{0,60}") {
            if let Ok(spec) = text.parse::<SourceSpec>() {
                prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
        }
    }
}
