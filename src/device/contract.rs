//! What an application and those who receive its stream agree on: it stands in the package as the application's name,
//! and the camera says it in its records at every connection (wire.md section 7).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::frame::Size;
use crate::wire::Introduction;

/// Frame rates are told with six digits.
const RATE_DIGITS: f32 = 1e-5;

/// The version of the records that a camera with our Script sends.
pub const VERSION: u32 = 1;

/// Who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Meeting {
    /// The host that the camera connects to; without one it listens.
    pub host: Option<Ipv4Addr>,
    /// The TCP port, of the host or of the camera.
    pub port: u16,
}

/// What a stream is. Its text is the application's name in a package: `door oaktap/1 640x352 BGR888p 30 1a2b3c4d :5000`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Contract {
    /// What the application is called.
    pub name: String,
    /// Width of its pictures in pixels.
    pub width: u32,
    /// Height of its pictures in pixels.
    pub height: u32,
    /// Their type: `BGR888p`, `RGB888p`, `JPEG`, `H264`, `H265`.
    pub format: String,
    /// Frames a second.
    pub fps: f32,
    /// [`Self::labels_hash`] of the names of the classes, if they have any.
    pub labels: Option<u32>,
    /// Where it is to be had. `None`: the stream told the rest, and whoever has that knows.
    pub meeting: Option<Meeting>,
}

impl Contract {
    /// CRC-32 (IEEE 802.3) of the names with line feeds between them, because that is what the camera can compute
    /// (`binascii`); `None` without names.
    #[must_use]
    pub fn labels_hash<S: AsRef<str>>(labels: &[S]) -> Option<u32> {
        let names: Vec<_> = labels.iter().map(AsRef::as_ref).collect();
        (!names.is_empty()).then(|| crc32fast::hash(names.join("\n").as_bytes()))
    }

    /// In what the records of a connection tell of another application. What they do not say is no difference.
    #[must_use]
    pub fn contradicted_by(&self, said: &Introduction) -> Vec<String> {
        if said.is_empty() {
            return Vec::new();
        }
        let (width, height) = said.size.unwrap_or((self.width, self.height));
        let fps = said.fps.filter(|fps| (fps - self.fps).abs() > RATE_DIGITS * self.fps).unwrap_or(self.fps);
        let found = Self {
            name: said.app.clone().unwrap_or_default(),
            width,
            height,
            format: said.format.clone().unwrap_or_else(|| self.format.clone()),
            fps,
            labels: said.table.map(|table| table.crc32),
            meeting: None,
        };
        let mut differences = self.differences(&found);
        if let Some(version) = said.version.filter(|version| *version != VERSION) {
            differences.push(format!("expected version {VERSION} of the records, found {version}"));
        }
        differences
    }

    /// In what `found` is another stream than this one, in words; nothing if they are the same. Where it was had is no
    /// part of that.
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
        let Self { name, width, height, format, fps, labels, meeting } = self;
        write!(f, "{name} oaktap/{VERSION} {width}x{height} {format} {fps} ")?;
        match labels {
            Some(hash) => write!(f, "{hash:08x}")?,
            None => f.write_str("-")?,
        }
        match meeting {
            Some(Meeting { host: Some(host), port }) => write!(f, " {host}:{port}"),
            Some(Meeting { host: None, port }) => write!(f, " :{port}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum ContractError {
    /// The name of an application that was not built by oaktap.
    #[error(
        "`{found}` is no contract of oaktap: expected NAME oaktap/{VERSION} WIDTHxHEIGHT TYPE FPS LABELS [HOST]:PORT"
    )]
    None { found: String },
    /// Of a version that is not known here.
    #[error(
        "the application speaks version {found} of oaktap's records, and version {VERSION} is known here: a newer oaktap is needed"
    )]
    Version { found: String },
}

impl FromStr for Contract {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let none = || ContractError::None { found: text.to_owned() };
        let words: Vec<_> = text.split(' ').collect();
        let [name, version, ..] = words[..] else { return Err(none()) };
        let version = version.strip_prefix("oaktap/").ok_or_else(none)?;
        if version.parse() != Ok(VERSION) {
            return Err(ContractError::Version { found: version.to_owned() });
        }
        let (size, format, fps, labels, meeting) = match words[..] {
            [_, _, size, format, fps, labels] => (size, format, fps, labels, None),
            [_, _, size, format, fps, labels, meeting] => (size, format, fps, labels, Some(meeting)),
            _ => return Err(none()),
        };
        let meeting = meeting.map(|text| meet(text).ok_or_else(none)).transpose()?;
        let Size { width, height } = size.parse().map_err(|_| none())?;
        let labels = match labels {
            "-" => None,
            hash if hash.len() == 8 => Some(u32::from_str_radix(hash, 16).map_err(|_| none())?),
            _ => return Err(none()),
        };
        let fps: f32 = fps.parse().map_err(|_| none())?;
        if name.is_empty() || format.is_empty() || !fps.is_finite() {
            return Err(none());
        }
        Ok(Self { name: name.to_owned(), width, height, format: format.to_owned(), fps, labels, meeting })
    }
}

/// `:5000`, `192.168.1.10:5000`.
fn meet(text: &str) -> Option<Meeting> {
    let (host, port) = text.split_once(':')?;
    let host = if host.is_empty() { None } else { Some(host.parse().ok()?) };
    Some(Meeting { host, port: port.parse().ok().filter(|port| *port != 0)? })
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
            meeting: Some(Meeting { host: None, port: 5000 }),
        }
    }

    #[test]
    fn its_text_is_read_back() {
        // binascii.crc32(b"person\ntraffic light") of CPython.
        assert_eq!(door().to_string(), "door oaktap/1 640x352 BGR888p 12.5 abda5f13 :5000");
        let host = Meeting { host: Some(Ipv4Addr::new(10, 0, 0, 1)), port: 80 };
        let others = [
            Contract { labels: None, fps: 30.0, ..door() },
            Contract { meeting: Some(host), ..door() },
            Contract { meeting: None, ..door() },
        ];
        for contract in [door()].into_iter().chain(others) {
            assert_eq!(contract.to_string().parse(), Ok(contract));
        }
    }

    #[test]
    fn other_names_are_none() {
        for text in ["", "door", "my app oaktap/1", "door oaktap/1", "door oaktap/1 640 BGR888p 30 -"] {
            assert_eq!(text.parse::<Contract>(), Err(ContractError::None { found: text.to_owned() }), "{text}");
        }
        for text in
            ["door oaktap/1 640x352 BGR888p 30 123", "door oaktap/1 640x352 BGR888p nan -", "a oaktap/1 1x1 A 1 - 5000"]
        {
            assert!(matches!(text.parse::<Contract>(), Err(ContractError::None { .. })), "{text}");
        }
        let newer = "door oaktap/2 whatever".parse::<Contract>();
        assert_eq!(newer, Err(ContractError::Version { found: "2".to_owned() }));
    }

    #[test]
    fn differences_are_told_one_by_one() {
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
