//! The checks before the first byte is written, and the steps that follow from them.

use std::fmt;

use super::error::{FlashError, Objection, Phase, Refusal, configuration, during};
use super::link_speed::LinkSpeed;
use super::read_back;
use super::step::{Region, Setting, Step};
use super::target::FlashTarget;
use crate::bootloader::{Caller, Memory, Version, map};
use crate::package::{Compression, FIRMWARE, MYRIAD_X, Package};

/// The steps that bring a package into a camera. One exists only if all checks passed.
#[derive(Clone, Debug)]
pub struct Plan {
    target: FlashTarget,
    package: Package,
    memory: Memory,
    steps: Vec<Step>,
}

/// The user's choices.
#[derive(Clone, Copy, Debug)]
pub struct FlashOptions {
    /// The memory to write. [`Memory::Auto`] leaves the choice to the camera.
    pub memory: Memory,
    /// Write the package even if the camera has it already.
    pub force: bool,
}

impl Plan {
    /// Queries the camera and decides on the steps. Writes nothing.
    ///
    /// # Errors
    /// The camera cannot be queried, or the package cannot be written to it ([`Refusal`]).
    pub async fn make(caller: &Caller, package: Package, options: FlashOptions) -> Result<Self, FlashError> {
        let target = FlashTarget::ask(caller).await.map_err(during(Phase::Ask))?;
        let memory = check(&target, &package, options.memory)?;
        caller.begin("reading memory and settings");
        let link = LinkSpeed::measure(caller, memory, package.bytes().len()).await?;
        let write = options.force || !has_package(caller, memory, &package, &link).await?;
        let error = configuration(Phase::Ask);
        let config = caller.settings().await.map_err(&error)?.unwrap_or_default();
        let boot_memory = config.application_memory().map_err(|config| error(config.into()))?;

        let mut steps = Vec::new();
        // With two memories, the one that the camera chose is known after reading back.
        let otherwise = match options.memory {
            Memory::Auto if write => target.memories().map(|details| details.memory).find(|one| *one != memory),
            _ => None,
        };
        if write {
            let (region, bytes) = (Region::Application, package.shared_bytes());
            steps.push(Step::write(region, options.memory, memory, link.data(bytes.clone())));
            steps.push(Step::ReadBack { region, memory, otherwise, expected: bytes });
        }
        if otherwise.is_some() {
            steps.push(Step::Configure { setting: Setting::BootMemory(None), config });
        } else if boot_memory != Some(memory) {
            steps.push(Step::Configure { setting: Setting::BootMemory(Some(memory)), config });
        }
        steps.push(Step::Reset);
        Ok(Self { target, package, memory, steps })
    }

    /// The camera before any step.
    #[must_use]
    pub fn target(&self) -> &FlashTarget {
        &self.target
    }

    /// The steps, in the order in which they are printed and performed.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn package(&self) -> &Package {
        &self.package
    }

    /// The memory that has, or is expected to get, the application.
    pub(super) fn memory(&self) -> Memory {
        self.memory
    }

    /// Returns `false` if the camera has the package already.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Write { .. }))
    }
}

/// Returns the memory that the package will be in.
fn check(target: &FlashTarget, package: &Package, asked: Memory) -> Result<Memory, Refusal> {
    let mut objections = Vec::new();
    if !target.is_network() {
        objections.push(Objection::Type { found: target.bootloader.kind });
    }
    let magic = package.firmware_magic();
    if magic != Some(MYRIAD_X) {
        let found = magic.map_or("nothing".to_owned(), |magic| format!("\"{}\"", magic.escape_ascii()));
        objections.push(Objection::Platform { found });
    }
    let memory = if asked == Memory::Auto { target.default_memory() } else { asked };
    match (&target.memories, target.memory(memory)) {
        (None, _) => {
            let (has, needs) = (target.bootloader.version, Version::READS_MEMORY);
            objections.push(Objection::TooOld { has, needs });
        }
        (Some(memories), None) => objections.push(Objection::no_memory(memory, memories)),
        (Some(_), Some(details)) => {
            let (len, room) = (package.bytes().len() as u64, details.size - i64::from(map::APPLICATION));
            if i64::try_from(len).is_ok_and(|len| len > room) {
                let compressed = package.section(FIRMWARE).is_some_and(|one| one.compression() != Compression::None);
                objections.push(Objection::TooLarge { package: len, room, size: details.size, memory, compressed });
            }
        }
    }
    if objections.is_empty() { Ok(memory) } else { Err(Refusal(objections)) }
}

/// Returns `true` if the memory holds every byte of the package. Stops reading at the first byte that differs.
async fn has_package(caller: &Caller, memory: Memory, package: &Package, link: &LinkSpeed) -> Result<bool, FlashError> {
    let bytes = package.bytes();
    if !bytes.starts_with(&link.first) {
        return Ok(false);
    }
    let place = |at| Region::Application.place(bytes, at);
    match read_back::compare(caller, Phase::Ask, memory, map::APPLICATION, bytes, place).await {
        Ok(()) => Ok(true),
        Err(FlashError::Differs { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bootloader {} ({})", self.target.bootloader.version, self.target.bootloader.kind)?;
        for section in self.package.sections() {
            let (name, size, offset) = (section.name(), section.size(), section.offset());
            write!(f, "\nsection {name:<16} {size:>10} bytes at {:#x}", map::APPLICATION + offset)?;
        }
        if !self.writes() {
            write!(f, "\nthe {} memory holds every byte of the package already", self.memory)?;
        }
        for (number, step) in (1..).zip(&self.steps) {
            write!(f, "\n{number}. {step}")?;
        }
        Ok(())
    }
}
