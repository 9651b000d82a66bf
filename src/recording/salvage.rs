//! Every frame of a file that is whole, whatever the rest is like, and what the rest is.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Seek};

use mcap::records::{MessageHeader, Metadata, Record, op};

use super::CameraInfo;
use super::join::Join;
use super::reader::{Entry, Recorded, camera};
use super::record;
use super::schema::Incident;
use super::seal;
use super::walk::{ChunkFound, MessageFound, Piece, Walk};
use super::writer::{CAMERA_METADATA, CHANNELS, CLOCK_METADATA, FILE_METADATA};

/// What is found next.
#[allow(clippy::large_enum_variant)] // Nearly all of them are frames.
#[derive(Debug)]
pub(super) enum Found {
    /// A frame that is whole, and its boxes as they are in the file.
    Frame { at: u64, recorded: Recorded, boxes: Option<Vec<u8>> },
    /// Something that happened.
    Incident { camera: usize, at_unix_ns: i64, incident: Incident },
    /// The messages of a frame (or an incident) that cannot be used.
    Lost { at: u64, camera: usize, sequence: u32, bytes: u64, expected: String, found: String },
    /// A chunk; what is in it follows.
    Chunk(ChunkFound),
    /// Any other record.
    Record { at: u64, opcode: u8, data: Vec<u8> },
    /// Bytes that are no record, and whether all of them are zeros.
    Damage { at: u64, len: u64, zeros: bool },
}

/// Where a message is in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) channel: u16,
    pub(super) log_time: u64,
    pub(super) offset: u64,
}

/// Reads a file, and knows the cameras of all of it from the beginning.
#[derive(Debug)]
pub(super) struct Salvage<R> {
    walk: Walk<R>,
    join: Join,
    cameras: Vec<Waiting>,
    topics: BTreeMap<u16, String>,
    about: BTreeMap<String, String>,
    clocks: Vec<Metadata>,
    slots: Vec<Slot>,
    /// A chunk was told: its messages are the next ones.
    begins: bool,
    queue: VecDeque<Found>,
}

/// The messages of a frame whose wire message has not come.
#[derive(Debug)]
struct Waiting {
    channel: u16,
    at: u64,
    sequence: u32,
    bytes: u64,
    boxes: Option<Vec<u8>>,
}

impl<R: Read + Seek> Salvage<R> {
    /// Looks for the cameras and the clocks, in what is not damaged, and begins. `open` opens the file, twice.
    pub(super) fn new(mut open: impl FnMut() -> io::Result<R>) -> io::Result<Self> {
        let mut found = Self {
            walk: Walk::new(open()?, true)?,
            join: Join::default(),
            cameras: Vec::new(),
            topics: BTreeMap::new(),
            about: BTreeMap::new(),
            clocks: Vec::new(),
            slots: Vec::new(),
            begins: false,
            queue: VecDeque::new(),
        };
        while let Some(piece) = found.walk.next()? {
            if let Piece::Record { opcode, data, .. } = piece {
                found.learn(opcode, &data);
            }
        }
        // Topics name the cameras whose metadata are damaged.
        for (channel, topic) in found.topics.clone() {
            found.named(channel, &topic);
        }
        found.walk = Walk::new(open()?, false)?;
        for camera in &found.cameras {
            (camera.channel..camera.channel.saturating_add(CHANNELS)).for_each(|id| found.walk.expect_channel(id));
        }
        Ok(found)
    }

    /// Bytes of the file.
    pub(super) const fn len(&self) -> u64 {
        self.walk.len()
    }

