//! `mqtt://[USER:PASSWORD@]BROKER[:PORT]/TOPIC` and `mqtts://`: a camera publishes to a broker.

mod error;
mod payload;
mod spec;
mod topics;

use std::time::Duration;

use rumqttc::{Publish, QoS, SubscribeFilter};
use tokio::net::TcpStream;

pub use self::spec::MqttSpec;

use self::payload::Payload;
use self::topics::Topics;
use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::connect::{addresses, connect, keep_alive};
use super::error::SourceErrorKind;
use super::monitor::Rhythm;
use super::png;
use super::reception::Reception;
use super::{IncidentEvent, Measurement, SessionOptions, SessionState};
use crate::frame::{Received, Staleness};
use crate::net::clock::received_now;
pub use crate::net::mqtt::MqttError;
use crate::net::mqtt::{Client, Message, Opening, SkippedMessage, identifier};
use crate::wire::{Damage, Decoder, Limits, MESSAGE_HEAD_MAX, Protocol, SkipReason};

/// Bytes of answers that wait to be sent, from which nothing more is received.
const ANSWERS_MAX_BYTES: usize = 64 << 10;

/// Longest time that the end of a session waits for the broker.
const CLOSE_MAX: Duration = Duration::from_millis(100);

/// Receives from one topic filter.
pub(super) struct MqttSource {
    spec: MqttSpec,
    /// Our identifier at the broker. The same for all connections, so that the broker ends the last one.
    identifier: String,
    decoder: Decoder,
    rhythm: Rhythm,
    topics: Topics,
}

impl MqttSource {
    pub(super) fn new(spec: MqttSpec, options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, .. } = options;
        let decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
        let (rhythm, topics) = (Rhythm::default(), Topics::default());
        Self { spec, identifier: identifier(), decoder, rhythm, topics }
    }
}

/// Detections that wait for their picture.
struct Waiting {
    topic: String,
    text: Vec<u8>,
    is_retained: bool,
}

impl Source for MqttSource {
    type Link = TcpStream;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(TcpStream, Addresses), SourceErrorKind> {
        let stream = connect(&self.spec.host, self.spec.port, attempts.options.timeouts.connect).await?;
        keep_alive(&stream);
        // Answers are small, and the broker waits for them.
        let _ = stream.set_nodelay(true);
        let addresses = addresses(&stream);
        Ok((stream, addresses))
    }

    async fn receive(&mut self, attempts: &mut Attempts, stream: TcpStream, opened: Received) -> ConnectionEnd {
        let Self { spec, identifier, decoder, rhythm, topics } = self;
        let limits = attempts.options.limits;
        let mut reception = Reception::begin(attempts, decoder, *rhythm, opened);
        reception.silent = SessionState::Subscribed { topic: spec.topic.as_str().into() };
        let mut connection = Connection { topics, limits, waiting: None, reception };
        let ended = connection.receive(spec, identifier, stream).await;
        connection.forget_detections(received_now());
        let mut reception = connection.reception;
        reception.count_outage(&ended);
        let result = reception.finish(&ended).and(ended);
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        *rhythm = reception.rhythm(&result);
        ConnectionEnd { result, frames, bytes }
    }
}

/// The time from the first packet until the session is stopped, or until an error.
struct Connection<'a> {
    topics: &'a mut Topics,
    limits: Limits,
    waiting: Option<Waiting>,
    reception: Reception<'a>,
}

