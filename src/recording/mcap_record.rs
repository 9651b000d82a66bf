//! MCAP records: sizes and limits, and a check of the inner lengths before a record is parsed.
//!
//! The strings and maps of a record carry their own lengths, and the `mcap` parser allocates what a length claims. The
//! check accepts a record only if its lengths add up to the bytes that are there, so a damaged length cannot cause a large
//! allocation.

use mcap::records::{Record, op};

/// Bytes of opcode and length before the data of every record.
pub(super) const RECORD_HEAD_BYTES: u64 = 9;

/// Limit for one message, in bytes: a frame of 64 MiB whose pixels take up twice as much in a format that others read.
pub(super) const MESSAGE_BYTES_MAX: u64 = 132 << 20;

/// Limit for every record except chunks, messages and attachments.
pub(super) const METADATA_BYTES_MAX: u64 = 16 << 20;

/// Limit for the keys and values in one map: a short text takes more than ten times its bytes in memory.
const TEXTS_MAX: usize = 20_000;

/// A part of a record.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A fixed number of bytes.
    Bytes(usize),
    /// A string, list or map: a 4-byte length, then that many bytes.
    Counted,
    /// A map of strings: like [`Self::Counted`], with a sequence of counted strings inside.
    Texts,
}

/// The parts of a record; `None` for unknown opcodes and for records that hold bulk data.
fn layout(opcode: u8) -> Option<&'static [Part]> {
    use Part::{Bytes, Counted, Texts};
    Some(match opcode {
        op::HEADER => &[Counted, Counted],
        op::FOOTER => &[Bytes(20)],
        op::SCHEMA => &[Bytes(2), Counted, Counted, Counted],
        op::CHANNEL => &[Bytes(4), Counted, Counted, Texts],
        op::MESSAGE_INDEX => &[Bytes(2), Counted],
        op::CHUNK_INDEX => &[Bytes(32), Counted, Bytes(8), Counted, Bytes(16)],
        op::ATTACHMENT_INDEX => &[Bytes(40), Counted, Counted],
        op::STATISTICS => &[Bytes(42), Counted],
        op::METADATA => &[Counted, Texts],
        op::METADATA_INDEX => &[Bytes(16), Counted],
        op::SUMMARY_OFFSET => &[Bytes(17)],
        op::DATA_END => &[Bytes(4)],
        _ => return None,
    })
}

/// Returns whether [`parse`] supports this opcode.
pub(super) fn is_known(opcode: u8) -> bool {
    layout(opcode).is_some()
}

/// Returns whether the parts of a record fill it exactly.
pub(super) fn fits(opcode: u8, data: &[u8]) -> bool {
    remainder(opcode, data).is_some_and(<[u8]>::is_empty)
}

/// Parses a record if its parts fill it exactly. Does not support messages, chunks and attachments.
pub(super) fn parse(opcode: u8, data: &[u8]) -> Option<Record<'_>> {
    if fits(opcode, data) { mcap::parse_record(opcode, data).ok() } else { None }
}

/// Returns the bytes after the parts of a record.
fn remainder(opcode: u8, data: &[u8]) -> Option<&[u8]> {
    let mut rest = data;
    for part in layout(opcode)? {
        match part {
            Part::Bytes(n) => rest = rest.get(*n..)?,
            Part::Counted => (_, rest) = counted(rest)?,
            Part::Texts => {
                let mut texts;
                (texts, rest) = counted(rest)?;
                let mut left = TEXTS_MAX;
                while !texts.is_empty() {
                    (_, texts) = counted(texts)?;
                    left = left.checked_sub(1)?;
                }
            }
        }
    }
    Some(rest)
}

/// Splits off a counted part: its contents, and the bytes after it.
fn counted(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = data.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*n)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn a_map_of_many_texts_is_not_parsed() {
        for (pairs, parsed) in [(TEXTS_MAX / 2, true), (TEXTS_MAX / 2 + 1, false)] {
            let map: Vec<u8> = (0..pairs).flat_map(|n| [text(&n.to_string()), text("")].concat()).collect();
            let data = [text("name"), (map.len() as u32).to_le_bytes().to_vec(), map].concat();
            assert_eq!(parse(op::METADATA, &data).is_some(), parsed, "{pairs} pairs");
        }
    }

    #[test]
    fn record_is_parsed_only_if_its_lengths_add_up() {
        let map = [text("key"), text("value")].concat();
        let whole = [text("name"), (map.len() as u32).to_le_bytes().to_vec(), map].concat();
        let Some(Record::Metadata(metadata)) = parse(op::METADATA, &whole) else { panic!("not parsed as metadata") };
        assert_eq!((metadata.name.as_str(), metadata.metadata["key"].as_str()), ("name", "value"));
        assert!(parse(op::METADATA, &[&whole[..], &[0]].concat()).is_none(), "one extra byte");
        for len in 0..whole.len() {
            assert!(parse(op::METADATA, &whole[..len]).is_none(), "cut to {len} bytes");
        }
        // The high byte of each length: of the name, of the map, and of the strings in the map.
        for at in [3, 11, 15, 22] {
            let mut wrong = whole.clone();
            assert_eq!(wrong[at], 0);
            wrong[at] = 0x7f;
            assert!(parse(op::METADATA, &wrong).is_none(), "byte {at}");
        }
        assert!(parse(op::CHUNK, &whole).is_none() && parse(0x80, &whole).is_none());
    }
}
