//! Performs the steps of a [`Plan`]: writes, reads back, compares, and only then sets the memory to boot from.
//!
//! # Differences from the vendor's client
//!
//! Beside those that [`crate::bootloader`] lists:
//!
//! * An application that the camera has already is not written again.
//! * Everything that was written is read back and compared, byte by byte. An application that differs is erased,
//!   unless its table differs, because it could be an older one.
//! * `appMem` is set after that, to the memory in which the application was found; if it has the value already, nothing is
//!   written; a failure is an error. The vendor sets it even when flashing failed, and hides errors.
//! * The configuration is read before anything is written, so that one which cannot be changed stops the flashing.
//! * The configuration is changed element by element; the vendor's typed way loses unknown elements. Clearing it removes
//!   the network's part and leaves the memory to boot from.
//! * The memories of a camera are queried one by one, and its configuration is read too; the vendor's client also asks for
//!   the default memory, which is one of these.
//! * Before the configuration is touched, a bootloader is asked whether it is the one in the user slot.

use super::error::{FlashError, Phase, configuration, during};
use super::plan::Plan;
use super::read_back;
use super::step::{Region, Setting, Step};
use crate::bootloader::config::Config;
use crate::bootloader::{Caller, Memory, RequestData, map};
use crate::package::TABLE_BYTES;

/// The result of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flashed {
    /// `false` if the camera had the same application already.
    pub written: bool,
    /// The memory in which every byte of the application was found.
    pub memory: Memory,
    /// `false` if the configuration did not need a change.
    pub settings_written: bool,
}

impl Plan {
    /// Performs every step, in order, and stops at the first that fails.
    ///
    /// # Errors
    /// See [`FlashError`]; [`FlashError::help`] is the next thing to do.
    pub async fn carry_out(self, caller: &Caller) -> Result<Flashed, FlashError> {
        let Done { found, configured } = match carry_out(caller, self.steps()).await {
            Err(error) if error.phase() == Phase::ReadBack(Region::Application) => {
                return Err(if self.erase_damaged(caller, &error).await { error.erased() } else { error });
            }
            result => result?,
        };
        Ok(Flashed { written: self.writes(), memory: found.unwrap_or(self.memory()), settings_written: configured })
    }
}

impl Plan {
    /// Erases the application that was just written and differs from the package: the camera would boot it, and its program
    /// could send frames as if nothing was wrong. An older application, of which nothing was overwritten, stays. Returns
    /// whether the application was erased.
    async fn erase_damaged(&self, caller: &Caller, error: &FlashError) -> bool {
        let FlashError::Differs { memory, .. } = *error else { return false };
        let (table, phase) = (self.package().table(), error.phase());
        let place = |at| Region::ApplicationTable.place(table, at);
        if read_back::compare(caller, phase, memory, map::APPLICATION, table, place).await.is_err() {
            return false;
        }
        let region = Region::ApplicationTable;
        let data = RequestData::new([map::ERASED; TABLE_BYTES]);
        let expected = data.bytes.clone();
        let steps =
            [Step::write(region, memory, memory, data), Step::ReadBack { region, memory, otherwise: None, expected }];
        carry_out(caller, &steps).await.is_ok()
    }
}

/// The result of a list of steps.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The memory in which the last [`Step::ReadBack`] found its bytes.
    found: Option<Memory>,
    /// `false` if the configuration did not need a change.
    configured: bool,
}

/// Performs `steps` in order and stops at the first that fails.
pub(super) async fn carry_out(caller: &Caller, steps: &[Step]) -> Result<Done, FlashError> {
    let mut done = Done::default();
    for step in steps {
        if let Some(progress) = step.progress() {
            caller.begin(progress);
        }
        match step {
            Step::Write { region, request, data, .. } => {
                caller.write(request.clone(), data.clone()).await.map_err(during(Phase::Write(*region)))?;
            }
            Step::ReadBack { region, memory, otherwise, expected } => {
                done.found = Some(find(caller, *region, *memory, *otherwise, expected).await?);
            }
            Step::Configure { setting, config } => {
                done.configured |= configure(caller, *setting, config, done.found).await?;
            }
            // Every session with a bootloader ends with a reset (bootloader.md 2.3), so there is nothing to send here.
            Step::Reset => {}
        }
    }
    Ok(done)
}

/// The memory that holds `expected`: the first, or the other if the first differs.
async fn find(
    caller: &Caller,
    region: Region,
    memory: Memory,
    otherwise: Option<Memory>,
    expected: &[u8],
) -> Result<Memory, FlashError> {
    let place = |at| region.place(expected, at);
    let compare = async |memory| {
        let phase = Phase::ReadBack(region);
        read_back::compare(caller, phase, memory, region.offset(), expected, place).await.map(|()| memory)
    };
    match (compare(memory).await, otherwise) {
        (Err(FlashError::Differs { .. }), Some(otherwise)) => compare(otherwise).await,
        (result, _) => result,
    }
}

/// Changes one setting. `false`: the configuration had the value already.
async fn configure(
    caller: &Caller,
    setting: Setting,
    config: &Config,
    found: Option<Memory>,
) -> Result<bool, FlashError> {
    let mut config = config.clone();
    match setting {
        Setting::UserBootloader(image) => config.set_user_bootloader(image),
        Setting::BootMemory(memory) => {
            let Some(memory) = memory.or(found) else { return Ok(false) };
            if config.application_memory() == Ok(Some(memory)) {
                return Ok(false);
            }
            config.set_application_memory(memory);
        }
    }
    caller.store_settings(&config).await.map_err(configuration(Phase::Configure))?;
    Ok(true)
}
