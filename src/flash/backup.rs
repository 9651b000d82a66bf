//! Reads applications out of a camera, as packages that can be flashed again.

use super::FlashTarget;
use super::error::{FlashError, Phase, during};
use super::read_back::{BLOCK_BYTES, read};
use crate::bootloader::{Caller, Memory, MemoryDetails, map};
use crate::package::{SectionTable, TABLE_BYTES};

/// Reads the application of every memory, from its table to the end of its last section. Does not verify checksums:
/// [`crate::package::Package::parse`] does that.
///
/// # Errors
/// The camera cannot be read.
pub async fn read_applications(caller: &Caller) -> Result<Vec<(Memory, Vec<u8>)>, FlashError> {
    let target = FlashTarget::ask(caller).await.map_err(during(Phase::Ask))?;
    let mut applications = Vec::new();
    for details in target.memories() {
        applications.extend(read_application(caller, details).await?.map(|bytes| (details.memory, bytes)));
    }
    Ok(applications)
}

/// `None` if the memory has no valid table.
async fn read_application(caller: &Caller, details: &MemoryDetails) -> Result<Option<Vec<u8>>, FlashError> {
    let (phase, memory) = (Phase::Ask, details.memory);
    let room = details.size - i64::from(map::APPLICATION);
    let mut bytes = read(caller, phase, memory, map::APPLICATION, TABLE_BYTES as u32).await?;
    let Ok(table) = SectionTable::parse(&bytes) else { return Ok(None) };
    let Some(end) = u32::try_from(table.end()).ok().filter(|end| i64::from(*end) <= room) else { return Ok(None) };
    caller.begin(format!("reading the application from the {memory} memory"));
    while (bytes.len() as u32) < end {
        let at = bytes.len() as u32;
        let len = (BLOCK_BYTES as u32).min(end - at);
        let block = read(caller, phase, memory, map::APPLICATION + at, len).await;
        bytes.extend(block.map_err(|error| error.in_block(at.into(), end.into()))?);
    }
    Ok(Some(bytes))
}
