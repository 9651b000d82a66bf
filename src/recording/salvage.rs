//! Finds every intact frame of a file, and reports everything else in it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use mcap::records::{MessageHeader, Metadata, Record, op};

use super::checksum;
use super::join::{Join, RecordedFrame, RecordingEntry};
use super::mcap_record;
use super::reader::camera_info;
use super::schema::RecordedIncident;
use super::walk::{FoundChunk, FoundMessage, RecordWalk, WalkItem};
use super::writer::{CAMERA_METADATA, CHANNELS, CLOCK_METADATA, FILE_METADATA};
use super::{CameraInfo, RecordingError};

/// The next item in a file.
#[allow(clippy::large_enum_variant)] // Nearly all items are frames.
#[derive(Debug)]
pub(super) enum SalvageItem {
    /// An intact frame, and its encoded annotations.
    Frame { at: u64, recorded: RecordedFrame, boxes: Option<Vec<u8>> },
    /// An event between two frames.
    Incident { camera: usize, at_unix_ns: i64, incident: RecordedIncident },
    /// Messages of a frame or incident that are damaged or incomplete.
    Lost { at: u64, camera: usize, sequence: u32, bytes: u64, expected: String, found: String },
    /// A chunk. Its contents are the next items.
    Chunk(FoundChunk),
    /// Another record.
    Record { at: u64, opcode: u8, data: Vec<u8> },
    /// Bytes that are not a record; `zeros` if all of them are zero.
    Damage { at: u64, len: u64, zeros: bool },
}

/// Position of a message in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessagePosition {
    pub(super) channel: u16,
    pub(super) log_time: u64,
    pub(super) offset: u64,
}

/// Reads a file twice: first for its cameras, then for its frames.
#[derive(Debug)]
pub(super) struct Salvage<R> {
    walk: RecordWalk<R>,
    join: Join,
    cameras: Vec<PendingFrame>,
    topics: BTreeMap<u16, String>,
    about: BTreeMap<String, String>,
    clocks: Vec<Metadata>,
    message_positions: Vec<MessagePosition>,
    /// The last item was a chunk, so that the next message is its first.
    begins: bool,
    queue: VecDeque<SalvageItem>,
}

/// The messages of a camera's current frame, until its wire message is read. None if `bytes` is 0.
#[derive(Debug)]
struct PendingFrame {
    channel: u16,
    at: u64,
    sequence: u32,
    bytes: u64,
    boxes: Option<Vec<u8>>,
}

impl Salvage<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
        Self::new(|| File::open(path)).map_err(|source| RecordingError::Read { at: 0, source })
    }
}

impl<R: Read + Seek> Salvage<R> {
    /// Finds cameras and clocks in the intact metadata, then starts at the beginning. Calls `open` twice.
    pub(super) fn new(mut open: impl FnMut() -> io::Result<R>) -> io::Result<Self> {
        let mut found = Self {
            walk: RecordWalk::new(open()?, true)?,
            join: Join::default(),
            cameras: Vec::new(),
            topics: BTreeMap::new(),
            about: BTreeMap::new(),
            clocks: Vec::new(),
            message_positions: Vec::new(),
            begins: false,
            queue: VecDeque::new(),
        };
        while let Some(piece) = found.walk.next()? {
            if let WalkItem::Record { opcode, data, .. } = piece {
                found.add_record(opcode, &data);
            }
        }
        // Cameras whose metadata is damaged are known by the topics of their channels.
        for (channel, topic) in found.topics.clone() {
            found.add_by_topic(channel, &topic);
        }
        found.walk = RecordWalk::new(open()?, false)?;
        for camera in &found.cameras {
            (camera.channel..camera.channel.saturating_add(CHANNELS)).for_each(|id| found.walk.expect_channel(id));
        }
        Ok(found)
    }

