//! What is really in a camera's memory.

use super::FlashError;
use super::job::Phase;
use crate::bootloader::{Caller, Memory, Request};

/// Bytes of one request: large against a round trip, small against the patience of whoever watches.
pub(super) const BLOCK: usize = 1 << 20;

/// Exactly so many bytes from this offset of the memory.
///
/// # Errors
/// The camera cannot be read, or gave fewer.
pub(super) async fn read(
    caller: &Caller,
    phase: Phase,
    memory: Memory,
    offset: u32,
    len: u32,
) -> Result<Vec<u8>, FlashError> {
    let request = Request::ReadFlash { memory, offset, total: len };
    let found = caller.read(request).await.map_err(|error| FlashError::Camera { phase, error })?;
    if found.len() == len as usize {
        return Ok(found);
    }
    Err(FlashError::Short { phase, memory, offset, found: found.len(), expected: len })
}

/// Whether exactly this stands at that offset of the memory. `place` names what a byte of it belongs to.
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
    for (number, block) in expected.chunks(BLOCK).enumerate() {
        // No memory of a camera has more than 4 GiB: the protocol's offsets end there.
        let at = (number * BLOCK) as u32;
        let found = read(caller, phase, memory, offset + at, block.len() as u32).await?;
        if let Some(differs) = found.iter().zip(block).position(|(found, expected)| found != expected) {
            let (found, expected, at) = (found[differs], block[differs], at + differs as u32);
            return Err(FlashError::Differs { phase, at, place: place(at), memory, found, expected });
        }
    }
    Ok(())
}
