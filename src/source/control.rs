//! Sends control records of 32 bytes to the application on a camera, and receives its answers (wire.md sections 3.1 and 7).

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::SourceSpec;
use crate::device::contract::VERSION;
use crate::device::settings::{SETTINGS, Setting};
use crate::frame::{Interpreter, Pool, Received};
use crate::stats::Stats;
use crate::wire::{Decoder, Event, LINE, Limits, Record, encode};

/// Longest wait of one read. Deadlines are checked between reads.
const READ_TIMEOUT: Duration = Duration::from_millis(250);

/// Time between attempts to connect.
const CONNECT_RETRY: Duration = Duration::from_millis(50);

const PREFIX: &str = "@K ";

/// Checks an order such as `lens=120`, and returns its setting.
///
/// # Errors
/// A message that names the invalid part and the expected values.
pub fn check_order(order: &str) -> Result<&'static Setting, String> {
    match Setting::of_order(order) {
        Some((setting, value)) if setting.accepts(value) => Ok(setting),
        Some((setting, value)) => {
            let value = value.escape_debug();
            Err(format!("invalid value `{value}` for `{}`: expected {}", setting.key, setting.values()))
        }
        None => Err(format!("unknown setting `{}`; expected {}", order.escape_debug(), known_settings())),
    }
}

/// Returns all settings with the values that the application accepts.
#[must_use]
pub fn known_settings() -> String {
    SETTINGS.map(|setting| format!("{}={}", setting.key, setting.values())).join("; ")
}

/// Returns whether the application on a camera supports these settings.
#[must_use]
pub fn takes_controls(spec: &SourceSpec, stats: &Stats) -> bool {
    matches!(spec, SourceSpec::Tcp { .. }) && stats.introduction.version == Some(VERSION)
}

/// A camera's answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ControlAnswer {
    /// The order that was sent, such as `lens=120`.
    pub order: String,
    /// The camera's note (`@N`).
    pub said: String,
    /// Set if the camera accepted the order.
    pub done: bool,
}

/// Reason why a camera was not controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages explain the fields.
pub enum ControlError {
    /// No connection was made.
    #[error("{host} port {port}: cannot connect: {why}")]
    Connect { host: String, port: u16, why: io::Error },
    /// The connection ended early.
    #[error("the connection ended before the camera answered: {0}")]
    Ended(io::Error),
    /// The camera accepted the connection, but sent no usable data.
    #[error("connected, but received no data within {} s: another client may hold the camera", .0.as_secs_f32())]
    Silent(Duration),
    /// The application was not built by oaktap. Nothing was sent, because others end their control channel at a record that
    /// they cannot read (wire.md 3.2).
    #[error(
        "no setting was sent: the application on the camera does not support control records (expected a record \
         `@V {VERSION}`, found {found})"
    )]
    NotUnderstood { found: String },
    /// The application serves as many clients as it can.
    #[error("the camera has no free connection: {0}")]
    Busy(String),
    /// The order is longer than a record, or not ASCII.
    #[error(
        "`{order}` does not fit into a control record: expected at most {} printable ASCII characters",
        LINE - PREFIX.len()
    )]
    TooLong { order: String },
    /// The order was sent, but not answered.
    #[error(
        "`{order}` was sent, but the camera did not acknowledge it within {} s: its application may ignore control records",
        .after.as_secs_f32()
    )]
    NoAnswer { order: String, after: Duration },
}

impl ControlError {
    /// Returns whether the camera refused, or sending an order would not have been safe.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NotUnderstood { .. } | Self::Busy(_))
    }

    /// Returns the next step for the user.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Connect { .. } => {
                "check that the camera is on and that the port is the one of its stream (5000 or 9876)"
            }
            Self::NotUnderstood { .. } => "`oaktap flash CAMERA` writes an application that supports these settings",
            Self::Busy(_) | Self::Silent(_) => "close another client, and try again",
            _ => "try again; `oaktap doctor CAMERA` checks the connection",
        }
    }
}

/// Sends orders to a camera one by one, and returns the answers; see [`control_each`].
///
/// # Errors
/// As [`control_each`].
pub fn control(
    host: &str,
    port: u16,
    orders: &[String],
    timeout: Duration,
) -> Result<Vec<ControlAnswer>, ControlError> {
    let mut answers = Vec::new();
    control_each(host, port, orders, timeout, |answer| answers.push(answer))?;
    Ok(answers)
}

