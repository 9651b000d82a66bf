//! Writes frames to one MCAP file, through any `Write + Seek`.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use mcap::records::{MessageHeader, Metadata};
use mcap::{McapResult, WriteOptions, Writer};
use prost::Message as _;

use super::checksum::{append_checksum, insert_metadata_checksum};
use super::frame_messages::{annotations_of, nanoseconds, timestamp, wire_message};
use super::image::{ImageBuffer, ImageMessage};
use super::number_channels::NumberChannels;
use super::schema::{self, IncidentKind, RecordedIncident, WireMessage};
use super::topics::{detections_schema, detections_topic, image_topic, topic_name};
use super::{Part, RecordingError};
use crate::frame::{Frame, LabelMap};
use crate::net::host_name::host_name;

/// Beginning of the name of the program in the header of a file, followed by the version.
pub(super) const LIBRARY: &str = "oaktap ";
/// Name of the metadata of the file.
pub(super) const FILE_METADATA: &str = "oaktap";
/// Name of the metadata with the place of the file in a recording of several files. Written before the first message.
pub(super) const PART_METADATA: &str = "oaktap.part";
/// Prefix of the name of a camera's metadata, followed by the camera's name, since Rerun requires unique names. Written
/// before the camera's first message.
pub(super) const CAMERA_METADATA: &str = "oaktap.camera/";
/// Prefix of the name of a clock's metadata, followed by the camera's name. Written at the end of the file.
pub(super) const CLOCK_METADATA: &str = "oaktap.clock/";

/// Consecutive channel numbers per camera: wire, detections, and one for each image message.
pub(super) const CHANNELS: u16 = 2 + ImageMessage::ALL.len() as u16;

/// Memory of a frame's messages beside its payload, picture, texts and boxes, in bytes.
const FRAME_REST_BYTES: usize = 4096;
/// Memory of a box in its messages, in bytes.
const BOX_BYTES: usize = 1024;

/// Compression of chunks. Raw pictures of cameras hardly shrink, so the default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// LZ4: fast.
    Lz4,
    /// Zstandard at level 1: smaller.
    Zstd,
}

impl std::str::FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            _ => Err(format!("unknown compression `{name}`; expected none, lz4 or zstd")),
        }
    }
}

/// Name and source of a camera, before its first frame or as read from a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraInfo {
    /// Name given by the user, and the first part of the topics of its channels. The writer replaces `/` by `_`.
    pub name: String,
    /// Source of its frames, as the user wrote it.
    pub address: String,
    /// Label names given by the user, if any. Names in the stream take precedence.
    pub labels: Option<LabelMap>,
}

impl CameraInfo {
    /// Returns the number of the camera whose connection this one is a further stream of, such as `cam` for `cam_depth`.
    pub fn first_stream<'a>(&self, mut cameras: impl Iterator<Item = &'a Self>) -> Option<usize> {
        cameras.position(|first| {
            let stream = self.name.strip_prefix(first.name.as_str()).and_then(|rest| rest.strip_prefix('_'));
            stream.is_some_and(|stream| !stream.is_empty()) && self.address == first.address
        })
    }
}

/// A writer of one file.
pub struct SegmentWriter<W: Write + Seek> {
    mcap: Writer<W>,
    cameras: Vec<WrittenCamera>,
    image: ImageBuffer,
    message: Vec<u8>,
    /// Bytes of the messages since the last flush.
    open_bytes: u64,
    numbers: NumberChannels,
}

impl<W: Write + Seek> std::fmt::Debug for SegmentWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter").field("cameras", &self.cameras).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct WrittenCamera {
    info: CameraInfo,
    /// The first of its channel numbers.
    channel: u16,
    begun: bool,
    /// The image channels that the file has.
    image: [bool; ImageMessage::ALL.len()],
    sequence: u32,
    /// Records that the camera sent before this file began and that still apply.
    context: Vec<u8>,
}

impl WrittenCamera {
    fn new(number: u16, info: &CameraInfo) -> Self {
        Self {
            info: CameraInfo { name: topic_name(&info.name), ..info.clone() },
            channel: number * CHANNELS,
            begun: false,
            image: [false; ImageMessage::ALL.len()],
            sequence: 0,
            context: Vec::new(),
        }
    }
}

