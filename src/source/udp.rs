//! `udp://[ADDRESS]:PORT`: a camera sends datagrams to this host (docs/udp.md).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::error::SourceErrorKind;
use super::monitor::{Rhythm, Silence};
use super::reception::Reception;
use super::spec::{ANY_ADDRESS, host_and_port};
use super::{IncidentEvent, SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::net::datagram_batch::{Datagram, DatagramBatch};
use crate::net::datagram_buffer::{self, SystemDrops};
use crate::units::count;
use crate::wire::content::Content;
use crate::wire::{
    Assembled, DATAGRAM_MAGIC, Damage, Decoder, Incomplete, LINE, Limits, Protocol, Reassembly, Rejected, SkipReason,
};

/// Records before the header of a message, in bytes: 2,048 of them.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// Datagrams after which other connections may run, and the end of the session takes effect.
const DATAGRAMS_PER_CHECK: u32 = 32;

/// Time between two lines of the log about datagrams that are not used.
const NOTICE_INTERVAL_NS: u64 = 60_000_000_000;

/// A datagram that is not used.
const NOT_UNDERSTOOD: &str = "neither a part of a message nor a message, a JPEG or JSON (docs/udp.md)";

/// Time between two reads of the count of datagrams that the system dropped.
const DROPS_INTERVAL_NS: u64 = 1_000_000_000;

/// A port to which a camera sends datagrams. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpSpec {
    /// Host name or address of this host, without the brackets of IPv6.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl UdpSpec {
    /// Parses the text after `udp://`.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let address = text.trim_end_matches('/');
        if address.is_empty() {
            return Err("missing port; expected udp://[ADDRESS]:PORT".to_owned());
        }
        if address.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{address}` is not an address; for a port: udp://:{address}"));
        }
        let address = if address.starts_with(':') { format!("{ANY_ADDRESS}{address}") } else { address.to_owned() };
        let (host, port) = host_and_port(&address, 0)?;
        if port == 0 {
            return Err("missing port; expected udp://[ADDRESS]:PORT".to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for UdpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "udp://[{host}]:{port}") } else { write!(f, "udp://{host}:{port}") }
    }
}

/// Returns whether a datagram without a header of its own can be used.
fn is_whole(datagram: &[u8]) -> bool {
    use Content::{Jpeg, List, Message, Object, Records};
    matches!(Content::of(datagram), Jpeg | List | Message | Object | Records)
}

/// Logs the first of many equal events, and then one a minute.
#[derive(Debug, Default)]
struct Notice {
    logged_ns: Option<u64>,
    left_out: u64,
}

impl Notice {
    /// Returns the events since the last line, if another line is due.
    fn admit(&mut self, now_ns: u64) -> Option<u64> {
        self.left_out += 1;
        if self.logged_ns.is_some_and(|logged_ns| now_ns.saturating_sub(logged_ns) < NOTICE_INTERVAL_NS) {
            return None;
        }
        self.logged_ns = Some(now_ns);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Receives the datagrams of one camera.
pub(super) struct UdpSource {
    port: Port,
    decoder: Decoder,
    rhythm: Rhythm,
}

/// The socket, and the parts of messages.
struct Port {
    socket: UdpSocket,
    batch: DatagramBatch,
    /// The datagram in [`Self::batch`] with which the next connection begins.
    held: Option<Datagram>,
    reassembly: Reassembly,
    limits: Limits,
    /// Time at which the last datagrams were received together, or of the end of the wait for them.
    now: Received,
    /// Datagrams received since the port was bound; wraps around.
    received: u32,
    /// Detections that arrived before their picture.
    detections: Vec<u8>,
    drops: SystemDrops,
    drops_ns: u64,
    refused: Notice,
    invalid: Notice,
}

impl UdpSource {
    /// Binds the port.
    pub(super) async fn bind(spec: &UdpSpec, options: &SessionOptions) -> io::Result<Self> {
        let socket = UdpSocket::bind((spec.host.as_str(), spec.port)).await?;
        let (asked, granted) = datagram_buffer::enlarge(&socket);
        if granted < asked {
            tracing::info!(
                "{spec}: the system allows a receive buffer of {} KiB, of {} KiB asked for; on Linux, `sysctl -w \
                 net.core.rmem_max={asked}` allows more",
                granted >> 10,
                asked >> 10,
            );
        }
        let SessionOptions { frames, interpreter, limits, .. } = options;
        let max = limits.payload.saturating_add(limits.detections).saturating_add(MAX_RECORD_BYTES);
        let port = Port {
            drops: SystemDrops::of(&socket),
            batch: DatagramBatch::new(&socket)?,
            socket,
            held: None,
            reassembly: Reassembly::new(max),
            limits: *limits,
            now: Received::default(),
            received: 0,
            detections: Vec::new(),
            drops_ns: 0,
            refused: Notice::default(),
            invalid: Notice::default(),
        };
        Ok(Self {
            port,
            decoder: Decoder::new(frames.clone(), interpreter.clone(), *limits),
            rhythm: Rhythm::default(),
        })
    }
}

impl Source for UdpSource {
    /// The camera's address.
    type Link = SocketAddr;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(SocketAddr, Addresses), SourceErrorKind> {
        attempts.state.send_replace(SessionState::Waiting);
        let Port { socket, batch, held, reassembly, invalid, .. } = &mut self.port;
        loop {
            let Some(next) = held.take().or_else(|| batch.next()) else {
                socket.readable().await.map_err(SourceErrorKind::Read)?;
                match batch.receive(socket) {
                    Err(error) if !is_again(&error) => return Err(SourceErrorKind::Read(error)),
                    Ok(()) | Err(_) => continue,
                }
            };
            let (datagram, from) = (batch.datagram(&next.place), next.from);
            if datagram.starts_with(&DATAGRAM_MAGIC) || is_whole(datagram) {
                *held = Some(next);
                return Ok((from, socket.local_addr().ok().map(|us| (from, us))));
            }
            reassembly.count_other(|counts| &mut counts.invalid);
            if let Some(ignored) = invalid.admit(received_now().mono_ns) {
                let name = attempts.delivery.name();
                tracing::warn!(
                    camera = name,
                    "ignored {} of {from}: the last one is {NOT_UNDERSTOOD}",
                    count(ignored, "datagram", "datagrams")
                );
            }
            let counts = reassembly.counts();
            attempts.delivery.outlets.ledger.update(|stats| stats.set_datagrams(counts));
        }
    }

    async fn receive(&mut self, attempts: &mut Attempts, camera: SocketAddr, opened: Received) -> ConnectionEnd {
        let Self { port, decoder, rhythm } = self;
        let mut reception = Reception::begin(attempts, decoder, *rhythm, opened);
        let ended = port.stream(&mut reception, camera).await;
        port.end(reception.decoder, ended.is_ok());
        port.count(&reception, received_now(), true);
        reception.count_outage(&ended);
        let result = reception.finish(&ended).and(ended);
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        *rhythm = reception.rhythm(&result);
        ConnectionEnd { result, frames, bytes }
    }
}

impl Port {
    /// Receives until the session is stopped, the camera is silent for too long, or another sender takes over.
    async fn stream(&mut self, reception: &mut Reception<'_>, camera: SocketAddr) -> Result<(), SourceErrorKind> {
        loop {
            let received = match self.held.take() {
                Some(held) => {
                    self.now = received_now();
                    Some(held)
                }
                None => match self.batch.next() {
                    Some(next) => Some(next),
                    None => match self.batch.receive(&self.socket) {
                        Ok(()) => {
                            self.now = received_now();
                            continue;
                        }
                        Err(error) if is_again(&error) => None,
                        Err(error) => return Err(SourceErrorKind::Read(error)),
                    },
                },
            };
            if let Some(next) = received {
                self.take(reception, next, camera)?;
            } else {
                self.count(reception, received_now(), false);
                let due = self.reassembly.deadline_ns();
                let socket = &self.socket;
                let readable = async {
                    let Some(due) = due else { return socket.readable().await };
                    let wait = Duration::from_nanos(due.saturating_sub(received_now().mono_ns));
                    tokio::time::timeout(wait, socket.readable()).await.unwrap_or(Ok(()))
                };
                match reception.wait(readable).await? {
                    Some(ready) => ready.map_err(SourceErrorKind::Read)?,
                    None => return Ok(()),
                }
                self.now = received_now();
            }
            self.received = self.received.wrapping_add(1);
            let is_ready = reception.decoder.has_events() || self.reassembly.is_ready(self.now.mono_ns);
            if is_ready {
                self.messages(reception).await?;
            }
            if is_ready || self.received.is_multiple_of(DATAGRAMS_PER_CHECK) {
                reception.pause().await;
                if reception.is_stopped() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes a datagram of the batch.
    fn take(
        &mut self,
        reception: &mut Reception<'_>,
        next: Datagram,
        camera: SocketAddr,
    ) -> Result<(), SourceErrorKind> {
        let now = self.now;
        reception.turn.work += (next.place.len() + LINE) as u64;
        let from = next.from;
        if from != camera {
            // A camera that restarts has another port; another camera has another address.
            let is_same_host = from.ip().to_canonical() == camera.ip().to_canonical();
            let silence = if is_same_host { Silence::Stalled } else { Silence::TimedOut };
            if reception.silence.has_lasted(silence, now.mono_ns) {
                self.held = Some(next);
                return Err(SourceErrorKind::Reconnected);
            }
            self.reassembly.count_other(|counts| &mut counts.refused);
            if let Some(refused) = self.refused.admit(now.mono_ns) {
                tracing::warn!(
                    camera = reception.attempts.delivery.name(),
                    "refused {} of {from}, because {camera} sends to this port; give each camera its own port",
                    count(refused, "datagram", "datagrams")
                );
            }
            return Ok(());
        }
        let datagram = self.batch.datagram(&next.place);
        let invalid = if datagram.starts_with(&DATAGRAM_MAGIC) {
            match self.reassembly.push(datagram, now.mono_ns) {
                Ok(()) => None,
                Err(Rejected::Restarted) => {
                    self.held = Some(next);
                    return Err(SourceErrorKind::Reconnected);
                }
                Err(Rejected::Invalid(error)) => Some(error.to_string()),
            }
        } else if is_whole(datagram) {
            self.reassembly.count_other(|counts| &mut counts.whole);
            decode(reception.decoder, datagram, &mut self.detections, self.limits, now);
            None
        } else {
            self.reassembly.count_other(|counts| &mut counts.invalid);
            Some(format!("it is {NOT_UNDERSTOOD}"))
        };
        match invalid {
            None => reception.silence.bytes(now.mono_ns, self.reassembly.is_inside_a_message()),
            Some(why) => {
                reception.turn.damage += 1;
                if let Some(invalid) = self.invalid.admit(now.mono_ns) {
                    tracing::warn!(
                        camera = reception.attempts.delivery.name(),
                        "ignored {}; of the last one: {why}",
                        count(invalid, "datagram", "datagrams")
                    );
                }
            }
        }
        Ok(())
    }

    /// Delivers the messages that are complete or given up.
    async fn messages(&mut self, reception: &mut Reception<'_>) -> Result<(), SourceErrorKind> {
        let now = self.now;
        reception.all_events(now).await?;
        while let Some(assembled) = self.reassembly.poll(now.mono_ns) {
            match assembled {
                Assembled::Complete(bytes) => {
                    reception.turn.work += bytes.len() as u64;
                    decode(reception.decoder, bytes, &mut self.detections, self.limits, now);
                }
                Assembled::Incomplete(lost) => lose(reception.decoder, &lost, false, now),
                Assembled::Missing(messages) => {
                    let delivery = &mut reception.attempts.delivery;
                    delivery.outlets.ledger.update(|stats| stats.messages_missing(messages.into()));
                    delivery.incident(now, IncidentEvent::NoDatagram { messages });
                }
            }
            reception.all_events(now).await?;
        }
        Ok(())
    }

    /// Ends the messages of this connection.
    fn end(&mut self, decoder: &mut Decoder, by_us: bool) {
        let now = received_now();
        if by_us {
            self.reassembly.leave();
        } else {
            self.reassembly.end();
        }
        while let Some(assembled) = self.reassembly.poll(now.mono_ns) {
            match assembled {
                Assembled::Complete(bytes) => decode(decoder, bytes, &mut self.detections, self.limits, now),
                Assembled::Incomplete(lost) => lose(decoder, &lost, by_us, now),
                Assembled::Missing(_) => {}
            }
        }
        self.reassembly.restart();
        let unused = std::mem::take(&mut self.detections);
        decoder.unused_detections(&unused, now);
    }

    /// Updates the ledger.
    fn count(&mut self, reception: &Reception<'_>, now: Received, is_end: bool) {
        if is_end || now.mono_ns.saturating_sub(self.drops_ns) >= DROPS_INTERVAL_NS {
            self.drops_ns = now.mono_ns;
            let dropped = self.drops.count();
            self.reassembly.set_dropped_by_host(dropped);
        }
        let counts = self.reassembly.counts();
        reception.attempts.delivery.outlets.ledger.update(|stats| stats.set_datagrams(counts));
    }
}

/// Returns whether receiving again can succeed.
fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Passes a message, a picture or detections to the decoder. `detections`: those of the next picture.
fn decode(decoder: &mut Decoder, bytes: &[u8], detections: &mut Vec<u8>, limits: Limits, now: Received) {
    match Content::of(bytes) {
        Content::Message | Content::Records if decoder.message(bytes, false, now) => {}
        Content::Jpeg if bytes.len() <= limits.payload => {
            let mut frame = decoder.frames().lease(bytes.len());
            frame.clear();
            let text = std::mem::take(detections);
            frame.detection_text.extend_from_slice(&text);
            let Some(payload) = frame.try_payload_mut(bytes.len()) else {
                let damage = Damage::NoMemory { expected: bytes.len() };
                decoder.lost_picture(damage, bytes, text.len() + bytes.len(), now);
                return;
            };
            payload.copy_from_slice(bytes);
            decoder.picture(frame, Protocol::Udp, now);
        }
        Content::List | Content::Object if bytes.len() <= limits.detections => {
            let before = std::mem::replace(detections, bytes.trim_ascii().to_vec());
            decoder.unused_detections(&before, now);
            decoder.outside(&[], bytes.len() - detections.len(), SkipReason::ForeignRecord, now);
        }
        _ => decoder.outside(bytes, bytes.len(), SkipReason::NotAHeader, now),
    }
}

/// Counts a message of which parts did not arrive. `by_us`: we end the connection inside it.
fn lose(decoder: &mut Decoder, lost: &Incomplete<'_>, by_us: bool, now: Received) {
    let Incomplete { number, parts, missing, total, received, start, is_joined } = *lost;
    if is_joined {
        decoder.outside(start, received, SkipReason::MissingParts, now);
        return;
    }
    let damage = match by_us {
        true => Damage::Ended { expected: total, received },
        false => Damage::MissingParts { number, missing, parts },
    };
    decoder.lost_picture(damage, start, received, now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;

    #[test]
    fn addresses_are_parsed_and_shown() {
        for (text, shown) in [
            ("udp://:5000", "udp://0.0.0.0:5000"),
            ("udp://192.168.1.10:5000/", "udp://192.168.1.10:5000"),
            ("udp://[::]:5000", "udp://[::]:5000"),
        ] {
            let spec: SourceSpec = text.parse().expect(text);
            assert_eq!((spec.to_string().as_str(), spec.name().as_str()), (shown, "udp:5000"));
            assert_eq!(shown.parse(), Ok(spec), "{text}");
        }
        for (text, why) in [
            ("udp://", "missing port; expected udp://[ADDRESS]:PORT"),
            ("udp://5000", "`5000` is not an address; for a port: udp://:5000"),
            ("udp://192.168.1.10", "missing port; expected udp://[ADDRESS]:PORT"),
            ("udp://:5000/x", "an address has no path"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn datagrams_without_a_header_are_recognized() {
        for (bytes, is_used) in [
            (&b"IMG 1.0 3 0                     BGR"[..], true),
            (b"@F 1 2                          ", true),
            (b"IMG 1.0", false),
            (b"\xff\xd8\xff\xe0", true),
            (b" [{\"label\":1}]", true),
            (b"{\"detections\":[]}", true),
            (b"[\xff\xff", false),
            (b"1.5", false),
            (b"", false),
        ] {
            assert_eq!(is_whole(bytes), is_used, "{bytes:?}");
        }
    }

    #[test]
    fn one_line_a_minute_is_logged() {
        let mut notice = Notice::default();
        assert_eq!(notice.admit(5), Some(1));
        assert_eq!([notice.admit(6), notice.admit(60_000_000_004)], [None, None]);
        assert_eq!(notice.admit(60_000_000_005), Some(3));
    }
}