/// Sends orders to a camera one by one, and calls `each` with each answer. Waits at most `timeout` for the connection, for
/// the camera's version, and for each answer.
///
/// # Errors
/// See [`ControlError`]. A refused order is not an error: its answer says so, and the next order is sent.
pub fn control_each(
    host: &str,
    port: u16,
    orders: &[String],
    timeout: Duration,
    mut each: impl FnMut(ControlAnswer),
) -> Result<(), ControlError> {
    let lines = orders.iter().map(|order| {
        encode::line(&format!("{PREFIX}{order}")).ok_or_else(|| ControlError::TooLong { order: order.clone() })
    });
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let stream = connect(host, port, timeout).map_err(|why| ControlError::Connect { host: host.into(), port, why })?;
    let mut connection = Connection::new(&stream).map_err(ControlError::Ended)?;
    connection.wait_for_version(timeout)?;
    for (order, line) in orders.iter().zip(lines) {
        // In one write: the camera may take a part for the whole record (wire.md 3.2).
        (&stream).write_all(&line).map_err(ControlError::Ended)?;
        let said = connection.wait_for_note(timeout)?;
        let said = said.ok_or_else(|| ControlError::NoAnswer { order: order.clone(), after: timeout })?;
        each(ControlAnswer { order: order.clone(), done: !said.starts_with("no:"), said });
    }
    // Half-open connections occupy a slot on the camera (wire.md 4.13).
    let _ = stream.shutdown(Shutdown::Both);
    Ok(())
}

/// Connects within `timeout`. A camera that has just booted its application refuses connections until its Script listens.
fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + timeout;
    loop {
        let mut last = io::ErrorKind::NotFound.into();
        for address in (host, port).to_socket_addrs()? {
            let left = until.saturating_duration_since(Instant::now()).max(CONNECT_RETRY);
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        if last.kind() != io::ErrorKind::ConnectionRefused || Instant::now() + CONNECT_RETRY >= until {
            return Err(last);
        }
        std::thread::sleep(CONNECT_RETRY);
    }
}

/// Receives the camera's stream, which contains its answers.
struct Connection<'a> {
    stream: &'a TcpStream,
    decoder: Decoder,
}

impl<'a> Connection<'a> {
    fn new(stream: &'a TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
        Ok(Self { stream, decoder })
    }

    /// Waits for the record that shows that the application supports control records.
    fn wait_for_version(&mut self, timeout: Duration) -> Result<(), ControlError> {
        let deadline = Instant::now() + timeout;
        while let Some(events) = self.read(deadline)? {
            for event in events {
                let found = match event {
                    Event::Record(Record::Version { version: VERSION, .. }) => return Ok(()),
                    Event::Record(Record::Version { version, .. }) => format!("version {version}"),
                    Event::Record(Record::Note(text)) => return Err(ControlError::Busy(text)),
                    Event::Frame(_) => "a frame without it".to_owned(),
                    Event::Skipped(_) => "data that is not a camera stream".to_owned(),
                    _ => continue,
                };
                return Err(ControlError::NotUnderstood { found });
            }
        }
        Err(ControlError::Silent(timeout))
    }

    fn wait_for_note(&mut self, timeout: Duration) -> Result<Option<String>, ControlError> {
        let deadline = Instant::now() + timeout;
        while let Some(events) = self.read(deadline)? {
            let notes = events.into_iter().filter_map(|event| match event {
                Event::Record(Record::Note(text)) => Some(text),
                _ => None,
            });
            if let Some(text) = notes.last() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Returns the events of the next bytes; `None` after the deadline.
    fn read(&mut self, deadline: Instant) -> Result<Option<Vec<Event>>, ControlError> {
        while Instant::now() < deadline {
            match self.stream.read(self.decoder.space()) {
                Ok(0) => return Err(ControlError::Ended(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.decoder.commit(n, Received::default());
                    return Ok(Some(std::iter::from_fn(|| self.decoder.poll()).collect()));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(ControlError::Ended(error)),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_refused_connection_is_tried_again_until_the_time_is_over() {
        let socket = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
            let port = socket.local_addr().expect("an address").as_socket().expect("of IP").port();
            (socket, port)
        };
        let (_closed, port) = socket();
        let (start, timeout) = (Instant::now(), Duration::from_millis(300));
        let error = connect("127.0.0.1", port, timeout).expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(start.elapsed() > timeout - 2 * CONNECT_RETRY, "{:?}", start.elapsed());

        let (booting, port) = socket();
        let connected = std::thread::spawn(move || connect("127.0.0.1", port, Duration::from_secs(30)));
        booting.listen(1).expect("it listens");
        connected.join().expect("no panic").expect("a connection");
    }
}
