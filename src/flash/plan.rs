//! The checks before the first byte is written. Who has a [`Plan`] has passed them: there is no other way to a
//! [job](super::job).

use std::fmt;

use super::job::{FlashError, Phase, during};
use super::target::Target;
use crate::bootloader::{Caller, Memory, MemoryDetails, Version, map};
use crate::package::{MYRIAD_X, Package};

/// What is to be written where, and that nothing speaks against it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) package: Package,
    /// As the user wants it.
    pub(super) asked: Memory,
    /// Where it will be.
    pub(super) memory: Memory,
    pub(super) target: Target,
    pub(super) force: bool,
}

/// What the user wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Into which memory.
    pub memory: Memory,
    /// Write even what is there already.
    pub force: bool,
}

/// Everything that speaks against writing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Refusal(pub Vec<Objection>);

/// One thing that speaks against writing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Objection {
    /// Not a bootloader of a PoE camera.
    #[error(
        "the camera has a bootloader of type {found}; applications are flashed over the network by type network only"
    )]
    Type {
        /// What it has.
        found: crate::bootloader::BootloaderType,
    },
    /// Too old to prove anything.
    #[error(
        "the camera's bootloader is {has}; {needs} or newer can be asked how large the memory is and for what was written. \
             `oaktap bootloader CAMERA update` brings one"
    )]
    TooOld {
        /// What it has.
        has: Version,
        /// What is needed.
        needs: Version,
    },
    /// There is no such memory.
    #[error("the camera has no {memory} memory; it has {has}")]
    NoMemory {
        /// What was asked for.
        memory: Memory,
        /// What there is.
        has: String,
    },
    /// It does not fit. Cameras were bricked by this (bootloader.md 3.4).
    #[error(
        "the package has {package} bytes, and the {memory} memory has room for {room} ({size} less the first {} of the bootloader); \
             a compressed package is smaller",
        map::APPLICATION
    )]
    TooLarge {
        /// Bytes of the package.
        package: u64,
        /// Bytes that there is room for.
        room: i64,
        /// Bytes of the memory.
        size: i64,
        /// Which one.
        memory: Memory,
    },
    /// Another processor's firmware.
    #[error(
        "the package's firmware begins with {found}, and cameras of this kind boot what begins with \"MA2x\" (Myriad X): \
             it is for another platform"
    )]
    Platform {
        /// Its first bytes.
        found: String,
    },
}

impl Objection {
    /// There is no such memory, only these.
    pub(super) fn no_memory(memory: Memory, memories: &[MemoryDetails]) -> Self {
        let has: Vec<_> = memories.iter().map(|details| details.memory.to_string()).collect();
        let has = if has.is_empty() { "none that it tells of".to_owned() } else { has.join(" and ") };
        Self::NoMemory { memory, has }
    }
}

impl Plan {
    /// Asks the camera, and checks whether the package can be written to it.
    ///
    /// # Errors
    /// It cannot be asked, or everything that speaks against it.
    pub async fn make(caller: &Caller, package: Package, wish: Wish) -> Result<Self, FlashError> {
        let target = Target::ask(caller).await.map_err(during(Phase::Ask))?;
        Ok(Self::check(target, package, wish)?)
    }

    /// Checks whether the package can be written to this camera.
    ///
    /// # Errors
    /// Everything that speaks against it.
    pub fn check(target: Target, package: Package, wish: Wish) -> Result<Self, Refusal> {
        let mut objections = Vec::new();
        if !target.is_network() {
            objections.push(Objection::Type { found: target.bootloader.kind });
        }
        let magic = package.firmware_magic();
        if magic != Some(MYRIAD_X) {
            let found = magic.map_or("nothing".to_owned(), |magic| format!("\"{}\"", magic.escape_ascii()));
            objections.push(Objection::Platform { found });
        }
        let memory = if wish.memory == Memory::Auto { target.usual_memory() } else { wish.memory };
        match (&target.memories, target.memory(memory)) {
            (None, _) => {
                let (has, needs) = (target.bootloader.version, Version::READS_MEMORY);
                objections.push(Objection::TooOld { has, needs });
            }
            (Some(memories), None) => objections.push(Objection::no_memory(memory, memories)),
            (Some(_), Some(details)) => {
                let (len, room) = (package.bytes().len() as u64, details.size - i64::from(map::APPLICATION));
                if i64::try_from(len).is_ok_and(|len| len > room) {
                    objections.push(Objection::TooLarge { package: len, room, size: details.size, memory });
                }
            }
        }
        if objections.is_empty() {
            Ok(Self { package, asked: wish.memory, memory, target, force: wish.force })
        } else {
            Err(Refusal(objections))
        }
    }

    /// The camera as it was found.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.package.bytes().len();
        writeln!(f, "bootloader {} ({})", self.target.bootloader.version, self.target.bootloader.kind)?;
        for section in self.package.sections() {
            let (name, size, offset) = (section.name(), section.size(), section.offset());
            writeln!(f, "section {name:<16} {size:>10} bytes at {:#x}", map::APPLICATION + offset)?;
        }
        writeln!(
            f,
            "1. compare with what is at {:#x} of the {} memory; if it is the same, go to 4",
            map::APPLICATION,
            self.memory
        )?;
        writeln!(f, "2. write {bytes} bytes there")?;
        writeln!(f, "3. read them back and compare every section")?;
        writeln!(f, "4. set `appMem` to {} in the configuration, and keep the rest of it", self.memory)?;
        write!(f, "5. reset the camera")
    }
}
