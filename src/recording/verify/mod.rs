//! Verifies that a recording is intact.
//!
//! Chunks, wire messages, payloads, metadata and the summary have checksums. The rest (heads of chunks, indexes, counts) has
//! to agree with the data. Every frame is decoded again: the decoder has to accept its bytes, and its detections have to be
//! the recorded annotations. JPEG pictures are decoded to pixels, which finds those that end early although they have an end
//! marker; video is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use mcap::records::{Record, op};
use serde::Serialize;

use super::annotations;
use super::checksum;
use super::decode::Decoders;
use super::join::RecordedFrame;
use super::mcap_record;
use super::salvage::{RecordedBoxes, Salvage, SalvageItem};
use super::schema::WireMessage;
use super::{PartFile, RecordingError, UnsupportedTopic, Watch, writer};
use crate::convert::{ConvertError, Converter};
use crate::file;
use crate::frame::{Frame, PayloadKind};

mod index;
use index::Index;

/// Number of findings that are listed. All are counted.
const FINDINGS_MAX: usize = 1000;

/// A difference between the recording and what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// The file.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub file: PathBuf,
    /// Position in the file in bytes. In a compressed chunk, the position of the chunk.
    pub offset: u64,
    /// Name of the camera that it concerns.
    pub camera: Option<String>,
    /// Number of the frame in this file that it concerns.
    pub frame: Option<u32>,
    /// The part of the file that was checked.
    pub what: &'static str,
    /// The expected content.
    pub expected: String,
    /// The content found.
    pub found: String,
}

impl std::fmt::Display for VerifyFinding {
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

/// Result of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Path of the file.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Number of frames whose checksums are right.
    pub frames: u64,
    /// Number of incidents.
    pub incidents: u64,
    /// The first 1000 findings, in file order.
    pub findings: Vec<VerifyFinding>,
    /// Number of all findings.
    pub found: u64,
    /// Those of them that are JPEGs which end early or cannot be decoded: the file holds them as the camera sent them.
    pub bad_pictures: u64,
    /// Topics with pictures in encodings that are not supported: their messages were not decoded.
    pub unsupported: Vec<UnsupportedTopic>,
    /// A recorder is writing the file: its end was not checked.
    pub being_recorded: bool,
    /// Place of the file in a recording of several files.
    #[serde(skip)]
    pub part: Option<PartFile>,
    /// Bytes that no checksum covers, by the part of the file. Indexes and sizes among them agree with the content.
    pub no_checksum: BTreeMap<&'static str, u64>,
    /// Parts that are optional in MCAP and that the program that wrote the file left out: statistics, indexes or the summary.
    pub without: BTreeSet<&'static str>,
}

impl VerifyReport {
    /// Returns whether there are no findings.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.found == 0
    }

    /// Returns whether the file differs from what was written.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.found > self.bad_pictures
    }
}

/// Reads a whole recording and checks everything that has a checksum or a counterpart.
///
/// # Errors
/// The file cannot be read, or is not a recording.
pub fn verify(path: &Path) -> Result<VerifyReport, RecordingError> {
    verify_watched(path, &Watch::default())
}

/// Like [`verify`], with progress.
///
/// # Errors
/// As [`verify`], or the watch stopped it.
pub fn verify_watched(path: &Path, watch: &Watch) -> Result<VerifyReport, RecordingError> {
    // Before the file is read: the recorder may finish it meanwhile.
    let being_recorded = file::is_locked(path);
    let mut from = Salvage::open(path, watch)?;
    let mut all = Verification {
        done: VerifyReport {
            path: path.to_owned(),
            bytes: from.len(),
            chunks: 0,
            frames: 0,
            incidents: 0,
            findings: Vec::new(),
            found: 0,
            bad_pictures: 0,
            unsupported: Vec::new(),
            no_checksum: BTreeMap::new(),
            being_recorded,
            without: BTreeSet::new(),
            part: from.part(path),
        },
        decoders: Decoders::default(),
        converter: Converter::new(),
        next: Vec::new(),
    };
    let mut index = Index::default();
    let mut at = 0;
    while let Some(found) = from.next().map_err(|source| RecordingError::read(at, source))? {
        all.next.resize(from.cameras().len(), None);
        match found {
            SalvageItem::Frame { at: frame_at, recorded, boxes } => {
                at = frame_at;
                all.frame(&from, at, &recorded, &boxes);
            }
            SalvageItem::Incident { .. } => all.done.incidents += 1,
            SalvageItem::Unsupported { topic, why } => all.done.unsupported.push(UnsupportedTopic { topic, why }),
            SalvageItem::Lost { at, camera, sequence, expected, found, .. } => {
                all.next[camera] = Some(sequence.wrapping_add(1));
                all.about_frame(&from, at, camera, sequence, "frame", expected, found);
            }
            SalvageItem::Chunk(chunk) => {
                at = chunk.at;
                all.done.chunks += 1;
                let is_open = being_recorded && chunk.at + chunk.len >= from.len();
                if let Some(damage) = chunk.damage.as_ref().filter(|_| !is_open) {
                    all.about_file(at, "chunk", "intact contents".to_owned(), damage.clone());
                }
                index.chunk(chunk, from.message_positions(), &mut all);
            }
            SalvageItem::Record { at: record_at, opcode, data } => {
                at = record_at;
                all.metadata(at, opcode, &data);
                index.record(at, opcode, &data, &from, &mut all);
            }
            // The recorder is writing there.
            SalvageItem::Damage { at, len, zeros } if being_recorded && (zeros || at + len >= from.len()) => {}
            SalvageItem::Damage { at, len, zeros } => {
                let found = if zeros { "of zeros that were never overwritten" } else { "that are not a record" };
                all.about_file(at, "file", "a record".to_owned(), format!("{len} bytes {found}"));
            }
        }
    }
    if let Some(at) = from.continues_at() {
        let found = format!("another recording of {} bytes", from.len() - at);
        all.about_file(at, "file", "its end".to_owned(), found);
    }
    from.check_cameras(path)?;
    let mut file = File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
    if being_recorded {
        return Ok(all.done);
    }
    index.end(&mut file, &from, &mut all).map_err(|source| RecordingError::Read { at, source })?;
    all.done.findings.sort_by_key(|finding| finding.offset);
    Ok(all.done)
}