    /// Length of the file in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.walk.len()
    }

    /// The cameras found so far. A camera without metadata is added at its first message.
    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.join.cameras()
    }

    /// Metadata of the file.
    pub(super) fn about(&self) -> &BTreeMap<String, String> {
        &self.about
    }

    /// Metadata of a camera's clock.
    pub(super) fn clock(&self, camera: &str) -> Option<&BTreeMap<String, String>> {
        let name = format!("{CLOCK_METADATA}{camera}");
        self.clocks.iter().find(|clock| clock.name == name).map(|clock| &clock.metadata)
    }

    /// The first channel number of a camera.
    pub(super) fn channel(&self, camera: usize) -> u16 {
        self.cameras[camera].channel
    }

    /// The messages of the last chunk. When [`Self::next`] has just returned a chunk, those of the chunk before it.
    pub(super) fn message_positions(&self) -> &[MessagePosition] {
        &self.message_positions
    }

    /// Returns the next item; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<SalvageItem>> {
        if std::mem::take(&mut self.begins) {
            self.message_positions.clear();
        }
        loop {
            if let Some(found) = self.queue.pop_front() {
                return Ok(Some(found));
            }
            match self.walk.next()? {
                Some(WalkItem::Message(message)) => self.message(&message),
                Some(WalkItem::Chunk(chunk)) => {
                    self.begins = true;
                    return Ok(Some(SalvageItem::Chunk(chunk)));
                }
                Some(WalkItem::Record { at, opcode, data }) => {
                    self.add_record(opcode, &data);
                    return Ok(Some(SalvageItem::Record { at, opcode, data }));
                }
                Some(WalkItem::Damage { at, len, zeros }) => return Ok(Some(SalvageItem::Damage { at, len, zeros })),
                None => {
                    (0..self.cameras.len()).for_each(|camera| self.drop_pending(camera));
                    if self.queue.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Returns the error for a file in which no camera was found.
    pub(super) fn no_recording(&self, path: &Path) -> RecordingError {
        let path = path.to_owned();
        let mut found = vec![0; mcap::MAGIC.len()];
        let read = File::open(&path).and_then(|mut file| file.read(&mut found)).unwrap_or(0);
        found.truncate(read);
        if found != mcap::MAGIC && self.about().is_empty() {
            return RecordingError::NotMcap { path, found };
        }
        let found =
            if self.about().is_empty() { "no metadata of oaktap" } else { "a file that ends before its first frame" };
        RecordingError::NotOurs { path, found: found.to_owned() }
    }

    fn message(&mut self, message: &FoundMessage) {
        let FoundMessage { at, offset, trusted, len, ref header } = *message;
        self.message_positions.push(MessagePosition { channel: header.channel_id, log_time: header.log_time, offset });
        let Some(camera) = self.camera_of(header.channel_id) else { return };
        let pending = &self.cameras[camera];
        if pending.bytes > 0 && pending.sequence != header.sequence {
            self.drop_pending(camera);
        }
        let pending = &mut self.cameras[camera];
        if pending.bytes == 0 {
            (pending.at, pending.sequence) = (at, header.sequence);
        }
        pending.bytes += len;
        if header.channel_id == pending.channel + 1 {
            pending.boxes = Some(self.walk.data().to_vec());
            return;
        }
        if header.channel_id != pending.channel {
            // Cannot fail: an image is only checked together with its wire message.
            let _ = self.join.message(header, self.walk.data());
            return;
        }
        let bytes = std::mem::take(&mut pending.bytes);
        let boxes = pending.boxes.take();
        let found = match wire(&mut self.join, header, self.walk.data(), trusted) {
            Ok(RecordingEntry::Frame(recorded)) => SalvageItem::Frame { at, recorded, boxes },
            Ok(RecordingEntry::Incident { camera, at_unix_ns, incident }) => {
                SalvageItem::Incident { camera, at_unix_ns, incident }
            }
            Err((expected, found)) => {
                SalvageItem::Lost { at, camera, sequence: header.sequence, bytes, expected, found }
            }
        };
        self.queue.push_back(found);
    }

    /// Reports the pending messages of a camera as lost, because their wire message is missing.
    fn drop_pending(&mut self, camera: usize) {
        let pending = &mut self.cameras[camera];
        pending.boxes = None;
        let bytes = std::mem::take(&mut pending.bytes);
        if bytes > 0 {
            let (expected, found) = ("a wire message after the image".to_owned(), "none".to_owned());
            let PendingFrame { at, sequence, .. } = *pending;
            self.queue.push_back(SalvageItem::Lost { at, camera, sequence, bytes, expected, found });
        }
    }

    fn add_record(&mut self, opcode: u8, data: &[u8]) {
        match opcode {
            op::CHANNEL => {
                if let Some(Record::Channel(channel)) = mcap_record::parse(opcode, data) {
                    self.topics.insert(channel.id, channel.topic);
                }
            }
            op::METADATA => {
                let Some(Record::Metadata(metadata)) = mcap_record::parse(opcode, data) else { return };
                if checksum::metadata_damage(&metadata.name, &metadata.metadata).is_some() {
                    return;
                }
                match metadata.name.as_str() {
                    FILE_METADATA => self.about = metadata.metadata,
                    name if name.starts_with(CAMERA_METADATA) => {
                        if let Some((info, channel)) = camera_info(&metadata) {
                            self.add(info, channel);
                        }
                    }
                    name if name.starts_with(CLOCK_METADATA) && !self.clocks.iter().any(|clock| clock.name == name) => {
                        self.clocks.push(metadata);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, info: CameraInfo, channel: u16) -> usize {
        if let Some(known) = self.cameras.iter().position(|camera| camera.channel == channel) {
            return known;
        }
        self.join.add(info, channel);
        self.cameras.push(PendingFrame { channel, at: 0, sequence: 0, bytes: 0, boxes: None });
        self.cameras.len() - 1
    }

    /// Adds a camera without metadata, named after the topic of one of its channels.
    fn add_by_topic(&mut self, channel: u16, topic: &str) -> Option<usize> {
        let (name, of) = topic.strip_prefix('/')?.rsplit_once('/')?;
        let fits = match channel % CHANNELS {
            0 => of == "wire",
            1 => of == "detections",
            _ => of == "image",
        };
        let info = CameraInfo { name: name.to_owned(), ..CameraInfo::default() };
        fits.then(|| self.add(info, channel - channel % CHANNELS))
    }

    /// Returns the camera of a channel; `None` for channels that another program added.
    fn camera_of(&mut self, channel: u16) -> Option<usize> {
        let belongs =
            |camera: &PendingFrame| (camera.channel..camera.channel.saturating_add(CHANNELS)).contains(&channel);
        if let Some(known) = self.cameras.iter().position(belongs) {
            return Some(known);
        }
        if let Some(topic) = self.topics.get(&channel).cloned() {
            return self.add_by_topic(channel, &topic);
        }
        let name = format!("camera-{}", channel / CHANNELS + 1);
        Some(self.add(CameraInfo { name, ..CameraInfo::default() }, channel - channel % CHANNELS))
    }
}

/// Completes a frame with its wire message. The error is what was expected and what was found.
fn wire(
    join: &mut Join,
    header: &MessageHeader,
    data: &[u8],
    trusted: bool,
) -> Result<RecordingEntry, (String, String)> {
    let differs = |expected: &str, found: &str| Err((expected.to_owned(), found.to_owned()));
    match checksum::is_intact(header, data) {
        Some(true) => {}
        None if trusted => {} // Written by a version without these checksums.
        Some(false) => return differs("a wire message with a correct checksum", "a different checksum"),
        None => return differs("a wire message with a checksum", "no checksum"),
    }
    let Some(entry) = join.message(header, data).map_err(|why| ("messages of one frame".to_owned(), why))? else {
        return differs("a wire message", "a message of another channel");
    };
    if let RecordingEntry::Frame(RecordedFrame { wire, payload, .. }) = &entry {
        let found = crc32fast::hash(payload);
        if found != wire.payload_crc32 {
            let expected = format!("a payload with CRC-32 {:08x}", wire.payload_crc32);
            return Err((expected, format!("CRC-32 {found:08x}")));
        }
    }
    Ok(entry)
}
