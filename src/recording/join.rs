//! Joins the messages of a frame and rebuilds the frame as the camera sent it. Makes frames from image messages of other
//! programs.
//!
//! A file that oaktap wrote has the messages of a frame next to each other, the wire message last. Other tools may have
//! changed the order: messages whose counterpart has not been read yet wait for it.

use std::collections::VecDeque;

use mcap::records::MessageHeader;
use prost::Message as _;

use super::channels::{Channels, ImageSchema, Role};
use super::foreign::{Boxes, Image, ImageError};
use super::frame_messages::rebuild;
use super::image::ImageMessage;
use super::schema::{RecordedIncident, WireMessage};

/// Image messages that wait for their wire messages, in bytes over all cameras.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Wire messages of one camera that wait for their image messages.
const WAITING_WIRES_MAX: usize = 10_000;

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
    /// Capture time in nanoseconds since 1970, UTC: by the stored clock of a finished file, or according to the clock model
    /// during the recording.
    pub publish_ns: i64,
    /// The header, records and detections that the camera sent beside the payload.
    pub wire: WireMessage,
    /// The payload as the camera sent it.
    pub payload: Vec<u8>,
    /// The file has no wire message of this frame: its head was made from an image message of another program.
    pub made_from_image: bool,
}

/// A topic of another program whose pictures are not supported.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnsupportedTopic {
    /// The topic.
    pub topic: String,
    /// The encoding, and those that are supported.
    pub why: String,
}

impl std::fmt::Display for UnsupportedTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the topic {} is left out: {}", self.topic, self.why)
    }
}

/// Reason for which a message does not lead to an entry.
#[derive(Debug)]
pub(super) enum JoinError {
    /// The messages do not fit together. The text names frame and camera.
    Damaged(String),
    /// A picture of another program is damaged.
    Picture(Box<DamagedPicture>),
    /// The topic of this camera has pictures that are not supported. Reported once for each camera.
    Unsupported { camera: usize, topic: String, why: String },
}

/// An image message of another program that is not a picture.
#[derive(Debug)]
pub(super) struct DamagedPicture {
    pub(super) camera: usize,
    /// Its number among the pictures of its camera, which count it.
    pub(super) sequence: u32,
    pub(super) log_ns: i64,
    pub(super) why: String,
    /// The picture before it, which waited for its boxes.
    pub(super) before: Option<RecordingEntry>,
}

/// The messages whose counterparts have not been read yet.
#[derive(Debug, Default)]
pub(super) struct Join {
    /// The messages of a frame are next to each other, the wire message last.
    in_order: bool,
    cameras: Vec<JoinedCamera>,
    /// Bytes of all waiting image messages.
    waiting_bytes: usize,
    /// Buffer of the last image, reused for the next.
    spare: Vec<u8>,
}

#[derive(Debug, Default)]
struct JoinedCamera {
    images: VecDeque<PendingImage>,
    wires: VecDeque<(MessageHeader, WireMessage)>,
    /// Of a camera without wire messages: the picture that waits for its boxes, with its number, the boxes that wait for
    /// their picture, the number of the next picture and the size of the last one.
    held: Option<(u32, MessageHeader, ImageSchema, Image)>,
    boxes: Option<Boxes>,
    next: u32,
    size: Option<(u32, u32)>,
    /// A picture was found since the last seek.
    has_pictures: bool,
    /// Pictures that are not supported were found and reported.
    is_unsupported: bool,
}

/// Sequence number and time that the messages of a frame share.
type FrameKey = (u32, u64);

#[derive(Debug)]
struct PendingImage {
    key: FrameKey,
    message: ImageMessage,
    bytes: Vec<u8>,
}

impl Join {
    /// `in_order`: the messages of a frame are next to each other, the wire message last.
    pub(super) fn new(in_order: bool) -> Self {
        Self { in_order, ..Self::default() }
    }

    /// Drops the waiting messages. To be called after a seek, since the next message does not follow the last one.
    pub(super) fn forget(&mut self) {
        self.waiting_bytes = 0;
        for camera in &mut self.cameras {
            let JoinedCamera { size, is_unsupported, .. } = *camera;
            *camera = JoinedCamera { size, is_unsupported, ..JoinedCamera::default() };
        }
    }

    /// Returns the state before the first message. Keeps the sizes of pictures: a part of a video may begin without a key frame.
    pub(super) fn restarted(self) -> Self {
        let restart = |camera: JoinedCamera| JoinedCamera { size: camera.size, ..JoinedCamera::default() };
        Self { in_order: self.in_order, cameras: self.cameras.into_iter().map(restart).collect(), ..Self::default() }
    }

    /// Sets the number of the next picture of a camera without wire messages.
    pub(super) fn number_from(&mut self, camera: usize, next: u32) {
        if self.cameras.len() <= camera {
            self.cameras.resize_with(camera + 1, JoinedCamera::default);
        }
        self.cameras[camera].next = next;
    }

