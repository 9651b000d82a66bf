//! Reads the application out of a camera, as a package that can be flashed again.

use super::job::Phase;
use super::package::Table;
use super::read_back::read;
use super::{FlashError, Target};
use crate::bootloader::{Caller, Memory, map};

/// Bytes of the table (bootloader.md 5).
const TABLE: u32 = 512;
/// Bytes of one request.
const BLOCK: u32 = 1 << 20;

/// The application in this memory, from its table to the end of its last section; `None` when there is no table that can
/// be read. Its checksums are not looked at: [`super::package::Package::parse`] does that.
///
/// # Errors
/// The camera cannot be read.
pub async fn read_application(caller: &Caller, target: &Target, memory: Memory) -> Result<Option<Vec<u8>>, FlashError> {
    let phase = Phase::Ask;
    let room = target.memory(memory).map_or(0, |details| details.size - i64::from(map::APPLICATION));
    let mut bytes = read(caller, phase, memory, map::APPLICATION, TABLE).await?;
    let Ok(table) = Table::parse(&bytes) else { return Ok(None) };
    let Some(end) = u32::try_from(table.end()).ok().filter(|end| i64::from(*end) <= room) else { return Ok(None) };
    caller.begin(format!("reading the application from the {memory} memory"));
    while (bytes.len() as u32) < end {
        let at = bytes.len() as u32;
        let len = BLOCK.min(end - at);
        let more = read(caller, phase, memory, map::APPLICATION + at, len).await?;
        bytes.extend_from_slice(&more);
    }
    Ok(Some(bytes))
}
