//! Errors of sources and their connections, with the place in the stream and the next command.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::frame::Utc;
use crate::units::count;
use crate::wire::{Excerpt, HeaderFault};

/// Classes of errors, by the effect of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorClass {
    /// The next attempt can succeed.
    Retry,
    /// Every attempt would fail in the same way.
    Fatal,
    /// The source is not valid as given.
    Usage,
}

/// A connection or an attempt to connect, and its progress.
#[derive(Clone, Debug, Default)]
pub struct ConnContext {
    /// Number of the attempt in the session, from 1; 0 for an error without an attempt.
    pub number: u64,
    /// The source as the user named it.
    pub source: String,
    /// The camera's address and ours, once connected.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Time of connecting in nanoseconds since 1970, UTC.
    pub since_unix_ns: i64,
    /// Duration of the connection.
    pub up: Duration,
    /// Bytes received on the connection.
    pub bytes: u64,
    /// Frames received on the connection.
    pub frames: u64,
    /// The session received frames on an earlier connection.
    pub streamed_before: bool,
}

/// Cause of a [`SourceError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The host name has no address.
    #[error("could not resolve the host name: {0}")]
    Resolve(io::Error),
    /// The host or the system refused the connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The attempt to connect was not answered in time.
    #[error("cannot connect: no answer within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The address of `listen://` cannot be bound.
    #[error("cannot listen for the camera: {0}")]
    Listen(io::Error),
    /// The camera opened a new connection while the last one was still open (`listen://`).
    #[error("the camera reconnected")]
    Reconnected,
    /// Reading from the connection failed.
    #[error("read failed: {0}")]
    Read(io::Error),
    /// The camera closed the connection.
    #[error("the camera closed the connection")]
    Closed,
    /// The camera sent a note and closed the connection.
    #[error("the camera closed the connection: \"{note}\"")]
    ClosedWithNote {
        /// The text of the note (`@N`).
        note: String,
    },
    /// No byte arrived within [`idle`](super::Timeouts::idle).
    #[error("no data for {:.1} s", .0.as_secs_f32())]
    Idle(Duration),
    /// Frame sync was lost so often that reconnecting is cheaper.
    #[error("lost frame sync {failures} times in a row")]
    Resync {
        /// Number of losses.
        failures: u32,
    },
    /// Bytes arrive, but no frame is found in them any more.
    #[error("no frame in the data of the last {:.1} s", .0.as_secs_f32())]
    NoFrames(Duration),
    /// The received bytes are not a camera stream.
    #[error("{}", describe_server(.found))]
    NotACamera {
        /// Position of the first bytes that were not understood, in bytes since the connection was opened.
        at: u64,
        /// The bytes there.
        found: Vec<u8>,
    },
    /// The first header is not valid, or announces more than [`Limits`](crate::wire::Limits) allow.
    #[error("{}invalid header: {fault}", if matches!(fault, HeaderFault::Field { .. }) { "not a camera stream: " } else { "" })]
    Header {
        /// Position of the header in bytes since the connection was opened.
        at: u64,
        /// Bytes of the header.
        found: Vec<u8>,
        /// The reason.
        fault: HeaderFault,
    },
    /// The stream is from another application than [`expect`](super::SessionOptions::expect).
    #[error("unexpected application on the camera: {}", .differences.join("; "))]
    UnexpectedApplication {
        /// Each difference, with the expected and the found value.
        differences: Vec<String>,
    },
    /// The server sends no pictures.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(super::HttpError),
    /// The broker delivers nothing.
    #[cfg(feature = "mqtt")]
    #[error(transparent)]
    Mqtt(super::MqttError),
    /// The router cannot be reached, or was lost.
    #[cfg(feature = "zenoh")]
    #[error(transparent)]
    Zenoh(super::ZenohError),
    /// The simulated camera could not be started.
    #[error("could not start the simulated camera: {0}")]
    Sim(io::Error),
    /// The recording could not be opened, or is damaged.
    #[error("{}", crate::error::with_causes(.0))]
    Recording(crate::recording::RecordingError),
    /// The recording does not have the named camera, or has several and none was named.
    #[error("{}", describe_cameras(.asked.as_deref(), .cameras))]
    SelectCamera {
        /// The name given by the user.
        asked: Option<String>,
        /// Names of the recording's cameras.
        cameras: Vec<String>,
    },
}