/// Channel number of an image message, relative to the camera's first.
pub(super) fn image_channel(message: ImageMessage) -> u16 {
    2 + message as u16
}

impl<W: Write + Seek> SegmentWriter<W> {
    /// Starts a file for these cameras. `created_unix_ns` is the time in nanoseconds since 1970, UTC.
    ///
    /// # Errors
    /// The file cannot be written, or there are more than 13,107 cameras, for which MCAP has no channel numbers.
    pub fn new(
        to: W,
        compression: Compression,
        cameras: &[CameraInfo],
        created_unix_ns: i64,
    ) -> Result<Self, RecordingError> {
        let mut options = WriteOptions::new()
            .library(format!("{LIBRARY}{}", env!("CARGO_PKG_VERSION")))
            // `flush` ends chunks, so that each has complete frames only. Their checksums cover all data.
            .chunk_size(None)
            .calculate_data_section_crc(false)
            .compression(match compression {
                Compression::None => None,
                Compression::Lz4 => Some(mcap::Compression::Lz4),
                Compression::Zstd => Some(mcap::Compression::Zstd),
            });
        if compression == Compression::Zstd {
            // Level 1 is the fastest, and higher levels gain nothing on pictures.
            options = options.compression_level(1).compression_threads(0);
        }
        let begin = || -> McapResult<Self> {
            if cameras.len() > usize::from(u16::MAX / CHANNELS) {
                return Err(mcap::McapError::TooManyChannels);
            }
            let mut mcap = options.create(to)?;
            let about = BTreeMap::from([
                ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("host".to_owned(), host_name()),
                ("created_unix_ns".to_owned(), created_unix_ns.to_string()),
                ("cameras".to_owned(), cameras.len().to_string()),
            ]);
            write_metadata(&mut mcap, FILE_METADATA.to_owned(), about)?;
            let cameras = (0..).zip(cameras).map(|(number, info)| WrittenCamera::new(number, info)).collect();
            let (image, numbers) = (ImageBuffer::default(), NumberChannels::default());
            Ok(Self { mcap, cameras, image, message: Vec::new(), open_bytes: 0, numbers })
        };
        begin().map_err(RecordingError::Write)
    }

    /// Adds a camera after the start. Returns its number.
    ///
    /// # Errors
    /// There are more than 13,107 cameras.
    pub fn camera(&mut self, info: &CameraInfo) -> Result<usize, RecordingError> {
        let number = u16::try_from(self.cameras.len()).ok().filter(|number| *number < u16::MAX / CHANNELS);
        let number = number.ok_or(RecordingError::Write(mcap::McapError::TooManyChannels))?;
        self.cameras.push(WrittenCamera::new(number, info));
        Ok(usize::from(number))
    }

    /// Returns whether a camera has this name.
    #[must_use]
    pub fn has_camera(&self, name: &str) -> bool {
        self.cameras.iter().any(|camera| camera.info.name == topic_name(name))
    }

