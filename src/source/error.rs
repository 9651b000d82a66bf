//! Why a connection did not come about, or ended: who, where, when, and what to do next.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::frame::Utc;

/// What a failure means for the one who retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It can be different the next time.
    Retry,
    /// It will be the same every time: what is there is no camera.
    Fatal,
    /// What was asked for makes no sense.
    Usage,
}

/// Which connection, from where to where, and how far it had come.
#[derive(Clone, Debug, Default)]
pub struct ConnContext {
    /// Counts the attempts of the session, from 1.
    pub number: u64,
    /// The source as it was named.
    pub source: String,
    /// The camera's address and ours, once connected.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// When it was opened: nanoseconds since 1970, UTC.
    pub since_unix_ns: i64,
    /// How long it has been open.
    pub up: Duration,
    /// Bytes received on it.
    pub bytes: u64,
    /// Frames received on it.
    pub frames: u64,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The host's name has no address.
    #[error("the name of the camera was not found: {0}")]
    Resolve(io::Error),
    /// No connection.
    #[error("could not connect: {0}")]
    Connect(io::Error),
    /// No answer to the attempt to connect.
    #[error("could not connect: no answer within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// Nothing can be listened at there.
    #[error("no camera can be waited for: {0}")]
    Listen(io::Error),
    /// The camera that was connected has connected again.
    #[error("the camera has connected anew")]
    Anew,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Read(io::Error),
    /// The camera closed the connection.
    #[error("the camera closed the connection")]
    Closed,
    /// The camera closed the connection, and said why.
    #[error("the camera closed the connection and said \"{said}\"")]
    SentAway {
        /// Its words (`@N`).
        said: String,
    },
    /// Nothing came for too long.
    #[error("nothing came for {:.1} s", .0.as_secs_f32())]
    Idle(Duration),
    /// Headers were lost so often that connecting again is cheaper.
    #[error("the place of the next header was lost {failures} times in a row")]
    Resync {
        /// How often.
        failures: u32,
    },
    /// Bytes flow, and there is no frame in them any more.
    #[error("no frame in what came for {:.1} s", .0.as_secs_f32())]
    NoFrames(Duration),
    /// What came is no camera stream.
    #[error("{}", what_it_is(.found))]
    NotACamera {
        /// The first bytes that came.
        found: Vec<u8>,
    },
    /// It is a camera's stream, of another application than was expected.
    #[error("the flashed application is not the one you think: {}", .differences.join("; "))]
    OtherApplication {
        /// What was expected and what was found, one by one.
        differences: Vec<String>,
    },
    /// The simulated camera could not be started.
    #[error("the simulated camera did not start: {0}")]
    Sim(io::Error),
    /// The recording cannot be played, or not to its end.
    #[error("{}", crate::error::with_causes(.0))]
    Recording(crate::recording::RecordingError),
    /// The recording has several cameras, or another one than was asked for.
    #[error("{}", which_camera(.asked.as_deref(), .cameras))]
    WhichCamera {
        /// What was asked for.
        asked: Option<String>,
        /// The names of its cameras.
        cameras: Vec<String>,
    },
}

fn which_camera(asked: Option<&str>, cameras: &[String]) -> String {
    let names = cameras.join(", ");
    match asked {
        Some(asked) => format!("no camera `{asked}` is in this recording; there is {names}"),
        None => format!("this recording has {} cameras: {names}", cameras.len()),
    }
}

/// A failure with its connection.
#[derive(Debug)]
pub struct SourceError {
    /// Which connection.
    pub conn: ConnContext,
    /// What happened.
    pub kind: SourceErrorKind,
}

impl std::error::Error for SourceError {}

fn is_http(found: &[u8]) -> bool {
    found.starts_with(b"HTTP/")
}

fn what_it_is(found: &[u8]) -> &'static str {
    match found {
        _ if is_http(found) => "an HTTP server answered, not a camera stream",
        [b'S', b'S', b'H', b'-', ..] => "an SSH server answered, not a camera stream",
        [0x16, 3, ..] | [0x15, 3, ..] => "a TLS server answered, not a camera stream",
        _ => "what came is not a camera stream",
    }
}

impl SourceError {
    /// What it means for the one who retries.
    #[must_use]
    pub fn class(&self) -> Class {
        match &self.kind {
            SourceErrorKind::NotACamera { .. }
            | SourceErrorKind::OtherApplication { .. }
            | SourceErrorKind::Listen(_) => Class::Fatal,
            SourceErrorKind::Sim(error) if error.kind() == io::ErrorKind::InvalidInput => Class::Usage,
            SourceErrorKind::Sim(_) => Class::Fatal,
            SourceErrorKind::Recording(_) => Class::Fatal,
            SourceErrorKind::WhichCamera { .. } => Class::Usage,
            SourceErrorKind::Resolve(_)
            | SourceErrorKind::Connect(_)
            | SourceErrorKind::ConnectTimeout(_)
            | SourceErrorKind::Read(_)
            | SourceErrorKind::Closed
            | SourceErrorKind::SentAway { .. }
            | SourceErrorKind::Anew
            | SourceErrorKind::Idle(_)
            | SourceErrorKind::Resync { .. }
            | SourceErrorKind::NoFrames(_) => Class::Retry,
        }
    }

