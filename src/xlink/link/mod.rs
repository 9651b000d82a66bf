//! The state machine of one end of a connection: received bytes to packets, packets to bytes to send.

use std::collections::VecDeque;

use super::channel::{Channel, Packet, Sending, StreamId};
use super::error::{LinkError, MAX_PACKET_BYTES, MAX_STREAMS, MAX_UNSENT_RESPONSES};
use super::event::{EVENT_HEADER_BYTES, EventHeader, EventKind};

/// Stream number in a device's request to open a stream: the host assigns the real one (bootloader.md 2.2).
const UNNUMBERED: u32 = 0xdead_dead;
/// First event id of the vendor's host.
const FIRST_ID: i32 = 11;
/// Bytes reserved when a packet begins. A larger buffer grows with the received bytes, not with the announced length.
const INITIAL_CAPACITY_BYTES: usize = 1 << 20;
/// Budgets are multiples of this (bootloader.md 2.2).
const BUDGET_UNIT_BYTES: u32 = 64;

/// An event for the user of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The ping handshake is complete.
    Up,
    /// The peer accepted our request to open the stream: this end may write.
    Open(StreamId),
    /// The peer opened the stream, with this budget in bytes.
    OpenedByPeer(StreamId, u32),
    /// The peer refused our request to open the stream.
    Refused(StreamId),
    /// A packet was received.
    Packet(StreamId, Vec<u8>),
    /// The peer consumed a packet of this many bytes.
    Released(StreamId, u32),
    /// The peer will not write to the stream any more.
    ClosedByPeer(StreamId),
    /// The peer requests a reset; a camera reboots.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Connects, pings first, and numbers the streams.
    Host,
    Device,
}

#[derive(Debug)]
struct Receiving {
    stream: StreamId,
    header: EventHeader,
    bytes: Vec<u8>,
}

/// One end of an XLink connection; see the [module](super).
#[derive(Debug)]
pub struct Link {
    role: Role,
    next_id: i32,
    next_number: u32,
    channels: Vec<Channel>,
    /// Received bytes of the connection.
    received: u64,
    /// Received bytes of the next header.
    head: Vec<u8>,
    receiving: Option<Receiving>,
    sending: Option<Sending>,
    /// Events without payload, sent before packets.
    urgent: VecDeque<EventHeader>,
    events: VecDeque<LinkEvent>,
    ping: Option<i32>,
    up: bool,
    /// Name and size to leave in responses, to imitate the vendor's stale data.
    stale: Option<(String, u32)>,
}

impl Link {
    /// Creates the end that connects.
    #[must_use]
    pub fn host() -> Self {
        let mut link = Self::new(Role::Host);
        link.ping = Some(link.request(EventKind::Ping, "", 0, 0));
        link
    }

    /// Creates the end that accepts the connection.
    #[must_use]
    pub fn device() -> Self {
        Self::new(Role::Device)
    }

    fn new(role: Role) -> Self {
        Self {
            role,
            next_id: FIRST_ID,
            next_number: 0,
            channels: Vec::new(),
            received: 0,
            head: Vec::with_capacity(EVENT_HEADER_BYTES),
            receiving: None,
            sending: None,
            urgent: VecDeque::new(),
            events: VecDeque::new(),
            ping: None,
            up: false,
            stale: None,
        }
    }

    /// Requests to write to the stream `name` with at most `budget` bytes outstanding, rounded up to 64.
    /// [`LinkEvent::Open`] or [`LinkEvent::Refused`] follows.
    pub fn open(&mut self, name: &str, budget: u32) -> StreamId {
        let stream = self.named(name);
        let number = match self.role {
            Role::Host => self.number(stream),
            Role::Device => UNNUMBERED,
        };
        let budget = budget.next_multiple_of(BUDGET_UNIT_BYTES);
        let id = self.request(EventKind::Create, name, number, budget);
        let channel = &mut self.channels[stream.0];
        channel.budget = Some(budget);
        channel.opening = Some(id);
        stream
    }

