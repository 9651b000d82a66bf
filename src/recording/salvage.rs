//! Finds every intact frame of a file, and reports everything else in it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use mcap::records::MessageHeader;

use super::channels::{Channels, Role};
use super::checksum;
use super::join::{DamagedPicture, Join, JoinError, RecordedFrame, RecordingEntry};
use super::schema::RecordedIncident;
use super::survey::{self, Survey};
use super::walk::{FoundChunk, FoundMessage, RecordWalk, WalkItem};
use super::watch::Watch;
use super::writer::CLOCK_METADATA;
use super::{CameraInfo, PartFile, RecordingError};

/// The next item in a file.
#[allow(clippy::large_enum_variant)] // Nearly all items are frames.
#[derive(Debug)]
pub(super) enum SalvageItem {
    /// An intact frame, and its encoded annotations.
    Frame { at: u64, recorded: RecordedFrame, boxes: RecordedBoxes },
    /// An event between two frames.
    Incident { camera: usize, at_unix_ns: i64, incident: RecordedIncident },
    /// Messages of a frame or incident that are damaged or incomplete.
    Lost { at: u64, camera: usize, sequence: u32, bytes: u64, expected: String, found: String },
    /// A topic has pictures that are not supported. Once for each topic.
    Unsupported { topic: String, why: String },
    /// A chunk. Its contents are the next items.
    Chunk(FoundChunk),
    /// Another record.
    Record { at: u64, opcode: u8, data: Vec<u8> },
    /// Bytes that are not a record; `zeros` if all of them are zero.
    Damage { at: u64, len: u64, zeros: bool },
}

/// A damaged part of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DamageReport {
    /// Position in the file in bytes.
    pub offset: u64,
    /// Description of the damage.
    pub why: String,
}

/// The annotations of a frame in the file.
#[derive(Debug)]
pub(super) enum RecordedBoxes {
    /// The encoded message.
    Found(Vec<u8>),
    /// The file has none.
    Missing,
    /// Not compared, because another tool wrote the file and may have changed the order of messages.
    Elsewhere,
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
    survey: Survey,
    join: Join,
    cameras: Vec<PendingFrame>,
    message_positions: Vec<MessagePosition>,
    /// Number of messages of each channel.
    messages: BTreeMap<u16, u64>,
    /// The last item was a chunk, so that the next message is its first.
    begins: bool,
    /// Position of the last message.
    at: u64,
    ended: bool,
    queue: VecDeque<SalvageItem>,
}

/// The messages of a camera's current frame, until its wire message is read. None if `bytes` is 0.
#[derive(Debug, Default)]
struct PendingFrame {
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
    pub(super) fn open(path: &Path, watch: &Watch) -> Result<Self, RecordingError> {
        survey::open_file(path)?;
        Self::new(|| File::open(path), watch).map_err(|source| RecordingError::read(0, source))
    }
}

impl<R: Read + Seek> Salvage<R> {
    /// Finds cameras and clocks in the intact metadata, then starts at the beginning. Calls `open` twice.
    pub(super) fn new(mut open: impl FnMut() -> io::Result<R>, watch: &Watch) -> io::Result<Self> {
        let mut survey = Survey::default();
        let mut walk = RecordWalk::new(open()?, true)?;
        walk.watch(watch.before());
        while let Some(piece) = walk.next()? {
            if let WalkItem::Record { at, opcode, data } = piece {
                survey.record(at, opcode, &data);
            }
        }
        if !survey.channels.any_declared() && !survey.in_order() {
            // Without a summary the channels are known only from inside the chunks.
            let mut walk = RecordWalk::new(open()?, false)?;
            walk.watch(watch.before());
            while let Some(piece) = walk.next()? {
                if let WalkItem::Record { opcode, data, .. } = piece {
                    survey.channels.record(opcode, &data);
                }
            }
        }
        survey.channels.resolve(survey.in_order());
        let mut walk = RecordWalk::new(open()?, false)?;
        walk.watch(watch.clone());
        survey.channels.numbers().into_iter().for_each(|id| walk.expect_channel(id));
        Ok(Self {
            join: Join::new(survey.in_order()),
            walk,
            survey,
            cameras: Vec::new(),
            message_positions: Vec::new(),
            messages: BTreeMap::new(),
            begins: false,
            at: 0,
            ended: false,
            queue: VecDeque::new(),
        })
    }

