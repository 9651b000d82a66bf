//! `zenoh://ROUTER[:PORT]/HOST/CAMERA`: a camera that another oaktap receives and publishes with `--to zenoh://ROUTER`.
//!
//! ```text
//! oaktap/HOST/CAMERA/frame --callback of Zenoh--> DropOldest(4) --> exact bytes of the camera --> Decoder --> delivery
//! oaktap/HOST/CAMERA/{state,ledger}, tokens ----> Far: why no frames arrive, and the counts of the far receiver
//! ```

mod error;
mod far;
mod fleet;
mod message;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Subscriber;
use zenoh::sample::Sample;

pub use self::fleet::{FleetCamera, FleetReceiver, FleetState, ZenohFleet};
pub use self::spec::ZenohSpec;
pub use crate::net::zenoh::{ZenohError, ZenohRouter};

use self::far::Far;
use self::message::BusFrame;
use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::error::SourceErrorKind;
use super::monitor::Rhythm;
use super::reception::Reception;
use super::repeated_warning::RepeatedWarning;
use super::{IncidentEvent, SessionOptions, SessionState};
use crate::frame::Received;
use crate::hub::{LaneCounter, Policy, Taker, lane};
use crate::net::clock::received_now;
use crate::net::zenoh::keys::{self, Topic};
use crate::net::zenoh::{close, has_router, open};
use crate::recording::feed;
use crate::wire::{Damage, Decoder, Limits, SkipReason};

/// Messages between the callback of Zenoh and the session: more only make the newest picture older.
const MESSAGES_WAITING: usize = 4;

/// Interval at which the router and the far receiver are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Time without a frame after which it is asked why.
const QUIET: Duration = Duration::from_secs(1);

/// Limit for the answers to queries.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Receives one camera from a router, over all connections to it.
pub(super) struct ZenohSource {
    spec: ZenohSpec,
    decoder: Decoder,
    rhythm: Rhythm,
    limits: Limits,
    last: Option<LastFrame>,
    /// Messages that the lanes of the connections before have dropped.
    dropped_before: u64,
    warning: RepeatedWarning,
}

/// The number of the last frame, and the count that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastFrame {
    run: u64,
    seq: u64,
}

/// The place of a frame in the numbers of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So many frames before it did not arrive.
    Forward { missing: u64 },
    /// The far receiver was restarted, and numbers its frames anew.
    Restart,
    /// A frame with this number, or a later one, arrived before.
    Repeated,
}

impl LastFrame {
    fn step_to(self, next: Self) -> Step {
        if self.run != next.run {
            Step::Restart
        } else if next.seq <= self.seq {
            // In stamps without a run, a smaller number means that the program was restarted.
            if next.run == 0 && next.seq < self.seq { Step::Restart } else { Step::Repeated }
        } else if crate::stats::is_restart(self.seq, next.seq) {
            Step::Restart
        } else {
            Step::Forward { missing: next.seq - self.seq - 1 }
        }
    }
}

impl ZenohSource {
    pub(super) fn new(spec: ZenohSpec, options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, .. } = options;
        Self {
            spec,
            decoder: Decoder::new(frames.clone(), interpreter.clone(), *limits),
            rhythm: Rhythm::default(),
            limits: *limits,
            last: None,
            dropped_before: 0,
            warning: RepeatedWarning::default(),
        }
    }
}

/// A session with the router, and its subscriptions.
pub(super) struct Link {
    session: zenoh::Session,
    messages: Taker<Sample>,
    lane: LaneCounter,
    far: Arc<Far>,
    check: tokio::time::Interval,
    /// Withdrawn when they are dropped.
    subscribers: Vec<Subscriber<()>>,
}

/// What a connection waits for.
enum Arrived {
    Message(Box<Sample>),
    /// News of the far receiver, or time to check it and the router.
    News,
    Check,
}