    /// Writes the place of this file in a recording of several files. Call it before the first message.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn part(&mut self, part: &Part) -> Result<(), RecordingError> {
        write_metadata(&mut self.mcap, PART_METADATA.to_owned(), part.to_metadata()).map_err(RecordingError::Write)
    }

    /// Sets the records (labels, dimensions) that the camera sent before this file began and that still apply. The next
    /// frame of the camera is written with them.
    pub fn context(&mut self, camera: usize, records: &[u8]) {
        self.cameras[camera].context = records.to_vec();
    }

    /// Writes one frame of a camera. `publish_unix_ns` is the capture time in nanoseconds since 1970, UTC.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// The camera does not exist.
    pub fn frame(&mut self, camera: usize, frame: &Frame, publish_unix_ns: i64) -> Result<(), RecordingError> {
        self.frame_at(camera, frame, frame.received.unix_ns, publish_unix_ns)
    }

    /// Like [`Self::frame`], with a log time that may differ from the wall clock, which can be set during a recording.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// The camera does not exist.
    pub fn frame_at(
        &mut self,
        camera: usize,
        frame: &Frame,
        log_unix_ns: i64,
        publish_unix_ns: i64,
    ) -> Result<(), RecordingError> {
        self.begin_camera(camera, Some(frame)).map_err(RecordingError::Write)?;
        let Self { mcap, cameras, image, message, open_bytes, .. } = self;
        let camera = &mut cameras[camera];
        let name = &camera.info.name;
        let mut header = MessageHeader {
            channel_id: camera.channel,
            sequence: camera.sequence,
            log_time: nanoseconds(log_unix_ns),
            publish_time: nanoseconds(publish_unix_ns),
        };
        camera.sequence = camera.sequence.wrapping_add(1);

        let shown = image.write(frame, name, timestamp(publish_unix_ns));
        if let Some((kind, _)) = shown {
            header.channel_id = camera.channel + image_channel(kind);
            if !std::mem::replace(&mut camera.image[kind as usize], true) {
                let schema = kind.schema();
                add_channel(mcap, header.channel_id, &schema.name, &schema.data, &image_topic(name))
                    .map_err(RecordingError::Write)?;
            }
            write(mcap, &header, image.bytes(), open_bytes)?;
        }

        message.clear();
        let names = LabelMap::first_known([frame.labels.as_deref(), camera.info.labels.as_ref()]);
        annotations_of(message, frame, &frame.detections, names, publish_unix_ns);
        header.channel_id = camera.channel + 1;
        write(mcap, &header, message, open_bytes)?;

        let is_held = shown.is_some_and(|(_, exact)| exact);
        let wire = wire_message(frame, is_held, std::mem::take(&mut camera.context));
        header.channel_id = camera.channel;
        message.clear();
        message.reserve(wire.payload.len());
        // Writing into a `Vec` cannot fail.
        let _ = wire.encode(message);
        append_checksum(&header, message);
        write(mcap, &header, message, open_bytes)
    }

    /// Returns the memory in bytes that writing a frame takes at most: its messages are encoded and then copied into the
    /// open chunk. What [`Self::buffer_bytes`] returns is part of it.
    #[must_use]
    pub fn frame_memory(frame: &Frame) -> usize {
        let payload = frame.payload().len();
        let (image, is_exact) = ImageBuffer::data_len(frame);
        let Frame { records, header, detection_text, detections, .. } = frame;
        let rest =
            FRAME_REST_BYTES + records.len() + header.len() + detection_text.len() + detections.len() * BOX_BYTES;
        let wire = rest + if is_exact { 0 } else { payload };
        // Encoding a payload copies it twice.
        let buffers = image + rest + 2 * wire;
        buffers + image + rest + wire
    }

    /// Memory of the buffers in bytes, which the next frame uses again.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.image.memory_bytes() + self.message.capacity()
    }

    /// Frees the buffers.
    pub fn free_buffers(&mut self) {
        (self.image, self.message) = (ImageBuffer::default(), Vec::new());
    }

    /// Writes an incident between two frames of a camera. `at_unix_ns` is its time in nanoseconds since 1970, UTC.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// The camera does not exist.
    pub fn incident(
        &mut self,
        camera: usize,
        incident: &RecordedIncident,
        at_unix_ns: i64,
    ) -> Result<(), RecordingError> {
        self.begin_camera(camera, None).map_err(RecordingError::Write)?;
        let Self { mcap, cameras, message, open_bytes, numbers, .. } = self;
        if incident.kind() == Some(IncidentKind::Measurement) {
            let written = numbers.write(mcap, &cameras[camera].info.name, cameras.len(), incident, at_unix_ns);
            *open_bytes += written.map_err(RecordingError::Write)?;
        }
        let camera = &cameras[camera];
        let header = MessageHeader {
            channel_id: camera.channel,
            sequence: camera.sequence,
            log_time: nanoseconds(at_unix_ns),
            publish_time: nanoseconds(at_unix_ns),
        };
        message.clear();
        let wire = WireMessage { incident: Some(incident.clone()), ..WireMessage::default() };
        // Writing into a `Vec` cannot fail.
        let _ = wire.encode(message);
        append_checksum(&header, message);
        write(mcap, &header, message, open_bytes)
    }

    /// Writes metadata. Ends the chunk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn metadata(&mut self, name: &str, metadata: BTreeMap<String, String>) -> Result<(), RecordingError> {
        self.flush()?;
        write_metadata(&mut self.mcap, name.to_owned(), metadata).map_err(RecordingError::Write)
    }

    /// Bytes of the messages that were written since the last [`Self::flush`].
    #[must_use]
    pub const fn open_bytes(&self) -> u64 {
        self.open_bytes
    }

    /// Ends the chunk and flushes. Bytes that were written before are final.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.open_bytes = 0;
        self.mcap.flush().map_err(RecordingError::Write)
    }

    /// Ends the file: writes the metadata of each camera's clock, the index and the summary, and flushes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, clocks: &[BTreeMap<String, String>]) -> Result<W, RecordingError> {
        let mut end = || -> McapResult<()> {
            for camera in 0..self.cameras.len() {
                self.begin_camera(camera, None)?;
            }
            for (camera, clock) in self.cameras.iter().zip(clocks) {
                let mut metadata = clock.clone();
                metadata.insert("name".to_owned(), camera.info.name.clone());
                write_metadata(&mut self.mcap, format!("{CLOCK_METADATA}{}", camera.info.name), metadata)?;
            }
            self.mcap.finish()?;
            Ok(())
        };
        end().map_err(RecordingError::Write)?;
        let mut to = self.mcap.into_inner();
        to.flush().map_err(|error| RecordingError::Write(error.into()))?;
        Ok(to)
    }

    /// Writes the metadata and channels of a camera before its first message.
    fn begin_camera(&mut self, camera: usize, first: Option<&Frame>) -> McapResult<()> {
        let Self { mcap, cameras, .. } = self;
        let camera = &mut cameras[camera];
        if std::mem::replace(&mut camera.begun, true) {
            return Ok(());
        }
        let CameraInfo { name, address, labels } = &camera.info;
        let mut metadata = BTreeMap::from([
            ("name".to_owned(), name.clone()),
            ("address".to_owned(), address.clone()),
            ("channel".to_owned(), camera.channel.to_string()),
        ]);
        let labels = first.and_then(|frame| frame.labels.as_deref()).or(labels.as_ref());
        if let Some(labels) = labels {
            metadata.insert("labels".to_owned(), labels_to_json(labels));
        }
        if let Some(frame) = first {
            metadata.insert("dialect".to_owned(), frame.dialect.to_string());
            metadata.insert("kind".to_owned(), frame.kind.name().to_owned());
            if let Some(geometry) = frame.geometry {
                metadata.insert("geometry".to_owned(), geometry.to_string());
            }
        }
        write_metadata(mcap, format!("{CAMERA_METADATA}{name}"), metadata)?;
        add_channel(mcap, camera.channel, schema::WIRE_SCHEMA, &schema::descriptor(), &format!("/{name}/wire"))?;
        let boxes = detections_schema();
        add_channel(mcap, camera.channel + 1, &boxes.name, &boxes.data, &detections_topic(name))
    }
}

fn write_metadata<W: Write + Seek>(
    mcap: &mut Writer<W>,
    name: String,
    mut metadata: BTreeMap<String, String>,
) -> McapResult<()> {
    insert_metadata_checksum(&name, &mut metadata);
    mcap.write_metadata(&Metadata { name, metadata })
}

fn add_channel<W: Write + Seek>(
    mcap: &mut Writer<W>,
    id: u16,
    schema_name: &str,
    descriptor: &[u8],
    topic: &str,
) -> McapResult<()> {
    let schema = mcap.add_schema(schema_name, "protobuf", descriptor)?;
    mcap.add_channel_with_id(id, schema, topic, "protobuf", &BTreeMap::new())?;
    Ok(())
}

fn write<W: Write + Seek>(
    mcap: &mut Writer<W>,
    header: &MessageHeader,
    message: &[u8],
    open_bytes: &mut u64,
) -> Result<(), RecordingError> {
    *open_bytes += message.len() as u64;
    mcap.write_to_known_channel(header, message).map_err(RecordingError::Write)
}

fn labels_to_json(labels: &LabelMap) -> String {
    let names: BTreeMap<u32, &str> = labels.iter().collect();
    serde_json::to_string(&names).expect("numbers and strings are valid JSON")
}
