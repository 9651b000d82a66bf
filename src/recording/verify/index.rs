//! Compares indexes, counts and the summary with the content of the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use mcap::records::{ChunkIndex, Footer, MetadataIndex, Record, Statistics, op};

use super::super::mcap_record::{self, RECORD_HEAD_BYTES};
use super::super::salvage::{MessagePosition, Salvage};
use super::super::walk::FoundChunk;
use super::{Verification, file_crc32};

/// The content of the file as it was read, and as its indexes describe it.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: u64,
    chunks: Vec<CheckedChunk>,
    metadata: Vec<MetadataIndex>,
    /// Position and checksum of the record that ends the data.
    data_end: Option<(u64, u32)>,
    chunk_indexes: Vec<(u64, ChunkIndex)>,
    metadata_indexes: Vec<(u64, MetadataIndex)>,
    statistics: Option<(u64, Statistics)>,
    footer: Option<(u64, Footer)>,
}

#[derive(Debug)]
struct CheckedChunk {
    found: FoundChunk,
    /// Position of the message index of each channel.
    indexes: BTreeMap<u16, u64>,
    /// End of the chunk's last message index.
    end: u64,
    /// The messages have been compared.
    closed: bool,
}

impl Index {
    /// Takes a chunk. `positions` are the messages of the chunk before it.
    pub(super) fn chunk(&mut self, found: FoundChunk, positions: &[MessagePosition], check: &mut Verification) {
        self.close(positions, check);
        self.first(found.at, op::CHUNK, check);
        let end = found.at + found.len;
        self.chunks.push(CheckedChunk { found, indexes: BTreeMap::new(), end, closed: false });
    }

    /// Takes another record. All messages of the last chunk have been read before.
    pub(super) fn record(&mut self, at: u64, opcode: u8, data: &[u8], from: &Salvage<File>, check: &mut Verification) {
        self.first(at, opcode, check);
        let inside = self.chunks.last().is_some_and(|chunk| at < chunk.found.at + chunk.found.len);
        if inside {
            return; // Schemas and channels, which the checksum of the chunk covers.
        }
        match mcap_record::parse(opcode, data) {
            Some(Record::MessageIndex(index)) => {
                let indexed = index.records.iter().map(|entry| (entry.log_time, entry.offset));
                self.message_index(at, data.len() as u64, index.channel_id, indexed, from.message_positions(), check);
                return;
            }
            Some(Record::Metadata(metadata)) => {
                let length = RECORD_HEAD_BYTES + data.len() as u64;
                self.metadata.push(MetadataIndex { offset: at, length, name: metadata.name });
            }
            Some(Record::DataEnd(end)) => self.data_end = Some((at, end.data_section_crc)),
            Some(Record::ChunkIndex(index)) => self.chunk_indexes.push((at, index)),
            Some(Record::MetadataIndex(index)) => self.metadata_indexes.push((at, index)),
            Some(Record::Statistics(statistics)) => self.statistics = Some((at, statistics)),
            Some(Record::Footer(footer)) => self.footer = Some((at, footer)),
            _ => {}
        }
        self.close(from.message_positions(), check);
    }

    fn first(&mut self, at: u64, opcode: u8, check: &mut Verification) {
        if self.records == 0 && opcode != op::HEADER {
            let found = format!("a record with opcode {opcode:#04x}");
            check.about_file(at, "file", "a header record first".to_owned(), found);
        }
        self.records += 1;
    }

    fn message_index(
        &mut self,
        at: u64,
        len: u64,
        channel: u16,
        indexed: impl Iterator<Item = (u64, u64)>,
        positions: &[MessagePosition],
        check: &mut Verification,
    ) {
        let Some(chunk) = self.chunks.last_mut().filter(|chunk| chunk.end == at) else {
            check.about_file(at, "message index", "a chunk before it".to_owned(), "none".to_owned());
            return;
        };
        chunk.end = at + RECORD_HEAD_BYTES + len;
        chunk.indexes.insert(channel, at);
        if chunk.found.damage.is_some() {
            return;
        }
        let mut indexed: Vec<_> = indexed.collect();
        let of_channel = positions.iter().filter(|position| position.channel == channel);
        let mut found: Vec<_> = of_channel.map(|position| (position.log_time, position.offset)).collect();
        indexed.sort_unstable();
        found.sort_unstable();
        if indexed != found {
            let (expected, found) = (format!("{} messages, as in the chunk", found.len()), format!("{indexed:?}"));
            let what = "message index";
            check.about_file(at, what, format!("{expected} of channel {channel}"), shortened(found));
        }
    }