impl Connection<'_> {
    /// Returns `Ok` if the session was stopped.
    async fn receive(&mut self, spec: &MqttSpec, identifier: &str, stream: TcpStream) -> Result<(), SourceErrorKind> {
        let max = self.limits.payload.saturating_add(self.limits.detections).saturating_add(MESSAGE_HEAD_MAX);
        let timeout = self.reception.attempts.options.timeouts.connect;
        let frames = self.reception.decoder.frames().clone();
        let filters = spec.filters().into_iter().map(|path| SubscribeFilter { path, qos: QoS::ExactlyOnce });
        let opening = Opening {
            tls: spec.tls.then_some((&spec.host, spec.insecure)),
            identifier,
            login: spec.login(),
            last_will: None,
            filters: filters.collect(),
            // Not the one to the detections.
            required: 1,
            timeout,
            max,
            output_max: ANSWERS_MAX_BYTES,
            bound: frames.bound(),
        };
        let Some(opened) = self.reception.unless_stopped(Client::open(opening, stream)).await else { return Ok(()) };
        let mut client = opened?;
        let ended = self.messages(&mut client).await;
        self.reception.attempts.delivery.ending(&ended);
        if ended.is_ok() {
            client.close(CLOSE_MAX).await;
        }
        ended
    }

    async fn messages(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        loop {
            while let Some(message) = client.message()? {
                let now = received_now();
                self.reception.silence.bytes(now.mono_ns, false);
                match message {
                    Message::Whole(publish) => {
                        self.take(&publish, now).await;
                        client.acknowledge(&publish)?;
                    }
                    Message::Skipped(SkippedMessage { topic, bytes, has_no_memory: true, .. }) => {
                        tracing::debug!(camera = self.name(), "no memory for {bytes} bytes on {topic}");
                        let damage = Damage::NoMemory { expected: bytes };
                        self.reception.decoder.lost_picture(damage, &[], bytes, now);
                    }
                    Message::Skipped(SkippedMessage { topic, bytes, .. }) => self.too_large(&topic, bytes, now),
                    Message::Acknowledged(_) => {
                        return Err(MqttError::Invalid("it sent PUBACK: expected PUBLISH".to_owned()).into());
                    }
                }
                self.reception.all_events(now).await?;
                if self.reception.is_stopped() {
                    return Ok(());
                }
            }
            if client.is_inside_a_packet() {
                self.reception.silence.bytes(received_now().mono_ns, true);
            }
            self.reception.pause().await;
            match self.reception.wait(client.read()).await? {
                Some(read) => self.reception.turn.work += read? as u64,
                None => return Ok(()),
            }
        }
    }

    /// Passes a message to the decoder.
    async fn take(&mut self, publish: &Publish, now: Received) {
        let Publish { topic, payload, retain, .. } = publish;
        let kind = Payload::of(payload);
        let max = if kind == Payload::Detections { self.limits.detections } else { self.limits.payload };
        if kind != Payload::Message && payload.len() > max {
            self.too_large(topic, payload.len(), now);
            return;
        }
        if self.topics.is_repeated(topic, payload, *retain) {
            tracing::info!(camera = self.name(), "the broker sends the retained message on {topic} again");
            self.reception.decoder.outside(payload, payload.len(), SkipReason::ForeignRecord, now);
            return;
        }
        match kind {
            Payload::Empty => {}
            Payload::Picture | Payload::Message => {
                if let Err(pictures) = self.topics.admit_picture(topic) {
                    let pictures = pictures.to_owned();
                    if self.topics.report(topic) {
                        tracing::warn!(
                            camera = self.name(),
                            "ignoring the pictures on {topic}: those on {pictures} were first; give each camera a source of \
                             its own"
                        );
                    }
                    self.reception.decoder.outside(payload, payload.len(), SkipReason::ForeignRecord, now);
                    return;
                }
                if *retain {
                    tracing::info!(
                        camera = self.name(),
                        "the picture on {topic} was retained by the broker: it counts as stale"
                    );
                }
                if kind == Payload::Message {
                    if !self.reception.decoder.message(payload, *retain, now) {
                        self.reception.decoder.outside(payload, payload.len(), SkipReason::NotAHeader, now);
                    }
                } else {
                    self.picture(publish, now).await;
                }
            }
            Payload::Detections if self.topics.admit_detections(topic) => {
                self.forget_detections(now);
                let text = payload.trim_ascii().to_vec();
                let trimmed = payload.len() - text.len();
                self.reception.decoder.outside(&[], trimmed, SkipReason::ForeignRecord, now);
                self.waiting = Some(Waiting { topic: topic.clone(), text, is_retained: *retain });
            }
            Payload::Detections => {
                let expected = self.topics.expected_detections();
                self.ignore(publish, &format!("detections: those of the pictures are expected on {expected}"), now);
            }
            Payload::Number(value) => {
                let measurement = Measurement { topic: topic.clone(), value, stale: *retain };
                self.reception.decoder.outside(payload, payload.len(), SkipReason::ForeignRecord, now);
                self.reception.attempts.delivery.incident(now, IncidentEvent::Measured(measurement));
                self.reception.silence.frame(now.mono_ns);
                self.reception.set_state(SessionState::Streaming);
            }
            Payload::Text => self.ignore(publish, "text: expected a picture, detections or a number", now),
        }
    }

    /// Counts a message that is too large, and says so once for each topic.
    fn too_large(&mut self, topic: &str, bytes: usize, now: Received) {
        if self.topics.report(topic) {
            let max = self.limits.payload;
            tracing::warn!(
                camera = self.name(),
                "ignoring a message of {bytes} bytes on {topic}: expected at most {max}; if the pictures are as large as \
                 that, raise --max-payload, otherwise use a topic without this message"
            );
        }
        self.reception.decoder.lost_picture(Damage::TooLarge { expected: bytes }, &[], bytes, now);
    }

    /// Passes a picture to the decoder, with the detections that wait for it.
    async fn picture(&mut self, publish: &Publish, now: Received) {
        let Publish { topic, payload, retain, .. } = publish;
        let detections =
            self.waiting.take_if(|waiting| waiting.is_retained == *retain && Topics::belong(&waiting.topic, topic));
        self.forget_detections(now);
        let text = detections.map(|waiting| waiting.text).unwrap_or_default();
        let decoder = &mut *self.reception.decoder;
        let mut frame = decoder.frames().lease(payload.len());
        frame.clear();
        let Some(room) = frame.try_payload_mut(payload.len()) else {
            let damage = Damage::NoMemory { expected: payload.len() };
            decoder.lost_picture(damage, payload, text.len() + payload.len(), now);
            return;
        };
        room.copy_from_slice(payload);
        frame.payload_mut(payload.len());
        frame.detection_text.extend_from_slice(&text);
        frame.staleness = Staleness::Known(*retain);
        png::deliver(decoder, frame, Protocol::Mqtt, self.limits.payload, now).await;
    }

    /// Skips detections without a picture.
    fn forget_detections(&mut self, now: Received) {
        if let Some(Waiting { text, .. }) = self.waiting.take() {
            self.reception.decoder.unused_detections(&text, now);
        }
    }

    /// Skips a message, and says so once for each topic.
    fn ignore(&mut self, publish: &Publish, what: &str, now: Received) {
        let Publish { topic, payload, .. } = publish;
        if self.topics.report(topic) {
            tracing::warn!(camera = self.name(), "ignoring {topic}: it has {what}");
        }
        self.reception.decoder.outside(payload, payload.len(), SkipReason::ForeignRecord, now);
    }

    fn name(&self) -> &str {
        self.reception.attempts.delivery.name()
    }
}
