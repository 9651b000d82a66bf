//! Takes the application away: its table is overwritten, and without that a camera boots nothing.

use super::job::Phase;
use super::{FlashError, Target};
use crate::bootloader::{Caller, Data, Memory, Request, map};

/// Bytes of the table (bootloader.md 5).
const TABLE: u32 = 512;
/// What erased flash is full of.
const ERASED: u8 = 0xff;

/// Overwrites the table of the application in this memory, and reads it back where the bootloader can (0.0.19).
/// [`Memory::Auto`] leaves the choice to the camera, and is proved in all of its memories: `true` when it was proved.
///
/// # Errors
/// The camera refuses, or the table is still there.
pub async fn erase(caller: &Caller, target: &Target, memory: Memory) -> Result<bool, FlashError> {
    let data = Data::new(vec![ERASED; TABLE as usize]);
    let request = Request::WriteFlash { memory, offset: map::APPLICATION, total: TABLE, packets: 1 };
    let error = |phase| move |error| FlashError::Camera { phase, error };
    caller.write(request, data).await.map_err(error(Phase::Write))?;
    let Some(memories) = &target.memories else { return Ok(false) };
    let there = memories.iter().map(|details| details.memory);
    let choice: Vec<Memory> = there.filter(|there| memory == Memory::Auto || *there == memory).collect();
    let mut gone = false;
    let mut first = None;
    for memory in choice {
        let phase = Phase::Verify;
        let request = Request::ReadFlash { memory, offset: map::APPLICATION, total: TABLE };
        let table = caller.read(request).await.map_err(error(phase))?;
        match table.iter().position(|byte| *byte != ERASED) {
            None => gone = true,
            Some(at) => {
                let (found, place) = (table[at], "in its table".to_owned());
                first.get_or_insert(FlashError::Differs {
                    phase,
                    at: at as u32,
                    place,
                    memory,
                    found,
                    expected: ERASED,
                });
            }
        }
    }
    // The camera has chosen one of them; that one is empty now.
    if gone { Ok(true) } else { first.map_or(Ok(false), Err) }
}
