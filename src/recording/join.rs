//! Joins the messages of a frame and rebuilds the frame as the camera sent it.

use mcap::records::MessageHeader;
use prost::Message as _;

use super::CameraInfo;
use super::image::{self, ImageMessage};
use super::schema::{PayloadLayout, RecordedIncident, WireMessage};
use super::writer::{CHANNELS, image_channel};

/// The next item of a recording.
#[allow(clippy::large_enum_variant)] // Nearly all entries are frames.
#[derive(Clone, Debug)]
pub enum RecordingEntry {
    /// A frame.
    Frame(RecordedFrame),
    /// An event between two frames.
    Incident {
        /// Index in [`Reader::cameras`](super::Reader::cameras).
        camera: usize,
        /// Time in nanoseconds since 1970, UTC.
        at_unix_ns: i64,
        /// The event.
        incident: RecordedIncident,
    },
}

/// One frame as the file holds it.
#[derive(Clone, Debug)]
pub struct RecordedFrame {
    /// Index in [`Reader::cameras`](super::Reader::cameras).
    pub camera: usize,
    /// Counts the frames of this camera in this file, from 0.
    pub sequence: u32,
    /// Arrival in nanoseconds since 1970, UTC.
    pub log_ns: i64,
    /// Capture time in nanoseconds since 1970, UTC, according to the clock model during the recording.
    pub publish_ns: i64,
    /// The header, records and detections that the camera sent beside the payload.
    pub wire: WireMessage,
    /// The payload as the camera sent it.
    pub payload: Vec<u8>,
}

/// The cameras of a file, and the image messages whose wire message has not been read yet.
#[derive(Debug, Default)]
pub(super) struct Join {
    cameras: Vec<JoinedCamera>,
    /// Buffer of the last image, reused for the next.
    spare: Vec<u8>,
}

#[derive(Debug)]
struct JoinedCamera {
    info: CameraInfo,
    channel: u16,
    image: Option<PendingImage>,
}

#[derive(Debug)]
struct PendingImage {
    sequence: u32,
    message: ImageMessage,
    bytes: Vec<u8>,
}

impl Join {
    /// Adds a camera. `channel` is the first of its channel numbers.
    pub(super) fn add(&mut self, info: CameraInfo, channel: u16) {
        self.cameras.push(JoinedCamera { info, channel, image: None });
    }

    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.cameras.iter().map(|camera| &camera.info)
    }

    /// Drops the pending images. To be called after a seek, since the next message does not follow the last one.
    pub(super) fn forget(&mut self) {
        self.cameras.iter_mut().for_each(|camera| camera.image = None);
    }

    /// Takes the next message. A wire message completes a frame or contains an incident.
    ///
    /// # Errors
    /// The messages do not fit together. The text names frame and camera.
    pub(super) fn message(&mut self, header: &MessageHeader, data: &[u8]) -> Result<Option<RecordingEntry>, String> {
        let belongs = |camera: &JoinedCamera| {
            (camera.channel..camera.channel.saturating_add(CHANNELS)).contains(&header.channel_id)
        };
        // Other programs may have added channels to the file.
        let Some(number) = self.cameras.iter().position(belongs) else { return Ok(None) };
        let camera = &mut self.cameras[number];
        let channel = header.channel_id - camera.channel;
        if let Some(message) = ImageMessage::ALL.into_iter().find(|message| image_channel(*message) == channel) {
            let mut bytes = std::mem::take(&mut self.spare);
            bytes.clear();
            bytes.extend_from_slice(data);
            camera.image = Some(PendingImage { sequence: header.sequence, message, bytes });
            return Ok(None);
        }
        if channel != 0 {
            return Ok(None); // Annotations: the wire message has the detections as the camera sent them.
        }
        let image = camera.image.take();
        let entry = WireMessage::decode(data)
            .map_err(|error| error.to_string())
            .and_then(|wire| entry(number, header, wire, image.as_ref()));
        if let Some(PendingImage { bytes, .. }) = image {
            self.spare = bytes;
        }
        entry.map(Some).map_err(|why| format!("frame {} of camera {}: {why}", header.sequence, camera.info.name))
    }
}

fn entry(
    camera: usize,
    header: &MessageHeader,
    mut wire: WireMessage,
    image: Option<&PendingImage>,
) -> Result<RecordingEntry, String> {
    let time = |ns| i64::try_from(ns).unwrap_or(i64::MAX);
    if let Some(incident) = wire.incident {
        return Ok(RecordingEntry::Incident { camera, at_unix_ns: time(header.log_time), incident });
    }
    let len = usize::try_from(wire.payload_len)
        .map_err(|_| format!("a payload of {} bytes does not fit into memory", wire.payload_len))?;
    let mut payload = std::mem::take(&mut wire.payload);
    if payload.is_empty() && len > 0 {
        let PendingImage { sequence, message, bytes } = image.ok_or("its image message is missing")?;
        if *sequence != header.sequence {
            return Err(format!("the image message before it belongs to frame {sequence}"));
        }
        let geometry = wire.layout.as_ref().and_then(PayloadLayout::geometry);
        image::payload(*message, bytes, geometry.as_ref(), len, &mut payload)?;
    }
    if payload.len() != len {
        return Err(format!("its payload has {} bytes; expected {len}", payload.len()));
    }
    let (log_ns, publish_ns) = (time(header.log_time), time(header.publish_time));
    Ok(RecordingEntry::Frame(RecordedFrame { camera, sequence: header.sequence, log_ns, publish_ns, wire, payload }))
}