impl Link {
    async fn open(spec: &ZenohSpec, timeout: Duration) -> Result<Self, SourceErrorKind> {
        if spec.is_pattern() {
            return Err(ZenohError::Pattern { pattern: spec.to_string() }.into());
        }
        let no_answer = |_| ZenohError::NoAnswer { router: spec.router.clone(), within: timeout };
        let session = tokio::time::timeout(timeout, open(&spec.router)).await.map_err(no_answer)??;
        let (mut lane, messages) = lane("bus", Policy::DropOldest(MESSAGES_WAITING));
        let counter = lane.counter();
        let far = Arc::new(Far::default());
        let ZenohSpec { host, camera, .. } = spec;
        let mut subscribers = Vec::new();
        let refused = |key: &str, error: &zenoh::Error| ZenohError::refused(format!("a subscription to {key}"), error);
        for key in [keys::host_alive(host), keys::camera_alive(host, camera)] {
            let far = Arc::clone(&far);
            let tokens = session.liveliness().declare_subscriber(key.as_str()).history(true);
            let tokens = tokens.callback(move |token| far.take(&token)).await;
            subscribers.push(tokens.map_err(|error| refused(&key, &error))?);
        }
        for topic in [Topic::State, Topic::Ledger] {
            let key = keys::of_camera(host, camera, topic);
            let [news, answers] = [(); 2].map(|()| Arc::clone(&far));
            let subscriber = session.declare_subscriber(key.as_str()).callback(move |sample| news.take(&sample)).await;
            subscribers.push(subscriber.map_err(|error| refused(&key, &error))?);
            // What was published last, until the next one comes.
            let answer = move |reply: zenoh::query::Reply| {
                if let Ok(sample) = reply.result() {
                    answers.take(sample);
                }
            };
            if let Err(error) = session.get(key.as_str()).timeout(QUERY_TIMEOUT).callback(answer).await {
                tracing::debug!("no query for {key}: {error}");
            }
        }
        let key = keys::of_camera(host, camera, Topic::Frame);
        let frames = session.declare_subscriber(key.as_str()).callback_mut(move |sample| lane.offer(sample)).await;
        subscribers.push(frames.map_err(|error| refused(&key, &error))?);
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { session, messages, lane: counter, far, check, subscribers })
    }

    async fn next(&mut self) -> Arrived {
        let Self { messages, far, check, .. } = self;
        tokio::select! {
            biased;
            message = std::future::poll_fn(|cx| messages.poll_take(cx)) => Arrived::Message(Box::new(message)),
            () = far.changed() => Arrived::News,
            _ = check.tick() => Arrived::Check,
        }
    }
}

impl Source for ZenohSource {
    type Link = Link;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(Link, Addresses), SourceErrorKind> {
        let link = Link::open(&self.spec, attempts.options.timeouts.connect).await?;
        attempts.delivery.outlets.ledger.watch(link.lane.clone());
        Ok((link, None))
    }

    async fn receive(&mut self, attempts: &mut Attempts, mut link: Link, opened: Received) -> ConnectionEnd {
        let Self { spec, decoder, rhythm, limits, last, dropped_before, warning } = self;
        attempts.delivery.outlets.ledger.update(|stats| {
            stats.on_bus();
            // We join it in its middle.
            stats.join_late();
        });
        let mut reception = Reception::begin(attempts, decoder, *rhythm, opened);
        // The session with the router has its own keep-alive.
        reception.outlives_silence = true;
        reception.silent = unpublished(spec);
        let mut connection = Connection {
            spec,
            limits,
            last,
            dropped_before: *dropped_before,
            warning,
            is_introduced: false,
            reception,
        };
        let ended = connection.messages(&mut link).await;
        connection.count(&link);
        let mut reception = connection.reception;
        *dropped_before += link.lane.counts().dropped;
        reception.attempts.delivery.ending(&ended);
        let Link { session, messages, subscribers, .. } = link;
        drop((messages, subscribers));
        close(session).await;
        reception.count_outage(&ended);
        let result = reception.finish(&ended).and(ended);
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        *rhythm = reception.rhythm(&result);
        ConnectionEnd { result, frames, bytes }
    }
}

