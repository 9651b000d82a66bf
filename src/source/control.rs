//! Control records of 32 bytes to the program on a camera, and its answers (wire.md sections 3.1 and 7).

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::device::contract::VERSION;
use crate::frame::{Interpreter, Pool, Received};
use crate::wire::{Decoder, Event, LINE, Limits, Record, encode};

/// How often the time is looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(250);

/// What the camera said to an order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Answer {
    /// What it was told, such as `lens=120`.
    pub order: String,
    /// What it said (`@N`).
    pub said: String,
    /// Whether it did it.
    pub done: bool,
}

/// Why a camera could not be told anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum ControlError {
    /// No connection.
    #[error("{host} port {port}: could not connect: {why}")]
    Connect { host: String, port: u16, why: io::Error },
    /// The connection ended.
    #[error("the connection ended before the camera had answered: {0}")]
    Ended(io::Error),
    /// Nothing was said that makes sense.
    #[error("connected, and the camera said nothing within {} s: another client may hold it", .0.as_secs_f32())]
    Silent(Duration),
    /// The program on it was not made by us: what it cannot read ends its control channel (wire.md 3.2).
    #[error(
        "nothing was sent: the program on the camera does not say that it understands control records (expected a record \
         `@V {VERSION}`, found {found})"
    )]
    NotUnderstood { found: String },
    /// Three others are connected.
    #[error("the camera serves nobody else now: {0}")]
    Busy(String),
    /// An order of more than 32 bytes, or not ASCII.
    #[error("`{order}` does not fit into a record: expected at most {} printable ASCII characters", LINE - PREFIX.len())]
    TooLong { order: String },
    /// It did not answer.
    #[error("the camera did not answer `{order}` within {} s: the program on it may not listen", .after.as_secs_f32())]
    NoAnswer { order: String, after: Duration },
}

impl ControlError {
    /// Whether the camera refused, or asking it would not have been safe.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NotUnderstood { .. } | Self::Busy(_))
    }
}

const PREFIX: &str = "@K ";

/// Tells a camera these things one after the other, waiting up to `patience` for each answer.
///
/// # Errors
/// See [`ControlError`]. An order that is refused is an answer, and the others follow it.
pub fn control(host: &str, port: u16, orders: &[String], patience: Duration) -> Result<Vec<Answer>, ControlError> {
    let lines = orders.iter().map(|order| {
        encode::line(&format!("{PREFIX}{order}")).ok_or_else(|| ControlError::TooLong { order: order.clone() })
    });
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let stream = connect(host, port, patience).map_err(|why| ControlError::Connect { host: host.into(), port, why })?;
    let mut listening = Listening::new(&stream).map_err(ControlError::Ended)?;
    listening.greet(patience)?;
    let mut answers = Vec::new();
    for (order, line) in orders.iter().zip(lines) {
        // In one write: the camera may take a part for the whole (wire.md 3.2).
        (&stream).write_all(&line).map_err(ControlError::Ended)?;
        let said = listening.answer(patience)?;
        let said = said.ok_or_else(|| ControlError::NoAnswer { order: order.clone(), after: patience })?;
        answers.push(Answer { order: order.clone(), done: !said.starts_with("no:"), said });
    }
    // Half-dead connections block a place on the camera (wire.md 4.13).
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answers)
}

fn connect(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The stream beside which the answers come.
struct Listening<'a> {
    stream: &'a TcpStream,
    decoder: Decoder,
}

impl<'a> Listening<'a> {
    fn new(stream: &'a TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(LOOK))?;
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
        Ok(Self { stream, decoder })
    }

    /// Waits until the camera has said what it is.
    fn greet(&mut self, patience: Duration) -> Result<(), ControlError> {
        let end = Instant::now() + patience;
        while let Some(events) = self.read(end)? {
            for event in events {
                let found = match event {
                    Event::Record(Record::Version { version: VERSION, .. }) => return Ok(()),
                    Event::Record(Record::Version { version, .. }) => format!("version {version}"),
                    Event::Record(Record::Note(text)) => return Err(ControlError::Busy(text)),
                    Event::Frame(_) => "frames without one".to_owned(),
                    Event::Skipped(_) => "bytes that are no camera's".to_owned(),
                    _ => continue,
                };
                return Err(ControlError::NotUnderstood { found });
            }
        }
        Err(ControlError::Silent(patience))
    }

    /// Waits for a note.
    fn answer(&mut self, patience: Duration) -> Result<Option<String>, ControlError> {
        let end = Instant::now() + patience;
        while let Some(events) = self.read(end)? {
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

    /// What comes next; `None` when it is too late.
    fn read(&mut self, end: Instant) -> Result<Option<Vec<Event>>, ControlError> {
        while Instant::now() < end {
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
