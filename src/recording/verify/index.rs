//! The indexes, the counts and the summary, beside what is really in the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use mcap::records::{ChunkIndex, Footer, MetadataIndex, Record, Statistics, op};

use super::super::record;
use super::super::salvage::{Salvage, Slot};
use super::super::walk::ChunkFound;
use super::{Check, checksum};

/// Bytes before the data of a record.
const HEAD: u64 = super::super::reader::RECORD_HEAD;

/// What is in the file, and what it says is in it.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: u64,
    chunks: Vec<Chunk>,
    metadata: Vec<MetadataIndex>,
    /// Messages of every channel.
    messages: BTreeMap<u16, u64>,
    /// The data have ended here.
    data_end: Option<(u64, u32)>,
    told_chunks: Vec<(u64, ChunkIndex)>,
    told_metadata: Vec<(u64, MetadataIndex)>,
    statistics: Option<(u64, Statistics)>,
    footer: Option<(u64, Footer)>,
}

#[derive(Debug)]
struct Chunk {
    found: ChunkFound,
    /// Where the index of each channel is, and where the last of them ends.
    indexes: BTreeMap<u16, u64>,
    end: u64,
    /// Its messages have been compared.
    closed: bool,
}

impl Index {
    /// A chunk begins.
    pub(super) fn chunk(&mut self, found: ChunkFound, slots: &[Slot], check: &mut Check) {
        self.close(slots, check);
        self.first(found.at, op::CHUNK, check);
        let end = found.at + found.len;
        self.chunks.push(Chunk { found, indexes: BTreeMap::new(), end, closed: false });
    }

    /// A wire message was used.
    pub(super) fn wire(&mut self, channel: u16) {
        *self.messages.entry(channel).or_default() += 1;
    }

    /// Any other record. The messages of the last chunk are all known when the first one comes.
    pub(super) fn record(&mut self, at: u64, opcode: u8, data: &[u8], from: &Salvage<File>, check: &mut Check) {
        self.first(at, opcode, check);
        let inside = self.chunks.last().is_some_and(|chunk| at < chunk.found.at + chunk.found.len);
        if inside {
            return; // Schemas and channels: the checksum of the chunk covers them.
        }
        match record::parse(opcode, data) {
            Some(Record::MessageIndex(index)) => {
                let told = index.records.iter().map(|entry| (entry.log_time, entry.offset));
                self.messages_told(at, data.len() as u64, index.channel_id, told, from.slots(), check);
                return;
            }
            Some(Record::Metadata(metadata)) => {
                let length = HEAD + data.len() as u64;
                self.metadata.push(MetadataIndex { offset: at, length, name: metadata.name });
            }
            Some(Record::DataEnd(end)) => self.data_end = Some((at, end.data_section_crc)),
            Some(Record::ChunkIndex(index)) => self.told_chunks.push((at, index)),
            Some(Record::MetadataIndex(index)) => self.told_metadata.push((at, index)),
            Some(Record::Statistics(statistics)) => self.statistics = Some((at, statistics)),
            Some(Record::Footer(footer)) => self.footer = Some((at, footer)),
            _ => {}
        }
        self.close(from.slots(), check);
    }

    fn first(&mut self, at: u64, opcode: u8, check: &mut Check) {
        if self.records == 0 && opcode != op::HEADER {
            let found = format!("a record of kind {opcode:#04x}");
            check.about_file(at, "the file", "a header first".to_owned(), found);
        }
        self.records += 1;
    }

    fn messages_told(
        &mut self,
        at: u64,
        len: u64,
        channel: u16,
        told: impl Iterator<Item = (u64, u64)>,
        slots: &[Slot],
        check: &mut Check,
    ) {
        let Some(chunk) = self.chunks.last_mut().filter(|chunk| chunk.end == at) else {
            check.about_file(at, "an index of messages", "a chunk before it".to_owned(), "none".to_owned());
            return;
        };
        chunk.end = at + HEAD + len;
        chunk.indexes.insert(channel, at);
        if chunk.found.damage.is_some() {
            return;
        }
        let mut told: Vec<_> = told.collect();
        let mut found: Vec<_> =
            slots.iter().filter(|slot| slot.channel == channel).map(|slot| (slot.log_time, slot.offset)).collect();
        told.sort_unstable();
        found.sort_unstable();
        if told != found {
            let (expected, found) = (format!("{} messages, as in the chunk", found.len()), format!("{told:?}"));
            let what = "an index of messages";
            check.about_file(at, what, format!("{expected} of channel {channel}"), shortened(found));
        }
    }