    /// Length of the file in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.walk.len()
    }

    /// Position of another recording after the end of this one, once everything before it has been read.
    pub(super) const fn continues_at(&self) -> Option<u64> {
        self.walk.continues_at()
    }

    /// The cameras found so far. A camera without metadata is added at its first message.
    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.survey.channels.cameras()
    }

    /// Metadata of the file.
    pub(super) fn about(&self) -> &BTreeMap<String, String> {
        &self.survey.about
    }

    /// Metadata of a camera's clock.
    pub(super) fn clock(&self, camera: &str) -> Option<&BTreeMap<String, String>> {
        let name = format!("{CLOCK_METADATA}{camera}");
        self.survey.clocks.iter().find(|clock| clock.name == name).map(|clock| &clock.metadata)
    }

    /// Returns the place of the file, which has this path, in a recording of several files.
    pub(super) fn part(&self, path: &Path) -> Option<PartFile> {
        self.survey.part_file(path)
    }

    /// Position and description of damaged metadata.
    pub(super) fn damaged_metadata(&self) -> &[(u64, String)] {
        &self.survey.damage
    }

    /// Returns whether the file declares any channel.
    pub(super) fn declares_channels(&self) -> bool {
        self.survey.channels.any_declared()
    }

    /// Returns whether oaktap wrote the file, and no other tool since.
    pub(super) fn in_order(&self) -> bool {
        self.survey.in_order()
    }

    /// Returns whether another program wrote the file, and none of its topics is one of oaktap.
    pub(super) fn is_of_another_program(&self) -> bool {
        let has_wire = (0..self.cameras().len()).any(|camera| self.survey.channels.has_wire(camera));
        !self.in_order() && self.declares_channels() && !has_wire
    }

    pub(super) const fn channels(&self) -> &Channels {
        &self.survey.channels
    }

    /// Describes the topics so far that do not belong to a camera. The numbers of a camera do: they are in its wire channel, too.
    pub(super) fn other_topics(&self) -> Vec<String> {
        let channels = &self.survey.channels;
        let is_other = |channel: u16| channels.role(channel).is_none() && !channels.is_of_numbers(channel);
        let others = self.messages.iter().filter(|(channel, _)| is_other(**channel));
        others.map(|(channel, n)| format!("the topic {} ({n} messages)", channels.topic(*channel))).collect()
    }

    /// Number of frames of a camera according to the summary.
    pub(super) fn frames_in_summary(&self, camera: usize) -> Option<u64> {
        self.survey.frames(camera)
    }

    /// Returns the damage if the summary counts more frames of a camera than were found: a chunk whose opcode is damaged
    /// looks like a record of another program.
    pub(super) fn missing(&self, camera: usize, found: u64) -> Option<DamageReport> {
        let counted = self.survey.frames(camera).filter(|counted| *counted > found)?;
        Some(DamageReport { offset: 0, why: format!("the summary counts {counted} frames, found {found}") })
    }

    /// Number of messages of each channel so far.
    pub(super) fn messages(&self) -> &BTreeMap<u16, u64> {
        &self.messages
    }

    /// Fails if there is no camera, or if there are too many.
    pub(super) fn check_cameras(&self, path: &Path) -> Result<(), RecordingError> {
        match self.survey.check_cameras(path) {
            Err(RecordingError::NoCamera { path, found }) => {
                let mut start = vec![0; mcap::MAGIC.len()];
                let read = File::open(&path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
                start.truncate(read);
                if start != mcap::MAGIC && self.about().is_empty() {
                    return Err(RecordingError::NotMcap { path, found: start });
                }
                Err(RecordingError::NoCamera { path, found })
            }
            other => other,
        }
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
                    self.survey.record(at, opcode, &data);
                    return Ok(Some(SalvageItem::Record { at, opcode, data }));
                }
                Some(WalkItem::Damage { at, len, zeros }) => return Ok(Some(SalvageItem::Damage { at, len, zeros })),
                None => {
                    if !std::mem::replace(&mut self.ended, true) {
                        (0..self.cameras.len()).for_each(|camera| self.drop_pending(camera));
                    }
                    match self.join.finish(&self.survey.channels) {
                        Ok(Some(entry)) => self.push(self.at, entry),
                        Ok(None) if self.queue.is_empty() => return Ok(None),
                        Ok(None) => {}
                        Err(why) => self.push_lost(self.at, 0, 0, 0, "messages of one frame", why),
                    }
                }
            }
        }
    }

    fn message(&mut self, message: &FoundMessage) {
        let FoundMessage { at, offset, trusted, len, ref header, in_chunk } = *message;
        self.at = at;
        if in_chunk {
            let log_time = header.log_time;
            self.message_positions.push(MessagePosition { channel: header.channel_id, log_time, offset });
        }
        *self.messages.entry(header.channel_id).or_default() += 1;
        let Some((camera, role)) = self.role(header.channel_id) else { return };
        while self.cameras.len() <= camera {
            self.cameras.push(PendingFrame::default());
        }
        if !self.survey.in_order() || !self.survey.channels.has_wire(camera) {
            return self.message_in_any_order(message, camera, role);
        }
        let pending = &self.cameras[camera];
        if pending.bytes > 0 && pending.sequence != header.sequence {
            self.drop_pending(camera);
        }
        let pending = &mut self.cameras[camera];
        if pending.bytes == 0 {
            (pending.at, pending.sequence) = (at, header.sequence);
        }
        pending.bytes += len;
        match role {
            Role::Boxes => pending.boxes = Some(self.walk.data().to_vec()),
            // Cannot fail: an image is only checked together with its wire message.
            Role::Image(_) => drop(self.join.message(&self.survey.channels, header, self.walk.data())),
            Role::Wire => {
                let bytes = std::mem::take(&mut pending.bytes);
                let boxes = pending.boxes.take().map_or(RecordedBoxes::Missing, RecordedBoxes::Found);
                match wire(&mut self.join, &self.survey.channels, header, self.walk.data(), trusted) {
                    Ok(RecordingEntry::Frame(recorded)) => {
                        self.queue.push_back(SalvageItem::Frame { at, recorded, boxes });
                    }
                    Ok(incident) => self.push(at, incident),
                    Err((expected, found)) => {
                        self.push_lost(at, camera, header.sequence, bytes, &expected, found);
                    }
                }
            }
        }
    }

    /// Takes a message of a file in which the messages of a frame may be apart, or of a camera without wire messages.
    fn message_in_any_order(&mut self, message: &FoundMessage, camera: usize, role: Role) {
        let FoundMessage { at, trusted, len, ref header, .. } = *message;
        let data = self.walk.data();
        if role == Role::Wire && !trusted && checksum::is_intact(header, data) != Some(true) {
            let found = "a different checksum, or none".to_owned();
            return self.push_lost(at, camera, header.sequence, len, "a wire message with a correct checksum", found);
        }
        match self.join.message(&self.survey.channels, header, data) {
            Ok(None) => {}
            Ok(Some(entry)) => self.push(at, entry),
            Err(JoinError::Damaged(why)) => {
                self.push_lost(at, camera, header.sequence, len, "messages of one frame", why);
            }
            Err(JoinError::Picture(damaged)) => {
                let DamagedPicture { camera, sequence, why, before, .. } = *damaged;
                before.into_iter().for_each(|before| self.push(at, before));
                self.push_lost(at, camera, sequence, len, "a picture", why);
            }
            Err(JoinError::Unsupported { topic, why, .. }) => {
                self.queue.push_back(SalvageItem::Unsupported { topic, why });
            }
        }
    }

    fn push(&mut self, at: u64, entry: RecordingEntry) {
        match entry {
            RecordingEntry::Incident { camera, at_unix_ns, incident } => {
                self.queue.push_back(SalvageItem::Incident { camera, at_unix_ns, incident });
            }
            RecordingEntry::Frame(recorded) => match payload_damage(&recorded) {
                None => {
                    self.queue.push_back(SalvageItem::Frame { at, recorded, boxes: RecordedBoxes::Elsewhere });
                }
                Some((expected, found)) => {
                    let RecordedFrame { camera, sequence, ref payload, .. } = recorded;
                    self.push_lost(at, camera, sequence, payload.len() as u64, &expected, found);
                }
            },
        }
    }

    fn push_lost(&mut self, at: u64, camera: usize, sequence: u32, bytes: u64, expected: &str, found: String) {
        let expected = expected.to_owned();
        self.queue.push_back(SalvageItem::Lost { at, camera, sequence, bytes, expected, found });
    }

    /// Reports the pending messages of a camera as lost, because their wire message is missing.
    fn drop_pending(&mut self, camera: usize) {
        let pending = &mut self.cameras[camera];
        pending.boxes = None;
        let bytes = std::mem::take(&mut pending.bytes);
        if bytes > 0 {
            let PendingFrame { at, sequence, .. } = *pending;
            self.push_lost(at, camera, sequence, bytes, "a wire message after the image", "none".to_owned());
        }
    }

    /// Returns camera and content of a channel; `None` for channels that another program added. In a damaged file of
    /// oaktap, a channel that nothing declares belongs to a camera without a name.
    fn role(&mut self, channel: u16) -> Option<(usize, Role)> {
        let channels = &mut self.survey.channels;
        if let Some(known) = channels.role(channel) {
            return Some(known);
        }
        if channels.is_declared(channel) || !self.survey.in_order() {
            return None;
        }
        self.survey.channels.add_unnamed(channel)?;
        self.survey.channels.role(channel)
    }
}

/// Completes a frame with its wire message. The error is what was expected and what was found.
fn wire(
    join: &mut Join,
    channels: &Channels,
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
    let damaged = |error| match error {
        JoinError::Damaged(why) | JoinError::Unsupported { why, .. } => ("messages of one frame".to_owned(), why),
        JoinError::Picture(damaged) => ("a picture".to_owned(), damaged.why),
    };
    let Some(entry) = join.message(channels, header, data).map_err(damaged)? else {
        return differs("a wire message", "a message of another channel");
    };
    match &entry {
        RecordingEntry::Frame(recorded) => payload_damage(recorded).map_or(Ok(entry), Err),
        RecordingEntry::Incident { .. } => Ok(entry),
    }
}

/// Compares the checksum of a payload. Returns what was expected and what was found if they differ.
pub(super) fn payload_damage(RecordedFrame { wire, payload, .. }: &RecordedFrame) -> Option<(String, String)> {
    let found = crc32fast::hash(payload);
    let differs = found != wire.payload_crc32;
    differs.then(|| (format!("a payload with CRC-32 {:08x}", wire.payload_crc32), format!("CRC-32 {found:08x}")))
}
