//! Takes the application away: its table is overwritten, and without that a camera boots nothing.

use super::job::{Phase, during};
use super::{FlashError, Objection, Refusal, Target, read_back};
use crate::bootloader::{Caller, Memory, Request, RequestData, map};
use crate::package::TABLE_BYTES;

/// What stands where no table is.
const ERASED: [u8; TABLE_BYTES] = [map::ERASED; TABLE_BYTES];

/// Overwrites the table of the application in this memory, and reads it back where the bootloader can (0.0.19): `true`
/// when it was proved. [`Memory::Auto`] means every memory that the camera has.
///
/// # Errors
/// The camera refuses, or the table is still there.
pub async fn erase(caller: &Caller, memory: Memory) -> Result<bool, FlashError> {
    let target = Target::ask(caller).await.map_err(during(Phase::Ask))?;
    let Some(memories) = &target.memories else { return overwrite(caller, memory).await.map(|()| false) };
    let there = memories.iter().map(|details| details.memory);
    let chosen: Vec<Memory> = there.filter(|there| memory == Memory::Auto || *there == memory).collect();
    if chosen.is_empty() {
        return Err(Refusal(vec![Objection::no_memory(memory, memories)]).into());
    }
    for one in &chosen {
        // Where there is no choice the camera is left to make it, as the vendor's client does.
        overwrite(caller, if chosen.len() == 1 { memory } else { *one }).await?;
        prove(caller, *one).await?;
    }
    Ok(true)
}

async fn overwrite(caller: &Caller, memory: Memory) -> Result<(), FlashError> {
    let data = RequestData::new(ERASED);
    let (total, packets) = (data.total(), data.packets());
    let request = Request::WriteFlash { memory, offset: map::APPLICATION, total, packets };
    caller.write(request, data).await.map_err(during(Phase::Write))
}

async fn prove(caller: &Caller, memory: Memory) -> Result<(), FlashError> {
    let place = |_| "in its table".to_owned();
    read_back::compare(caller, Phase::Verify, memory, map::APPLICATION, &ERASED, place).await
}