    /// Nobody listened at that port: asking again costs nothing.
    pub(super) fn refused(&self) -> bool {
        matches!(&self.kind, SourceErrorKind::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match &self.kind {
            SourceErrorKind::Resolve(_) => Some("cameras have no name of their own: give the IP address"),
            SourceErrorKind::Connect(_) if self.refused() => Some(
                "the host is there, and nothing listens at that port: is the application flashed, and is it 5000 or 9876?",
            ),
            SourceErrorKind::Connect(_) | SourceErrorKind::ConnectTimeout(_) => Some(
                "is the camera powered, and is this host in its network? Without DHCP it is 169.254.1.222, mask 255.255.0.0",
            ),
            SourceErrorKind::Closed if self.conn.frames == 0 => {
                Some("the program on the camera ended at once: power-cycle the camera")
            }
            SourceErrorKind::SentAway { .. } => Some("the camera serves three clients at a time: close one of them"),
            SourceErrorKind::Idle(_) => {
                Some("if it stays so, another client may hold the camera: power-cycle it or wait")
            }
            SourceErrorKind::NotACamera { found } if is_http(found) => {
                Some("this port speaks HTTP; the camera's stream is usually at port 5000 or 9876")
            }
            SourceErrorKind::NotACamera { .. } => {
                Some("is this the camera's address, and the port of its stream (5000 or 9876)?")
            }
            SourceErrorKind::OtherApplication { .. } => Some(
                "flash the one that you expect (`oaktap flash CAMERA`), or give --expect the one that is there; without \
                 --expect whatever comes is received",
            ),
            SourceErrorKind::Sim(_) => Some("`oaktap simulate --help` lists what can be simulated"),
            SourceErrorKind::Recording(error) => error.help(),
            SourceErrorKind::WhichCamera { .. } => Some("say which one: file:PATH?camera=NAME"),
            SourceErrorKind::Listen(_) => Some(
                "another program may use this port, or the address is not one of this host: listen://:PORT takes all",
            ),
            SourceErrorKind::Read(_)
            | SourceErrorKind::Closed
            | SourceErrorKind::Anew
            | SourceErrorKind::Resync { .. }
            | SourceErrorKind::NoFrames(_) => None,
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnContext { number, source, addresses, since_unix_ns, up, bytes, frames } = &self.conn;
        write!(f, "{}", self.kind)?;
        if let SourceErrorKind::NotACamera { found } = &self.kind {
            write!(f, "\n  found  ")?;
            let shown = &found[..found.len().min(16)];
            shown.iter().try_for_each(|byte| write!(f, "{byte:02x} "))?;
            write!(f, "  \"{}\"", shown.escape_ascii())?;
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
        let seq = bytes.wrapping_add(1) as u32;
        write!(f, "\n  where  byte {bytes}, frame {frames}   (Wireshark: relative tcp.seq {seq})")?;
        write!(f, "\n  conn   #{number}  {camera} -> {us}  up {up:.1} s  since {since}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_where_and_when() {
        let conn = ConnContext {
            number: 3,
            source: "tcp://192.168.1.50:8080".to_owned(),
            addresses: Some(("192.168.1.50:8080".parse().unwrap(), "192.168.1.10:51422".parse().unwrap())),
            since_unix_ns: 1_795_248_723_500_000_000,
            up: Duration::from_millis(1600),
            bytes: 17,
            frames: 0,
        };
        let kind = SourceErrorKind::NotACamera { found: b"HTTP/1.0 400 Bad request".to_vec() };
        let error = SourceError { conn, kind };
        assert_eq!(
            error.to_string(),
            "an HTTP server answered, not a camera stream\
             \n  found  48 54 54 50 2f 31 2e 30 20 34 30 30 20 42 61 64   \"HTTP/1.0 400 Bad\"\
             \n  expected  `IMG `, `ABCDE `, `FRAME ` or `DETECT` and the numbers of a 32-byte header\
             \n  where  byte 17, frame 0   (Wireshark: relative tcp.seq 18)\
             \n  conn   #3  192.168.1.50:8080 -> 192.168.1.10:51422  up 1.6 s  since 2026-11-21T08:12:03.500Z"
        );
        assert_eq!(error.class(), Class::Fatal);
        assert_eq!(error.help(), Some("this port speaks HTTP; the camera's stream is usually at port 5000 or 9876"));
    }

    #[test]
    fn without_a_connection_there_is_its_name() {
        let conn = ConnContext { number: 1, source: "tcp://cam:5000".to_owned(), ..ConnContext::default() };
        let error = SourceError { conn, kind: SourceErrorKind::ConnectTimeout(Duration::from_secs(3)) };
        assert_eq!(error.to_string(), "could not connect: no answer within 3 s\n  conn   #1  tcp://cam:5000");
        assert_eq!(error.class(), Class::Retry);
    }
}
