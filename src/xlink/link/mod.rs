//! One end of a connection, as a machine: bytes in, packets out, and the other way round.

use std::collections::VecDeque;

use super::channel::{Channel, Packet, Sending};
use super::error::{LONGEST, LinkError, MOST_ANSWERS, MOST_STREAMS};
use super::event::{HEADER, Header, Kind};

/// Number of a stream in the request of somebody who does not number them (bootloader.md 2.2).
const UNNUMBERED: u32 = 0xdead_dead;
/// The vendor's host counts its events from here.
const FIRST_ID: i32 = 11;
/// Memory for a packet grows with the bytes that arrive, not with the claim: this much is given in advance.
const CREDULITY: usize = 1 << 20;
/// Budgets are multiples of this (bootloader.md 2.2).
const BUDGET_UNIT: u32 = 64;

/// A stream of this end. Numbers of another link mean nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream(pub(super) usize);

/// What happened on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both ends know of each other.
    Up,
    /// This end may write to the stream.
    Open(Stream),
    /// The other end has opened the stream, with this budget in bytes.
    OpenedByPeer(Stream, u32),
    /// The other end does not let us write to the stream.
    Refused(Stream),
    /// A packet came.
    Packet(Stream, Vec<u8>),
    /// The other end has consumed a packet of so many bytes.
    Released(Stream, u32),
    /// The other end will not write to the stream any more.
    ClosedByPeer(Stream),
    /// The other end wants a reset: for a camera to reboot.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Connects, asks for the link, and numbers the streams.
    Host,
    Device,
}

#[derive(Debug)]
struct Receiving {
    stream: Stream,
    header: Header,
    bytes: Vec<u8>,
}

/// One end of a connection. See the [module](super).
#[derive(Debug)]
pub struct Link {
    role: Role,
    next_id: i32,
    next_number: u32,
    channels: Vec<Channel>,
    /// Bytes that have arrived, and those of the next header among them.
    received: u64,
    head: Vec<u8>,
    receiving: Option<Receiving>,
    sending: Option<Sending>,
    /// Everything but packets: it goes first.
    urgent: VecDeque<Header>,
    events: VecDeque<Event>,
    ping: Option<i32>,
    up: bool,
    /// Fills in what a sloppy peer leaves standing in its responses, to be like one.
    stale: Option<(String, u32)>,
}

impl Link {
    /// The end that connects.
    #[must_use]
    pub fn host() -> Self {
        let mut link = Self::new(Role::Host);
        link.ping = Some(link.request(Kind::Ping, "", 0, 0));
        link
    }

