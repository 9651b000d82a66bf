//! What a camera's bootloader says of itself, before anything is done to it.

use serde::Serialize;

use crate::bootloader::{
    ApplicationDetails, BootloaderInfo, BootloaderType, Caller, ClientError, Memory, MemoryDetails, Request, Response,
    Version,
};

/// A camera in its bootloader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Version, type, slot.
    pub bootloader: BootloaderInfo,
    /// The memories that it has; `None` when its version cannot tell.
    pub memories: Option<Vec<MemoryDetails>>,
}

impl Target {
    /// Asks for everything that the bootloader's version can tell. Changes nothing.
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

    /// This memory, if it has it and says so.
    #[must_use]
    pub fn memory(&self, memory: Memory) -> Option<&MemoryDetails> {
        self.memories.iter().flatten().find(|details| details.memory == memory)
    }

    /// The memory that the camera takes for an application unless it is told (bootloader.md 3.3: the vendor assumes the
    /// eMMC where there is one).
    #[must_use]
    pub fn usual_memory(&self) -> Memory {
        if self.memory(Memory::Emmc).is_some() { Memory::Emmc } else { Memory::Flash }
    }

    /// Whether it is a bootloader for the network.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.bootloader.kind == BootloaderType::Network
    }
}

/// The application in a memory; `None` when the bootloader's version cannot tell.
///
/// # Errors
/// See [`ClientError`].
pub async fn application(
    caller: &Caller,
    target: &Target,
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