impl SourceErrorKind {
    /// Returns whether there was a connection, which is lost now.
    #[must_use]
    pub const fn was_connected(&self) -> bool {
        #[cfg(feature = "zenoh")]
        if let Self::Zenoh(error) = self {
            return error.was_connected();
        }
        !matches!(self, Self::Resolve(_) | Self::Connect(_) | Self::ConnectTimeout(_) | Self::Listen(_) | Self::Sim(_))
    }
}

fn describe_cameras(asked: Option<&str>, cameras: &[String]) -> String {
    let names = cameras.join(", ");
    match asked {
        Some(asked) => format!("this recording has no camera `{asked}`; it has {names}"),
        None => format!("this recording has {}: {names}", count(cameras.len() as u64, "camera", "cameras")),
    }
}

/// An error with its connection.
#[derive(Debug)]
pub struct SourceError {
    /// The connection or attempt.
    pub conn: ConnContext,
    /// The cause.
    pub kind: SourceErrorKind,
}

impl std::error::Error for SourceError {}

pub(super) fn is_http(found: &[u8]) -> bool {
    found.starts_with(b"HTTP/")
}

fn describe_server(found: &[u8]) -> &'static str {
    match found {
        _ if is_http(found) => "an HTTP server answered, not a camera stream",
        [b'S', b'S', b'H', b'-', ..] => "an SSH server answered, not a camera stream",
        [0x16, 3, ..] | [0x15, 3, ..] => "a TLS server answered, not a camera stream",
        [b'R', b'T', b'S', b'P', b'/', ..] => "an RTSP server answered, not a camera stream",
        [0xff, 0xd8, 0xff, ..] => "JPEG pictures without headers are not a camera stream",
        [b'{' | b'[', ..] => "JSON without headers is not a camera stream",
        _ => "the received data is not a camera stream",
    }
}

/// Completes the commands in a help text for the camera of a name: the text, and the name.
pub type Advise = fn(help: &str, camera: &str) -> String;

impl SourceError {
    /// Returns the file of a recording that it is about, if it knows it.
    #[must_use]
    pub fn recording(&self) -> Option<&std::path::Path> {
        match &self.kind {
            SourceErrorKind::Recording(error) => error.path(),
            _ => None,
        }
    }

