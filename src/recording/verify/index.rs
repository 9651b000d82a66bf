//! Compares indexes, counts and the summary with the content of the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use mcap::records::{ChunkIndex, Footer, MetadataIndex, Record, Statistics, op};

use super::super::chunk_head::CHUNK_HEAD_BYTES;
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
    /// End of each chunk without message indexes, and its channels.
    not_indexed: Vec<(u64, Vec<u16>)>,
    /// Bytes outside of the contents of chunks and of metadata: before and after the end of the data.
    data: BTreeMap<&'static str, u64>,
    summary: BTreeMap<&'static str, u64>,
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
        let head = RECORD_HEAD_BYTES + CHUNK_HEAD_BYTES + found.header.compression.len() as u64;
        let (part, bytes) = match found.header.uncompressed_crc {
            0 => ("chunks without a checksum", found.len),
            _ => ("heads of chunks", head),
        };
        *self.data.entry(part).or_default() += bytes;
        self.chunks.push(CheckedChunk { found, indexes: BTreeMap::new(), end, closed: false });
    }

    /// Takes another record. All messages of the last chunk have been read before.
    pub(super) fn record(&mut self, at: u64, opcode: u8, data: &[u8], from: &Salvage<File>, check: &mut Verification) {
        self.first(at, opcode, check);
        let inside = self.chunks.last().is_some_and(|chunk| at < chunk.found.at + chunk.found.len);
        if inside {
            return; // Schemas and channels, which the checksum of the chunk covers.
        }
        self.count(opcode, data, from.in_order());
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

    /// Counts the bytes of a record outside of chunks that only a checksum of the whole section would cover.
    fn count(&mut self, opcode: u8, data: &[u8], in_order: bool) {
        let len = RECORD_HEAD_BYTES + data.len() as u64;
        let (part, bytes) = match opcode {
            op::MESSAGE_INDEX => ("message indexes", len),
            // Metadata of oaktap has its own checksum.
            op::METADATA if in_order => ("heads of metadata", RECORD_HEAD_BYTES),
            op::FOOTER => return,
            _ => ("other records", len),
        };
        let section = if self.data_end.is_some() { &mut self.summary } else { &mut self.data };
        *section.entry(part).or_default() += bytes;
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
            let expected = format!("the {} messages of channel {channel} in the chunk", found.len());
            let differ = indexed.iter().filter(|entry| found.binary_search(entry).is_err()).count();
            let entries = format!("{} entries, {differ} of them without a message", indexed.len());
            check.about_file(at, "message index", expected, entries);
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
            let times = |(first, last)| format!("{first} to {last} ns, as of its messages");
            let (expected, (first, last)) = (times(expected), found);
            check.about_file(chunk.found.at, "chunk times", expected, format!("{first} to {last} ns"));
        }
        let mut missing: Vec<u16> = positions
            .iter()
            .map(|position| position.channel)
            .filter(|channel| !chunk.indexes.contains_key(channel))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return;
        }
        if chunk.indexes.is_empty() {
            self.not_indexed.push((chunk.end, missing));
        } else {
            not_indexed(chunk.end, &missing, check);
        }
    }

    /// Reports chunks without message indexes. Other programs may leave out all of them.
    fn end_of_data(&mut self, is_foreign: bool, check: &mut Verification) {
        let not_indexed_chunks = std::mem::take(&mut self.not_indexed);
        if is_foreign && !not_indexed_chunks.is_empty() && self.chunks.iter().all(|chunk| chunk.indexes.is_empty()) {
            check.done.without.insert("message indexes");
        } else {
            not_indexed_chunks.iter().for_each(|(at, missing)| not_indexed(*at, missing, check));
        }
    }

    /// Checks the end of the file and the summary.
    pub(super) fn end(mut self, file: &mut File, from: &Salvage<File>, check: &mut Verification) -> io::Result<()> {
        let is_foreign = !from.in_order();
        self.close(from.message_positions(), check);
        self.end_of_data(is_foreign, check);
        let footer_crc = self.footer.as_ref().map_or(0, |(_, footer)| footer.summary_crc);
        // The record that ends the data has its checksum.
        let data_crc = self.data_end.map_or(0, |(_, crc)| crc);
        let parts = [(&mut self.data, data_crc), (&mut self.summary, footer_crc)];
        for (part, bytes) in parts.into_iter().filter(|(_, crc)| *crc == 0).flat_map(|(parts, _)| std::mem::take(parts))
        {
            *check.done.no_checksum.entry(part).or_default() += bytes;
        }
        let magic = mcap::MAGIC.len() as u64 * if self.footer.is_some() { 2 } else { 1 };
        check.done.no_checksum.insert("magic numbers", magic);
        let Some((footer_at, footer)) = self.footer.take() else {
            let expected = "a summary and a footer".to_owned();
            check.about_file(
                check.done.bytes,
                "end of the file",
                expected,
                "none: the file was not finished, or its end is damaged".to_owned(),
            );
            return Ok(());
        };
        let mut magic = [0; mcap::MAGIC.len()];
        let magic_at = footer_at + RECORD_HEAD_BYTES + 20;
        file.seek(SeekFrom::Start(magic_at))?;
        let mut ended = Vec::new();
        // The walk has found whether another recording follows.
        let more = u64::from(from.continues_at().is_none());
        file.take(magic.len() as u64 + more).read_to_end(&mut ended)?;
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
        if footer.summary_start == 0 && is_foreign {
            check.done.without.insert("summary");
            return Ok(());
        }
        let summary_at = end_at + RECORD_HEAD_BYTES + 4;
        if footer.summary_start != summary_at {
            let (expected, found) = (format!("a summary at {summary_at}"), format!("{}", footer.summary_start));
            check.about_file(footer_at, "footer", expected, found);
        }
        // It covers the footer up to the checksum itself.
        let covered = (footer_at + RECORD_HEAD_BYTES + 16).saturating_sub(summary_at);
        let found = file_crc32(file, summary_at, covered)?;
        if found != footer.summary_crc && (footer.summary_crc != 0 || !is_foreign) {
            let (expected, found) = (format!("file_crc32 {:08x}", footer.summary_crc), format!("{found:08x}"));
            check.about_file(summary_at, "summary", expected, found);
        }
        self.summary(footer_at, is_foreign, from.messages(), check);
        Ok(())
    }

    /// Compares the summary with the data. Other programs may leave out all indexes of a kind, and the statistics.
    fn summary(&self, footer_at: u64, is_foreign: bool, messages: &BTreeMap<u16, u64>, check: &mut Verification) {
        let mut counts = Vec::new();
        for (part, what, data, indexes) in [
            ("chunk indexes", "number of chunk indexes", self.chunks.len(), self.chunk_indexes.len()),
            ("metadata indexes", "number of metadata indexes", self.metadata.len(), self.metadata_indexes.len()),
        ] {
            if is_foreign && indexes == 0 && data > 0 {
                check.done.without.insert(part);
            } else {
                counts.push((what, data as u64, indexes as u64));
            }
        }
        if let Some((_, statistics)) = &self.statistics {
            counts.push(("count of chunks", self.chunks.len() as u64, statistics.chunk_count.into()));
            counts.push(("count of metadata", self.metadata.len() as u64, statistics.metadata_count.into()));
            for (channel, messages) in messages {
                let counted = statistics.channel_message_counts.get(channel).copied().unwrap_or(0);
                counts.push(("count of messages of a channel", *messages, counted));
            }
        } else if is_foreign {
            check.done.without.insert("statistics");
        } else {
            check.about_file(footer_at, "summary", "statistics".to_owned(), "none".to_owned());
        }
        let at = self.statistics.as_ref().map_or(footer_at, |(at, _)| *at);
        for (what, expected, found) in counts {
            if expected != found {
                check.about_file(at, what, expected.to_string(), found.to_string());
            }
        }
        for (at, indexed) in &self.chunk_indexes {
            let chunk_at = indexed.chunk_start_offset;
            let chunk = self.chunks.binary_search_by_key(&chunk_at, |chunk| chunk.found.at);
            let Some(chunk) = chunk.ok().map(|number| &self.chunks[number]) else {
                let expected = format!("a chunk at byte {chunk_at}");
                check.about_file(*at, "chunk index", expected, "none there".to_owned());
                continue;
            };
            for (expected, found) in differences(chunk, indexed) {
                let expected = format!("{expected}, as of the chunk at byte {chunk_at}");
                check.about_file(*at, "chunk index", expected, found);
            }
        }
        for (at, indexed) in &self.metadata_indexes {
            if !self.metadata.contains(indexed) {
                let MetadataIndex { offset, length, name } = indexed;
                let expected = format!("the metadata {name:?} of {length} bytes at byte {offset}");
                check.about_file(*at, "metadata index", expected, "none there".to_owned());
            }
        }
    }
}