    /// Returns the stream of this name, if either end has opened it.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<StreamId> {
        self.channels.iter().position(|channel| channel.name == name).map(StreamId)
    }

    /// Returns the stream's name.
    #[must_use]
    pub fn name(&self, stream: StreamId) -> &str {
        &self.channels[stream.0].name
    }

    /// Queues a packet, which is sent once there is credit for it. Streams that were opened later have priority.
    pub fn send(&mut self, stream: StreamId, packet: impl Into<Packet>) {
        self.channels[stream.0].waiting.push_back(packet.into());
    }

    /// Drops the queued packets of a stream. A packet that is being sent is completed.
    pub fn clear_queue(&mut self, stream: StreamId) {
        self.channels[stream.0].waiting.clear();
    }

    /// Limits the outstanding bytes of a stream. On a slow link, bulk data in the system's buffers delays everything queued
    /// after it, the watchdog's pings among them.
    pub fn set_window(&mut self, stream: StreamId, bytes: u32) {
        self.channels[stream.0].window = bytes;
    }

    /// Sets whether received packets of this stream are released immediately (the default) or never.
    pub fn set_releasing(&mut self, stream: StreamId, releases: bool) {
        self.channels[stream.0].releases = releases;
    }

    /// Allows writing to a stream that this end has not opened, like a device that never opens one itself.
    pub fn write_unopened(&mut self, stream: StreamId) {
        self.channels[stream.0].writable = true;
    }

    /// Leaves this name and size in all later responses, like the vendor's peers (bootloader.md 2.1).
    pub fn leave_stale(&mut self, name: &str, size: u32) {
        self.stale = Some((name.to_owned(), size));
    }

    /// Returns whether a packet of this stream is partly sent.
    #[must_use]
    pub fn is_sending(&self, stream: StreamId) -> bool {
        let payload = self.sending.as_ref().and_then(|sending| sending.payload.as_ref());
        payload.is_some_and(|(sending, _)| *sending == stream)
    }

    /// Returns whether a packet of this stream is partly received.
    #[must_use]
    pub fn is_receiving(&self, stream: StreamId) -> bool {
        self.receiving.as_ref().is_some_and(|receiving| receiving.stream == stream)
    }

    /// Returns the number of queued packets, without the one that is being sent.
    #[must_use]
    pub fn waiting(&self, stream: StreamId) -> usize {
        self.channels[stream.0].waiting.len()
    }

    /// Returns the bytes that were sent and that the peer has not consumed.
    #[must_use]
    pub fn outstanding(&self, stream: StreamId) -> u64 {
        self.channels[stream.0].outstanding()
    }

    /// Returns the payload bytes that were sent and that the peer has not consumed, without the rest of the packet that is
    /// being sent.
    #[must_use]
    pub fn in_flight(&self, stream: StreamId) -> u64 {
        let unsent = self.sending.as_ref().map_or(0, |sending| match &sending.payload {
            Some((of, packet)) if *of == stream => {
                u64::from(packet.len()) - (sending.sent.saturating_sub(EVENT_HEADER_BYTES) as u64)
            }
            _ => 0,
        });
        self.outstanding(stream) - unsent
    }

    /// Closes the stream for writing and drops its queued packets.
    pub fn close(&mut self, stream: StreamId) {
        let channel = &mut self.channels[stream.0];
        channel.writable = false;
        channel.waiting.clear();
        if let Some(number) = channel.number {
            self.request(EventKind::Close, "", number, 0);
        }
    }

    /// Requests a reset and drops all queued packets. The connection is unusable after that.
    pub fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.waiting.clear();
        }
        self.request(EventKind::Reset, "", 0, 0);
    }

    /// Returns the next event, if any.
    pub fn poll(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Returns the next bytes to send, empty when there are none. Report sent bytes with [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        if self.sending.is_none() {
            self.sending = self.next_to_send();
        }
        self.sending.as_ref().map_or(&[], Sending::rest)
    }

    /// Reports that the first `n` bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize) {
        if let Some(sending) = &mut self.sending {
            sending.sent += n;
            if sending.rest().is_empty() && sending.sent >= EVENT_HEADER_BYTES {
                self.sending = None;
            }
        }
    }

    fn next_to_send(&mut self) -> Option<Sending> {
        if let Some(header) = self.urgent.pop_front() {
            return Some(Sending { header: header.to_bytes(), payload: None, sent: 0 });
        }
        // The client opens the watchdog's stream last: its pings must not wait for megabytes of data.
        let at = self.channels.iter().rposition(Channel::is_ready)?;
        let channel = &mut self.channels[at];
        let packet = channel.waiting.pop_front()?;
        channel.outstanding.push_back(packet.len());
        let (number, size) = (channel.number.unwrap_or(UNNUMBERED), packet.len());
        let header = self.header(EventKind::Write, "", number, size);
        Some(Sending { header: header.to_bytes(), payload: Some((StreamId(at), packet)), sent: 0 })
    }

    /// Processes received bytes.
    ///
    /// # Errors
    /// When the peer violates the protocol. The link cannot continue.
    pub fn handle_input(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let missing = match &self.receiving {
                Some(Receiving { header, bytes, .. }) => header.size as usize - bytes.len(),
                None => EVENT_HEADER_BYTES - self.head.len(),
            };
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            bytes = later;
            self.received += now.len() as u64;
            let complete = now.len() == missing;
            if let Some(receiving) = &mut self.receiving {
                receiving.bytes.extend_from_slice(now);
                if complete && let Some(Receiving { stream, header, bytes }) = self.receiving.take() {
                    self.packet(stream, &header, bytes);
                }
            } else {
                self.head.extend_from_slice(now);
                if complete && let Ok(head) = <&[u8; EVENT_HEADER_BYTES]>::try_from(&self.head[..]) {
                    let at = self.received - EVENT_HEADER_BYTES as u64;
                    let header = EventHeader::parse(head).map_err(|why| LinkError::Malformed { at, why })?;
                    self.head.clear();
                    if self.urgent.len() > MAX_UNSENT_RESPONSES {
                        return Err(LinkError::ResponsesNotRead { at });
                    }
                    if header.response {
                        self.response(&header);
                    } else {
                        self.requested(header, at)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn packet(&mut self, stream: StreamId, header: &EventHeader, bytes: Vec<u8>) {
        self.respond(header, EventHeader::ACK);
        if self.channels[stream.0].releases {
            self.request(EventKind::Release, "", header.stream, header.size);
        }
        self.events.push_back(LinkEvent::Packet(stream, bytes));
    }

    fn requested(&mut self, header: EventHeader, at: u64) -> Result<(), LinkError> {
        let no_such = LinkError::NoSuchStream { at, stream: header.stream };
        match header.kind {
            EventKind::Write => {
                let stream = self.numbered(header.stream).ok_or(no_such)?;
                if header.size > MAX_PACKET_BYTES {
                    return Err(LinkError::TooLarge { at, stream: header.stream, size: header.size });
                }
                if header.size == 0 {
                    self.packet(stream, &header, Vec::new());
                } else {
                    let bytes = Vec::with_capacity((header.size as usize).min(INITIAL_CAPACITY_BYTES));
                    self.receiving = Some(Receiving { stream, header, bytes });
                }
            }
            EventKind::Release | EventKind::ReleaseSpecific => {
                let stream = self.numbered(header.stream).ok_or(no_such)?;
                self.respond(&header, EventHeader::ACK);
                // One event releases one packet, whatever length it names: a wrong one must not leak credit.
                if let Some(len) = self.channels[stream.0].outstanding.pop_front() {
                    self.events.push_back(LinkEvent::Released(stream, len));
                }
            }
            EventKind::Create => self.opened_by_peer(&header, at)?,
            EventKind::Close => {
                let stream = self.numbered(header.stream);
                self.respond(
                    &header,
                    if stream.is_some() { EventHeader::ACK } else { EventHeader::NACK | EventHeader::NO_SUCH_STREAM },
                );
                self.events.extend(stream.map(LinkEvent::ClosedByPeer));
            }
            EventKind::Ping => {
                self.respond(&header, EventHeader::ACK);
                if !std::mem::replace(&mut self.up, true) {
                    self.events.push_back(LinkEvent::Up);
                }
            }
            EventKind::Reset => {
                self.respond(&header, EventHeader::ACK);
                self.events.push_back(LinkEvent::Reset);
            }
        }
        Ok(())
    }

    fn opened_by_peer(&mut self, header: &EventHeader, at: u64) -> Result<(), LinkError> {
        if self.stream(&header.name).is_none() && self.channels.len() >= MAX_STREAMS {
            return Err(LinkError::TooManyStreams { at, name: header.name.clone() });
        }
        let stream = self.named(&header.name);
        let number = match self.role {
            Role::Host => self.number(stream),
            Role::Device => header.stream,
        };
        self.channels[stream.0].number = Some(number);
        // Unlike other responses, this one must carry the real number and name, even with `leave_stale`.
        let answer = EventHeader { stream: number, response: true, flags: EventHeader::ACK, ..header.clone() };
        self.urgent.push_back(answer);
        self.events.push_back(LinkEvent::OpenedByPeer(stream, header.size));
        Ok(())
    }

    /// Matches responses by id and kind only: the vendor leaves stale names and numbers in them.
    fn response(&mut self, header: &EventHeader) {
        match header.kind {
            EventKind::Ping if self.ping == Some(header.id) => {
                self.ping = None;
                if !std::mem::replace(&mut self.up, true) {
                    self.events.push_back(LinkEvent::Up);
                }
            }
            EventKind::Create => {
                let Some(at) = self.channels.iter().position(|channel| channel.opening == Some(header.id)) else {
                    return;
                };
                let channel = &mut self.channels[at];
                channel.opening = None;
                channel.writable = header.flags & EventHeader::ACK != 0 && header.flags & EventHeader::NACK == 0;
                if self.role == Role::Device && channel.writable {
                    channel.number = Some(header.stream);
                }
                let event =
                    if channel.writable { LinkEvent::Open(StreamId(at)) } else { LinkEvent::Refused(StreamId(at)) };
                self.events.push_back(event);
            }
            EventKind::Write
            | EventKind::Release
            | EventKind::Close
            | EventKind::Ping
            | EventKind::Reset
            | EventKind::ReleaseSpecific => {}
        }
    }

    fn header(&mut self, kind: EventKind, name: &str, stream: u32, size: u32) -> EventHeader {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        // The vendor's host sets ACK in every request too.
        EventHeader { id, kind, response: false, name: name.to_owned(), stream, size, flags: EventHeader::ACK }
    }

    fn request(&mut self, kind: EventKind, name: &str, stream: u32, size: u32) -> i32 {
        let header = self.header(kind, name, stream, size);
        let id = header.id;
        self.urgent.push_back(header);
        id
    }

    fn respond(&mut self, request: &EventHeader, flags: u32) {
        let (name, size) = self.stale.clone().unwrap_or_else(|| (String::new(), request.size));
        self.urgent.push_back(EventHeader { name, size, response: true, flags, ..request.clone() });
    }

    fn named(&mut self, name: &str) -> StreamId {
        self.stream(name).unwrap_or_else(|| {
            self.channels.push(Channel::new(name));
            StreamId(self.channels.len() - 1)
        })
    }

    fn numbered(&self, number: u32) -> Option<StreamId> {
        self.channels.iter().position(|channel| channel.number == Some(number)).map(StreamId)
    }

    /// Returns the number of a stream, and assigns one if it has none. Host only.
    fn number(&mut self, stream: StreamId) -> u32 {
        if let Some(number) = self.channels[stream.0].number {
            return number;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.channels[stream.0].number = Some(number);
        number
    }
}

#[cfg(test)]
mod tests;
