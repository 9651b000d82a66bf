//! Reads a camera's memory in blocks, and compares it.

use super::error::{FlashError, Phase, during};
use crate::bootloader::{Caller, Memory, Request};

/// Bytes of one request: the round trip costs little, and progress is visible.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Reads exactly `len` bytes.
///
/// # Errors
/// The camera cannot be read, or sent another number of bytes.
pub(super) async fn read(
    caller: &Caller,
    phase: Phase,
    memory: Memory,
    offset: u32,
    len: u32,
) -> Result<Vec<u8>, FlashError> {
    let request = Request::ReadFlash { memory, offset, total: len };
    let found = caller.read(request).await.map_err(during(phase))?;
    if found.len() == len as usize {
        return Ok(found);
    }
    Err(FlashError::Short { phase, memory, offset, found: found.len(), expected: len })
}

/// Compares the memory from `offset` on with `expected`. `place` names what a byte of it belongs to.
///
/// # Errors
/// The first byte that differs, or the camera cannot be read.
pub(super) async fn compare(
    caller: &Caller,
    phase: Phase,
    memory: Memory,
    offset: u32,
    expected: &[u8],
    place: impl Fn(u32) -> String,
) -> Result<(), FlashError> {
    for (number, block) in expected.chunks(BLOCK_BYTES).enumerate() {
        // The protocol's offsets have 32 bits.
        let at = (number * BLOCK_BYTES) as u32;
        let found = read(caller, phase, memory, offset + at, block.len() as u32).await;
        let found = found.map_err(|error| error.in_block(at.into(), expected.len() as u64))?;
        if let Some(differs) = found.iter().zip(block).position(|(found, expected)| found != expected) {
            let (found, expected, at) = (found[differs], block[differs], at + differs as u32);
            return Err(FlashError::Differs { phase, at, place: place(at), memory, found, expected, erased: false });
        }
    }
    Ok(())
}
