//! The connection to a broker: packets of MQTT 3.1.1 over TCP or TLS. Holds one received packet at a time, and memory only for
//! bytes that have arrived.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rumqttc::{
    Connect, LastWill, Login, Packet, PubAck, PubComp, PubRec, Publish, QoS, Subscribe, SubscribeFilter,
    SubscribeReasonCode,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::error::{ClientError, MqttError};
use crate::frame::{Charge, MemoryBound};
use crate::net::tls;
use crate::wire::{LargeMessage, PacketPiece, PacketSplitter};

/// Interval at which the broker is asked for a sign of life. It closes the connection after 1.5 of them without one of ours.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Bytes to read at once, at least.
const READ_BYTES: usize = 64 << 10;

/// Longest packet that we send, in bytes: the limit of MQTT.
const MAX_SENT_BYTES: usize = 268_435_455;

/// Number of our only subscription.
const SUBSCRIPTION: u16 = 1;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Returns a new identifier for a client: letters and digits only, at most 23, which every broker has to accept.
pub(crate) fn identifier() -> String {
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("oaktap{random:016x}")
}

/// A message whose payload was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SkippedMessage {
    pub(crate) topic: String,
    /// Length of the payload in bytes.
    pub(crate) bytes: usize,
    /// There was no memory for it. Otherwise it was too large.
    pub(crate) has_no_memory: bool,
    qos: QoS,
    id: u16,
}

/// A message that has arrived, or the answer to one of ours.
#[derive(Debug)]
pub(crate) enum Message {
    Whole(Publish),
    Skipped(SkippedMessage),
    /// The broker has taken our message of quality of service 1 with this number.
    Acknowledged(u16),
}

/// Options of [`Client::open`].
pub(crate) struct Opening<'a> {
    /// Name of the broker, and whether any certificate is accepted. `None`: without TLS.
    pub(crate) tls: Option<(&'a str, bool)>,
    pub(crate) identifier: &'a str,
    pub(crate) login: Option<Login>,
    /// The broker publishes it when the connection is lost.
    pub(crate) last_will: Option<LastWill>,
    /// Topic filters to subscribe to.
    pub(crate) filters: Vec<SubscribeFilter>,
    /// Filters from the first on that the broker must not refuse.
    pub(crate) required: usize,
    /// Time for each answer.
    pub(crate) timeout: Duration,
    /// Longest packet that is received, in bytes.
    pub(crate) max: usize,
    /// Bytes that wait to be sent, from which nothing more is read: a broker that does not read gets no further answers.
    pub(crate) output_max: usize,
    /// Memory for received packets that are longer than [`READ_BYTES`].
    pub(crate) bound: &'a MemoryBound,
}

/// An open connection.
pub(crate) struct Client {
    reader: ReadHalf<Box<dyn Transport>>,
    writer: WriteHalf<Box<dyn Transport>>,
    input: BytesMut,
    output: BytesMut,
    /// Bytes were written that may not have left this host.
    is_unflushed: bool,
    /// Bytes that the packet at the front of the input lacks.
    missing: usize,
    splitter: PacketSplitter,
    /// Longest packet, in bytes.
    max: usize,
    output_max: usize,
    /// The message whose payload is skipped.
    skipped: Option<SkippedMessage>,
    /// The memory of the input, as part of `--buffer`.
    bound: MemoryBound,
    charge: Charge,
    /// The memory that the next message needs is not left.
    has_no_memory: bool,
    /// Numbers of messages of QoS 2 that were received and are not released yet: a repetition is not received again.
    unreleased: HashSet<u16>,
    /// The filters of the subscription.
    filters: Vec<String>,
    required: usize,
    /// Time by which the broker has to answer the subscription; `None` before it was sent and after the answer.
    answer_due: Option<Instant>,
    timeout: Duration,
    ping_due: Instant,
    /// A ping was sent, and nothing has arrived since.
    is_pinged: bool,
}

