//! The messages of a frame, as they come out of the file -> the frame as it was on the wire.

use mcap::records::MessageHeader;
use prost::Message as _;

use super::CameraInfo;
use super::image::{self, Message};
use super::reader::{Entry, Recorded};
use super::schema::Wire;
use super::writer::{CHANNELS, image_channel};

/// The cameras of a file, and the image messages that wait for their wire message.
#[derive(Debug, Default)]
pub(super) struct Join {
    cameras: Vec<Camera>,
    /// Memory of the last image, for the next.
    spare: Vec<u8>,
}

#[derive(Debug)]
struct Camera {
    info: CameraInfo,
    channel: u16,
    image: Option<Image>,
}

#[derive(Debug)]
struct Image {
    sequence: u32,
    message: Message,
    bytes: Vec<u8>,
}

impl Join {
    /// One more camera, and the first of its channel numbers.
    pub(super) fn add(&mut self, info: CameraInfo, channel: u16) {
        self.cameras.push(Camera { info, channel, image: None });
    }

    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.cameras.iter().map(|camera| &camera.info)
    }

    /// Forgets what waits: the next message is not the one behind the last.
    pub(super) fn forget(&mut self) {
        self.cameras.iter_mut().for_each(|camera| camera.image = None);
    }

    /// Takes the next message. A message of the wire completes a frame, or tells an incident.
    ///
    /// # Errors
    /// What does not fit together, and in which frame.
    pub(super) fn message(&mut self, header: &MessageHeader, data: &[u8]) -> Result<Option<Entry>, String> {
        let belongs =
            |camera: &Camera| (camera.channel..camera.channel.saturating_add(CHANNELS)).contains(&header.channel_id);
        // Somebody may have added channels of their own.
        let Some(number) = self.cameras.iter().position(belongs) else { return Ok(None) };
        let camera = &mut self.cameras[number];
        let channel = header.channel_id - camera.channel;
        if let Some(message) = Message::ALL.into_iter().find(|message| image_channel(*message) == channel) {
            let mut bytes = std::mem::take(&mut self.spare);
            bytes.clear();
            bytes.extend_from_slice(data);
            camera.image = Some(Image { sequence: header.sequence, message, bytes });
            return Ok(None);
        }
        if channel != 0 {
            return Ok(None); // The boxes are in the wire message too, as they were sent.
        }
        let image = camera.image.take();
        let entry = Wire::decode(data)
            .map_err(|error| error.to_string())
            .and_then(|wire| entry(number, header, wire, image.as_ref()));
        if let Some(Image { bytes, .. }) = image {
            self.spare = bytes;
        }
        entry.map(Some).map_err(|why| format!("frame {} of camera {}: {why}", header.sequence, camera.info.name))
    }
}

fn entry(camera: usize, header: &MessageHeader, mut wire: Wire, image: Option<&Image>) -> Result<Entry, String> {
    let time = |ns| i64::try_from(ns).unwrap_or(i64::MAX);
    if let Some(incident) = wire.incident {
        return Ok(Entry::Incident { camera, at_unix_ns: time(header.log_time), incident });
    }
    let len = usize::try_from(wire.payload_len).map_err(|_| format!("a payload of {} bytes", wire.payload_len))?;
    let mut payload = std::mem::take(&mut wire.payload);
    if payload.is_empty() && len > 0 {
        let Image { sequence, message, bytes } = image.ok_or("it has no picture")?;
        if *sequence != header.sequence {
            return Err(format!("the picture before it belongs to frame {sequence}"));
        }
        let geometry = wire.layout.as_ref().and_then(super::schema::Layout::geometry);
        image::payload(*message, bytes, geometry.as_ref(), len, &mut payload)?;
    }
    if payload.len() != len {
        return Err(format!("its payload has {} bytes of {len}", payload.len()));
    }
    let (log_ns, publish_ns) = (time(header.log_time), time(header.publish_time));
    Ok(Entry::Frame(Recorded { camera, sequence: header.sequence, log_ns, publish_ns, wire, payload }))
}
