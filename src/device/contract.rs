//! The contract of an application: properties of its stream that receivers can check. The package carries it as the
//! application's name, and the camera sends it in its records at every connection (wire.md section 7).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::app::Transport;
use crate::frame::Size;
use crate::wire::Introduction;

/// Relative error of a frame rate that is sent with six digits.
const FPS_TOLERANCE: f32 = 1e-5;

/// Ends the text form of an endpoint that gets datagrams.
const UDP: &str = "/udp";

/// Version of the records that oaktap's Script sends.
pub const VERSION: u32 = 1;

/// The endpoint of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Endpoint {
    /// The host that the camera connects to. `None`: the camera listens.
    pub host: Option<Ipv4Addr>,
    /// Port of the host, or of the camera.
    pub port: u16,
    /// Transport of the stream. [`Transport::Udp`] has a host.
    #[serde(skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
}

/// Properties of a stream. The text form is the application's name in a package:
/// `door oaktap/1 640x352 BGR888p 30 1a2b3c4d :5000`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Contract {
    /// Name of the application.
    pub name: String,
    /// Width of its pictures in pixels.
    pub width: u32,
    /// Height of its pictures in pixels.
    pub height: u32,
    /// Format of the pictures: `BGR888p`, `RGB888p`, `JPEG`, `H264`, `H265`.
    pub format: String,
    /// Frames per second.
    pub fps: f32,
    /// [`Self::labels_hash`] of the names of the classes.
    pub labels: Option<u32>,
    /// `None` in a contract that was read from a stream.
    #[serde(rename = "meeting")]
    pub endpoint: Option<Endpoint>,
}

impl Contract {
    /// Returns the CRC-32 (IEEE 802.3) of the names, joined by line feeds; `None` without names. The camera can compute it
    /// (`binascii`).
    #[must_use]
    pub fn labels_hash<S: AsRef<str>>(labels: &[S]) -> Option<u32> {
        let names: Vec<_> = labels.iter().map(AsRef::as_ref).collect();
        (!names.is_empty()).then(|| crc32fast::hash(names.join("\n").as_bytes()))
    }

    /// Returns the differences to the records of a connection, in words. The records must name the application, as our
    /// Script does at the beginning of every connection. Other properties that the records leave out are not compared.
    #[must_use]
    pub fn differences_to(&self, records: &Introduction) -> Vec<String> {
        let Some(app) = &records.app else {
            return vec![format!("expected {}, found an application that does not identify itself", self.name)];
        };
        let (width, height) = records.size.unwrap_or((self.width, self.height));
        let fps = records.fps.filter(|fps| (fps - self.fps).abs() > FPS_TOLERANCE * self.fps).unwrap_or(self.fps);
        let found = Self {
            name: app.clone(),
            width,
            height,
            format: records.format.clone().unwrap_or_else(|| self.format.clone()),
            fps,
            labels: records.table.map(|table| table.crc32),
            endpoint: None,
        };
        let mut differences = self.differences(&found);
        if let Some(version) = records.version.filter(|version| *version != VERSION) {
            differences.push(format!("expected version {VERSION} of the records, found {version}"));
        }
        differences
    }

    /// Returns the differences to `found`, in words. The endpoint is not compared.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let labels =
            |hash: Option<u32>| hash.map_or_else(|| "no labels".to_owned(), |hash| format!("labels {hash:08x}"));
        let pairs = [
            (self.name.clone(), found.name.clone()),
            (format!("{}x{}", self.width, self.height), format!("{}x{}", found.width, found.height)),
            (self.format.clone(), found.format.clone()),
            (format!("{} frames/s", self.fps), format!("{} frames/s", found.fps)),
            (labels(self.labels), labels(found.labels)),
        ];
        let other = pairs.into_iter().filter(|(expected, found)| expected != found);
        other.map(|(expected, found)| format!("expected {expected}, found {found}")).collect()
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, width, height, format, fps, labels, endpoint } = self;
        write!(f, "{name} oaktap/{VERSION} {width}x{height} {format} {fps} ")?;
        match labels {
            Some(hash) => write!(f, "{hash:08x}")?,
            None => f.write_str("-")?,
        }
        match endpoint {
            Some(Endpoint { host, port, transport }) => {
                let host = host.map(|host| host.to_string()).unwrap_or_default();
                let transport = if transport.is_tcp() { "" } else { UDP };
                write!(f, " {host}:{port}{transport}")
            }
            None => Ok(()),
        }
    }
}

