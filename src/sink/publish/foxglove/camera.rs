//! A camera and its channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use foxglove::{Context, FoxgloveError, Schema};

use super::clients::Clients;
use super::ledger::{LEDGER_SCHEMA, schema_of};
use super::stream::{Channel, Stream};
use crate::frame::{Frame, Received};
use crate::hub::{Policy, Taker, lane};
use crate::live::Camera;
use crate::net::clock::received_now;
use crate::recording::topics::{number_topic, topic_name};
use crate::recording::{ClockModel, NUMBER_JSON_SCHEMA, NUMBER_SCHEMA, TOPICS_MAX, number_message};
use crate::sink::publish::camera::PublishedFrame;
use crate::sink::publish::picture::PictureMaker;
use crate::sink::publish::{PublishedCamera, TargetLanes, state};
use crate::source::{Continuity, Measurement, Session};

/// Numbers of a camera that wait.
const NUMBERS_WAITING: usize = 64;

/// Streams of a camera. A peer may send any number of names.
const STREAMS_MAX: usize = 16;

/// A camera and its channels.
#[derive(Debug)]
pub(super) struct FoxgloveCamera {
    pub(super) session: Session,
    pub(super) frames: Taker<PublishedFrame>,
    pub(super) pictures: Arc<PictureMaker>,
    /// Name in topics.
    pub(super) name: String,
    pub(super) numbers: Taker<(Measurement, Received)>,
    /// Frames that a decoder needs before the next one, after a seek.
    pub(super) lead_ins: Option<Taker<Arc<[Arc<Frame>]>>>,
    pub(super) clock: ClockModel,
    /// By name; `None` is the first one.
    pub(super) streams: BTreeMap<Option<Arc<str>>, Stream>,
    number_channels: BTreeMap<String, Channel>,
    ledger: Option<Channel>,
}

impl FoxgloveCamera {
    /// Subscribes to the numbers of a camera. `None` if it is for another kind of target.
    pub(super) fn new(camera: PublishedCamera, name: String, is_played: bool) -> Option<Self> {
        let PublishedCamera { session, camera: Camera { outlets, .. }, lanes, pictures, .. } = camera;
        #[allow(irrefutable_let_patterns)] // Without Zenoh, there is one variant only.
        let TargetLanes::Frames(frames) = lanes else { return None };
        let (numbers_lane, numbers) = lane("publish numbers", Policy::DropOldest(NUMBERS_WAITING));
        // Counted from the first number on: most cameras send none.
        let mut unseen = Some((outlets.ledger.clone(), numbers_lane.counter()));
        outlets.incidents.add_mapped(numbers_lane, move |incident| {
            let number = incident.event.measurement()?;
            if let Some((ledger, counter)) = unseen.take() {
                ledger.watch(counter);
            }
            Some((number, incident.received))
        });
        let lead_ins = is_played.then(|| {
            // Not counted: the playback does not show them.
            let (lead_in_lane, lead_ins) = lane("lead-in", Policy::DropOldest(1));
            outlets.continuity.add_mapped(lead_in_lane, |event| match event {
                Continuity::LeadIn(frames) => Some(Arc::clone(frames)),
                Continuity::Broken => None,
            });
            lead_ins
        });
        Some(Self {
            session,
            frames,
            pictures,
            name,
            numbers,
            lead_ins,
            clock: ClockModel::default(),
            streams: BTreeMap::new(),
            number_channels: BTreeMap::new(),
            ledger: None,
        })
    }

    /// Returns the channels of a stream; `None` if the camera has too many streams, or the server refuses a channel.
    pub(super) fn stream(&mut self, context: &Arc<Context>, stream: Option<&Arc<str>>) -> Option<&mut Stream> {
        let key = stream.cloned();
        if !self.streams.contains_key(&key) {
            let further = key.as_ref().map(|stream| topic_name(&format!("{}_{stream}", self.name)));
            let opened = (self.streams.len() < STREAMS_MAX)
                .then(|| Stream::open(context, further.as_deref().unwrap_or(&self.name)))?;
            self.streams.insert(key.clone(), opened.map_err(|error| refused(&error)).ok()?);
        }
        self.streams.get_mut(&key)
    }

    pub(super) fn ledger(&mut self, context: &Arc<Context>, clients: &Clients) {
        if self.ledger.is_none() {
            let schema = Schema::new(LEDGER_SCHEMA, "jsonschema", schema_of(&state::describe(&self.session)));
            let channel = Channel::open(context, format!("/{}/ledger", self.name), "json", schema);
            self.ledger = channel.map_err(|error| refused(&error)).ok();
        }
        if let Some(channel) = self.ledger.as_ref().filter(|channel| channel.has_subscribers()) {
            let text = state::describe(&self.session);
            channel.send(text.as_bytes(), received_now().unix_ns, None, clients);
        }
    }

    pub(super) fn number(&mut self, context: &Arc<Context>, number: &Measurement, at: Received, clients: &Clients) {
        let topic = number_topic(&self.name, &number.topic);
        if !self.number_channels.contains_key(&topic) {
            if self.number_channels.len() >= TOPICS_MAX {
                return;
            }
            let schema = Schema::new(NUMBER_SCHEMA, "jsonschema", NUMBER_JSON_SCHEMA.as_bytes());
            let Ok(channel) = Channel::open(context, topic.clone(), "json", schema) else { return };
            self.number_channels.insert(topic.clone(), channel);
        }
        if let Some(channel) = self.number_channels.get(&topic).filter(|channel| channel.has_subscribers()) {
            channel.send(&number_message(&number.topic, number.value, number.stale), at.unix_ns, None, clients);
        }
    }
}

/// Logs why a channel or a service cannot be offered.
pub(super) fn refused(error: &FoxgloveError) {
    tracing::warn!("the server for Foxglove refuses a channel: {error}");
}