impl Client {
    /// Connects, and subscribes if there are filters.
    pub(crate) async fn open(opening: Opening<'_>, stream: TcpStream) -> Result<Self, ClientError> {
        let Opening { tls, identifier, login, last_will, filters, required, timeout, max, output_max, bound } = opening;
        let stream: Box<dyn Transport> = match tls {
            Some((host, insecure)) => {
                let opened = tokio::time::timeout(timeout, tls::handshake(host, stream, insecure)).await;
                Box::new(opened.map_err(|_| ClientError::ConnectTimeout(timeout))?.map_err(MqttError::from)?)
            }
            None => Box::new(stream),
        };
        let (reader, writer) = tokio::io::split(stream);
        let now = Instant::now();
        let mut client = Self {
            reader,
            writer,
            input: BytesMut::new(),
            output: BytesMut::new(),
            is_unflushed: false,
            missing: 0,
            splitter: PacketSplitter::default(),
            max,
            output_max,
            skipped: None,
            bound: bound.clone(),
            charge: Charge::default(),
            has_no_memory: false,
            unreleased: HashSet::new(),
            filters: filters.iter().map(|filter| filter.path.clone()).collect(),
            required,
            answer_due: None,
            timeout,
            ping_due: now + KEEP_ALIVE,
            is_pinged: false,
        };
        let mut connect = Connect::new(identifier);
        connect.clean_session = true;
        connect.keep_alive = KEEP_ALIVE.as_secs() as u16;
        let has_login = login.is_some();
        (connect.login, connect.last_will) = (login, last_will);
        client.send(&Packet::Connect(connect))?;
        let connected = async {
            loop {
                match client.next_packet()? {
                    Some(Next::Packet(Packet::ConnAck(answer))) => break Ok(answer),
                    Some(Next::Packet(other)) => break Err(unexpected(&other, "CONNACK")),
                    Some(Next::Skipped(_)) => {
                        break Err(MqttError::Invalid("it sent PUBLISH: expected CONNACK".to_owned()).into());
                    }
                    None => client.read().await?,
                };
            }
        };
        let late = || MqttError::NoAnswer { to: "CONNECT", within: timeout }.into();
        let answer = tokio::time::timeout(timeout, connected).await.unwrap_or_else(|_| Err(late()));
        let answer = answer.map_err(|error| match error {
            ClientError::Failed(_) | ClientError::Broker(MqttError::Closed) => MqttError::Unanswered.into(),
            error => error,
        })?;
        if let Some(refused) = MqttError::refused(answer.code, has_login) {
            return Err(refused.into());
        }
        if !filters.is_empty() {
            let mut subscribe = Subscribe::new_many(filters);
            subscribe.pkid = SUBSCRIPTION;
            client.send(&Packet::Subscribe(subscribe))?;
            client.answer_due = Some(Instant::now() + timeout);
        }
        Ok(client)
    }

    /// Waits for bytes, and sends meanwhile. May be dropped and called again. Returns the number of bytes: 0 if there is no
    /// memory for the message that arrives, and [`Self::message`] skips it.
    pub(crate) async fn read(&mut self) -> Result<usize, ClientError> {
        // Doubles with the bytes that have arrived: the length of a packet is only announced.
        let room = self.missing.clamp(READ_BYTES, self.input.len().max(READ_BYTES));
        let needed = self.input.len() + room;
        if needed > self.input.capacity() && needed > 2 * READ_BYTES && !self.charge.try_set(&self.bound, 2 * needed) {
            self.has_no_memory = true;
            return Ok(0);
        }
        let output_max = self.output_max;
        let Self { reader, writer, input, output, .. } = self;
        input.reserve(room);
        loop {
            let due = self.answer_due.unwrap_or(self.ping_due).min(self.ping_due);
            let (has_room, has_output) = (output.len() < output_max, self.is_unflushed || output.has_remaining());
            let written = async {
                writer.write_all_buf(output).await?;
                writer.flush().await
            };
            self.is_unflushed |= has_output;
            tokio::select! {
                read = reader.read_buf(input), if has_room => {
                    let read = read.map_err(ClientError::Failed)?;
                    self.is_pinged = false;
                    return if read == 0 { Err(MqttError::Closed.into()) } else { Ok(read) };
                }
                written = written, if has_output => {
                    written.map_err(ClientError::Failed)?;
                    self.is_unflushed = false;
                }
                () = tokio::time::sleep_until(due) => {
                    if self.answer_due.is_some_and(|due| due <= Instant::now()) {
                        return Err(MqttError::NoAnswer { to: "SUBSCRIBE", within: self.timeout }.into());
                    }
                    if self.is_pinged {
                        return Err(MqttError::NoAnswer { to: "PINGREQ", within: KEEP_ALIVE }.into());
                    }
                    (self.is_pinged, self.ping_due) = (true, Instant::now() + KEEP_ALIVE);
                    write(output, &Packet::PingReq)?;
                }
            }
        }
    }