    /// The last chunk is complete.
    fn close(&mut self, slots: &[Slot], check: &mut Check) {
        let Some(chunk) = self.chunks.last_mut().filter(|chunk| !chunk.closed) else { return };
        chunk.closed = true;
        if chunk.found.damage.is_some() {
            return;
        }
        let header = &chunk.found.header;
        let times = slots.iter().map(|slot| slot.log_time);
        let expected = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        let found = (header.message_start_time, header.message_end_time);
        if expected != found {
            check.about_file(chunk.found.at, "the times of a chunk", format!("{expected:?}"), format!("{found:?}"));
        }
        let mut missing: Vec<u16> =
            slots.iter().map(|slot| slot.channel).filter(|channel| !chunk.indexes.contains_key(channel)).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let expected = format!("one of each channel of the chunk, {missing:?} among them");
            check.about_file(chunk.end, "an index of messages", expected, "none".to_owned());
        }
    }

    /// The file has ended.
    pub(super) fn end(mut self, file: &mut File, slots: &[Slot], check: &mut Check) -> io::Result<()> {
        self.close(slots, check);
        let Some((footer_at, footer)) = self.footer.take() else {
            let expected = "a summary and a footer".to_owned();
            check.about_file(check.done.bytes, "the end of the file", expected, "none: it was not finished".to_owned());
            return Ok(());
        };
        let mut magic = [0; mcap::MAGIC.len()];
        let magic_at = footer_at + HEAD + 20;
        file.seek(SeekFrom::Start(magic_at))?;
        let mut ended = Vec::new();
        file.take(magic.len() as u64 + 1).read_to_end(&mut ended)?;
        magic.copy_from_slice(mcap::MAGIC);
        if ended != magic {
            let (expected, found) = (magic.escape_ascii().to_string(), ended.escape_ascii().to_string());
            check.about_file(magic_at, "the end of the file", expected, found);
        }
        let Some((end_at, data_crc)) = self.data_end else {
            check.about_file(footer_at, "the end of the data", "a record that says so".to_owned(), "none".to_owned());
            return Ok(());
        };
        if data_crc != 0 {
            let found = checksum(file, 0, end_at)?;
            if found != data_crc {
                let (expected, found) = (format!("checksum {data_crc:08x}, or none"), format!("{found:08x}"));
                check.about_file(end_at, "all data", expected, found);
            }
        }
        let summary_at = end_at + HEAD + 4;
        if footer.summary_start != summary_at {
            let (expected, found) = (format!("a summary at {summary_at}"), format!("{}", footer.summary_start));
            check.about_file(footer_at, "the footer", expected, found);
        }
        // It covers the footer but for itself.
        let covered = (footer_at + HEAD + 16).saturating_sub(summary_at);
        let found = checksum(file, summary_at, covered)?;
        if found != footer.summary_crc {
            let (expected, found) = (format!("checksum {:08x}", footer.summary_crc), format!("{found:08x}"));
            check.about_file(summary_at, "the summary", expected, found);
        }
        self.summary(footer_at, check);
        Ok(())
    }

    fn summary(&self, footer_at: u64, check: &mut Check) {
        let mut counts = vec![
            ("the index of chunks", self.chunks.len() as u64, self.told_chunks.len() as u64),
            ("the index of metadata", self.metadata.len() as u64, self.told_metadata.len() as u64),
        ];
        if let Some((_, statistics)) = &self.statistics {
            counts.push(("the count of chunks", self.chunks.len() as u64, statistics.chunk_count.into()));
            counts.push(("the count of metadata", self.metadata.len() as u64, statistics.metadata_count.into()));
            for (channel, messages) in &self.messages {
                let told = statistics.channel_message_counts.get(channel).copied().unwrap_or(0);
                counts.push(("the count of the messages of a camera", *messages, told));
            }
        } else {
            check.about_file(footer_at, "the summary", "counts".to_owned(), "none".to_owned());
        }
        let at = self.statistics.as_ref().map_or(footer_at, |(at, _)| *at);
        for (what, expected, found) in counts {
            if expected != found {
                check.about_file(at, what, expected.to_string(), found.to_string());
            }
        }
        for (chunk, (at, told)) in self.chunks.iter().zip(&self.told_chunks) {
            let ChunkFound { at: chunk_at, len, header, .. } = &chunk.found;
            let expected = ChunkIndex {
                message_start_time: header.message_start_time,
                message_end_time: header.message_end_time,
                chunk_start_offset: *chunk_at,
                chunk_length: *len,
                message_index_offsets: chunk.indexes.clone(),
                message_index_length: chunk.end - (chunk_at + len),
                compression: header.compression.clone(),
                compressed_size: header.compressed_size,
                uncompressed_size: header.uncompressed_size,
            };
            if expected != *told {
                let (expected, found) = (format!("{expected:?}"), format!("{told:?}"));
                check.about_file(*at, "the index of a chunk", expected, found);
            }
        }
        for (expected, (at, told)) in self.metadata.iter().zip(&self.told_metadata) {
            if expected != told {
                let (expected, found) = (format!("{expected:?}"), format!("{told:?}"));
                check.about_file(*at, "the index of metadata", expected, found);
            }
        }
    }
}

/// What is too long for a line.
fn shortened(text: String) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
