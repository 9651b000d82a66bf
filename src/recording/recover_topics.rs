//! Copies the intact messages of another program's recording to a new file: all topics, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;

use mcap::records::{Record, op};
use mcap::{Attachment, WriteOptions, Writer};

use super::channels::{Channels, Role};
use super::foreign::{Image, ImageError};
use super::mcap_record;
use super::recover::{RecoverError, RecoveryReport};
use super::walk::{FoundMessage, PRIVATE_OPCODE_MIN, RecordWalk, WalkItem};
use super::{RecordingError, Watch};
use crate::file::NewFile;

/// Size at which a chunk of the new file ends, in bytes.
const CHUNK_BYTES_MAX: u64 = 4 << 20;
/// Name of the program in the new file if the original's is lost.
const LIBRARY: &str = "recovered by oaktap";

/// Schemas and channels of the original by their numbers, and what its header says.
#[derive(Default)]
struct Declared {
    profile: String,
    library: Option<String>,
    compression: Option<String>,
    schemas: BTreeMap<u16, (String, String, Vec<u8>)>,
    channels: BTreeMap<u16, mcap::records::Channel>,
}

impl Declared {
    fn read(path: &Path, watch: &Watch) -> io::Result<Self> {
        let mut found = Self::default();
        let mut walk = RecordWalk::new(File::open(path)?, false)?;
        walk.watch(watch.before());
        while let Some(item) = walk.next()? {
            match item {
                WalkItem::Chunk(chunk) => {
                    found.compression.get_or_insert(chunk.header.compression);
                }
                WalkItem::Record { opcode, data, .. } => match mcap_record::parse(opcode, &data) {
                    Some(Record::Header(header)) => {
                        found.profile = header.profile;
                        found.library.get_or_insert(header.library);
                    }
                    Some(Record::Schema { header, data }) => {
                        let schema = (header.name, header.encoding, data.into_owned());
                        found.schemas.entry(header.id).or_insert(schema);
                    }
                    Some(Record::Channel(channel)) => {
                        found.channels.entry(channel.id).or_insert(channel);
                    }
                    _ => {}
                },
                WalkItem::Message(_) | WalkItem::Damage { .. } => {}
            }
        }
        Ok(found)
    }

    fn options(&self) -> WriteOptions {
        WriteOptions::new()
            .profile(self.profile.clone())
            .library(self.library.clone().unwrap_or_else(|| LIBRARY.to_owned()))
            .chunk_size(Some(CHUNK_BYTES_MAX))
            .compression(match self.compression.as_deref() {
                Some("lz4") => Some(mcap::Compression::Lz4),
                Some("zstd") => Some(mcap::Compression::Zstd),
                _ => None,
            })
    }
}

/// The copy while it is made.
struct Copy {
    to: Writer<NewFile>,
    declared: Declared,
    /// Channels in the new file.
    added: BTreeSet<u16>,
    /// Channels in which a supported picture was found.
    pictures: BTreeSet<u16>,
    done: RecoveryReport,
}