    /// Returns whether a packet has been received in part.
    pub(crate) fn is_inside_a_packet(&self) -> bool {
        !self.input.is_empty() || self.splitter.is_skipping()
    }

    /// Returns the next message that has arrived completely. Answers the other packets, and messages that are skipped.
    pub(crate) fn message(&mut self) -> Result<Option<Message>, ClientError> {
        while let Some(packet) = self.next_packet()? {
            let packet = match packet {
                Next::Packet(packet) => packet,
                Next::Skipped(skipped) => {
                    let is_repeated = skipped.qos == QoS::ExactlyOnce && self.unreleased.contains(&skipped.id);
                    self.answer(skipped.qos, skipped.id)?;
                    if is_repeated {
                        continue;
                    }
                    return Ok(Some(Message::Skipped(skipped)));
                }
            };
            match packet {
                Packet::Publish(publish)
                    if publish.qos == QoS::ExactlyOnce && self.unreleased.contains(&publish.pkid) =>
                {
                    self.acknowledge(&publish)?;
                }
                Packet::Publish(publish) => return Ok(Some(Message::Whole(publish))),
                Packet::PubRel(released) => {
                    self.unreleased.remove(&released.pkid);
                    self.send(&Packet::PubComp(PubComp::new(released.pkid)))?;
                }
                Packet::SubAck(answer) if answer.pkid == SUBSCRIPTION && self.answer_due.is_some() => {
                    self.answer_due = None;
                    let refused = |(_, code): &(_, _)| *code == SubscribeReasonCode::Failure;
                    let answers = self.filters.iter().zip(answer.return_codes).enumerate();
                    for (number, (filter, _)) in answers.filter(|(_, answer)| refused(answer)) {
                        if number < self.required {
                            return Err(MqttError::Subscription { topic: filter.clone() }.into());
                        }
                        tracing::info!("the broker refuses the subscription to {filter}");
                    }
                }
                Packet::PubAck(taken) => return Ok(Some(Message::Acknowledged(taken.pkid))),
                Packet::PingResp => {}
                other => return Err(unexpected(&other, "PUBLISH")),
            }
        }
        Ok(None)
    }

    /// Adds a message to the output, which [`Self::read`] sends.
    pub(crate) fn publish(&mut self, message: Publish) -> Result<(), ClientError> {
        self.send(&Packet::Publish(message))
    }

