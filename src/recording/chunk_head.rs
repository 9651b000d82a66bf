//! The head of a chunk: sizes, times, checksum and compression.

use mcap::records::ChunkHeader;

/// Bytes of a chunk before its records, without the name of its compression.
pub(super) const CHUNK_HEAD_BYTES: u64 = 40;

/// Returns whether the three lengths in the head of a chunk agree.
pub(super) fn chunk_agrees(data: &[u8], len: u64) -> bool {
    chunk_header(data).is_some_and(|header| {
        let size_agrees = match header.compression.as_str() {
            "" => header.uncompressed_size == header.compressed_size,
            // Whatever size it claims: large ones are not read.
            "lz4" | "zstd" => true,
            _ => false,
        };
        let head = CHUNK_HEAD_BYTES + header.compression.len() as u64;
        let fits = header.compressed_size.checked_add(head) == Some(len);
        header.message_start_time <= header.message_end_time && size_agrees && fits
    })
}

pub(super) fn chunk_header(data: &[u8]) -> Option<ChunkHeader> {
    let name_len = usize::try_from(u32_at(data, 28)?).ok()?;
    let name = data.get(32..)?.get(..name_len)?;
    Some(ChunkHeader {
        message_start_time: u64_at(data, 0)?,
        message_end_time: u64_at(data, 8)?,
        uncompressed_size: u64_at(data, 16)?,
        uncompressed_crc: u32_at(data, 24)?,
        compression: str::from_utf8(name).ok()?.to_owned(),
        compressed_size: u64_at(data, 32 + name.len())?,
    })
}

/// Other tools write 0 instead of a checksum.
pub(super) fn checksum_damage(header: &ChunkHeader, found: u32) -> Option<String> {
    let expected = header.uncompressed_crc;
    (expected != 0 && found != expected).then(|| format!("checksum {found:08x}, expected {expected:08x}"))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