/// Reason for rejecting the text form of a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum ContractError {
    /// The name of an application that was not built by oaktap.
    #[error("invalid contract `{found}`: expected NAME oaktap/{VERSION} WIDTHxHEIGHT TYPE FPS LABELS [HOST]:PORT")]
    Malformed { found: String },
    /// A version that this oaktap does not support.
    #[error("the application sends version {found} of oaktap's records, expected {VERSION}: update oaktap")]
    Version { found: String },
}

impl FromStr for Contract {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let malformed = || ContractError::Malformed { found: text.to_owned() };
        let words: Vec<_> = text.split(' ').collect();
        let [name, version, ..] = words[..] else { return Err(malformed()) };
        let version = version.strip_prefix("oaktap/").ok_or_else(malformed)?;
        if version.parse() != Ok(VERSION) {
            return Err(ContractError::Version { found: version.to_owned() });
        }
        let (size, format, fps, labels, endpoint) = match words[..] {
            [_, _, size, format, fps, labels] => (size, format, fps, labels, None),
            [_, _, size, format, fps, labels, endpoint] => (size, format, fps, labels, Some(endpoint)),
            _ => return Err(malformed()),
        };
        let endpoint = endpoint.map(|text| parse_endpoint(text).ok_or_else(malformed)).transpose()?;
        let Size { width, height } = size.parse().map_err(|_| malformed())?;
        let labels = match labels {
            "-" => None,
            hash if hash.len() == 8 => Some(u32::from_str_radix(hash, 16).map_err(|_| malformed())?),
            _ => return Err(malformed()),
        };
        let fps: f32 = fps.parse().map_err(|_| malformed())?;
        if name.is_empty() || format.is_empty() || !fps.is_finite() {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), width, height, format: format.to_owned(), fps, labels, endpoint })
    }
}

/// `:5000`, `192.168.1.10:5000`, `192.168.1.10:5000/udp`.
fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (text, transport) = text.strip_suffix(UDP).map_or((text, Transport::Tcp), |text| (text, Transport::Udp));
    let (host, port) = text.split_once(':')?;
    let host = if host.is_empty() { None } else { Some(host.parse().ok()?) };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (transport.is_tcp() || host.is_some()).then_some(Endpoint { host, port, transport })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Contract {
        Contract {
            name: "door".to_owned(),
            width: 640,
            height: 352,
            format: "BGR888p".to_owned(),
            fps: 12.5,
            labels: Contract::labels_hash(&["person", "traffic light"]),
            endpoint: Some(Endpoint { host: None, port: 5000, transport: Transport::Tcp }),
        }
    }

    #[test]
    fn text_form_round_trips() {
        // binascii.crc32(b"person\ntraffic light") of CPython.
        assert_eq!(door().to_string(), "door oaktap/1 640x352 BGR888p 12.5 abda5f13 :5000");
        let host = Endpoint { host: Some(Ipv4Addr::new(10, 0, 0, 1)), port: 80, transport: Transport::Tcp };
        let datagrams = Endpoint { transport: Transport::Udp, ..host };
        let others = [
            Contract { labels: None, fps: 30.0, ..door() },
            Contract { endpoint: Some(host), ..door() },
            Contract { endpoint: Some(datagrams), ..door() },
            Contract { endpoint: None, ..door() },
        ];
        for contract in [door()].into_iter().chain(others) {
            assert_eq!(contract.to_string().parse(), Ok(contract));
        }
    }

    #[test]
    fn other_application_names_are_not_contracts() {
        for text in ["", "door", "my app oaktap/1", "door oaktap/1", "door oaktap/1 640 BGR888p 30 -"] {
            assert_eq!(text.parse::<Contract>(), Err(ContractError::Malformed { found: text.to_owned() }), "{text}");
        }
        for text in
            ["door oaktap/1 640x352 BGR888p 30 123", "door oaktap/1 640x352 BGR888p nan -", "a oaktap/1 1x1 A 1 - 5000"]
        {
            assert!(matches!(text.parse::<Contract>(), Err(ContractError::Malformed { .. })), "{text}");
        }
        let newer = "door oaktap/2 whatever".parse::<Contract>();
        assert_eq!(newer, Err(ContractError::Version { found: "2".to_owned() }));
    }

    #[test]
    fn every_difference_is_reported() {
        assert_eq!(door().differences(&door()), [""; 0]);
        let other = Contract { width: 416, height: 416, fps: 30.0, labels: None, ..door() };
        let labels = door().labels.expect("it has some");
        assert_eq!(
            door().differences(&other),
            [
                "expected 640x352, found 416x416".to_owned(),
                "expected 12.5 frames/s, found 30 frames/s".to_owned(),
                format!("expected labels {labels:08x}, found no labels"),
            ]
        );
    }
}