/// Returns the state of a camera that is there, and of which no frame has arrived.
fn unpublished(spec: &ZenohSpec) -> SessionState {
    SessionState::Absent { why: format!("no frame of {} has been published yet", spec.place()).into() }
}

/// The time from the first message until the session is stopped, or until an error.
struct Connection<'a> {
    spec: &'a ZenohSpec,
    limits: &'a Limits,
    last: &'a mut Option<LastFrame>,
    dropped_before: u64,
    warning: &'a mut RepeatedWarning,
    /// The records that still apply since before this connection have arrived.
    is_introduced: bool,
    reception: Reception<'a>,
}

impl Connection<'_> {
    /// Returns `Ok` if the session was stopped.
    async fn messages(&mut self, link: &mut Link) -> Result<(), SourceErrorKind> {
        loop {
            self.reception.pause().await;
            match self.reception.wait(link.next()).await? {
                Some(Arrived::Message(sample)) => self.take(&sample, link).await?,
                Some(Arrived::News) => self.judge_far(link),
                Some(Arrived::Check) => {
                    if self.is_quiet() && !has_router(&link.session).await {
                        return Err(ZenohError::RouterLost { router: self.spec.router.clone() }.into());
                    }
                    self.judge_far(link);
                }
                None => return Ok(()),
            }
            if self.reception.is_stopped() {
                return Ok(());
            }
        }
    }

    /// Passes a message to the decoder.
    async fn take(&mut self, sample: &Sample, link: &Link) -> Result<(), SourceErrorKind> {
        let now = received_now();
        let (image, encoding) = (sample.payload().to_bytes(), sample.encoding().to_string());
        let attachment = sample.attachment().map(ZBytes::to_bytes).unwrap_or_default();
        let bytes = attachment.len() + image.len();
        self.reception.turn.work += bytes as u64;
        let found = match message::parse(&attachment, &encoding, &image, self.limits, now) {
            Ok(frame) => self.admit(frame, now),
            Err(why) => Err(format!("{why} ({}, {} bytes)", message::shown(&encoding), image.len())),
        };
        match found {
            Ok(frame) => {
                self.reception.silence.bytes(now.mono_ns, false);
                self.feed(frame, now);
            }
            Err(why) => self.ignore(&why, &attachment, bytes, now),
        }
        self.count(link);
        self.reception.all_events(now).await
    }

    /// Counts the frames between the last one and this one.
    ///
    /// # Errors
    /// The frame is not newer than the last one.
    fn admit(&mut self, frame: BusFrame, now: Received) -> Result<BusFrame, String> {
        let next = LastFrame { run: frame.run, seq: frame.seq };
        let step = self.last.map_or(Step::Forward { missing: 0 }, |last| last.step_to(next));
        let delivery = &mut self.reception.attempts.delivery;
        match step {
            Step::Repeated => {
                return Err(format!("frame {}: a frame with this number or a later one arrived before", frame.seq));
            }
            Step::Forward { missing: 0 } => {}
            Step::Forward { missing } => {
                tracing::debug!(camera = delivery.name(), "{missing} frames are missing before frame {}", frame.seq);
                delivery.outlets.ledger.update(|stats| stats.missing_on_bus(missing));
                delivery.broken();
                delivery.incident(now, IncidentEvent::NotDelivered { frames: missing });
            }
            Step::Restart => {
                tracing::info!(
                    camera = delivery.name(),
                    "the far receiver was restarted: frames are numbered from {}",
                    frame.seq
                );
                delivery.outlets.ledger.update(|stats| stats.on_bus().restarts += 1);
                delivery.broken();
            }
        }
        *self.last = Some(next);
        Ok(frame)
    }

    /// Decodes a frame as the camera sent it.
    fn feed(&mut self, BusFrame { mut recorded, .. }: BusFrame, now: Received) {
        // The far receiver repeats the records that still apply, so that others can join.
        if self.is_introduced {
            recorded.wire.context.clear();
        }
        self.is_introduced |= !recorded.wire.context.is_empty();
        let (decoder, expected) = (&mut *self.reception.decoder, recorded.payload.len());
        let has_room = {
            let mut frame = decoder.frames().lease(expected);
            frame.clear();
            frame.try_payload_mut(expected).is_some()
        };
        if has_room {
            feed(decoder, &recorded, now, |_| {});
            self.reception.attempts.delivery.outlets.ledger.update(|stats| stats.on_bus().received += 1);
        } else {
            decoder.lost_picture(Damage::NoMemory { expected }, &[], expected, now);
        }
    }

    /// Skips a message that is not an intact frame.
    fn ignore(&mut self, why: &str, attachment: &[u8], bytes: usize, now: Received) {
        let delivery = &self.reception.attempts.delivery;
        delivery.outlets.ledger.update(|stats| stats.on_bus().invalid += 1);
        if let Some(more) = self.warning.admit(now.mono_ns) {
            tracing::warn!(camera = delivery.name(), "ignored a message on the bus: {why}{more}");
        }
        self.reception.turn.damage += 1;
        self.reception.decoder.outside(attachment, bytes, SkipReason::ForeignRecord, now);
    }

    /// Updates the counts of the queue and of the far receiver.
    fn count(&self, link: &Link) {
        let (dropped, far) = (self.dropped_before + link.lane.counts().dropped, link.far.counts());
        self.reception.attempts.delivery.outlets.ledger.update(|stats| {
            let bus = stats.on_bus();
            bus.dropped_here = dropped;
            bus.far = far.or(bus.far);
        });
    }

    fn is_quiet(&self) -> bool {
        self.reception.silence.since_last_byte(received_now().mono_ns) >= QUIET
    }

    /// Finds out why no frames arrive, if none do.
    fn judge_far(&mut self, link: &Link) {
        self.count(link);
        let absent = link.far.absence(self.spec).map(|why| SessionState::Absent { why });
        let reception = &mut self.reception;
        reception.stalled = absent.clone().unwrap_or(SessionState::Stalled);
        reception.silent = absent.clone().unwrap_or_else(|| unpublished(self.spec));
        let has_frames = reception.silence.has_frames();
        if !self.is_quiet() {
            return;
        }
        let reception = &self.reception;
        let was_absent = matches!(*reception.attempts.state.borrow(), SessionState::Absent { .. });
        let ledger = &reception.attempts.delivery.outlets.ledger;
        match absent {
            Some(absent) => {
                reception.set_state(absent);
                if has_frames {
                    let since_ns = reception.silence.last_byte_ns();
                    ledger.update(|stats| stats.outage(since_ns));
                }
            }
            // It is there again.
            None if was_absent && has_frames => reception.set_state(SessionState::Stalled),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_restarts_are_told_apart() {
        let frame = |run, seq| LastFrame { run, seq };
        for (last, next, step) in [
            (frame(7, 4), frame(7, 5), Step::Forward { missing: 0 }),
            (frame(7, 4), frame(7, 15), Step::Forward { missing: 10 }),
            (frame(7, 4), frame(7, 4), Step::Repeated),
            (frame(7, 4), frame(7, 3), Step::Repeated),
            (frame(7, 4), frame(8, 0), Step::Restart),
            (frame(7, 4), frame(8, 1_000_000), Step::Restart),
            (frame(7, 4), frame(7, u64::MAX), Step::Restart),
            // A program that does not send its run.
            (frame(0, 4), frame(0, 0), Step::Restart),
            (frame(0, 4), frame(0, 4), Step::Repeated),
            (frame(0, 4), frame(0, 6), Step::Forward { missing: 1 }),
        ] {
            assert_eq!(last.step_to(next), step, "{last:?} {next:?}");
        }
    }
}
