//! One camera on the bus: its keys, its token and its queries.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use zenoh::Session as Bus;
use zenoh::bytes::Encoding;
use zenoh::liveliness::LivelinessToken;
use zenoh::qos::Priority;
use zenoh::query::Queryable;

use super::messages::{ContextSender, SharedContext, put_detections};
use super::pictures::{Interest, PictureCamera, PictureStream};
use super::queries::{BusQuery, Controls};
use crate::hub::Taker;
use crate::net::zenoh::keys::{self, Topic};
use crate::net::zenoh::{ZenohError, declare_token};
use crate::overlay::Style;
use crate::sink::publish::camera::{NumberedFrame, NumberedFrames};
use crate::sink::publish::outlet::Outlet;
use crate::sink::publish::{PublishCounts, RecordedCamera, state};
use crate::source::Session;
use crate::sync::locked;

/// How often the state of a camera is published while it does not change.
const STATE_INTERVAL: Duration = Duration::from_secs(10);

/// How often the counts of a camera are published.
const LEDGER_INTERVAL: Duration = Duration::from_secs(1);

/// Keys that answer queries.
const QUERIED: [Topic; 4] = [Topic::State, Topic::Ledger, Topic::Control, Topic::Recording];

/// The detections of one stream.
struct DetectionStream {
    /// Name of the stream in frames; ignored for the first one.
    stream: Option<Arc<str>>,
    is_main: bool,
    /// Its name in keys.
    part: String,
    outlet: Outlet,
    context: ContextSender,
}

impl DetectionStream {
    fn is_of(&self, numbered: &NumberedFrame) -> bool {
        self.is_main == numbered.is_main && (self.is_main || self.stream == numbered.frame.stream)
    }
}

/// What all cameras of a publisher share.
pub(super) struct Declaring<'a> {
    pub(super) bus: &'a Bus,
    /// Name of this machine in keys.
    pub(super) host: &'a str,
    pub(super) counts: &'a Arc<Mutex<PublishCounts>>,
    pub(super) queries: &'a Sender<BusQuery>,
}

/// A camera on the bus. Dropping it withdraws its keys.
pub(super) struct BusCamera {
    pub(super) session: Session,
    /// Its name in keys.
    pub(super) part: String,
    pub(super) recording: Option<RecordedCamera>,
    pub(super) controls: Arc<Controls>,
    pub(super) pictures: Arc<PictureCamera>,
    detections: Taker<NumberedFrame>,
    interest: Interest,
    /// Of the last check: somebody wants detections, or did a moment ago.
    is_of_interest: bool,
    is_connected: bool,
    context: SharedContext,
    streams: Vec<DetectionStream>,
    state: Outlet,
    ledger: Outlet,
    /// The state as one word, and when it was published.
    stated: Option<(&'static str, Instant)>,
    counted: Option<Instant>,
    _alive: LivelinessToken,
    _queryables: Vec<Queryable<()>>,
}

impl BusCamera {
    /// Declares the keys of a camera. `part`: its name in keys.
    pub(super) async fn declare(
        declaring: &Declaring<'_>,
        part: String,
        session: Session,
        frames: NumberedFrames,
        recording: Option<RecordedCamera>,
    ) -> Result<Self, ZenohError> {
        let Declaring { bus, host, counts, queries } = *declaring;
        let NumberedFrames { detections, pictures, other_pictures } = frames;
        let mut queryables = Vec::new();
        for topic in QUERIED {
            let key = keys::of_camera(host, &part, topic);
            let (queries, camera, answer_key) = (queries.clone(), part.clone(), key.clone());
            let queryable = bus.declare_queryable(key.clone()).callback(move |query| {
                let waiting = BusQuery { camera: camera.clone(), topic, key: answer_key.clone(), query };
                // Without room for it, the query ends without an answer.
                if queries.try_send(waiting).is_err() {
                    tracing::debug!("too many queries wait: one of {camera} is not answered");
                }
            });
            queryables.push(queryable.await.map_err(|error| ZenohError::refused(key, &error))?);
        }
        let outlet =
            |topic| Outlet::declare(bus, keys::of_camera(host, &part, topic), Priority::DataHigh, false, counts);
        let (state, ledger) = (outlet(Topic::State).await?, outlet(Topic::Ledger).await?);
        let mut camera = Self {
            pictures: Arc::new(PictureCamera::new(session.name(), pictures, other_pictures)),
            session,
            recording,
            controls: Arc::default(),
            detections,
            interest: Interest::new(),
            is_of_interest: false,
            is_connected: false,
            context: SharedContext::default(),
            streams: Vec::new(),
            state,
            ledger,
            stated: None,
            counted: None,
            _alive: declare_token(bus, keys::camera_alive(host, &part)).await?,
            _queryables: queryables,
            part,
        };
        let part = camera.part.clone();
        camera.declare_stream(declaring, &part, None, true).await?;
        Ok(camera)
    }