/// Copies all intact messages, attachments and metadata, except damaged pictures. `channels` tells which messages are
/// pictures.
pub(super) fn copy(
    path: &Path,
    into: &Path,
    channels: &Channels,
    done: RecoveryReport,
    watch: &Watch,
) -> Result<RecoveryReport, RecoverError> {
    let failed = |source| RecoverError::from(RecordingError::read(0, source));
    let declared = Declared::read(path, watch).map_err(failed)?;
    let mut walk = RecordWalk::new(File::open(path).map_err(failed)?, false).map_err(failed)?;
    walk.watch(watch.clone());
    declared.channels.keys().for_each(|id| walk.expect_channel(*id));
    let file = NewFile::create(into);
    let file = file.map_err(|source| RecoverError::created(into, source))?;
    let to = declared.options().create(file).map_err(RecordingError::Write)?;
    let mut copy = Copy { to, declared, added: BTreeSet::new(), pictures: BTreeSet::new(), done };
    let mut at = 0;
    while let Some(item) = walk.next().map_err(|source| RecordingError::read(at, source))? {
        match item {
            WalkItem::Chunk(chunk) => {
                at = chunk.at;
                copy.done.lost_bytes += if chunk.unread { chunk.len } else { 0 };
            }
            WalkItem::Message(message) => {
                at = message.at;
                let id = message.header.channel_id;
                if let Some((_, Role::Image(schema))) = channels.role(id) {
                    let is_damaged = match Image::parse(schema, walk.data()) {
                        Ok(_) => {
                            copy.pictures.insert(id);
                            false
                        }
                        Err(ImageError::Malformed(_)) => true,
                        // After other pictures, this one is an exception and not the format of the topic.
                        Err(ImageError::Unsupported(_)) => copy.pictures.contains(&id),
                    };
                    if is_damaged {
                        copy.done.lost_frames += 1;
                        copy.done.lost_bytes += message.len;
                        continue;
                    }
                    copy.done.frames += 1;
                }
                copy.message(&message, walk.data()).map_err(RecordingError::Write)?;
            }
            WalkItem::Record { at: record_at, opcode, data } => {
                at = record_at;
                copy.done.finished |= opcode == op::FOOTER;
                copy.record(opcode, &data).map_err(RecordingError::Write)?;
            }
            WalkItem::Damage { len, zeros: true, .. } => copy.done.unwritten_bytes += len,
            WalkItem::Damage { len, zeros: false, .. } => copy.done.lost_bytes += len,
        }
    }
    let Copy { mut to, mut done, .. } = copy;
    if done.messages == 0 {
        return Err(RecoverError::nothing(path, walk.len(), &done));
    }
    done.end(path, walk.len(), walk.continues_at());
    to.finish().map_err(RecordingError::Write)?;
    let finished = to.into_inner().finish();
    finished.map_err(|source| RecoverError::Finish { path: into.to_owned(), source })?;
    Ok(done)
}

impl Copy {
    fn message(&mut self, message: &FoundMessage, data: &[u8]) -> mcap::McapResult<()> {
        let FoundMessage { ref header, trusted, in_chunk, len, .. } = *message;
        let id = header.channel_id;
        if !self.added.contains(&id) {
            let Some(channel) = self.declared.channels.get(&id) else {
                // Nothing tells its topic.
                self.done.lost_bytes += len;
                return Ok(());
            };
            let schema_id = channel.schema_id;
            if let Some((name, encoding, data)) = self.declared.schemas.get(&schema_id) {
                self.to.add_schema_with_id(schema_id, name, encoding, data)?;
            } else if schema_id != 0 {
                self.done.lost_bytes += len;
                return Ok(());
            }
            let mcap::records::Channel { topic, message_encoding, metadata, .. } = channel;
            self.to.add_channel_with_id(id, schema_id, topic, message_encoding, metadata)?;
            self.added.insert(id);
        }
        self.done.messages += 1;
        // Messages outside of chunks have no checksum in intact files either.
        self.done.unverified += u64::from(!trusted && in_chunk);
        self.to.write_to_known_channel(header, data)
    }

    fn record(&mut self, opcode: u8, data: &[u8]) -> mcap::McapResult<()> {
        match opcode {
            op::METADATA => match mcap_record::parse(opcode, data) {
                Some(Record::Metadata(metadata)) => self.to.write_metadata(&metadata),
                _ => {
                    self.done.lost_metadata += 1;
                    Ok(())
                }
            },
            op::ATTACHMENT => match mcap::parse_record(opcode, data) {
                Ok(Record::Attachment { header, data, .. }) => {
                    let mcap::records::AttachmentHeader { log_time, create_time, name, media_type, .. } = header;
                    self.to.attach(&Attachment { log_time, create_time, name, media_type, data })
                }
                _ => {
                    self.leave_out("an attachment that is damaged or larger than 16 MiB".to_owned());
                    Ok(())
                }
            },
            PRIVATE_OPCODE_MIN.. => {
                self.leave_out(format!("records of the private opcode {opcode:#04x}"));
                Ok(())
            }
            // The writer makes the others anew.
            _ => Ok(()),
        }
    }

    fn leave_out(&mut self, what: String) {
        if !self.done.left_out.contains(&what) {
            self.done.left_out.push(what);
        }
    }
}