    /// Takes the next message. Returns the entry that it completes.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub(super) fn message(
        &mut self,
        channels: &Channels,
        header: &MessageHeader,
        data: &[u8],
    ) -> Result<Option<RecordingEntry>, JoinError> {
        // Other programs may have added channels to the file.
        let Some((number, role)) = channels.role(header.channel_id) else { return Ok(None) };
        while self.cameras.len() <= number {
            self.cameras.push(JoinedCamera::default());
        }
        let wire = channels.has_wire(number);
        let entry = match role {
            Role::Wire => self.wire(number, header, data),
            Role::Image(ImageSchema::Foxglove(message)) if wire => self.image(number, header, message, data),
            Role::Image(_) if wire => Ok(None),
            // Annotations: the wire message has the detections as the camera sent them.
            Role::Boxes if wire => Ok(None),
            Role::Image(schema) => {
                let camera = &mut self.cameras[number];
                let why = match Image::parse(schema, data) {
                    Ok(image) => return Ok(camera.picture(number, header, schema, image, channels)),
                    Err(ImageError::Unsupported(_)) if camera.is_unsupported => {
                        camera.number();
                        return Ok(None);
                    }
                    // After other pictures, this one is an exception and not the format of the topic.
                    Err(ImageError::Unsupported(why)) if !camera.has_pictures => {
                        camera.is_unsupported = true;
                        camera.number();
                        let topic = channels.topic(header.channel_id).to_owned();
                        return Err(JoinError::Unsupported { camera: number, topic, why });
                    }
                    Err(ImageError::Malformed(why) | ImageError::Unsupported(why)) => why,
                };
                camera.has_pictures = true;
                let (before, sequence, log_ns) = (camera.release(number), camera.number(), time(header.log_time));
                let damaged = DamagedPicture { camera: number, sequence, log_ns, why, before };
                return Err(JoinError::Picture(Box::new(damaged)));
            }
            Role::Boxes => Boxes::parse(data).map(|boxes| self.cameras[number].take_boxes(number, boxes)),
        };
        entry.map_err(|why| {
            let name = channels.cameras().nth(number).map_or("", |info| info.name.as_str());
            JoinError::Damaged(match wire {
                true => format!("frame {} of camera {name}: {why}", header.sequence),
                false => format!("boxes of camera {name}: {why}"),
            })
        })
    }

    /// Returns the next frame that waits for nothing more at the end of the file. To be called until it returns `None`.
    ///
    /// # Errors
    /// Wire messages are left whose image messages are missing.
    pub(super) fn finish(&mut self, channels: &Channels) -> Result<Option<RecordingEntry>, String> {
        for (number, camera) in self.cameras.iter_mut().enumerate() {
            if let Some(entry) = camera.release(number) {
                return Ok(Some(entry));
            }
            if let Some((header, _)) = camera.wires.pop_front() {
                let left = camera.wires.len();
                camera.wires.clear();
                let name = channels.cameras().nth(number).map_or("", |info| info.name.as_str());
                let more = if left > 0 { format!(", and those of {left} more frames") } else { String::new() };
                return Err(format!("frame {} of camera {name}: its image message is missing{more}", header.sequence));
            }
        }
        Ok(None)
    }

    fn image(
        &mut self,
        number: usize,
        header: &MessageHeader,
        message: ImageMessage,
        data: &[u8],
    ) -> Result<Option<RecordingEntry>, String> {
        let key = (header.sequence, header.log_time);
        let camera = &mut self.cameras[number];
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.extend_from_slice(data);
        let image = PendingImage { key, message, bytes };
        if self.in_order {
            camera.images.clear();
            self.waiting_bytes = 0;
        } else if let Some(at) = camera.wires.iter().position(|(wire, _)| (wire.sequence, wire.log_time) == key)
            && let Some((header, wire)) = camera.wires.remove(at)
        {
            return entry(number, &header, wire, Some(&image)).map(Some);
        }
        self.waiting_bytes += data.len();
        camera.images.push_back(image);
        if self.waiting_bytes <= WAITING_BYTES_MAX || self.in_order {
            return Ok(None);
        }
        let longest = self.cameras.iter_mut().max_by_key(|camera| camera.images.len());
        let dropped = longest.and_then(|camera| camera.images.pop_front());
        let Some(PendingImage { key: (sequence, _), bytes, .. }) = dropped else { return Ok(None) };
        self.waiting_bytes -= bytes.len().min(self.waiting_bytes);
        let limit = WAITING_BYTES_MAX >> 20;
        Err(format!("the image message of frame {sequence} is more than {limit} MiB before its wire message"))
    }

    fn wire(&mut self, number: usize, header: &MessageHeader, data: &[u8]) -> Result<Option<RecordingEntry>, String> {
        let camera = &mut self.cameras[number];
        let wire = WireMessage::decode(data).map_err(|error| error.to_string())?;
        if let Some(incident) = wire.incident {
            return Ok(Some(RecordingEntry::Incident { camera: number, at_unix_ns: time(header.log_time), incident }));
        }
        let key = (header.sequence, header.log_time);
        let found = if self.in_order {
            camera.images.pop_back()
        } else {
            let at = camera.images.iter().position(|image| image.key == key);
            at.and_then(|at| camera.images.remove(at))
        };
        self.waiting_bytes -= found.as_ref().map_or(0, |image| image.bytes.len()).min(self.waiting_bytes);
        if found.is_none() && !self.in_order && wire.payload.is_empty() && wire.payload_len > 0 {
            camera.wires.push_back((*header, wire));
            if camera.wires.len() <= WAITING_WIRES_MAX {
                return Ok(None);
            }
            camera.wires.pop_front();
            return Err("the image messages of the last 10,000 frames are missing".to_owned());
        }
        let entry = entry(number, header, wire, found.as_ref());
        if let Some(PendingImage { bytes, .. }) = found {
            self.spare = bytes;
        }
        entry.map(Some)
    }
}

