//! Pictures and boxes of one stream of a camera, encoded for channels with subscribers only.

use std::sync::Arc;

use foxglove::{ChannelBuilder, ChannelId, Context, FoxgloveError, PartialMetadata, RawChannel, Schema, SinkId};

use super::clients::Clients;
use crate::frame::{Detection, Frame};
use crate::overlay::Style;
use crate::recording::topics::{detections_schema, detections_topic, image_topic};
use crate::recording::{ImageEncoder, ImageMessage, annotations_of, nanoseconds};
use crate::sink::record::ParameterSets;

/// Encodes messages. Used for all cameras, so that its buffers are as large as the largest picture only once.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    image: ImageEncoder,
    detections: Vec<u8>,
    /// Those that the style shows.
    shown: Vec<Detection>,
}

/// A channel, which clients no longer have when this is dropped.
#[derive(Debug)]
pub(super) struct Channel(Arc<RawChannel>);

impl Channel {
    pub(super) fn open(
        context: &Arc<Context>,
        topic: String,
        encoding: &str,
        schema: Schema,
    ) -> Result<Self, FoxgloveError> {
        ChannelBuilder::new(topic).context(context).message_encoding(encoding).schema(schema).build_raw().map(Self)
    }

    /// Returns whether a client has subscribed.
    pub(super) fn has_subscribers(&self) -> bool {
        self.0.has_sinks()
    }

    /// Sends a message to all subscribers, or to `only` one.
    pub(super) fn send(&self, message: &[u8], log_ns: i64, only: Option<SinkId>, clients: &Clients) {
        self.0.log_with_meta_to_sink(message, PartialMetadata::with_log_time(nanoseconds(log_ns)), only);
        if only.is_none() {
            clients.sent(self.0.id(), message.len());
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The last frame of a recording, for clients that subscribe while it is paused.
#[derive(Debug)]
struct LastFrame {
    frame: Arc<Frame>,
    publish_ns: i64,
}

/// One stream of a camera.
#[derive(Debug)]
pub(super) struct Stream {
    /// Name in topics.
    name: String,
    image: Option<(ImageMessage, Channel)>,
    detections: Channel,
    parameter_sets: ParameterSets,
    /// The next frame of video that is sent must be one that a decoder can start with.
    awaits_key_frame: bool,
    last: Option<LastFrame>,
}

impl Stream {
    pub(super) fn open(context: &Arc<Context>, name: &str) -> Result<Self, FoxgloveError> {
        let detections = Channel::open(context, detections_topic(name), "protobuf", detections_schema())?;
        Ok(Self {
            name: name.to_owned(),
            image: None,
            detections,
            parameter_sets: ParameterSets::default(),
            awaits_key_frame: true,
            last: None,
        })
    }

    /// Sends a frame to the subscribers. `publish_ns`: capture time in nanoseconds since 1970, UTC. `keeps`: keep it for clients
    /// that subscribe later.
    pub(super) fn frame(
        &mut self,
        context: &Arc<Context>,
        frame: &Arc<Frame>,
        publish_ns: i64,
        keeps: bool,
        (encoder, style, clients): (&mut Encoder, &Style, &Clients),
    ) -> Result<(), FoxgloveError> {
        if let Some(kind) = ImageMessage::of(frame)
            && self.image.as_ref().is_none_or(|(known, _)| *known != kind)
        {
            // A camera with another application: clients see that the schema of the topic has changed.
            self.image = None;
            let channel = Channel::open(context, image_topic(&self.name), "protobuf", kind.schema())?;
            self.image = Some((kind, channel));
        }
        self.parameter_sets.observe(frame);
        if frame.is_key_frame() {
            self.awaits_key_frame = false;
            // Clients begin with any key frame.
            self.parameter_sets.begin_file();
        }
        if self.image.as_ref().is_some_and(|(_, channel)| channel.has_subscribers()) {
            if !frame.kind.is_video() || !self.awaits_key_frame {
                let complete = self.parameter_sets.complete(frame);
                self.send_image(complete.as_ref().unwrap_or(frame), publish_ns, None, (encoder, clients));
            }
        } else {
            self.awaits_key_frame = true;
        }
        if self.detections.has_subscribers() {
            self.send_detections(frame, publish_ns, None, (encoder, style, clients));
        }
        self.last = keeps.then(|| LastFrame { frame: Arc::clone(frame), publish_ns });
        Ok(())
    }

    fn send_image(
        &self,
        frame: &Frame,
        publish_ns: i64,
        only: Option<SinkId>,
        (encoder, clients): (&mut Encoder, &Clients),
    ) {
        if let Some((_, channel)) = &self.image
            && let Some(image) = encoder.image.encode(frame, &self.name, publish_ns)
        {
            channel.send(image.bytes, frame.received.unix_ns, only, clients);
        }
    }

    fn send_detections(
        &self,
        frame: &Frame,
        publish_ns: i64,
        only: Option<SinkId>,
        (encoder, style, clients): (&mut Encoder, &Style, &Clients),
    ) {
        let Encoder { detections: message, shown, .. } = encoder;
        let names = style.names(frame.labels.as_deref());
        shown.clear();
        shown.extend(frame.detections.iter().filter(|detection| style.shows(detection, names)));
        message.clear();
        annotations_of(message, frame, shown, names, publish_ns);
        self.detections.send(message, frame.received.unix_ns, only, clients);
    }

    /// Sends the last frame to a client that has subscribed to this channel, if it is one of this stream.
    pub(super) fn repeat(
        &self,
        channel: ChannelId,
        client: SinkId,
        (encoder, style, clients): (&mut Encoder, &Style, &Clients),
    ) {
        let Some(LastFrame { frame, publish_ns }) = &self.last else { return };
        let is_image = self.image.as_ref().is_some_and(|(_, image)| image.0.id() == channel);
        if is_image && (!frame.kind.is_video() || frame.is_key_frame()) {
            self.send_image(frame, *publish_ns, Some(client), (encoder, clients));
        } else if self.detections.0.id() == channel {
            self.send_detections(frame, *publish_ns, Some(client), (encoder, style, clients));
        }
    }
}
