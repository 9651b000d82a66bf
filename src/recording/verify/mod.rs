//! Whether a recording is as it was written, to the last bit that matters.
//!
//! Chunks, wire messages, payloads, metadata and the summary have checksums; what they do not cover (the heads of chunks,
//! indexes, counts) has to agree with the data. Every frame goes through the decoder once more: it has to be the bytes of
//! the wire, and its text the boxes that are drawn.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use foxglove::messages::ImageAnnotations;
use mcap::records::{Record, op};
use serde::Serialize;

use super::RecordingError;
use super::annotations::annotations;
use super::decode::Decoders;
use super::reader::Recorded;
use super::record;
use super::salvage::{Found, Salvage};
use super::seal;
use crate::frame::{Frame, LabelMap};

mod index;
use index::Index;

/// Findings that are kept; all are counted.
const FINDINGS: usize = 1000;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// Where, in bytes from its beginning; in a compressed chunk, where the chunk begins.
    pub offset: u64,
    /// Of which camera.
    pub camera: Option<String>,
    /// Of which frame: its number in this file.
    pub frame: Option<u32>,
    /// What was looked at.
    pub what: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.file.display(), self.offset)?;
        if let Some(camera) = &self.camera {
            write!(f, ", camera {camera}")?;
        }
        if let Some(frame) = self.frame {
            write!(f, ", frame {frame}")?;
        }
        write!(f, ": {}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Chunks.
    pub chunks: u64,
    /// Frames that are whole.
    pub frames: u64,
    /// Notes of what happened between them.
    pub incidents: u64,
    /// The first thousand findings, in the order of the file.
    pub findings: Vec<Finding>,
    /// All of them.
    pub found: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.found == 0
    }
}

/// Reads all of a recording and compares everything in it that can be compared.
///
/// # Errors
/// It cannot be read, or is no recording.
pub fn verify(path: &Path) -> Result<Verified, RecordingError> {
    let mut from = Salvage::open(path)?;
    let mut all = Check {
        done: Verified {
            path: path.to_owned(),
            bytes: from.len(),
            chunks: 0,
            frames: 0,
            incidents: 0,
            findings: Vec::new(),
            found: 0,
        },
        decoders: Decoders::default(),
        next: Vec::new(),
    };
    let mut index = Index::default();
    let mut at = 0;
    while let Some(found) = from.next().map_err(|source| RecordingError::Read { at, source })? {
        all.next.resize(from.cameras().len(), None);
        match found {
            Found::Frame { at: frame_at, recorded, boxes } => {
                at = frame_at;
                all.frame(&from, at, &recorded, boxes.as_deref());
                index.wire(from.channel(recorded.camera));
            }
            Found::Incident { camera, .. } => {
                all.done.incidents += 1;
                index.wire(from.channel(camera));
            }
            Found::Lost { at, camera, sequence, expected, found, .. } => {
                all.next[camera] = Some(sequence.wrapping_add(1));
                all.about_frame(&from, at, camera, sequence, "a frame", expected, found);
            }
            Found::Chunk(chunk) => {
                at = chunk.at;
                all.done.chunks += 1;
                if let Some(damage) = &chunk.damage {
                    all.about_file(at, "a chunk", "contents as they were written".to_owned(), damage.clone());
                }
                index.chunk(chunk, from.slots(), &mut all);
            }
            Found::Record { at: record_at, opcode, data } => {
                at = record_at;
                all.metadata(at, opcode, &data);
                index.record(at, opcode, &data, &from, &mut all);
            }
            Found::Damage { at, len, zeros } => {
                let what = if zeros { "zeros: it was never written" } else { "something else" };
                all.about_file(at, "the file", "a record".to_owned(), format!("{len} bytes of {what}"));
            }
        }
    }
    if from.cameras().len() == 0 {
        return Err(from.no_recording(path));
    }
    let mut file = File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
    index.end(&mut file, from.slots(), &mut all).map_err(|source| RecordingError::Read { at, source })?;
    all.done.findings.sort_by_key(|finding| finding.offset);
    Ok(all.done)
}

/// What is known so far.
struct Check {
    done: Verified,
    decoders: Decoders,
    /// The number of each camera's next frame.
    next: Vec<Option<u32>>,
}

