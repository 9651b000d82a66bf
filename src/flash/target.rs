//! The bootloader and the memories of a camera.

use serde::Serialize;

use crate::bootloader::{
    ApplicationDetails, BootloaderInfo, BootloaderType, Caller, ClientError, Memory, MemoryDetails, Request, Response,
    Version,
};

/// A camera in its bootloader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlashTarget {
    /// Version, type, slot.
    pub bootloader: BootloaderInfo,
    /// `None`: the bootloader is too old to report its memories.
    pub memories: Option<Vec<MemoryDetails>>,
}

impl FlashTarget {
    /// Sends every query that the bootloader's version supports. Changes nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask(caller: &Caller) -> Result<Self, ClientError> {
        let bootloader = caller.identify().await?;
        if bootloader.version < Version::READS_MEMORY {
            return Ok(Self { bootloader, memories: None });
        }
        let mut memories = Vec::new();
        for memory in [Memory::Flash, Memory::Emmc] {
            if let Response::MemoryDetails(Some(details)) = caller.ask(Request::MemoryDetails { memory }).await? {
                memories.push(details);
            }
        }
        Ok(Self { bootloader, memories: Some(memories) })
    }

    /// The memories that the camera reports.
    pub(super) fn memories(&self) -> impl Iterator<Item = &MemoryDetails> {
        self.memories.iter().flatten()
    }

    /// The details of a memory, if the camera reports them.
    #[must_use]
    pub fn memory(&self, memory: Memory) -> Option<&MemoryDetails> {
        self.memories().find(|details| details.memory == memory)
    }

    /// The memory that the camera is expected to choose for an application (bootloader.md 3.3: the vendor assumes the eMMC
    /// where there is one).
    #[must_use]
    pub fn default_memory(&self) -> Memory {
        if self.memory(Memory::Emmc).is_some() { Memory::Emmc } else { Memory::Flash }
    }

    /// Returns `true` if the bootloader is the type for PoE cameras.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.bootloader.kind == BootloaderType::Network
    }
}

/// The application in a memory; `None` if the bootloader is too old to report it.
///
/// # Errors
/// See [`ClientError`].
pub async fn application_details(
    caller: &Caller,
    target: &FlashTarget,
    memory: Memory,
) -> Result<Option<ApplicationDetails>, ClientError> {
    if target.bootloader.version < Version::READS_MEMORY {
        return Ok(None);
    }
    match caller.ask(Request::Application { memory }).await? {
        Response::Application(Ok(details)) => Ok(Some(details)),
        _ => Ok(None),
    }
}
