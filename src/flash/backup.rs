//! Reads applications out of a camera, as packages that can be flashed again.

use super::FlashTarget;
use super::error::{FlashError, Phase, during};
use super::read_back::{BLOCK_BYTES, read};
use crate::bootloader::{Caller, ClientError, Memory, MemoryDetails, map};
use crate::package::{SectionTable, TABLE_BYTES};

/// An application in a memory of a camera, as its table says.
#[derive(Clone, Debug)]
pub struct FoundApplication {
    memory: Memory,
    table: Vec<u8>,
    /// From the table to the end of the last section.
    bytes: u32,
}

impl FoundApplication {
    /// Reads the table of every memory. A memory without a valid table has no application.
    ///
    /// # Errors
    /// The camera cannot be read.
    pub async fn all(caller: &Caller) -> Result<Vec<Self>, FlashError> {
        let target = FlashTarget::ask(caller).await.map_err(during(Phase::Ask))?;
        let mut applications = Vec::new();
        for details in target.memories() {
            applications.extend(Self::find(caller, details).await?);
        }
        Ok(applications)
    }

    async fn find(caller: &Caller, details: &MemoryDetails) -> Result<Option<Self>, FlashError> {
        let memory = details.memory;
        let room = details.size - i64::from(map::APPLICATION);
        let bytes = read(caller, Phase::Ask, memory, map::APPLICATION, TABLE_BYTES as u32).await?;
        let Ok(table) = SectionTable::parse(&bytes) else { return Ok(None) };
        let end = u32::try_from(table.end()).ok().filter(|end| i64::from(*end) <= room);
        Ok(end.map(|end| Self { memory, table: bytes, bytes: end }))
    }

    /// Returns the memory.
    #[must_use]
    pub const fn memory(&self) -> Memory {
        self.memory
    }

    /// Returns the size of the package in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Reads the package, from its table to the end of its last section. Does not verify checksums:
    /// [`crate::package::Package::parse`] does that.
    ///
    /// # Errors
    /// The camera cannot be read.
    pub async fn read(self, caller: &Caller) -> Result<Vec<u8>, FlashError> {
        let Self { memory, table: mut bytes, bytes: end } = self;
        caller.begin(format!("reading the application from the {memory} memory"));
        while (bytes.len() as u32) < end {
            let at = bytes.len() as u32;
            let len = (BLOCK_BYTES as u32).min(end - at);
            let block = read(caller, Phase::Ask, memory, map::APPLICATION + at, len).await;
            bytes.extend(block.map_err(|error| error.in_block(at.into(), end.into()))?);
        }
        Ok(bytes)
    }
}

/// Reads the application of every memory.
///
/// # Errors
/// The camera cannot be read.
pub async fn read_applications(caller: &Caller) -> Result<Vec<(Memory, Vec<u8>)>, FlashError> {
    let mut applications = Vec::new();
    for application in FoundApplication::all(caller).await? {
        let memory = application.memory();
        applications.push((memory, application.read(caller).await?));
    }
    Ok(applications)
}

/// Reads the application of a memory, and returns its damage: one text for each damaged
/// section. A camera boots an application whose sections are damaged (bootloader.md 8).
///
/// # Errors
/// The camera cannot be read.
pub async fn application_damage(caller: &Caller, details: &MemoryDetails) -> Result<Vec<String>, ClientError> {
    match read_application(caller, details).await {
        Ok(Some(bytes)) => Ok(match SectionTable::parse(&bytes) {
            Ok(table) => table.faults(&bytes).iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }),
        Ok(None) => Ok(vec!["its table of sections is not valid".to_owned()]),
        Err(FlashError::Camera { error, .. }) => Err(error),
        Err(FlashError::Stopped { at, .. }) => Err(ClientError::Stopped(at)),
        Err(error) => Ok(vec![error.to_string()]),
    }
}

/// `None` if the memory has no valid table.
async fn read_application(caller: &Caller, details: &MemoryDetails) -> Result<Option<Vec<u8>>, FlashError> {
    match FoundApplication::find(caller, details).await? {
        Some(application) => application.read(caller).await.map(Some),
        None => Ok(None),
    }
}
