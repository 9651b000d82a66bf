//! Erases applications by overwriting their tables: a camera without the table boots no application.

use super::carry_out::carry_out;
use super::error::{FlashError, Objection, Phase, Refusal, during};
use super::step::{Region, Step};
use super::target::FlashTarget;
use crate::bootloader::{Caller, Memory, RequestData, map};
use crate::package::TABLE_BYTES;

/// Overwrites the table of the application in `memory` and, from bootloader 0.0.19 on, reads it back: `true` if that proved
/// that it is gone. [`Memory::Auto`] means every memory that the camera has.
///
/// # Errors
/// The camera refuses, or the table is still there.
pub async fn erase_applications(caller: &Caller, memory: Memory) -> Result<bool, FlashError> {
    let target = FlashTarget::ask(caller).await.map_err(during(Phase::Ask))?;
    let steps = steps(&target, memory)?;
    carry_out(caller, &steps).await?;
    Ok(steps.iter().any(|step| matches!(step, Step::ReadBack { .. })))
}

fn steps(target: &FlashTarget, asked: Memory) -> Result<Vec<Step>, Refusal> {
    let (region, data) = (Region::ApplicationTable, RequestData::new([map::ERASED; TABLE_BYTES]));
    let Some(memories) = &target.memories else { return Ok(vec![Step::write(region, asked, asked, data)]) };
    let memories_there = memories.iter().map(|details| details.memory);
    let chosen: Vec<_> = memories_there.filter(|there| asked == Memory::Auto || *there == asked).collect();
    let mut steps = Vec::new();
    for &memory in &chosen {
        // With one memory the camera chooses it, as with the vendor's client.
        let asked = if chosen.len() == 1 { asked } else { memory };
        steps.push(Step::write(region, asked, memory, data.clone()));
        steps.push(Step::ReadBack { region, memory, otherwise: None, expected: data.bytes.clone() });
    }
    if steps.is_empty() { Err(Refusal(vec![Objection::no_memory(asked, memories)])) } else { Ok(steps) }
}