    /// The end that is connected to.
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
            head: Vec::with_capacity(HEADER),
            receiving: None,
            sending: None,
            urgent: VecDeque::new(),
            events: VecDeque::new(),
            ping: None,
            up: false,
            stale: None,
        }
    }

    /// Wants to write to this stream, with no more than `budget` bytes outstanding. [`Event::Open`] or [`Event::Refused`]
    /// follows.
    pub fn open(&mut self, name: &str, budget: u32) -> Stream {
        let stream = self.named(name);
        let number = match self.role {
            Role::Host => self.number(stream),
            Role::Device => UNNUMBERED,
        };
        let budget = budget.next_multiple_of(BUDGET_UNIT);
        let id = self.request(Kind::Create, name, number, budget);
        let channel = &mut self.channels[stream.0];
        channel.budget = Some(budget);
        channel.opening = Some(id);
        stream
    }

    /// The stream of this name, if one end has opened it.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<Stream> {
        self.channels.iter().position(|channel| channel.name == name).map(Stream)
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self, stream: Stream) -> &str {
        &self.channels[stream.0].name
    }

    /// Sends a packet as soon as there is credit for it. Streams that were opened later go first.
    pub fn send(&mut self, stream: Stream, packet: impl Into<Packet>) {
        self.channels[stream.0].waiting.push_back(packet.into());
    }

    /// Forgets the packets of a stream that have not begun to be sent.
    pub fn forget(&mut self, stream: Stream) {
        self.channels[stream.0].waiting.clear();
    }

    /// No more than so many bytes of the stream are sent ahead of what the other end has consumed: on a slow link what is
    /// in front in the system's buffers delays everything behind it.
    pub fn set_window(&mut self, stream: Stream, bytes: u32) {
        self.channels[stream.0].window = bytes;
    }

    /// Whether packets of this stream are released as soon as they came, which is so if nothing else is said.
    pub fn set_releasing(&mut self, stream: Stream, releases: bool) {
        self.channels[stream.0].releases = releases;
    }

    /// A device that never opens a stream itself writes to it all the same.
    pub fn write_unopened(&mut self, stream: Stream) {
        self.channels[stream.0].writable = true;
    }

    /// Leaves this name and this number standing in responses, as vendors do (bootloader.md 2.1).
    pub fn leave_stale(&mut self, name: &str, size: u32) {
        self.stale = Some((name.to_owned(), size));
    }

    /// Whether a packet of this stream is being sent.
    #[must_use]
    pub fn is_sending(&self, stream: Stream) -> bool {
        let payload = self.sending.as_ref().and_then(|sending| sending.payload.as_ref());
        payload.is_some_and(|(sending, _)| *sending == stream)
    }

    /// Whether a packet of this stream has come in part.
    #[must_use]
    pub fn is_receiving(&self, stream: Stream) -> bool {
        self.receiving.as_ref().is_some_and(|receiving| receiving.stream == stream)
    }

    /// Packets of the stream that have not begun to be sent.
    #[must_use]
    pub fn waiting(&self, stream: Stream) -> usize {
        self.channels[stream.0].waiting.len()
    }

    /// Bytes of the stream that were sent and not consumed.
    #[must_use]
    pub fn outstanding(&self, stream: Stream) -> u64 {
        self.channels[stream.0].outstanding()
    }

    /// Says that this end will not write to the stream any more.
    pub fn close(&mut self, stream: Stream) {
        let channel = &mut self.channels[stream.0];
        channel.writable = false;
        channel.waiting.clear();
        if let Some(number) = channel.number {
            self.request(Kind::Close, "", number, 0);
        }
    }

    /// Asks for a reset. The connection is of no use any more once that is sent.
    pub fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.waiting.clear();
        }
        self.request(Kind::Reset, "", 0, 0);
    }

    /// What has happened; `None` when everything has been told.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next bytes to be sent, none when there is nothing to be said. See [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        if self.sending.is_none() {
            self.sending = self.next_to_send();
        }
        self.sending.as_ref().map_or(&[], Sending::rest)
    }

    /// So many bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize) {
        if let Some(sending) = &mut self.sending {
            sending.sent += n;
            if sending.rest().is_empty() && sending.sent >= HEADER {
                self.sending = None;
            }
        }
    }

    fn next_to_send(&mut self) -> Option<Sending> {
        if let Some(header) = self.urgent.pop_front() {
            return Some(Sending { header: header.to_bytes(), payload: None, sent: 0 });
        }
        // The watchdog's stream is opened last, and is not to wait behind megabytes.
        let at = self.channels.iter().rposition(Channel::is_ready)?;
        let channel = &mut self.channels[at];
        let packet = channel.waiting.pop_front()?;
        channel.outstanding.push_back(packet.len());
        let (number, size) = (channel.number.unwrap_or(UNNUMBERED), packet.len());
        let header = self.header(Kind::Write, "", number, size);
        Some(Sending { header: header.to_bytes(), payload: Some((Stream(at), packet)), sent: 0 })
    }

    /// Bytes have arrived.
    ///
    /// # Errors
    /// They are no XLink, or break what is agreed upon. The link cannot go on.
    pub fn handle_input(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let missing = match &self.receiving {
                Some(Receiving { header, bytes, .. }) => header.size as usize - bytes.len(),
                None => HEADER - self.head.len(),
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
                if complete && let Ok(head) = <&[u8; HEADER]>::try_from(&self.head[..]) {
                    let at = self.received - HEADER as u64;
                    let header = Header::parse(head).map_err(|why| LinkError::Malformed { at, why })?;
                    self.head.clear();
                    if self.urgent.len() > MOST_ANSWERS {
                        return Err(LinkError::Deaf { at });
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

    fn packet(&mut self, stream: Stream, header: &Header, bytes: Vec<u8>) {
        self.respond(header, Header::ACK);
        if self.channels[stream.0].releases {
            self.request(Kind::Release, "", header.stream, header.size);
        }
        self.events.push_back(Event::Packet(stream, bytes));
    }

    fn requested(&mut self, header: Header, at: u64) -> Result<(), LinkError> {
        let no_such = LinkError::NoSuchStream { at, stream: header.stream };
        match header.kind {
            Kind::Write => {
                let stream = self.numbered(header.stream).ok_or(no_such)?;
                if header.size > LONGEST {
                    return Err(LinkError::TooLarge { at, stream: header.stream, size: header.size });
                }
                if header.size == 0 {
                    self.packet(stream, &header, Vec::new());
                } else {
                    let bytes = Vec::with_capacity((header.size as usize).min(CREDULITY));
                    self.receiving = Some(Receiving { stream, header, bytes });
                }
            }
            Kind::Release | Kind::ReleaseThis => {
                let stream = self.numbered(header.stream).ok_or(no_such)?;
                self.respond(&header, Header::ACK);
                // One event releases one packet, whatever length it names: a wrong one must not leak credit.
                if let Some(len) = self.channels[stream.0].outstanding.pop_front() {
                    self.events.push_back(Event::Released(stream, len));
                }
            }
            Kind::Create => self.opened_by_peer(&header, at)?,
            Kind::Close => {
                let stream = self.numbered(header.stream);
                self.respond(
                    &header,
                    if stream.is_some() { Header::ACK } else { Header::NACK | Header::NO_SUCH_STREAM },
                );
                self.events.extend(stream.map(Event::ClosedByPeer));
            }
            Kind::Ping => {
                self.respond(&header, Header::ACK);
                if !std::mem::replace(&mut self.up, true) {
                    self.events.push_back(Event::Up);
                }
            }
            Kind::Reset => {
                self.respond(&header, Header::ACK);
                self.events.push_back(Event::Reset);
            }
        }
        Ok(())
    }

    fn opened_by_peer(&mut self, header: &Header, at: u64) -> Result<(), LinkError> {
        if self.stream(&header.name).is_none() && self.channels.len() >= MOST_STREAMS {
            return Err(LinkError::TooManyStreams { at, name: header.name.clone() });
        }
        let stream = self.named(&header.name);
        let number = match self.role {
            Role::Host => self.number(stream),
            Role::Device => header.stream,
        };
        self.channels[stream.0].number = Some(number);
        // Both sides need the number and the name here, whatever else is left standing.
        let answer = Header { stream: number, response: true, flags: Header::ACK, ..header.clone() };
        self.urgent.push_back(answer);
        self.events.push_back(Event::OpenedByPeer(stream, header.size));
        Ok(())
    }

    /// Responses are told by their identifier and kind alone: the vendor leaves stale names and numbers in them.
    fn response(&mut self, header: &Header) {
        match header.kind {
            Kind::Ping if self.ping == Some(header.id) => {
                self.ping = None;
                if !std::mem::replace(&mut self.up, true) {
                    self.events.push_back(Event::Up);
                }
            }
            Kind::Create => {
                let Some(at) = self.channels.iter().position(|channel| channel.opening == Some(header.id)) else {
                    return;
                };
                let channel = &mut self.channels[at];
                channel.opening = None;
                channel.writable = header.flags & Header::ACK != 0 && header.flags & Header::NACK == 0;
                if self.role == Role::Device && channel.writable {
                    channel.number = Some(header.stream);
                }
                let event = if channel.writable { Event::Open(Stream(at)) } else { Event::Refused(Stream(at)) };
                self.events.push_back(event);
            }
            Kind::Write | Kind::Release | Kind::Close | Kind::Ping | Kind::Reset | Kind::ReleaseThis => {}
        }
    }

    fn header(&mut self, kind: Kind, name: &str, stream: u32, size: u32) -> Header {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        // The vendor's host asks for everything with the answer `yes` filled in already.
        Header { id, kind, response: false, name: name.to_owned(), stream, size, flags: Header::ACK }
    }

    fn request(&mut self, kind: Kind, name: &str, stream: u32, size: u32) -> i32 {
        let header = self.header(kind, name, stream, size);
        let id = header.id;
        self.urgent.push_back(header);
        id
    }

    fn respond(&mut self, request: &Header, flags: u32) {
        let (name, size) = self.stale.clone().unwrap_or_else(|| (String::new(), request.size));
        self.urgent.push_back(Header { name, size, response: true, flags, ..request.clone() });
    }

    fn named(&mut self, name: &str) -> Stream {
        self.stream(name).unwrap_or_else(|| {
            self.channels.push(Channel::new(name));
            Stream(self.channels.len() - 1)
        })
    }

    fn numbered(&self, number: u32) -> Option<Stream> {
        self.channels.iter().position(|channel| channel.number == Some(number)).map(Stream)
    }

    /// The number of a stream. The host gives it.
    fn number(&mut self, stream: Stream) -> u32 {
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