    /// The cameras that are known now. One without metadata can come later.
    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.join.cameras()
    }

    /// What the file says of itself.
    pub(super) fn about(&self) -> &BTreeMap<String, String> {
        &self.about
    }

    /// What the file says of this camera's clock.
    pub(super) fn clock(&self, camera: &str) -> Option<&BTreeMap<String, String>> {
        let name = format!("{CLOCK_METADATA}{camera}");
        self.clocks.iter().find(|clock| clock.name == name).map(|clock| &clock.metadata)
    }

    /// The first channel number of a camera.
    pub(super) fn channel(&self, camera: usize) -> u16 {
        self.cameras[camera].channel
    }

    /// The messages of the last chunk; when the next one is told, still those.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if std::mem::take(&mut self.begins) {
            self.slots.clear();
        }
        loop {
            if let Some(found) = self.queue.pop_front() {
                return Ok(Some(found));
            }
            match self.walk.next()? {
                Some(Piece::Message(message)) => self.message(&message),
                Some(Piece::Chunk(chunk)) => {
                    self.begins = true;
                    return Ok(Some(Found::Chunk(chunk)));
                }
                Some(Piece::Record { at, opcode, data }) => {
                    self.learn(opcode, &data);
                    return Ok(Some(Found::Record { at, opcode, data }));
                }
                Some(Piece::Damage { at, len, zeros }) => return Ok(Some(Found::Damage { at, len, zeros })),
                None => {
                    (0..self.cameras.len()).for_each(|camera| self.give_up(camera));
                    if self.queue.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn message(&mut self, message: &MessageFound) {
        let MessageFound { at, offset, trusted, len, ref header } = *message;
        self.slots.push(Slot { channel: header.channel_id, log_time: header.log_time, offset });
        let Some(camera) = self.camera_of(header.channel_id) else { return };
        let waiting = &self.cameras[camera];
        if waiting.bytes > 0 && waiting.sequence != header.sequence {
            self.give_up(camera);
        }
        let waiting = &mut self.cameras[camera];
        if waiting.bytes == 0 {
            (waiting.at, waiting.sequence) = (at, header.sequence);
        }
        waiting.bytes += len;
        if header.channel_id == waiting.channel + 1 {
            waiting.boxes = Some(self.walk.data().to_vec());
            return;
        }
        if header.channel_id != waiting.channel {
            // An image never fails: it waits for its wire message.
            let _ = self.join.message(header, self.walk.data());
            return;
        }
        let bytes = std::mem::take(&mut waiting.bytes);
        let boxes = waiting.boxes.take();
        let found = match wire(&mut self.join, header, self.walk.data(), trusted) {
            Ok(Entry::Frame(recorded)) => Found::Frame { at, recorded, boxes },
            Ok(Entry::Incident { camera, at_unix_ns, incident }) => Found::Incident { camera, at_unix_ns, incident },
            Err((expected, found)) => {
                Found::Lost { at, camera, sequence: header.sequence, bytes, expected: expected.to_owned(), found }
            }
        };
        self.queue.push_back(found);
    }

    /// The wire message of these messages will not come.
    fn give_up(&mut self, camera: usize) {
        let waiting = &mut self.cameras[camera];
        waiting.boxes = None;
        let bytes = std::mem::take(&mut waiting.bytes);
        if bytes > 0 {
            let (expected, found) = ("a wire message behind the picture".to_owned(), "none".to_owned());
            let Waiting { at, sequence, .. } = *waiting;
            self.queue.push_back(Found::Lost { at, camera, sequence, bytes, expected, found });
        }
    }

    fn learn(&mut self, opcode: u8, data: &[u8]) {
        match opcode {
            op::CHANNEL => {
                if let Some(Record::Channel(channel)) = record::parse(opcode, data) {
                    self.topics.insert(channel.id, channel.topic);
                }
            }
            op::METADATA => {
                let Some(Record::Metadata(metadata)) = record::parse(opcode, data) else { return };
                if seal::metadata_damage(&metadata.name, &metadata.metadata).is_some() {
                    return;
                }
                match metadata.name.as_str() {
                    FILE_METADATA => self.about = metadata.metadata,
                    name if name.starts_with(CAMERA_METADATA) => {
                        if let Some((info, channel)) = camera(&metadata) {
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
        self.cameras.push(Waiting { channel, at: 0, sequence: 0, bytes: 0, boxes: None });
        self.cameras.len() - 1
    }

    /// A camera without metadata, by the topic of one of its channels.
    fn named(&mut self, channel: u16, topic: &str) -> Option<usize> {
        let (name, of) = topic.strip_prefix('/')?.rsplit_once('/')?;
        let fits = match channel % CHANNELS {
            0 => of == "wire",
            1 => of == "detections",
            _ => of == "image",
        };
        let info = CameraInfo { name: name.to_owned(), ..CameraInfo::default() };
        fits.then(|| self.add(info, channel - channel % CHANNELS))
    }

    /// Whose channel it is; `None` for channels that somebody else added.
    fn camera_of(&mut self, channel: u16) -> Option<usize> {
        let belongs = |camera: &Waiting| (camera.channel..camera.channel.saturating_add(CHANNELS)).contains(&channel);
        if let Some(known) = self.cameras.iter().position(belongs) {
            return Some(known);
        }
        if let Some(topic) = self.topics.get(&channel).cloned() {
            return self.named(channel, &topic);
        }
        let name = format!("camera-{}", channel / CHANNELS + 1);
        Some(self.add(CameraInfo { name, ..CameraInfo::default() }, channel - channel % CHANNELS))
    }
}

/// The frame that a wire message completes, or what was expected and what was found instead.
fn wire(join: &mut Join, header: &MessageHeader, data: &[u8], trusted: bool) -> Result<Entry, (&'static str, String)> {
    match seal::is_whole(header, data) {
        Some(true) => {}
        None if trusted => {} // Written before there were any.
        Some(false) => return Err(("a wire message with its checksum", "another checksum".to_owned())),
        None => return Err(("a wire message with its checksum", "no checksum".to_owned())),
    }
    let joined = join.message(header, data).map_err(|why| ("messages that make up a frame", why))?;
    let entry = joined.ok_or(("a wire message", "a message of another channel".to_owned()))?;
    if let Entry::Frame(Recorded { wire, payload, .. }) = &entry {
        let found = crc32fast::hash(payload);
        if found != wire.payload_crc32 {
            let found = format!("{found:08x} instead of {:08x}", wire.payload_crc32);
            return Err(("the payload that arrived, by its CRC-32", found));
        }
    }
    Ok(entry)
}