impl JoinedCamera {
    /// Takes a picture of another program. It waits for its boxes if the camera has a channel of boxes.
    fn picture(
        &mut self,
        number: usize,
        header: &MessageHeader,
        schema: ImageSchema,
        image: Image,
        channels: &Channels,
    ) -> Option<RecordingEntry> {
        let before = self.release(number);
        self.has_pictures = true;
        let boxes_are_here = self.boxes.as_ref().is_some_and(|boxes| boxes.stamp_ns == image.stamp_ns);
        self.held = Some((self.number(), *header, schema, image));
        if before.is_none() && (boxes_are_here || !channels.has_boxes(number)) {
            return self.release(number);
        }
        before
    }

    /// Returns the number of the next picture.
    fn number(&mut self) -> u32 {
        let next = self.next.wrapping_add(1);
        std::mem::replace(&mut self.next, next)
    }

    /// Takes boxes: of the picture that waits, unless they are of a later one.
    fn take_boxes(&mut self, number: usize, boxes: Boxes) -> Option<RecordingEntry> {
        let later = match (&self.held, boxes.stamp_ns) {
            (Some((.., image)), Some(stamp_ns)) => image.stamp_ns.is_some_and(|taken| taken < stamp_ns),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let entry = if later { self.release(number) } else { None };
        self.boxes = Some(boxes);
        if later { entry } else { self.release(number) }
    }

    /// Returns the picture that waits, with the boxes that belong to it.
    fn release(&mut self, number: usize) -> Option<RecordingEntry> {
        let (sequence, header, schema, image) = self.held.take()?;
        // Boxes with a time belong to the picture with this time, others to the last picture before them.
        let fits = |boxes: &mut Boxes| boxes.stamp_ns.is_none_or(|ns| image.stamp_ns.is_none_or(|taken| taken >= ns));
        let mut boxes = self.boxes.take_if(fits).unwrap_or_default();
        if boxes.stamp_ns.is_some() && image.stamp_ns.is_some() && boxes.stamp_ns != image.stamp_ns {
            boxes = Boxes::default();
        }
        self.size = image.size().or(self.size);
        boxes.encode(self.size);
        let log_ns = time(header.log_time);
        let publish_ns = image.stamp_ns.unwrap_or_else(|| time(header.publish_time));
        let (wire, payload) = image.into_frame(schema, sequence.into(), log_ns, &boxes, self.size);
        let frame =
            RecordedFrame { camera: number, sequence, log_ns, publish_ns, wire, payload, made_from_image: true };
        Some(RecordingEntry::Frame(frame))
    }
}

fn time(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn entry(
    camera: usize,
    header: &MessageHeader,
    mut wire: WireMessage,
    image: Option<&PendingImage>,
) -> Result<RecordingEntry, String> {
    // A wire message that has the payload itself does not need the image message.
    let needs_image = wire.payload.is_empty() && wire.payload_len > 0;
    let other = image.filter(|image| needs_image && image.key.0 != header.sequence);
    if let Some(PendingImage { key: (sequence, _), .. }) = other {
        return Err(format!("the image message before it belongs to frame {sequence}"));
    }
    let payload = rebuild(&mut wire, image.map(|image| (image.message, &image.bytes[..])))?;
    Ok(RecordingEntry::Frame(RecordedFrame {
        camera,
        sequence: header.sequence,
        log_ns: time(header.log_time),
        publish_ns: time(header.publish_time),
        wire,
        payload,
        made_from_image: false,
    }))
}
