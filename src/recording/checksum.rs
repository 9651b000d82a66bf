//! CRC-32 checksums where MCAP has none: for single wire messages and for metadata.
//!
//! A chunk has one checksum for all of its messages. The checksum of each wire message, together with the payload's
//! checksum inside it, shows which frames of a damaged chunk are intact.

use std::collections::BTreeMap;

use mcap::records::MessageHeader;
use prost::encoding::{WireType, encode_key};

/// Number of the last field of a wire message, the checksum.
const CRC_FIELD: u32 = 19;
/// Bytes of that field's key.
const CRC_KEY_BYTES: usize = 2;
/// Bytes of that field, key and value.
const CRC_FIELD_BYTES: usize = CRC_KEY_BYTES + size_of::<u32>();

/// Key of the checksum in metadata.
const METADATA_KEY: &str = "crc32";

/// Appends the checksum of an encoded wire message. It covers the message, its sequence number and its times.
pub(super) fn append_checksum(header: &MessageHeader, message: &mut Vec<u8>) {
    let checksum = checksum(header, message);
    encode_key(CRC_FIELD, WireType::ThirtyTwoBit, message);
    message.extend_from_slice(&checksum.to_le_bytes());
}

/// Returns whether the checksum of a wire message is right; `None` if it has no checksum.
pub(super) fn is_intact(header: &MessageHeader, message: &[u8]) -> Option<bool> {
    let (message, field) = message.split_at_checked(message.len().checked_sub(CRC_FIELD_BYTES)?)?;
    let mut key = Vec::with_capacity(CRC_KEY_BYTES);
    encode_key(CRC_FIELD, WireType::ThirtyTwoBit, &mut key);
    let found = field.strip_prefix(&key[..])?;
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

/// Adds the checksum to metadata.
pub(super) fn insert_metadata_checksum(name: &str, metadata: &mut BTreeMap<String, String>) {
    let checksum = metadata_checksum(name, metadata);
    metadata.insert(METADATA_KEY.to_owned(), format!("{checksum:08x}"));
}

/// Returns the expected and the found checksum of metadata if they differ.
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
    use crate::recording::schema::WireMessage;

    #[test]
    fn flipped_bit_is_detected_in_wire_message() {
        let header = MessageHeader { channel_id: 5, sequence: 3, log_time: 77, publish_time: 66 };
        let wire = WireMessage { id: 9, header: b"IMG".to_vec(), detect_at: 32, ..WireMessage::default() };
        let mut message = wire.encode_to_vec();
        assert_eq!(is_intact(&header, &message), None);
        append_checksum(&header, &mut message);
        assert_eq!(is_intact(&header, &message), Some(true));
        let read = WireMessage::decode(&message[..]).unwrap();
        assert_ne!(read.crc32, 0);
        assert_eq!(WireMessage { crc32: 0, ..read }, wire, "other readers see the checksum as a field");
        for at in 0..message.len() {
            let mut flipped = message.clone();
            flipped[at] ^= 1;
            assert_ne!(is_intact(&header, &flipped), Some(true), "byte {at}");
        }
        for change in [
            |header: &mut MessageHeader| header.sequence += 1,
            |header: &mut MessageHeader| header.log_time += 1,
            |header: &mut MessageHeader| header.publish_time += 1,
        ] {
            let mut changed = header;
            change(&mut changed);
            assert_eq!(is_intact(&changed, &message), Some(false));
        }
        assert_eq!(is_intact(&header, &[]), None);
    }

    #[test]
    fn changed_metadata_is_detected() {
        let mut metadata = BTreeMap::from([("name".to_owned(), "a".to_owned()), ("host".to_owned(), String::new())]);
        assert!(metadata_damage("m", &metadata).is_some_and(|(_, found)| found == "none"));
        insert_metadata_checksum("m", &mut metadata);
        assert_eq!(metadata_damage("m", &metadata), None);
        assert!(metadata_damage("n", &metadata).is_some());
        // The same bytes, split differently between the values.
        let mut moved = metadata.clone();
        moved.insert("name".to_owned(), String::new());
        moved.insert("host".to_owned(), "a".to_owned());
        assert!(metadata_damage("m", &moved).is_some());
    }
}