    /// Returns the bytes that wait to be sent.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.output.len()
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        self.writer.write_all_buf(&mut self.output).await.map_err(ClientError::Failed)?;
        self.writer.flush().await.map_err(ClientError::Failed)?;
        self.is_unflushed = false;
        Ok(())
    }

    /// Answers a message that was processed.
    pub(crate) fn acknowledge(&mut self, publish: &Publish) -> Result<(), ClientError> {
        self.answer(publish.qos, publish.pkid)
    }

    fn answer(&mut self, qos: QoS, id: u16) -> Result<(), ClientError> {
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.send(&Packet::PubAck(PubAck::new(id))),
            QoS::ExactlyOnce => {
                self.unreleased.insert(id);
                self.send(&Packet::PubRec(PubRec::new(id)))
            }
        }
    }

    /// Sends what waits, and takes leave, so that the broker does not report a lost client. Returns whether everything was sent.
    pub(crate) async fn close(mut self, within: Duration) -> bool {
        let leaving = async {
            write(&mut self.output, &Packet::Disconnect).ok()?;
            self.writer.write_all_buf(&mut self.output).await.ok()?;
            self.writer.shutdown().await.ok()
        };
        matches!(tokio::time::timeout(within, leaving).await, Ok(Some(())))
    }

    fn next_packet(&mut self) -> Result<Option<Next>, ClientError> {
        loop {
            let max = if self.has_no_memory { READ_BYTES.min(self.max) } else { self.max };
            let piece = self.splitter.next(&self.input, max).map_err(|error| MqttError::Invalid(error.to_string()))?;
            self.missing = 0;
            match piece {
                PacketPiece::Incomplete(missing) => {
                    self.missing = missing;
                    return Ok(None);
                }
                PacketPiece::Packet(len) => {
                    self.has_no_memory = false;
                    let packet = Packet::read(&mut self.input.split_to(len), len);
                    let packet = packet.map_err(|error| MqttError::Invalid(error.to_string()))?;
                    return Ok(Some(Next::Packet(packet)));
                }
                PacketPiece::TooLarge(LargeMessage { head, topic: (from, to), qos, id, payload }) => {
                    let topic = String::from_utf8_lossy(&self.input[from..to]).into_owned();
                    let qos = match qos {
                        0 => QoS::AtMostOnce,
                        1 => QoS::AtLeastOnce,
                        _ => QoS::ExactlyOnce,
                    };
                    let has_no_memory = std::mem::take(&mut self.has_no_memory);
                    let skipped = SkippedMessage { topic, bytes: payload, has_no_memory, qos, id };
                    self.input.advance(head);
                    if payload == 0 {
                        return Ok(Some(Next::Skipped(skipped)));
                    }
                    self.skipped = Some(skipped);
                }
                PacketPiece::Skipped { bytes, is_end } => {
                    self.input.advance(bytes);
                    if self.input.is_empty() {
                        // Returns the memory to other cameras.
                        (self.input, self.charge) = (BytesMut::new(), Charge::default());
                    }
                    if is_end && let Some(skipped) = self.skipped.take() {
                        return Ok(Some(Next::Skipped(skipped)));
                    }
                }
            }
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), ClientError> {
        write(&mut self.output, packet)
    }
}

/// A packet, or a message whose payload was skipped.
enum Next {
    Packet(Packet),
    Skipped(SkippedMessage),
}

fn write(output: &mut BytesMut, packet: &Packet) -> Result<(), ClientError> {
    packet.write(output, MAX_SENT_BYTES).map(drop).map_err(|error| MqttError::Invalid(error.to_string()).into())
}

