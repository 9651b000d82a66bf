//! Checksums of what MCAP has none for: a single message of the wire, and metadata.
//!
//! A chunk has one checksum for all of its messages. With one in each wire message (which itself has that of the payload)
//! the frames of a damaged chunk that are whole can be told from the one that is not.

use std::collections::BTreeMap;

use mcap::records::MessageHeader;
use prost::encoding::{WireType, encode_key};

/// Number of the field with the checksum of a wire message. It is the last one.
const FIELD: u32 = 19;
/// Bytes of its key, and of its value.
const KEY: usize = 2;
const LEN: usize = KEY + size_of::<u32>();

/// Key of the checksum of metadata.
const METADATA_KEY: &str = "crc32";

/// Appends its checksum to a wire message, which covers the message and its times and number.
pub(super) fn seal(header: &MessageHeader, message: &mut Vec<u8>) {
    let checksum = checksum(header, message);
    encode_key(FIELD, WireType::ThirtyTwoBit, message);
    message.extend_from_slice(&checksum.to_le_bytes());
}

/// Whether a wire message is as it was written; `None` when it has no checksum.
pub(super) fn is_whole(header: &MessageHeader, message: &[u8]) -> Option<bool> {
    let (message, seal) = message.split_at_checked(message.len().checked_sub(LEN)?)?;
    let mut key = Vec::with_capacity(KEY);
    encode_key(FIELD, WireType::ThirtyTwoBit, &mut key);
    let found = seal.strip_prefix(&key[..])?;
    Some(found == checksum(header, message).to_le_bytes())
}

fn checksum(header: &MessageHeader, message: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header.sequence.to_le_bytes());
    crc.update(&header.log_time.to_le_bytes());
    crc.update(&header.publish_time.to_le_bytes());
    crc.update(message);
    crc.finalize()
}

/// Adds its checksum to metadata.
pub(super) fn seal_metadata(name: &str, metadata: &mut BTreeMap<String, String>) {
    let checksum = metadata_checksum(name, metadata);
    metadata.insert(METADATA_KEY.to_owned(), format!("{checksum:08x}"));
}

/// The checksum that metadata should have, and the one that it has, unless they are equal.
pub(super) fn metadata_damage(name: &str, metadata: &BTreeMap<String, String>) -> Option<(String, String)> {
    let expected = format!("{:08x}", metadata_checksum(name, metadata));
    let found = metadata.get(METADATA_KEY).map_or("none", String::as_str);
    (found != expected).then(|| (expected, found.to_owned()))
}

fn metadata_checksum(name: &str, metadata: &BTreeMap<String, String>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mut part = |text: &str| {
        crc.update(&(text.len() as u64).to_le_bytes());
        crc.update(text.as_bytes());
    };
    part(name);
    for (key, value) in metadata.iter().filter(|(key, _)| *key != METADATA_KEY) {
        part(key);
        part(value);
    }
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::recording::schema::Wire;

    #[test]
    fn a_flip_anywhere_breaks_the_seal() {
        let header = MessageHeader { channel_id: 5, sequence: 3, log_time: 77, publish_time: 66 };
        let wire = Wire { id: 9, header: b"IMG".to_vec(), detect_at: 32, ..Wire::default() };
        let mut message = wire.encode_to_vec();
        assert_eq!(is_whole(&header, &message), None);
        seal(&header, &mut message);
        assert_eq!(is_whole(&header, &message), Some(true));
        let read = Wire::decode(&message[..]).unwrap();
        assert_ne!(read.crc32, 0);
        assert_eq!(Wire { crc32: 0, ..read }, wire, "it is a field like others");
        for at in 0..message.len() {
            let mut flipped = message.clone();
            flipped[at] ^= 1;
            assert_ne!(is_whole(&header, &flipped), Some(true), "byte {at}");
        }
        for change in [
            |header: &mut MessageHeader| header.sequence += 1,
            |header: &mut MessageHeader| header.log_time += 1,
            |header: &mut MessageHeader| header.publish_time += 1,
        ] {
            let mut changed = header;
            change(&mut changed);
            assert_eq!(is_whole(&changed, &message), Some(false));
        }
        assert_eq!(is_whole(&header, &[]), None);
    }

    #[test]
    fn metadata_that_was_changed_is_told() {
        let mut metadata = BTreeMap::from([("name".to_owned(), "a".to_owned()), ("host".to_owned(), String::new())]);
        assert!(metadata_damage("m", &metadata).is_some_and(|(_, found)| found == "none"));
        seal_metadata("m", &mut metadata);
        assert_eq!(metadata_damage("m", &metadata), None);
        assert!(metadata_damage("n", &metadata).is_some());
        // The same bytes, cut elsewhere.
        let mut moved = metadata.clone();
        moved.insert("name".to_owned(), String::new());
        moved.insert("host".to_owned(), "a".to_owned());
        assert!(metadata_damage("m", &moved).is_some());
    }
}