    /// Returns whether a recording was played up to a damage, or up to its torn end.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(&self.kind, SourceErrorKind::Recording(error) if error.is_damage())
    }

    /// Returns whether a recording was played up to its torn end.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        matches!(&self.kind, SourceErrorKind::Recording(error) if error.is_torn())
    }

    /// Returns whether retrying can help.
    #[must_use]
    pub fn class(&self) -> SourceErrorClass {
        match &self.kind {
            #[cfg(feature = "http")]
            SourceErrorKind::Http(error) => error.class(),
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Mqtt(error) => error.class(),
            #[cfg(feature = "zenoh")]
            SourceErrorKind::Zenoh(error) => error.class(),
            SourceErrorKind::NotACamera { .. }
            | SourceErrorKind::Header { .. }
            | SourceErrorKind::UnexpectedApplication { .. }
            | SourceErrorKind::Listen(_) => SourceErrorClass::Fatal,
            SourceErrorKind::Sim(error) if error.kind() == io::ErrorKind::InvalidInput => SourceErrorClass::Usage,
            SourceErrorKind::Sim(_) => SourceErrorClass::Fatal,
            SourceErrorKind::Recording(_) => SourceErrorClass::Fatal,
            SourceErrorKind::SelectCamera { .. } => SourceErrorClass::Usage,
            SourceErrorKind::Resolve(_)
            | SourceErrorKind::Connect(_)
            | SourceErrorKind::ConnectTimeout(_)
            | SourceErrorKind::Read(_)
            | SourceErrorKind::Closed
            | SourceErrorKind::ClosedWithNote { .. }
            | SourceErrorKind::Reconnected
            | SourceErrorKind::Idle(_)
            | SourceErrorKind::Resync { .. }
            | SourceErrorKind::NoFrames(_) => SourceErrorClass::Retry,
        }
    }

    /// Returns whether the source failed before its first frame in a way that does not end by itself, but may be ended by
    /// somebody: a server that answers with an error, another server on the port, or another program that listens there.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let may_pass = match &self.kind {
            #[cfg(feature = "http")]
            SourceErrorKind::Http(_) => true,
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Mqtt(_) => true,
            SourceErrorKind::NotACamera { .. } | SourceErrorKind::Listen(_) => true,
            _ => false,
        };
        let streamed = self.conn.streamed_before || self.conn.frames > 0;
        may_pass && !streamed && self.class() == SourceErrorClass::Fatal
    }

    /// Returns whether no program listened on the port. Another attempt then costs one packet.
    pub(super) fn refused(&self) -> bool {
        matches!(&self.kind, SourceErrorKind::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Returns the next step for the user.
    #[must_use]
    pub fn help(&self) -> Option<Cow<'static, str>> {
        let help = match &self.kind {
            SourceErrorKind::Header { fault: HeaderFault::Payload { max, claimed }, .. } => {
                let next = claimed.checked_next_power_of_two().unwrap_or(*claimed) >> 20;
                return Some(Cow::Owned(format!(
                    "if the pictures are as large as that, raise --max-payload, which is {max} bytes now, such as \
                     --max-payload {next}MiB"
                )));
            }
            #[cfg(feature = "http")]
            SourceErrorKind::Http(error) => error.help(),
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Mqtt(error) => error.help(self.conn.streamed_before || self.conn.frames > 0),
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Connect(_) if self.conn.streamed_before && self.conn.source.starts_with("mqtt") => {
                Some(crate::net::mqtt::GONE_HELP)
            }
            #[cfg(feature = "zenoh")]
            SourceErrorKind::Zenoh(error) => error.help(),
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Connect(_) if self.refused() && self.conn.source.starts_with("mqtt") => {
                Some("no broker listens on this port; on the broker's host, `mosquitto -p 1883` starts one")
            }
            SourceErrorKind::Header { fault: HeaderFault::NoPayload, .. } => Some(
                "the application on the camera sends frames without pictures: `oaktap doctor CAMERA` says what it runs",
            ),
            SourceErrorKind::Header { .. } => Some(
                "docs/stream.md describes the headers, for your own sender; `oaktap doctor CAMERA` says what a camera runs",
            ),
            SourceErrorKind::Resolve(_) if self.conn.source.contains('%') => {
                Some("the interface after `%` may not exist: `ip link` lists the interfaces of this host")
            }
            SourceErrorKind::Connect(error)
                if error.kind() == io::ErrorKind::InvalidInput && self.conn.source.contains("[fe80:") =>
            {
                Some("a link-local address needs the interface of this host: tcp://[fe80::1%eth0]:5000")
            }
            SourceErrorKind::Resolve(_) => Some(
                "pass the IP address: cameras do not announce a host name; `oaktap list` shows their addresses, and names of \
                 oaktap.toml need --config oaktap.toml",
            ),
            SourceErrorKind::Connect(_) if self.refused() && self.conn.streamed_before => Some(
                "the camera has just streamed and may be restarting; if this persists, `oaktap doctor CAMERA` says what it \
                 runs",
            ),
            SourceErrorKind::Connect(_) if self.refused() => Some(
                "no program listens on this port (usual: 5000 or 9876); `oaktap doctor CAMERA` says what the camera runs",
            ),
            SourceErrorKind::Connect(_) | SourceErrorKind::ConnectTimeout(_) => Some(
                "`oaktap doctor CAMERA` checks the network; without DHCP, a camera has the address 169.254.1.222/16",
            ),
            SourceErrorKind::Closed if self.conn.frames == 0 && self.conn.bytes == 0 => Some(
                "the camera may serve other clients already: close one of them; otherwise `oaktap doctor CAMERA` says what it \
                 runs",
            ),
            SourceErrorKind::Closed if self.conn.frames == 0 => {
                Some("the application on the camera has ended: power-cycle the camera")
            }
            SourceErrorKind::ClosedWithNote { .. } => {
                Some("the camera serves a limited number of clients at a time: close one of them")
            }
            SourceErrorKind::Idle(_) if self.conn.source.starts_with("udp:") => {
                Some("the camera has stopped sending; a camera that sends rarely needs --idle-timeout")
            }
            #[cfg(feature = "mqtt")]
            SourceErrorKind::Idle(_) if self.conn.source.starts_with("mqtt") => Some(
                "the broker answers, but the camera has stopped publishing; a camera that publishes rarely needs --idle-timeout",
            ),
            SourceErrorKind::Idle(_) => Some(
                "if this persists, another client may hold the camera: close that client or power-cycle the camera",
            ),
            SourceErrorKind::NotACamera { found, .. } if is_http(found) => {
                let address = self.conn.source.strip_prefix("tcp://").unwrap_or("HOST:PORT");
                return Some(Cow::Owned(format!(
                    "if this port serves motion JPEG or still pictures, give http://{address}/ with the path of the pictures"
                )));
            }
            SourceErrorKind::NotACamera { .. } => {
                Some("check the address and port: camera streams usually use port 5000 or 9876")
            }
            SourceErrorKind::UnexpectedApplication { .. } => Some(
                "flash the expected application with `oaktap flash CAMERA --app app.dap`, or change --expect; without --expect, every \
                 application is accepted",
            ),
            SourceErrorKind::Sim(_) => Some("`oaktap simulate --help` lists the options of simulated cameras"),
            SourceErrorKind::Recording(error) => error.help(),
            SourceErrorKind::SelectCamera { .. } => Some("select a camera with file:PATH?camera=NAME"),
            SourceErrorKind::Listen(_) if self.conn.source.starts_with("udp") => Some(
                "another program may use this port, or this host does not have the address; udp://:PORT receives on all",
            ),
            SourceErrorKind::Listen(_) => Some(
                "another program may use this port, or this host does not have the address; listen://:PORT accepts on all",
            ),
            SourceErrorKind::Read(_)
            | SourceErrorKind::Closed
            | SourceErrorKind::Reconnected
            | SourceErrorKind::Resync { .. }
            | SourceErrorKind::NoFrames(_) => None,
        };
        // A simulated camera has no network, and the command would start another one.
        let is_simulated = self.conn.source.starts_with("sim:");
        help.filter(|help| !is_simulated || !help.contains("`oaktap doctor ")).map(Cow::Borrowed)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnContext { number, source, addresses, since_unix_ns, up, bytes, frames, .. } = &self.conn;
        write!(f, "{}", self.kind)?;
        // The place of the quoted bytes, or else the end of the bytes received.
        let mut at = *bytes;
        if let SourceErrorKind::NotACamera { at: quoted, found } | SourceErrorKind::Header { at: quoted, found, .. } =
            &self.kind
        {
            at = *quoted;
            write!(f, "\n  found  ")?;
            let shown = &found[..found.len().min(16)];
            shown.iter().try_for_each(|byte| write!(f, "{byte:02x} "))?;
            write!(f, "  {}", Excerpt::new(found))?;
        }
        if let SourceErrorKind::NotACamera { .. } = &self.kind {
            write!(f, "\n  expected  `IMG `, `ABCDE `, `FRAME ` or `DETECT` and the numbers of a 32-byte header")?;
        }
        let Some((camera, us)) = addresses else {
            return match number {
                0 => write!(f, "\n  from   {source}"),
                _ => write!(f, "\n  conn   #{number}  {source}"),
            };
        };
        let since = Utc::from_unix_ns(*since_unix_ns);
        let up = up.as_secs_f32();
        // The relative sequence number wraps at 2^32, and the first byte has number 1.
        let seq = at.wrapping_add(1) as u32;
        write!(f, "\n  where  byte {at}, frame {frames}   (Wireshark: relative tcp.seq {seq})")?;
        write!(f, "\n  conn   #{number}  {camera} -> {us}  up {up:.1} s  since {since}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_place_and_connection() {
        let conn = ConnContext {
            number: 3,
            source: "tcp://192.168.1.50:8080".to_owned(),
            addresses: Some(("192.168.1.50:8080".parse().unwrap(), "192.168.1.10:51422".parse().unwrap())),
            since_unix_ns: 1_795_248_723_500_000_000,
            up: Duration::from_millis(1600),
            bytes: 17,
            frames: 0,
            streamed_before: false,
        };
        let kind = SourceErrorKind::NotACamera { at: 0, found: b"HTTP/1.0 400 Bad request".to_vec() };
        let error = SourceError { conn, kind };
        assert_eq!(
            error.to_string(),
            "an HTTP server answered, not a camera stream\
             \n  found  48 54 54 50 2f 31 2e 30 20 34 30 30 20 42 61 64   `HTTP/1.0 400 Bad request`\
             \n  expected  `IMG `, `ABCDE `, `FRAME ` or `DETECT` and the numbers of a 32-byte header\
             \n  where  byte 0, frame 0   (Wireshark: relative tcp.seq 1)\
             \n  conn   #3  192.168.1.50:8080 -> 192.168.1.10:51422  up 1.6 s  since 2026-11-21T08:12:03.500Z"
        );
        assert_eq!(error.class(), SourceErrorClass::Fatal);
        assert_eq!(
            error.help(),
            Some(
                "if this port serves motion JPEG or still pictures, give http://192.168.1.50:8080/ with the path of the \
                 pictures"
                    .into()
            )
        );
    }

    #[test]
    fn an_error_without_a_connection_shows_the_source() {
        let conn = ConnContext { number: 1, source: "tcp://cam:5000".to_owned(), ..ConnContext::default() };
        let error = SourceError { conn, kind: SourceErrorKind::ConnectTimeout(Duration::from_secs(3)) };
        assert_eq!(error.to_string(), "cannot connect: no answer within 3 s\n  conn   #1  tcp://cam:5000");
        assert_eq!(error.class(), SourceErrorClass::Retry);
    }

    #[test]
    fn only_a_camera_that_has_streamed_is_restarting() {
        let help = |streamed_before| {
            let conn = ConnContext { streamed_before, ..ConnContext::default() };
            let kind = SourceErrorKind::Connect(io::ErrorKind::ConnectionRefused.into());
            SourceError { conn, kind }.help().unwrap_or_default()
        };
        assert!(help(true).contains("may be restarting") && !help(false).contains("restarting"));
        assert!(help(false).contains("no program listens on this port"));
    }

    #[cfg(feature = "mqtt")]
    #[test]
    fn only_a_broker_that_was_not_connected_has_a_wrong_port() {
        use crate::net::mqtt::MqttError;

        let help = |streamed_before, kind| {
            let conn =
                ConnContext { streamed_before, source: "mqtt://broker/cam".to_owned(), ..ConnContext::default() };
            SourceError { conn, kind }.help().unwrap_or_default()
        };
        let kinds: [fn() -> SourceErrorKind; 2] = [
            || SourceErrorKind::Connect(io::ErrorKind::ConnectionRefused.into()),
            || SourceErrorKind::Mqtt(MqttError::Closed),
        ];
        for kind in kinds {
            assert!(help(true, kind()).contains("check that it still runs"), "{}", help(true, kind()));
            assert!(help(false, kind()).contains("port"), "{}", help(false, kind()));
        }
    }

    #[test]
    fn a_simulated_camera_is_not_checked_by_another_one() {
        let help = |source: &str| {
            let conn = ConnContext { source: source.to_owned(), ..ConnContext::default() };
            SourceError { conn, kind: SourceErrorKind::ConnectTimeout(Duration::from_secs(3)) }.help()
        };
        assert!(help("tcp://cam:5000").is_some_and(|help| help.contains("`oaktap doctor CAMERA`")));
        assert_eq!(help("sim:?fps=5"), None);
    }
}
