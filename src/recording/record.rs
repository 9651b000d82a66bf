//! Whether a record is what it claims to be, before it is given to a parser.
//!
//! Texts and maps say how long they are, and a parser makes room for that. Here the lengths have to make up the record
//! exactly, so that no more room is made than there are bytes.

use mcap::records::{Record, op};

/// A part of a record.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// So many bytes.
    Bytes(usize),
    /// A text or list: a number of four bytes says how many follow.
    Counted,
    /// The same, and what follows are texts.
    Texts,
}

/// What a record consists of; `None` for those that do not exist, or hold data of any size.
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

/// Whether there are records of this kind that [`parse`] can read.
pub(super) fn is_known(opcode: u8) -> bool {
    layout(opcode).is_some()
}

/// The record, if its parts fill it exactly. No message, chunk or attachment.
pub(super) fn parse(opcode: u8, data: &[u8]) -> Option<Record<'_>> {
    let mut rest = data;
    for part in layout(opcode)? {
        match part {
            Part::Bytes(n) => rest = rest.get(*n..)?,
            Part::Counted => (_, rest) = counted(rest)?,
            Part::Texts => {
                let mut texts;
                (texts, rest) = counted(rest)?;
                while !texts.is_empty() {
                    (_, texts) = counted(texts)?;
                }
            }
        }
    }
    if rest.is_empty() { mcap::parse_record(opcode, data).ok() } else { None }
}

/// What a number counts, and what is behind it.
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
    fn lengths_have_to_make_up_the_record() {
        let map = [text("key"), text("value")].concat();
        let whole = [text("name"), (map.len() as u32).to_le_bytes().to_vec(), map].concat();
        let Some(Record::Metadata(metadata)) = parse(op::METADATA, &whole) else { panic!("it is one") };
        assert_eq!((metadata.name.as_str(), metadata.metadata["key"].as_str()), ("name", "value"));
        assert!(parse(op::METADATA, &[&whole[..], &[0]].concat()).is_none(), "more than there is to be");
        for len in 0..whole.len() {
            assert!(parse(op::METADATA, &whole[..len]).is_none(), "{len} bytes of it");
        }
        // Every length in it, made huge: in the name, the map, and the texts of the map.
        for at in [3, 11, 15, 22] {
            let mut lying = whole.clone();
            assert_eq!(lying[at], 0);
            lying[at] = 0x7f;
            assert!(parse(op::METADATA, &lying).is_none(), "byte {at}");
        }
        assert!(parse(op::CHUNK, &whole).is_none() && parse(0x80, &whole).is_none());
    }
}