/// State of the verification.
struct Verification {
    done: VerifyReport,
    decoders: Decoders,
    converter: Converter,
    /// Expected sequence number of each camera's next frame.
    next: Vec<Option<u32>>,
}

impl Verification {
    fn frame(&mut self, from: &Salvage<File>, at: u64, recorded: &RecordedFrame, boxes: &RecordedBoxes) {
        self.done.frames += 1;
        let RecordedFrame { camera, sequence, ref wire, .. } = *recorded;
        let next = self.next[camera].replace(sequence.wrapping_add(1)).unwrap_or(0);
        if next != sequence {
            let (expected, found) = (format!("frame {next}"), format!("frame {sequence}"));
            self.about_frame(from, at, camera, sequence, "sequence number", expected, found);
        }
        match self.decoders.decode(recorded) {
            Ok(frame) => {
                if frame.kind == PayloadKind::Jpeg
                    && let Err(error) = self.converter.check_jpeg(frame.payload())
                {
                    self.done.bad_pictures += 1;
                    let (expected, found) = match error {
                        ConvertError::JpegCutShort(defect) => ("a JPEG with its end", defect.found()),
                        error => ("a JPEG that can be decoded", error.to_string()),
                    };
                    self.about_frame(from, at, camera, sequence, "picture", expected.to_owned(), found);
                }
                let boxes = match boxes {
                    RecordedBoxes::Found(boxes) => Some(&boxes[..]),
                    RecordedBoxes::Missing => None,
                    RecordedBoxes::Elsewhere => return,
                };
                if let Err((expected, found)) = agree(&frame, wire, boxes) {
                    self.about_frame(from, at, camera, sequence, "annotations", expected, found);
                }
            }
            Err(found) => {
                let expected = format!("the recorded frame with {} bytes of payload", wire.payload_len);
                self.about_frame(from, at, camera, sequence, "bytes of the frame", expected, found);
            }
        }
    }

    fn metadata(&mut self, at: u64, opcode: u8, data: &[u8]) {
        if opcode != op::METADATA {
            return;
        }
        match mcap_record::parse(opcode, data) {
            Some(Record::Metadata(metadata)) => {
                // Other programs may add their own.
                let ours = metadata.name.starts_with(writer::FILE_METADATA);
                let damage = checksum::metadata_damage(&metadata.name, &metadata.metadata).filter(|_| ours);
                if let Some((expected, found)) = damage {
                    self.about_file(at, "metadata", format!("checksum {expected}"), found);
                }
            }
            _ => {
                self.about_file(at, "metadata", "names and values".to_owned(), "data that cannot be parsed".to_owned());
            }
        }
    }

    fn about_file(&mut self, offset: u64, what: &'static str, expected: String, found: String) {
        let file = self.done.path.clone();
        self.add(VerifyFinding { file, offset, camera: None, frame: None, what, expected, found });
    }

    #[allow(clippy::too_many_arguments)] // The fields of a finding.
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
        self.add(VerifyFinding { file, offset, camera, frame: Some(frame), what, expected, found });
    }

    fn add(&mut self, finding: VerifyFinding) {
        self.done.found += 1;
        if self.done.findings.len() < FINDINGS_MAX {
            self.done.findings.push(finding);
        }
    }
}

/// Compares the annotations in the file with the detections of the frame. The error is what was expected and found.
fn agree(frame: &Frame, wire: &WireMessage, boxes: Option<&[u8]>) -> Result<(), (String, String)> {
    let size = frame.size().map(|size| (size.width, size.height));
    let count = || format!("{} boxes", annotations::count_drawn(&frame.detections, size));
    let boxes = boxes.ok_or_else(|| (count(), "no message".to_owned()))?;
    // Without a stored size the recorder did not know it and wrote no box. Earlier versions never stored the size of video: they
    // may have known it from a key frame that the file lacks.
    let is_unsized_video = frame.kind.is_video() && wire.layout.is_none();
    if is_unsized_video && (size.is_none() || annotations::points(boxes).next().is_none()) {
        return Ok(());
    }
    annotations::compare(boxes, &frame.detections, size)
}

/// Returns the CRC-32 of a part of a file.
fn file_crc32(file: &mut File, from: u64, len: u64) -> std::io::Result<u32> {
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