    /// Declares the keys of a stream. `part`: its name in keys.
    pub(super) async fn declare_stream(
        &mut self,
        declaring: &Declaring<'_>,
        part: &str,
        stream: Option<Arc<str>>,
        is_main: bool,
    ) -> Result<(), ZenohError> {
        let Declaring { bus, host, counts, .. } = *declaring;
        let key = |topic| keys::of_camera(host, part, topic);
        let outlet = Outlet::declare(bus, key(Topic::Frame), Priority::Data, false, counts).await?;
        self.pictures.add(PictureStream::new(stream.clone(), is_main, outlet, &self.context));
        let outlet = Outlet::declare(bus, key(Topic::Detections), Priority::RealTime, true, counts).await?;
        let context = ContextSender::new(&self.context);
        self.streams.push(DetectionStream { stream, is_main, part: part.to_owned(), outlet, context });
        Ok(())
    }

    /// Returns the next frame without its picture, or wakes the task when there is one.
    pub(super) fn poll_detections(&self, cx: &Context<'_>) -> Poll<NumberedFrame> {
        // While those who want them may be on their way back, they wait in their lane, which drops and counts them.
        let takes = self.is_connected && (!self.is_of_interest || self.is_wanted());
        if takes { self.detections.poll_take(cx) } else { Poll::Pending }
    }

    /// Returns whether somebody subscribes to detections.
    fn is_wanted(&self) -> bool {
        self.streams.iter().any(|stream| stream.outlet.is_wanted())
    }

    /// Returns the number of frames whose detections wait.
    pub(super) fn waiting(&self) -> u64 {
        self.detections.waiting() as u64
    }

    /// Returns whether one of its streams has this name in keys.
    pub(super) fn has_part(&self, part: &str) -> bool {
        self.streams.iter().any(|stream| stream.part == part)
    }

    /// Returns whether the stream of a frame is declared.
    pub(super) fn has_stream(&self, numbered: &NumberedFrame) -> bool {
        self.streams.iter().any(|known| known.is_of(numbered))
    }

    /// Returns the name of the stream of a frame, which is not the first one of the camera.
    pub(super) fn stream_name(&self, numbered: &NumberedFrame) -> String {
        format!("{}_{}", self.part, numbered.frame.stream.as_deref().unwrap_or_default())
    }

    /// Publishes the detections of a frame, if somebody wants them. Its stream was declared.
    pub(super) fn frame(&mut self, numbered: &NumberedFrame, style: &Style) {
        locked(&self.context).observe(&numbered.frame);
        if let Some(known) = self.streams.iter_mut().find(|known| known.is_of(numbered))
            && known.outlet.is_wanted()
        {
            put_detections(&known.outlet, &mut known.context, numbered, style);
            // Also if the router dies before the next check.
            self.is_of_interest = self.interest.lasts(Some(true), Instant::now());
        }
    }

    /// Takes the next frame whose detections wait.
    pub(super) fn take_detections(&self) -> Option<NumberedFrame> {
        self.detections.try_take()
    }

    /// Publishes the last state and counts.
    pub(super) fn put_last(&mut self) {
        if self.state.is_wanted() {
            self.put_state();
        }
        if self.ledger.is_wanted() {
            self.put_ledger();
        }
    }

    /// Finds out who subscribes, and publishes what is due.
    pub(super) async fn check(&mut self, is_connected: bool) {
        self.pictures.check(is_connected).await;
        for stream in &self.streams {
            stream.outlet.check().await;
        }
        let is_wanted = is_connected.then(|| self.is_wanted());
        self.is_of_interest = self.interest.lasts(is_wanted, Instant::now());
        self.is_connected = is_connected;
        self.state.check().await;
        self.ledger.check().await;
        let word = self.session.state().word();
        let is_due = self.stated.is_none_or(|(last, when)| {
            // Each attempt of a camera that is lost passes through `connecting`.
            let has_changed = word != last && !(word == "connecting" && last == "lost");
            has_changed || when.elapsed() >= STATE_INTERVAL
        });
        // Published at once for the first subscriber.
        if !self.state.is_wanted() {
            self.stated = None;
        } else if is_due {
            self.put_state();
        }
        if self.ledger.is_wanted() && self.counted.is_none_or(|counted| counted.elapsed() >= LEDGER_INTERVAL) {
            self.put_ledger();
        }
    }

    fn put_state(&mut self) {
        self.stated = Some((self.session.state().word(), Instant::now()));
        self.state.put(state::describe(&self.session).into_bytes(), Encoding::APPLICATION_JSON, None);
    }

    fn put_ledger(&mut self) {
        self.counted = Some(Instant::now());
        self.ledger.put(self.ledger_json().into_bytes(), Encoding::APPLICATION_JSON, None);
    }

    /// Returns all counts as JSON.
    pub(super) fn ledger_json(&self) -> String {
        // Strings and numbers: serializing them cannot fail.
        serde_json::to_string(&self.session.stats().summary(self.session.name())).unwrap_or_default()
    }
}