/// Reports that the chunk that ends at `at` has no message index of these channels.
fn not_indexed(at: u64, missing: &[u16], check: &mut Verification) {
    let missing: Vec<_> = missing.iter().map(u16::to_string).collect();
    let expected = format!("one for each channel of the chunk, also for {}", missing.join(", "));
    check.about_file(at, "message index", expected, "none".to_owned());
}

/// Returns the fields of a chunk index that do not agree with its chunk: what was expected and what was found.
fn differences(chunk: &CheckedChunk, indexed: &ChunkIndex) -> Vec<(String, String)> {
    let FoundChunk { at, len, header, .. } = &chunk.found;
    let numbers = [
        ("first time", header.message_start_time, indexed.message_start_time),
        ("last time", header.message_end_time, indexed.message_end_time),
        ("length", *len, indexed.chunk_length),
        ("length of the message indexes", chunk.end - (at + len), indexed.message_index_length),
        ("compressed size", header.compressed_size, indexed.compressed_size),
        ("uncompressed size", header.uncompressed_size, indexed.uncompressed_size),
    ];
    let numbers = numbers.into_iter().filter(|(_, expected, found)| expected != found);
    let mut all: Vec<_> =
        numbers.map(|(what, expected, found)| (format!("the {what} {expected}"), found.to_string())).collect();
    if header.compression != indexed.compression {
        all.push((format!("the compression {:?}", header.compression), format!("{:?}", indexed.compression)));
    }
    if chunk.indexes != indexed.message_index_offsets {
        let expected = chunk.indexes.iter().filter(|entry| !indexed.message_index_offsets.contains_key(entry.0));
        let missing = expected.count();
        let expected = format!("the positions of {} message indexes", chunk.indexes.len());
        let found = format!("{} positions, {missing} channels missing", indexed.message_index_offsets.len());
        all.push((expected, found));
    }
    all
}