impl Check {
    fn frame(&mut self, from: &Salvage<File>, at: u64, recorded: &Recorded, boxes: Option<&[u8]>) {
        self.done.frames += 1;
        let Recorded { camera, sequence, ref wire, .. } = *recorded;
        let next = self.next[camera].replace(sequence.wrapping_add(1)).unwrap_or(0);
        if next != sequence {
            let (expected, found) = (format!("frame {next}"), format!("frame {sequence}, and no other before it"));
            self.about_frame(from, at, camera, sequence, "the numbers of the frames", expected, found);
        }
        match self.decoders.decode(recorded) {
            Ok(frame) => {
                if let Err((expected, found)) = agree(&frame, boxes) {
                    self.about_frame(from, at, camera, sequence, "the boxes that are drawn", expected, found);
                }
            }
            Err(found) => {
                let expected = format!("a frame with {} bytes of payload, as recorded", wire.payload_len);
                self.about_frame(from, at, camera, sequence, "the bytes of the wire", expected, found);
            }
        }
    }

    fn metadata(&mut self, at: u64, opcode: u8, data: &[u8]) {
        if opcode != op::METADATA {
            return;
        }
        match record::parse(opcode, data) {
            Some(Record::Metadata(metadata)) => {
                // Other programs may add their own.
                let ours = metadata.name.starts_with(super::writer::FILE_METADATA);
                let damage = seal::metadata_damage(&metadata.name, &metadata.metadata).filter(|_| ours);
                if let Some((expected, found)) = damage {
                    self.about_file(at, "metadata", format!("checksum {expected}"), found);
                }
            }
            _ => self.about_file(at, "metadata", "names and values".to_owned(), "something else".to_owned()),
        }
    }

    fn about_file(&mut self, offset: u64, what: &'static str, expected: String, found: String) {
        let file = self.done.path.clone();
        self.add(Finding { file, offset, camera: None, frame: None, what, expected, found });
    }

    #[allow(clippy::too_many_arguments)] // They are the finding.
    fn about_frame(
        &mut self,
        from: &Salvage<File>,
        offset: u64,
        camera: usize,
        frame: u32,
        what: &'static str,
        expected: String,
        found: String,
    ) {
        let camera = from.cameras().nth(camera).map(|info| info.name.clone());
        let file = self.done.path.clone();
        self.add(Finding { file, offset, camera, frame: Some(frame), what, expected, found });
    }

    fn add(&mut self, finding: Finding) {
        self.done.found += 1;
        if self.done.findings.len() < FINDINGS {
            self.done.findings.push(finding);
        }
    }
}

/// Whether the boxes in the file are those that the text of the frame tells; what was expected and found if not.
fn agree(frame: &Frame, boxes: Option<&[u8]>) -> Result<(), (String, String)> {
    let size = frame.geometry.map(|geometry| (geometry.width, geometry.height));
    // Names can come from elsewhere, and are no part of what is compared.
    let expected = annotations(foxglove::messages::Timestamp::new(0, 0), &frame.detections, &LabelMap::default(), size);
    let boxes = boxes.ok_or_else(|| (format!("{} boxes", expected.points.len()), "no message".to_owned()))?;
    let found = <ImageAnnotations as prost::Message>::decode(boxes)
        .map_err(|error| (format!("{} boxes", expected.points.len()), error.to_string()))?;
    let [expected, found] = [&expected, &found].map(|all| {
        let tell = |points: &foxglove::messages::PointsAnnotation| {
            let corners: Vec<_> = points.points.iter().map(|point| format!("{:.3},{:.3}", point.x, point.y)).collect();
            let value = |key| points.metadata.iter().find(|pair| pair.key == key).map_or("?", |pair| &pair.value[..]);
            format!("class {} ({}) at {}", value("class"), value("confidence"), corners.join(" "))
        };
        all.points.iter().map(tell).collect::<Vec<_>>()
    });
    if expected == found { Ok(()) } else { Err((format!("{expected:?}"), format!("{found:?}"))) }
}

/// CRC-32 of these bytes of a file.
fn checksum(file: &mut File, from: u64, len: u64) -> std::io::Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    file.seek(SeekFrom::Start(from))?;
    let mut rest = file.take(len);
    let mut block = vec![0; 1 << 16];
    loop {
        match rest.read(&mut block)? {
            0 => return Ok(crc.finalize()),
            n => crc.update(&block[..n]),
        }
    }
}