    /// Checks the last chunk, whose messages and indexes are complete.
    fn close(&mut self, positions: &[MessagePosition], check: &mut Verification) {
        let Some(chunk) = self.chunks.last_mut().filter(|chunk| !chunk.closed) else { return };
        chunk.closed = true;
        if chunk.found.damage.is_some() {
            return;
        }
        let header = &chunk.found.header;
        let times = positions.iter().map(|position| position.log_time);
        let expected = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        let found = (header.message_start_time, header.message_end_time);
        if expected != found {
            check.about_file(chunk.found.at, "chunk times", format!("{expected:?}"), format!("{found:?}"));
        }
        let mut missing: Vec<u16> = positions
            .iter()
            .map(|position| position.channel)
            .filter(|channel| !chunk.indexes.contains_key(channel))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let expected = format!("one for each channel of the chunk, including {missing:?}");
            check.about_file(chunk.end, "message index", expected, "none".to_owned());
        }
    }

    /// Checks the end of the file and the summary.
    pub(super) fn end(mut self, file: &mut File, from: &Salvage<File>, check: &mut Verification) -> io::Result<()> {
        self.close(from.message_positions(), check);
        let Some((footer_at, footer)) = self.footer.take() else {
            let expected = "a summary and a footer".to_owned();
            check.about_file(
                check.done.bytes,
                "end of the file",
                expected,
                "none: the file was not finished".to_owned(),
            );
            return Ok(());
        };
        let mut magic = [0; mcap::MAGIC.len()];
        let magic_at = footer_at + RECORD_HEAD_BYTES + 20;
        file.seek(SeekFrom::Start(magic_at))?;
        let mut ended = Vec::new();
        file.take(magic.len() as u64 + 1).read_to_end(&mut ended)?;
        magic.copy_from_slice(mcap::MAGIC);
        if ended != magic {
            let (expected, found) = (magic.escape_ascii().to_string(), ended.escape_ascii().to_string());
            check.about_file(magic_at, "end of the file", expected, found);
        }
        let Some((end_at, data_crc)) = self.data_end else {
            check.about_file(footer_at, "end of the data", "a data end record".to_owned(), "none".to_owned());
            return Ok(());
        };
        if data_crc != 0 {
            let found = file_crc32(file, 0, end_at)?;
            if found != data_crc {
                let (expected, found) = (format!("file_crc32 {data_crc:08x}, or none"), format!("{found:08x}"));
                check.about_file(end_at, "data", expected, found);
            }
        }
        if footer.summary_start == 0 && !from.in_order() {
            return Ok(()); // Other tools need not write a summary.
        }
        let summary_at = end_at + RECORD_HEAD_BYTES + 4;
        if footer.summary_start != summary_at {
            let (expected, found) = (format!("a summary at {summary_at}"), format!("{}", footer.summary_start));
            check.about_file(footer_at, "footer", expected, found);
        }
        // It covers the footer up to the checksum itself.
        let covered = (footer_at + RECORD_HEAD_BYTES + 16).saturating_sub(summary_at);
        let found = file_crc32(file, summary_at, covered)?;
        if found != footer.summary_crc && (footer.summary_crc != 0 || from.in_order()) {
            let (expected, found) = (format!("file_crc32 {:08x}", footer.summary_crc), format!("{found:08x}"));
            check.about_file(summary_at, "summary", expected, found);
        }
        self.summary(footer_at, from.messages(), check);
        Ok(())
    }

    fn summary(&self, footer_at: u64, messages: &BTreeMap<u16, u64>, check: &mut Verification) {
        let mut counts = vec![
            ("number of chunk indexes", self.chunks.len() as u64, self.chunk_indexes.len() as u64),
            ("number of metadata indexes", self.metadata.len() as u64, self.metadata_indexes.len() as u64),
        ];
        if let Some((_, statistics)) = &self.statistics {
            counts.push(("count of chunks", self.chunks.len() as u64, statistics.chunk_count.into()));
            counts.push(("count of metadata", self.metadata.len() as u64, statistics.metadata_count.into()));
            for (channel, messages) in messages {
                let counted = statistics.channel_message_counts.get(channel).copied().unwrap_or(0);
                counts.push(("count of messages of a channel", *messages, counted));
            }
        } else {
            check.about_file(footer_at, "summary", "statistics".to_owned(), "none".to_owned());
        }
        let at = self.statistics.as_ref().map_or(footer_at, |(at, _)| *at);
        for (what, expected, found) in counts {
            if expected != found {
                check.about_file(at, what, expected.to_string(), found.to_string());
            }
        }
        for (chunk, (at, indexed)) in self.chunks.iter().zip(&self.chunk_indexes) {
            let FoundChunk { at: chunk_at, len, header, .. } = &chunk.found;
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
            if expected != *indexed {
                let (expected, found) = (format!("{expected:?}"), format!("{indexed:?}"));
                check.about_file(*at, "chunk index", expected, found);
            }
        }
        for (expected, (at, indexed)) in self.metadata.iter().zip(&self.metadata_indexes) {
            if expected != indexed {
                let (expected, found) = (format!("{expected:?}"), format!("{indexed:?}"));
                check.about_file(*at, "metadata index", expected, found);
            }
        }
    }
}

/// Cuts a text off after 200 characters.
fn shortened(text: String) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