fn unexpected(packet: &Packet, expected: &str) -> ClientError {
    let found = match packet {
        Packet::Connect(_) => "CONNECT",
        Packet::ConnAck(_) => "CONNACK",
        Packet::Publish(_) => "PUBLISH",
        Packet::PubAck(_) => "PUBACK",
        Packet::PubRec(_) => "PUBREC",
        Packet::PubRel(_) => "PUBREL",
        Packet::PubComp(_) => "PUBCOMP",
        Packet::Subscribe(_) => "SUBSCRIBE",
        Packet::SubAck(_) => "SUBACK",
        Packet::Unsubscribe(_) => "UNSUBSCRIBE",
        Packet::UnsubAck(_) => "UNSUBACK",
        Packet::PingReq => "PINGREQ",
        Packet::PingResp => "PINGRESP",
        Packet::Disconnect => "DISCONNECT",
    };
    MqttError::Invalid(format!("it sent {found}: expected {expected}")).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Frame, Pool};

    fn client(input: &[u8], max: usize) -> Client {
        let (reader, writer) =
            tokio::io::split(Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink())) as Box<dyn Transport>);
        let now = Instant::now();
        Client {
            reader,
            writer,
            input: input.into(),
            output: BytesMut::new(),
            is_unflushed: false,
            missing: 0,
            splitter: PacketSplitter::default(),
            max,
            output_max: 64 << 10,
            skipped: None,
            bound: Pool::<Frame>::bounded(8 << 20).bound().clone(),
            charge: Charge::default(),
            has_no_memory: false,
            unreleased: HashSet::new(),
            filters: vec!["cam".to_owned()],
            required: 1,
            answer_due: Some(now),
            timeout: KEEP_ALIVE,
            ping_due: now,
            is_pinged: false,
        }
    }

    #[test]
    fn identifiers_are_accepted_by_every_broker() {
        let found = [identifier(), identifier()];
        assert!(found.iter().all(|text| text.len() <= 23 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_ne!(found[0], found[1]);
    }

    #[tokio::test]
    async fn memory_follows_the_bytes_that_arrive_and_not_the_announced_length() {
        // 128 MiB are announced.
        let mut client = client(&[0x30, 0x80, 0x80, 0x80, 0x40, 0, 3], 256 << 20);
        assert!(client.message().expect("it may be a packet").is_none());
        assert!(matches!(client.read().await, Err(ClientError::Broker(MqttError::Closed))));
        assert!(client.input.capacity() < 4 * READ_BYTES, "{}", client.input.capacity());
    }

    /// A message of QoS 1 on the topic `cam` whose payload has this length.
    fn message(payload: usize) -> Vec<u8> {
        let remaining = 2 + 3 + 2 + payload;
        let len = [remaining % 128 + 128, remaining / 128 % 128 + 128, remaining / 16_384 % 128 + 128, remaining >> 21];
        let len = len.map(|byte| byte as u8);
        [&[0x32][..], &len, b"\0\x03cam\0\x07", &vec![b'7'; payload]].concat()
    }

    #[test]
    fn messages_that_are_too_large_are_skipped_and_answered() {
        let mut client = client(&[], 1000);
        let bytes = [message(5000), message(10)].concat();
        let mut found = Vec::new();
        for piece in bytes.chunks(300) {
            client.input.extend_from_slice(piece);
            while let Some(message) = client.message().expect("packets") {
                found.push(match message {
                    Message::Whole(publish) => (publish.payload.len(), false),
                    Message::Skipped(skipped) => (skipped.bytes, true),
                    Message::Acknowledged(_) => panic!("we have sent nothing"),
                });
            }
            assert!(client.input.len() < 1000, "{}", client.input.len());
        }
        assert_eq!(found, [(5000, true), (10, false)]);
        assert_eq!(client.output[..], [0x40, 2, 0, 7], "the one that was skipped is confirmed");
        assert!(!client.is_inside_a_packet());
    }

    #[tokio::test]
    async fn messages_for_which_there_is_no_memory_are_skipped() {
        let mut client = client(&message(6 << 20)[..200 << 10], 64 << 20);
        let room = Pool::<Frame>::bounded(256 << 10);
        client.bound = room.bound().clone();
        assert!(client.message().expect("it may be a packet").is_none());
        assert_eq!(client.read().await.expect("no memory is not an error"), 0);
        assert!(client.message().expect("a message").is_none());
        assert!(client.is_inside_a_packet() && client.input.is_empty());
        assert_eq!(room.bound().used(), 0);
        client.input.extend_from_slice(&message(6 << 20)[200 << 10..]);
        let Some(Message::Skipped(skipped)) = client.message().expect("a message") else { panic!("it is skipped") };
        assert_eq!((skipped.bytes, skipped.has_no_memory, &*skipped.topic), (6 << 20, true, "cam"));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whole packets, and some damage: every byte is either read, or left for a packet that is not complete.
        #[test]
        fn any_bytes_are_packets_or_an_error(
            packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes: Vec<u8> =
                packets.iter().flat_map(|(first, body)| [&[*first, body.len() as u8][..], body].concat()).collect();
            if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut client = client(&bytes, 1000);
            let mut read = 0;
            let ended = loop {
                match client.message() {
                    Ok(Some(Message::Skipped(skipped))) => read += skipped.bytes,
                    Ok(Some(Message::Acknowledged(_))) => {}
                    Ok(Some(Message::Whole(publish))) => {
                        read += publish.payload.len();
                        if let Err(error) = client.acknowledge(&publish) {
                            break Err(error);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            prop_assert!(read + client.input.len() <= bytes.len());
            match ended {
                Ok(()) => prop_assert!(client.input.is_empty() || client.missing > 0),
                Err(error) => prop_assert!(matches!(error, ClientError::Broker(_)), "{}", error),
            }
        }
    }
}
